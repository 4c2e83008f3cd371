//! What every client of this binding does, whoever carries the request: writing it, and reading the reply.

use comity_core::{
    call::{ByteStream, Call, Op, Reply},
    endpoint::read_reply,
    error::{CallError, Delivery, TransportError, TransportErrorKind},
};
use comity_net::{Body, body};
use futures_util::{StreamExt, TryStreamExt};
use http::{HeaderValue, Request, Response, header};
use http_body_util::BodyExt;

use crate::{
    reply,
    request::{PeerHeaders, to_request},
};

/// How a client writes its requests: an [`HttpTransport`](crate::HttpTransport) or a [`ServiceTransport`](crate::ServiceTransport).
#[derive(Debug, Clone)]
pub struct HttpTransportOptions {
    /// Value of `User-Agent`; peers log it.
    pub user_agent: HeaderValue,
    /// What is sent beside the specification.
    pub peer: PeerHeaders,
}

impl Default for HttpTransportOptions {
    fn default() -> Self {
        Self {
            user_agent: HeaderValue::from_static(concat!("Comity/", env!("CARGO_PKG_VERSION"))),
            peer: PeerHeaders::default(),
        }
    }
}

/// A call's request, without `Host`.
///
/// # Errors
/// As [`to_request`]; nothing was sent.
pub(crate) fn write_request(
    call: &mut Call,
    options: &HttpTransportOptions,
) -> Result<Request<Body>, CallError> {
    let mut request = to_request(call, &options.peer)?.map(body::full);
    request
        .headers_mut()
        .insert(header::USER_AGENT, options.user_agent.clone());
    Ok(request)
}

/// What a response says: its body is read as far as the shape of the operation's reply asks for, within the row's limits.
///
/// # Errors
/// The peer's answer if it is an error; a reply that breaks off, is over a limit, or is not what the operation gives.
pub(crate) async fn read_response(
    operation: Op,
    response: Response<Body>,
) -> Result<Reply, CallError> {
    let head = reply::from_response(&response);
    read_reply(operation, head, bytes_of(response.into_body())).await
}

/// A response's body. A body that breaks off leaves open what the peer did.
fn bytes_of(body: Body) -> ByteStream {
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
