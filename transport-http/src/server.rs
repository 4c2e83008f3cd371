//! The server: HTTP requests to calls, replies to HTTP responses.

use std::{convert::Infallible, sync::Arc, task::Poll, time::Duration};

use bytes::{Bytes, BytesMut};
use comity_core::{
    Boxed, CallService, Operations,
    call::{Call, SizeLimits},
    endpoint::{WireBody, WireReply, write_error, write_reply},
    error::{CallError, FederationError},
};
use comity_net::{Body, ConnectionInfo, HttpService, body};
use http::{Request, Response, Version};
use http_body::Body as _;
use http_body_util::BodyExt;
use tower::{Service, ServiceExt};

use crate::{
    reply,
    request::{PeerHeaders, Routed, route},
};

/// Most memory that is set aside for a body on the word of its `Content-Length`, in bytes.
const MAX_RESERVED: usize = 1 << 20;

/// How an [`HttpServer`] behaves.
#[derive(Debug, Clone)]
pub struct HttpServerOptions {
    /// Longest pause in a request's body.
    pub body_idle: Duration,
    /// What is believed beside the specification.
    pub peer: PeerHeaders,
}

impl Default for HttpServerOptions {
    fn default() -> Self {
        Self {
            body_idle: Duration::from_secs(30),
            peer: PeerHeaders::default(),
        }
    }
}

/// The HTTP binding's server: a tower service over [`http::Request`], for a listener of `comity-net` or any other.
#[derive(Debug, Clone)]
pub struct HttpServer {
    operations: Arc<Operations>,
    service: CallService,
    options: HttpServerOptions,
}

impl HttpServer {
    /// Decodes `operations` and has them answered by `service`.
    pub fn new(operations: Operations, service: CallService) -> Self {
        Self::with_options(operations, service, HttpServerOptions::default())
    }

    /// The same with options.
    pub fn with_options(
        operations: Operations,
        service: CallService,
        options: HttpServerOptions,
    ) -> Self {
        Self {
            operations: Arc::new(operations),
            service,
            options,
        }
    }

    /// The server boxed, for a listener.
    pub fn boxed(self) -> HttpService {
        HttpService::new(self)
    }

    async fn answer(self, request: Request<Body>) -> WireReply {
        match self.read(request).await {
            Ok(call) => {
                let operation = call.operation();
                write_reply(operation, self.service.oneshot(call).await)
            }
            Err(error) => write_error(&error),
        }
    }

    async fn read(&self, request: Request<Body>) -> Result<Call, FederationError> {
        let (head, mut body) = request.into_parts();
        let read = match route(&self.operations, &head, &self.options.peer) {
            Ok(routed) => self
                .read_body(&mut body, &routed)
                .await
                .and_then(|bytes| routed.with_body(bytes)),
            Err(error) => Err(error),
        };
        if read.is_err() && head.version < Version::HTTP_2 && !body.is_end_stream() {
            tokio::spawn(discard(body));
        }
        let mut call = read?;
        if let Some(info) = head.extensions.get::<Arc<ConnectionInfo>>() {
            call.context_mut().connection = Some(info.clone());
        }
        Ok(call)
    }

    async fn read_body(&self, body: &mut Body, routed: &Routed) -> Result<Bytes, FederationError> {
        let limit = routed.limit();
        // A length that the peer announced is believed up to a point: no larger body is reserved for before it comes.
        let announced = body.size_hint().lower();
        let announced = usize::try_from(announced).map_or(MAX_RESERVED, |n| n.min(MAX_RESERVED));
        let mut first = Bytes::new();
        let mut rest = BytesMut::new();
        loop {
            let frame = tokio::time::timeout(self.options.body_idle, body.frame())
                .await
                .map_err(|_| {
                    FederationError::new(
                        408,
                        "M_UNKNOWN",
                        format!(
                            "no byte of the request's body came within {:?} (setting `body_idle`)",
                            self.options.body_idle
                        ),
                    )
                })?;
            let chunk = match frame {
                None => break,
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(chunk) => chunk,
                    Err(_trailers) => continue,
                },
                Some(Err(error)) => {
                    return Err(FederationError::not_json(format!(
                        "the request's body broke off: {error}"
                    )));
                }
            };
            if first.len() + rest.len() + chunk.len() > limit {
                return Err(FederationError::too_large(
                    "request content",
                    limit as u64,
                    "receiver",
                    "limits.request",
                ));
            }
            if first.is_empty() && rest.is_empty() {
                // One frame is the normal case for a small request, and needs no copy.
                first = chunk;
            } else {
                if rest.is_empty() {
                    let arrived = first.len() + chunk.len();
                    rest.reserve(if announced >= arrived {
                        announced
                    } else {
                        arrived * 2
                    });
                    rest.extend_from_slice(&std::mem::take(&mut first));
                }
                rest.extend_from_slice(&chunk);
            }
        }
        Ok(if rest.is_empty() {
            first
        } else {
            rest.freeze()
        })
    }
}

/// Reads on in a body that was refused. An HTTP/1 client that is still writing when the connection closes finds it reset, and with that
/// loses the answer (RFC 9112 §9.6). A body that is read to its end leaves the connection open for the next request; so the most that is
/// read is twice the limit of the largest requests, because a body that is refused for its size is usually not much over.
async fn discard(mut body: Body) {
    const MOST: usize = 2 * SizeLimits::DEFAULT.request;
    const LINGER: Duration = Duration::from_secs(5);
    let reading = async {
        let mut left = MOST;
        while let Some(Ok(frame)) = body.frame().await {
            match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                Some(less) => left = less,
                None => break,
            }
        }
    };
    // Whoever is slower than that has had time to read the answer.
    let _ = tokio::time::timeout(LINGER, reading).await;
}

impl Service<Request<Body>> for HttpServer {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Boxed<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let server = self.clone();
        Box::pin(async move {
            let WireReply { head, body } = server.answer(request).await;
            let body = match body {
                WireBody::Whole(bytes) => body::full(bytes),
                WireBody::Stream(stream) => {
                    body::from_stream(futures_util::TryStreamExt::inspect_err(
                        stream,
                        |error: &CallError| tracing::warn!(%error, "a reply is aborted"),
                    ))
                }
            };
            Ok(reply::to_response(head, body))
        })
    }
}
