//! The body type of all requests and responses.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::StreamExt;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use pin_project_lite::pin_project;

/// The error of a body.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A request's or response's body. An error aborts the message on the wire: HTTP/1.1 closes without the last chunk, HTTP/2 resets the stream.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// No bytes.
pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// These bytes; the message has a `content-length`.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// The chunks of a stream, as they come; the message has no `content-length` unless its header says so.
pub fn from_stream<S, E>(stream: S) -> Body
where
    S: Stream<Item = Result<Bytes, E>> + Send + 'static,
    E: Into<BoxError> + 'static,
{
    StreamBody::new(stream.map(|chunk| chunk.map(Frame::data).map_err(Into::into))).boxed_unsync()
}

pin_project! {
    /// An outgoing body whose errors have lost their causes, and which holds something until it is dropped.
    ///
    /// hyper resets an HTTP/2 stream with the reason of the first `h2::Error` among an error's causes. A gateway's body may fail with
    /// the error of another connection; its REFUSED_STREAM would tell our peer that nothing was processed, and that is not known here.
    pub(crate) struct Outgoing<T> {
        #[pin]
        inner: Body,
        held: T,
    }
}

impl<T> Outgoing<T> {
    pub(crate) fn new(inner: Body, held: T) -> Self {
        Self { inner, held }
    }
}

impl<T> HttpBody for Outgoing<T> {
    type Data = Bytes;
    type Error = BodyAborted;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyAborted>>> {
        let frame = ready!(self.project().inner.poll_frame(cx));
        Poll::Ready(frame.map(|frame| frame.map_err(|error| BodyAborted(error.to_string()))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A body that we were sending failed.
#[derive(Debug)]
pub(crate) struct BodyAborted(String);

impl fmt::Display for BodyAborted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the body being sent failed: {}", self.0)
    }
}

impl Error for BodyAborted {}
