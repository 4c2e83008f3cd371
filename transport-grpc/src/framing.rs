//! gRPC over HTTP/2: length-prefixed messages and trailers.
//!
//! Written directly over the carrier's bodies: a message that arrived in one piece is a slice of it, an error of the carrier
//! arrives as it is, and one code path serves every operation.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use comity_core::error::{CallError, FederationError};
use comity_net::{Body, BoxError};
use futures_core::Stream;
use http::HeaderMap;
use http_body::{Body as _, Frame};
use http_body_util::BodyExt;
use prost::Message;
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::Status;

use crate::error::to_status;

/// A flag and four bytes of length.
pub(crate) const PREFIX: usize = 5;

/// A message behind its prefix.
pub(crate) fn frame(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut framed = BytesMut::with_capacity(PREFIX + length);
    put_prefix(&mut framed, length);
    message
        .encode(&mut framed)
        .expect("a growing buffer has room");
    framed.freeze()
}

/// A message that is written bit by bit, behind room for its prefix.
#[derive(Default)]
pub(crate) struct FrameWriter(BytesMut);

impl FrameWriter {
    /// Memory for so many bytes, the prefix among them; there may come more.
    pub(crate) fn with_room(room: usize) -> Self {
        let mut framed = BytesMut::with_capacity(room);
        put_prefix(&mut framed, 0);
        Self(framed)
    }

    /// Where the message goes on.
    pub(crate) fn message(&mut self) -> &mut BytesMut {
        &mut self.0
    }

    /// Bytes so far, with the prefix.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The message behind its prefix.
    pub(crate) fn finish(mut self) -> Bytes {
        let length = self.0.len() - PREFIX;
        put_prefix(&mut &mut self.0[..PREFIX], length);
        self.0.freeze()
    }
}

fn put_prefix(out: &mut impl BufMut, length: usize) {
    out.put_u8(0);
    // A longer message is over every limit and was refused, or fails at the receiver by its length.
    out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
}

/// Why a body gives no further message.
#[derive(Debug)]
pub(crate) enum FrameError {
    /// The carrier failed.
    Carrier(BoxError),
    /// A message is longer than allowed.
    TooLarge { limit: usize },
    /// A message is compressed, which nobody offered.
    Compressed,
    /// The body ended within a message.
    Truncated,
}

/// The messages of a body.
pub(crate) struct MessageReader {
    body: Option<Body>,
    /// Bytes that arrived and belong to no message yet: fewer than a prefix, unless a message is taken next.
    held: Bytes,
    /// The message that is being gathered from several pieces, and its length.
    gathered: BytesMut,
    length: Option<usize>,
    limit: usize,
    trailers: Option<HeaderMap>,
}

/// How much room is made for a message before its bytes have come.
const FIRST_ROOM: usize = 1 << 20;

impl MessageReader {
    pub(crate) fn new(body: Body, limit: usize) -> Self {
        Self {
            body: Some(body),
            held: Bytes::new(),
            gathered: BytesMut::new(),
            length: None,
            limit,
            trailers: None,
        }
    }

    /// What came behind the last message.
    pub(crate) fn trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take()
    }

    /// The next message; `None` at the body's end.
    pub(crate) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, FrameError>>> {
        loop {
            match self.take() {
                Ok(Some(message)) => return Poll::Ready(Some(Ok(message))),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Some(Err(self.end(error)))),
            }
            let Some(body) = self.body.as_mut() else {
                return Poll::Ready(None);
            };
            match ready!(Pin::new(body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.push(data),
                    Err(frame) => self.trailers = frame.into_trailers().ok(),
                },
                Some(Err(error)) => {
                    return Poll::Ready(Some(Err(self.end(FrameError::Carrier(error)))));
                }
                None => {
                    self.body = None;
                    if self.length.is_some() || !self.held.is_empty() {
                        return Poll::Ready(Some(Err(self.end(FrameError::Truncated))));
                    }
                }
            }
        }
    }

    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, FrameError>> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// After an error nothing follows; dropping the body tells the peer to stop.
    fn end(&mut self, error: FrameError) -> FrameError {
        self.body = None;
        self.length = None;
        self.held.clear();
        error
    }

    fn push(&mut self, data: Bytes) {
        if self.held.is_empty() {
            self.held = data;
        } else {
            // A prefix in two pieces.
            let mut joined = BytesMut::with_capacity(self.held.len() + data.len());
            joined.extend_from_slice(&self.held);
            joined.extend_from_slice(&data);
            self.held = joined.freeze();
        }
    }

    fn take(&mut self) -> Result<Option<Bytes>, FrameError> {
        let length = match self.length {
            Some(length) => length,
            None => {
                if self.held.len() < PREFIX {
                    return Ok(None);
                }
                if self.held.get_u8() != 0 {
                    return Err(FrameError::Compressed);
                }
                let length = self.held.get_u32() as usize;
                if length > self.limit {
                    return Err(FrameError::TooLarge { limit: self.limit });
                }
                self.length = Some(length);
                length
            }
        };
        if self.gathered.is_empty() && self.held.len() >= length {
            self.length = None;
            return Ok(Some(self.held.split_to(length)));
        }
        if self.gathered.is_empty() {
            self.gathered.reserve(length.min(FIRST_ROOM));
        }
        let wanted = (length - self.gathered.len()).min(self.held.len());
        self.gathered.extend_from_slice(&self.held.split_to(wanted));
        if self.gathered.len() < length {
            return Ok(None);
        }
        self.length = None;
        Ok(Some(self.gathered.split().freeze()))
    }
}

