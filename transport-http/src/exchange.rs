//! What every client of this binding does, whoever carries the request: writing it, and reading the reply.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use comity_core::{
    call::{ByteStream, Call, CallContext, Op, Reply},
    endpoint::{read_error_body, read_reply},
    error::{CallError, Delivery, TransportError, TransportErrorKind},
};
use comity_net::{Body, body};
use futures_util::{StreamExt, TryStreamExt};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::BodyExt;

use crate::{
    reply,
    request::{PeerHeaders, is_encoded, to_request},
};

/// How a client writes its requests: an [`HttpTransport`](crate::HttpTransport) or a [`ServiceTransport`](crate::ServiceTransport).
#[derive(Clone)]
pub struct HttpTransportOptions {
    /// Value of `User-Agent`; peers log it.
    pub user_agent: HeaderValue,
    /// What is sent beside the specification.
    pub peer: PeerHeaders,
    /// Has the last word on the headers of each request; see [`with_headers`](Self::with_headers).
    pub headers: Option<WriteHeaders>,
}

/// What [`HttpTransportOptions::with_headers`] is given: it sees the call's context, and the headers as they would be sent.
pub type WriteHeaders = Arc<dyn Fn(&CallContext, &mut HeaderMap) + Send + Sync>;

impl HttpTransportOptions {
    /// Has `write` change the headers of each request before it is sent: to tell the next server what this one knows of the caller (`X-Forwarded-For`), or to
    /// authenticate to a proxy. `Host` and the framing of the body are written behind it, and are not its to set.
    #[must_use]
    pub fn with_headers(mut self, write: WriteHeaders) -> Self {
        self.headers = Some(write);
        self
    }
}

impl fmt::Debug for HttpTransportOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTransportOptions")
            .field("user_agent", &self.user_agent)
            .field("peer", &self.peer)
            .field("headers", &self.headers.is_some())
            .finish()
    }
}

impl Default for HttpTransportOptions {
    fn default() -> Self {
        Self {
            user_agent: HeaderValue::from_static(concat!("Comity/", env!("CARGO_PKG_VERSION"))),
            peer: PeerHeaders::default(),
            headers: None,
        }
    }
}

/// A call's request, without `Host`.
///
/// # Errors
/// As [`to_request`], and 405 for a HEAD that a server received as a GET whose reply is read from its body; nothing was sent.
pub(crate) fn write_request(
    call: &mut Call,
    options: &HttpTransportOptions,
) -> Result<Request<Body>, CallError> {
    call.make_form()?;
    call.check_method()?;
    let mut request = to_request(call, &options.peer)?.map(body::full);
    let headers = request.headers_mut();
    headers.insert(header::USER_AGENT, options.user_agent.clone());
    // Without it any encoding would be welcome (RFC 9110 §12.5.3).
    headers.insert(
        header::ACCEPT_ENCODING,
        HeaderValue::from_static("identity"),
    );
    if let Some(write) = &options.headers {
        write(call.context(), request.headers_mut());
        for framing in [
            header::HOST,
            header::CONTENT_LENGTH,
            header::TRANSFER_ENCODING,
        ] {
            request.headers_mut().remove(framing);
        }
    }
    Ok(request)
}

/// What a response says: its body is read as far as the shape of the operation's reply asks for, within the row's limits.
///
/// # Errors
/// The peer's answer if it is an error; a reply that breaks off, is over a limit, is encoded although nobody asked for that, or is not what the operation gives.
pub(crate) async fn read_response(
    operation: Op,
    response: Response<Body>,
) -> Result<Reply, CallError> {
    if response.status().is_success() && is_encoded(response.headers()) {
        return Err(TransportError::new(
            TransportErrorKind::Protocol,
            Delivery::MaybeProcessed,
            format!(
                "the reply is encoded (`Content-Encoding: {}`), which was not asked for",
                reply::text(response.headers(), header::CONTENT_ENCODING).unwrap_or_default()
            ),
        )
        .into());
    }
    let head = reply::from_response(&response);
    read_reply(operation, head, bytes_of(response.into_body())).await
}

/// As much of an error's body as is kept; one that breaks off is an answer all the same.
pub(crate) async fn error_bytes(body: Body) -> Bytes {
    read_error_body(&mut bytes_of(body)).await
}

/// A response's body. A body that breaks off leaves open what the peer did.
pub(crate) fn bytes_of(body: Body) -> ByteStream {
    body.into_data_stream()
        .map_err(|error| {
            TransportError::new(
                TransportErrorKind::Closed,
                Delivery::MaybeProcessed,
                "the reply broke off",
            )
            .with_source(error)
            .into()
        })
        .boxed()
}
