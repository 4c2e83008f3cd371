//! The server: HTTP requests to calls, replies to HTTP responses.

use std::{
    convert::Infallible,
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Poll, ready},
    time::Duration,
};

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
use tokio::time::{Instant, Sleep, sleep_until};
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

/// The HTTP binding's server: a tower service over [`http::Request`], for a listener of `comity-net` or any other. Cheap to clone.
#[derive(Debug, Clone)]
pub struct HttpServer(Arc<Server>);

/// What all requests share.
#[derive(Debug, Clone)]
struct Server {
    operations: Operations,
    service: CallService,
    /// The value of `Via` in replies, if this is a gateway.
    via: Option<HeaderValue>,
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
        let via = options.via.as_ref();
        Self(Arc::new(Server {
            operations,
            service,
            via: via.and_then(|name| HeaderValue::try_from(format!("{BINDING} {name}")).ok()),
            options,
            screen: None,
            admission: None,
        }))
    }

    /// Asks an authenticator, the one that verifies behind this server, before the body of a request that needs a proof is read. It authenticates nobody: the service
    /// still has to.
    #[must_use]
    pub fn with_screen(mut self, authenticator: Arc<dyn Authenticator>) -> Self {
        Arc::make_mut(&mut self.0).screen = Some(authenticator);
        self
    }

    /// Asks about a request's target before anything else of it is looked at, its body above all.
    #[must_use]
    pub fn with_admission(mut self, admission: Arc<dyn Admission>) -> Self {
        Arc::make_mut(&mut self.0).admission = Some(admission);
        self
    }

    /// The server boxed, for a listener.
    pub fn boxed(self) -> HttpService {
        HttpService::new(self)
    }
}

impl Server {
    async fn respond(&self, request: Request<Body>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let (method, target) = (&head.method, target_of(&head.uri));
        if *method == Method::OPTIONS && self.lacks(method, target) {
            let mut response = Response::new(body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            self.allow(method, target, response.headers_mut());
            return response;
        }
        let (reply, foreign) = self.answer(&head, body).await;
        let (length, body) =
            match reply.body {
                WireBody::Whole(bytes) => (Some(bytes.len()), body::full(bytes)),
                WireBody::Stream(stream) => (
                    None,
                    body::from_stream(stream.inspect_err(
                        |error: &CallError| tracing::warn!(%error, "a reply is aborted"),
                    )),
                ),
            };
        let mut response = reply::to_response(reply.head, body);
        if let Some(via) = &self.via {
            response.headers_mut().insert(header::VIA, via.clone());
        }
        if foreign {
            protect(response.headers_mut());
        }
        if response.status() == StatusCode::METHOD_NOT_ALLOWED {
            self.allow(method, target, response.headers_mut());
        }
        if *method == Method::HEAD {
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
    async fn answer(&self, head: &Parts, body: Body) -> (WireReply, bool) {
        let spoken = |error: CallError| match &self.options.via {
            Some(name) => error.spoken_by(name.as_str()),
            None => error,
        };
        match self.read(head, body).await {
            Ok(call) => {
                let operation = call.operation();
                let reply = self.service.clone().oneshot(call).await;
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

    async fn read(&self, head: &Parts, mut body: Body) -> Result<Call, FederationError> {
        let routed = self
            .admitted(head)
            .and_then(|()| route(&self.operations, head, &self.options.peer))
            .map(|routed| routed.arrived_with(&head.extensions))
            .and_then(|routed| self.screened(routed));
        let read = match routed {
            Ok(routed) => self
                .read_body(&mut body, &routed)
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
        let op = routed.operation();
        let needed = op.spec().authentication == Authentication::Server;
        if let (Some(authenticator), true) = (&self.screen, needed) {
            authenticator.screen(op, routed.context())?;
        }
        Ok(routed)
    }

    /// The whole body. One alarm bounds each pause and the whole: it is set only if the body is waited for, and moved only when it rings.
    async fn read_body(&self, body: &mut Body, routed: &Routed) -> Result<Bytes, FederationError> {
        let mut whole = Whole::new(routed.limit(), body.size_hint().lower());
        let mut alarm = pin!(None::<Sleep>);
        let mut begun = None;
        // What is announced and has come is the end: hyper is not asked once more.
        while !body.is_end_stream() {
            let mut waits_since = None;
            let frame = poll_fn(|cx| {
                if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) {
                    return Poll::Ready(Ok(frame));
                }
                let since = *waits_since.get_or_insert_with(Instant::now);
                let total = *begun.get_or_insert(since) + self.options.body_total;
                let by = total.min(since + self.options.body_idle);
                if alarm.is_none() {
                    alarm.set(Some(sleep_until(by)));
                }
                let mut alarm = alarm.as_mut().as_pin_mut().expect("set above");
                loop {
                    ready!(alarm.as_mut().poll(cx));
                    if by <= Instant::now() {
                        return Poll::Ready(Err(self.too_slow(by == total)));
                    }
                    alarm.as_mut().reset(by);
                }
            });
            let chunk = match frame.await? {
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
            whole.take(chunk)?;
        }
        Ok(whole.bytes())
    }

    fn too_slow(&self, in_all: bool) -> FederationError {
        let message = match in_all {
            true => format!(
                "the request's body took longer than {:?} (setting `body_total`)",
                self.options.body_total
            ),
            false => format!(
                "no byte of the request's body came within {:?} (setting `body_idle`)",
                self.options.body_idle
            ),
        };
        FederationError::new(408, "M_UNKNOWN", message)
    }
}

/// A body as it comes.
struct Whole {
    limit: usize,
    /// What the peer announced: believed up to a point, so that no larger body is reserved for before it comes.
    announced: usize,
    first: Bytes,
    rest: BytesMut,
}

impl Whole {
    fn new(limit: usize, announced: u64) -> Self {
        Self {
            limit,
            announced: usize::try_from(announced).map_or(MAX_RESERVED, |n| n.min(MAX_RESERVED)),
            first: Bytes::new(),
            rest: BytesMut::new(),
        }
    }

    fn take(&mut self, chunk: Bytes) -> Result<(), FederationError> {
        let Self { first, rest, .. } = self;
        if first.len() + rest.len() + chunk.len() > self.limit {
            return Err(FederationError::too_large(
                "request content",
                self.limit as u64,
                "receiver",
                "limits.request",
            ));
        }
        if first.is_empty() && rest.is_empty() {
            // One frame is the normal case for a small request, and needs no copy.
            *first = chunk;
            return Ok(());
        }
        if rest.is_empty() {
            let arrived = first.len() + chunk.len();
            rest.reserve(if self.announced >= arrived {
                self.announced
            } else {
                arrived * 2
            });
            rest.extend_from_slice(&std::mem::take(first));
        }
        rest.extend_from_slice(&chunk);
        Ok(())
    }

    fn bytes(self) -> Bytes {
        if self.rest.is_empty() {
            self.first
        } else {
            self.rest.freeze()
        }
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
        let server = Arc::clone(&self.0);
        Box::pin(async move { Ok(server.respond(request).await) })
    }
}
