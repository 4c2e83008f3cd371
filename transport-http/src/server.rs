//! The server: HTTP requests to calls, replies to HTTP responses.

use std::{convert::Infallible, sync::Arc, task::Poll, time::Duration};

use bytes::{Bytes, BytesMut};
use comity_core::{
    Boxed, CallService, Operations, ServerName,
    auth::Authenticator,
    call::{Authentication, Call, Reply, SizeLimits, Unregistered},
    endpoint::{Admission, WireBody, WireReply, federation_error, write_error, write_reply},
    error::{CallError, FederationError},
};
use comity_net::{Body, HttpService, body};
use futures_util::TryStreamExt;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header, request::Parts,
};
use http_body::Body as _;
use http_body_util::BodyExt;
use tower::{Service, ServiceExt};

use crate::{
    BINDING, reply,
    request::{PeerHeaders, Routed, route, target_of},
};

/// Most memory that is set aside for a body on the word of its `Content-Length`, in bytes.
const MAX_RESERVED: usize = 1 << 20;

/// How an [`HttpServer`] behaves.
#[derive(Debug, Clone)]
pub struct HttpServerOptions {
    /// Longest pause in a request's body.
    pub body_idle: Duration,
    /// Longest time that a request's body takes in all, however steadily it drips.
    pub body_total: Duration,
    /// What is believed beside the specification.
    pub peer: PeerHeaders,
    /// The name of the gateway that this server is, if it answers for another: it stands in `Via` of each reply, and in errors of its own as `via`.
    pub via: Option<ServerName>,
}

impl Default for HttpServerOptions {
    fn default() -> Self {
        Self {
            body_idle: Duration::from_secs(30),
            body_total: Duration::from_secs(300),
            peer: PeerHeaders::default(),
            via: None,
        }
    }
}