/// Framed messages on their way out. An error is the last item; it becomes a status that is not OK.
pub(crate) type Messages = Pin<Box<dyn Stream<Item = Result<Bytes, CallError>> + Send>>;

/// A response's body: messages, then the status.
pub(crate) struct ReplyBody {
    messages: Outgoing,
    deadline: Option<Pin<Box<Sleep>>>,
    /// Bytes that are there already, and still to be sent.
    whole: usize,
}

enum Outgoing {
    One(Bytes),
    Stream(Messages),
    Status,
    Ended,
}

impl ReplyBody {
    /// One message that is there already.
    pub(crate) fn one(message: Bytes) -> Body {
        Self {
            whole: message.len(),
            messages: Outgoing::One(message),
            deadline: None,
        }
        .boxed_unsync()
    }

    /// Messages as they come, until the deadline.
    pub(crate) fn stream(messages: Messages, deadline: Option<Instant>) -> Body {
        Self::stream_of(messages, 0, deadline)
    }

    /// The same, of something of which so many bytes are there already.
    pub(crate) fn stream_of(messages: Messages, whole: usize, deadline: Option<Instant>) -> Body {
        Self {
            whole,
            messages: Outgoing::Stream(messages),
            deadline: deadline.map(|deadline| Box::pin(sleep_until(deadline))),
        }
        .boxed_unsync()
    }

    fn trailers(&mut self, status: &Status) -> Frame<Bytes> {
        self.messages = Outgoing::Ended;
        let mut trailers = HeaderMap::new();
        // Fails only for metadata that is no header; a status of ours has none.
        let _ = status.add_header(&mut trailers);
        Frame::trailers(trailers)
    }
}

impl http_body::Body for ReplyBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let late = this
            .deadline
            .as_mut()
            .is_some_and(|timer| timer.as_mut().poll(cx).is_ready());
        let frame = match &mut this.messages {
            Outgoing::Ended => return Poll::Ready(None),
            Outgoing::One(message) => {
                let message = std::mem::take(message);
                this.messages = Outgoing::Status;
                Frame::data(message)
            }
            Outgoing::Status => this.trailers(&Status::ok("")),
            Outgoing::Stream(_) if late => {
                this.trailers(&to_status(&FederationError::deadline_exceeded(
                    "the caller's deadline passed before the reply's end",
                )))
            }
            Outgoing::Stream(messages) => match ready!(messages.as_mut().poll_next(cx)) {
                Some(Ok(message)) => Frame::data(message),
                Some(Err(error)) => {
                    let error = comity_core::endpoint::federation_error(error);
                    this.trailers(&to_status(&error))
                }
                None => this.trailers(&Status::ok("")),
            },
        };
        this.whole = match frame.data_ref() {
            Some(sent) => this.whole.saturating_sub(sent.len()),
            None => 0,
        };
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.messages, Outgoing::Ended)
    }

    /// At least what is there and still to be sent, for whoever counts what is held; never exact, as trailers are still to come.
    fn size_hint(&self) -> http_body::SizeHint {
        let mut hint = http_body::SizeHint::new();
        hint.set_lower(self.whole as u64);
        hint
    }
}