/// The HTTP binding's server: a tower service over [`http::Request`], for a listener of `comity-net` or any other.
#[derive(Debug, Clone)]
pub struct HttpServer {
    operations: Arc<Operations>,
    service: CallService,
    options: HttpServerOptions,
    screen: Option<Arc<dyn Authenticator>>,
    admission: Option<Arc<dyn Admission>>,
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
            screen: None,
            admission: None,
        }
    }

    /// Asks an authenticator, the one that verifies behind this server, before the body of a request that needs a proof is read. It authenticates nobody: the service
    /// still has to.
    #[must_use]
    pub fn with_screen(mut self, authenticator: Arc<dyn Authenticator>) -> Self {
        self.screen = Some(authenticator);
        self
    }

    /// Asks about a request's target before anything else of it is looked at, its body above all.
    #[must_use]
    pub fn with_admission(mut self, admission: Arc<dyn Admission>) -> Self {
        self.admission = Some(admission);
        self
    }

    /// The server boxed, for a listener.
    pub fn boxed(self) -> HttpService {
        HttpService::new(self)
    }

    async fn respond(self, request: Request<Body>) -> Response<Body> {
        let method = request.method().clone();
        let target = target_of(request.uri()).to_owned();
        if method == Method::OPTIONS && self.lacks(&method, &target) {
            let mut response = Response::new(body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            self.allow(&method, &target, response.headers_mut());
            return response;
        }
        let (WireReply { head, body }, foreign) = self.clone().answer(request).await;
        let (length, body) =
            match body {
                WireBody::Whole(bytes) => (Some(bytes.len()), body::full(bytes)),
                WireBody::Stream(stream) => (
                    None,
                    body::from_stream(stream.inspect_err(
                        |error: &CallError| tracing::warn!(%error, "a reply is aborted"),
                    )),
                ),
            };
        let mut response = reply::to_response(head, body);
        if let Some(name) = &self.options.via
            && let Ok(via) = HeaderValue::try_from(format!("{BINDING} {name}"))
        {
            response.headers_mut().insert(header::VIA, via);
        }
        if foreign {
            protect(response.headers_mut());
        }
        if response.status() == StatusCode::METHOD_NOT_ALLOWED {
            self.allow(&method, &target, response.headers_mut());
        }
        if method == Method::HEAD {
            *response.body_mut() = body::empty();
            if let Some(length) = length {
                response
                    .headers_mut()
                    .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
            }
        }
        response
    }

    /// Whether the path is known, and not for this method.
    fn lacks(&self, method: &Method, target: &str) -> bool {
        let routed = self.operations.route(method.as_str(), target);
        routed.is_err_and(|error| error.http_status() == 405)
    }

    /// Names the methods that a row has for this path (RFC 9110 §10.2.1); no header where there are none. What else is taken as an unregistered call is the
    /// service's to say.
    fn allow(&self, asked: &Method, target: &str, headers: &mut HeaderMap) {
        let methods = [Method::GET, Method::PUT, Method::POST, Method::DELETE];
        let known = methods.iter().filter(|method| {
            let routed = self.operations.route(method.as_str(), target);
            routed.is_ok_and(|(op, _)| op != Unregistered::operation())
        });
        let mut known: Vec<&str> = known.map(Method::as_str).collect();
        if known.is_empty() {
            return;
        }
        // A HEAD that was answered with 405 could not be passed on, where GET can.
        if known.contains(&"GET") && *asked != Method::HEAD {
            known.push("HEAD");
        }
        if self.lacks(&Method::OPTIONS, target) {
            known.push("OPTIONS");
        }
        if let Ok(value) = HeaderValue::try_from(known.join(", ")) {
            headers.insert(header::ALLOW, value);
        }
    }

    /// The answer, and whether its body is bytes of which nothing is known but what they claim to be.
    async fn answer(self, request: Request<Body>) -> (WireReply, bool) {
        let via = self.options.via.clone();
        let spoken = |error: CallError| match &via {
            Some(name) => error.spoken_by(name.as_str()),
            None => error,
        };
        match self.read(request).await {
            Ok(call) => {
                let operation = call.operation();
                let reply = self.service.oneshot(call).await;
                let reply = reply.map_err(spoken);
                let foreign = matches!(reply, Ok(Reply::Body(_)));
                (write_reply(operation, reply), foreign)
            }
            Err(error) => {
                let error = federation_error(spoken(error.into()));
                (write_error(&error), false)
            }
        }
    }

    async fn read(&self, request: Request<Body>) -> Result<Call, FederationError> {
        let (head, mut body) = request.into_parts();
        let routed = self
            .admitted(&head)
            .and_then(|()| route(&self.operations, &head, &self.options.peer))
            .map(|routed| routed.arrived_with(&head.extensions))
            .and_then(|routed| self.screened(routed));
        let read = match routed {
            Ok(routed) => self
                .read_in_time(&mut body, &routed)
                .await
                .and_then(|bytes| routed.with_body(bytes)),
            Err(error) => Err(error),
        };
        if read.is_err() && head.version < Version::HTTP_2 && !body.is_end_stream() {
            tokio::spawn(discard(body));
        }
        read
    }

    fn admitted(&self, head: &Parts) -> Result<(), FederationError> {
        match &self.admission {
            Some(admission) => admission.admit(target_of(&head.uri)),
            None => Ok(()),
        }
    }

    fn screened(&self, routed: Routed) -> Result<Routed, FederationError> {
        let needed = routed.operation().spec().authentication == Authentication::Server;
        if let (Some(authenticator), true) = (&self.screen, needed) {
            authenticator.screen(routed.context())?;
        }
        Ok(routed)
    }

    async fn read_in_time(
        &self,
        body: &mut Body,
        routed: &Routed,
    ) -> Result<Bytes, FederationError> {
        if body.is_end_stream() {
            return Ok(Bytes::new());
        }
        let limit = self.options.body_total;
        tokio::time::timeout(limit, self.read_body(body, routed))
            .await
            .unwrap_or_else(|_| {
                Err(FederationError::new(
                    408,
                    "M_UNKNOWN",
                    format!("the request's body took longer than {limit:?} (setting `body_total`)"),
                ))
            })
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

/// A browser that is led here neither guesses another type nor runs what it finds.
fn protect(headers: &mut HeaderMap) {
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("sandbox"),
    );
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
        Box::pin(async move { Ok(server.respond(request).await) })
    }
}
