//! The server.

use std::{any::Any, convert::Infallible, fmt, sync::Arc, task::Poll};

use bytes::Bytes;
use comity_core::{
    Boxed, CallService, Operations,
    auth::Authenticator,
    call::{Authentication, Call, CallContext, Op, Reply, ReplyShape, TraceContext},
    endpoint::{
        Admission, Content, EndpointForm, EndpointParts, WireBody, federation_error, read_content,
        write_error, write_reply,
    },
    error::{CallError, FederationError},
};
use comity_net::{Body, ClientAddress, ConnectionInfo, HttpService};
use comity_proto::InvokeRequest;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{CONTENT_TYPE, VIA},
    request::Parts,
};
use prost::Message as _;
use tokio::time::{Instant, timeout, timeout_at};
use tonic::Status;
use tower::{Service, ServiceExt, util::BoxCloneSyncService};

use crate::{
    BINDING, MAX_MESSAGE, blob, chunks,
    client::is_grpc_type,
    codec::{Codecs, Row},
    error::{bad_request, request_too_large, to_status},
    framing::{FrameError, MessageReader, ReplyBody},
    invoke, message_limit, metadata,
    metadata::Signed,
    options::GrpcServerOptions,
};

/// Answers calls that arrive over gRPC: an HTTP service for a `comity-net` listener.
///
/// It proves no origin: what stands in `authorization` reaches the service's verify layer as it arrived, beside the method and
/// target that were signed. Those are routed here, and a message that disagrees with them is refused.
#[derive(Clone)]
pub struct GrpcServer {
    shared: Arc<Shared>,
    service: CallService,
}

#[derive(Clone)]
struct Shared {
    operations: Operations,
    codecs: Codecs,
    options: GrpcServerOptions,
    screen: Option<Arc<dyn Authenticator>>,
    admission: Option<Arc<dyn Admission>>,
}

/// Whether a request is gRPC's: a predicate for `comity_net::Dispatch`. gRPC has no method but POST; another request of its type is for the HTTP server to refuse.
pub fn is_grpc(head: &Parts) -> bool {
    head.method == Method::POST && is_grpc_type(&head.headers)
}

/// Why a request gets no reply.
enum Refusal {
    /// The answer, with our detail.
    Answer(CallError),
    /// There is no such method: a status without our detail, so the caller knows that nothing was done.
    Lacks(String),
}

impl From<FederationError> for Refusal {
    fn from(error: FederationError) -> Self {
        Self::Answer(error.into())
    }
}

impl From<CallError> for Refusal {
    fn from(error: CallError) -> Self {
        Self::Answer(error)
    }
}

impl Shared {
    /// An error, with the name of the gateway that this is.
    fn spoken(&self, error: CallError) -> CallError {
        match &self.options.via {
            Some(name) => error.spoken_by(name.as_str()),
            None => error,
        }
    }
}

impl GrpcServer {
    /// A server that decodes `operations` and hands the calls to `service`.
    ///
    /// `codecs` may know more operations or fewer: those that both know have a typed method, the others of `operations` are
    /// reached through `Invoke`.
    pub fn new(
        operations: Operations,
        codecs: Codecs,
        service: CallService,
        options: GrpcServerOptions,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                operations,
                codecs,
                options,
                screen: None,
                admission: None,
            }),
            service,
        }
    }

    /// Asks an authenticator, the one that verifies behind this server, before the message of a call that needs a proof is read. It authenticates nobody: the service
    /// still has to. `Invoke` without method and target in its metadata is refused then, as nothing else says before the message whether a proof is needed.
    #[must_use]
    pub fn with_screen(mut self, authenticator: Arc<dyn Authenticator>) -> Self {
        Arc::make_mut(&mut self.shared).screen = Some(authenticator);
        self
    }

    /// Asks about the target that a call's metadata names before its message is read. A call whose metadata names none is not asked about: the service has to look
    /// again.
    #[must_use]
    pub fn with_admission(mut self, admission: Arc<dyn Admission>) -> Self {
        Arc::make_mut(&mut self.shared).admission = Some(admission);
        self
    }

    /// What the metadata says, and the connection it came on.
    fn context(&self, head: &Parts) -> Result<(CallContext, Option<Signed>), FederationError> {
        let (mut context, signed) = metadata::read(&head.headers)?;
        if let (Some(admission), Some(signed)) = (&self.shared.admission, &signed) {
            admission.admit(&signed.target)?;
        }
        if !self.shared.options.trace {
            context.trace = TraceContext::default();
        }
        if let Some(info) = head.extensions.get::<Arc<ConnectionInfo>>() {
            context.connection = Some(info.clone() as Arc<dyn Any + Send + Sync>);
            context.channel = Some(info.clone());
        }
        context.client = ClientAddress::of(&head.extensions);
        Ok((context, signed))
    }

    /// Before anything of a call of this operation is read.
    fn screened(&self, op: Op, context: &CallContext) -> Result<(), FederationError> {
        match &self.shared.screen {
            Some(screen) if op.spec().authentication == Authentication::Server => {
                screen.screen(op, context)
            }
            _ => Ok(()),
        }
    }

    /// Boxed for a `comity_net::Dispatch`.
    pub fn into_service(self) -> HttpService {
        BoxCloneSyncService::new(self)
    }

    async fn answer(self, request: Request<Body>) -> Response<Body> {
        let (head, body) = request.into_parts();
        if head.method != Method::POST {
            return plain(StatusCode::METHOD_NOT_ALLOWED);
        }
        if !is_grpc(&head) {
            return plain(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        }
        let shared = Arc::clone(&self.shared);
        let mut response = match self.reply(&head, body).await {
            Ok(body) => response(body),
            Err(Refusal::Answer(error)) => {
                let error = federation_error(shared.spoken(error));
                status_response(&to_status(&error))
            }
            Err(Refusal::Lacks(what)) => status_response(&Status::unimplemented(what)),
        };
        if let Some(name) = &shared.options.via
            && let Ok(via) = HeaderValue::try_from(format!("{BINDING} {name}"))
        {
            response.headers_mut().insert(VIA, via);
        }
        response
    }

    async fn reply(self, head: &Parts, body: Body) -> Result<Body, Refusal> {
        let path = head.uri.path();
        let method = path.strip_prefix('/').unwrap_or(path);
        if method == invoke::METHOD {
            return self.invoke(head, body).await;
        }
        let row = self
            .shared
            .codecs
            .of_method(method)
            .filter(|row| self.has(row))
            .copied()
            .ok_or_else(|| Refusal::Lacks(format!("there is no method `{method}`")))?;
        self.typed(&row, head, body).await
    }

    fn has(&self, row: &Row) -> bool {
        self.shared.operations.contains(row.op)
    }

    async fn typed(self, row: &Row, head: &Parts, body: Body) -> Result<Body, Refusal> {
        let spec = row.op.spec();
        let (context, signed) = self.context(head)?;
        self.screened(row.op, &context)?;
        let deadline = context.deadline;
        let limit = spec.limits.request;
        let message = self
            .message(deadline, body, message_limit(limit), limit)
            .await?;
        let parts = (row.decode)(message, limit).map_err(|error| bad_request(&error))?;
        let form = self.form(row, signed, parts)?;
        let call = Call::read(row.op, form, context)?;
        let reply = within(deadline, self.service.oneshot(call)).await??;
        if !reply.has_shape(spec.reply) {
            return Err(FederationError::internal(
                "the handler's reply is not of the operation's shape",
            )
            .into());
        }
        Ok(match (reply, spec.reply) {
            (Reply::Events(events), ReplyShape::Events { arrays }) => {
                ReplyBody::stream(chunks::write(events.parts, arrays), deadline)
            }
            (Reply::Blob(blob), _) => ReplyBody::stream(blob::write(blob), deadline),
            (Reply::Message(mut message), _) => ReplyBody::one(
                row.reply
                    .encode(message.content())
                    .expect("a codec's reply has the shape of its operation's row"),
            ),
            (reply @ Reply::Body(_), _) => ReplyBody::stream(
                invoke::write_reply(write_reply(row.op, Ok(reply))),
                deadline,
            ),
            (Reply::Events(_), _) => unreachable!("the shape was checked"),
        })
    }

    /// The request's one message, if it arrives in time.
    async fn message(
        &self,
        deadline: Option<Instant>,
        body: Body,
        framed: usize,
        limit: usize,
    ) -> Result<Bytes, Refusal> {
        let read_timeout = self.shared.options.read_timeout;
        let reading = timeout(read_timeout, only_message(body, framed, limit));
        within(deadline, reading).await?.unwrap_or_else(|_| {
            let message =
                format!("the request took longer than {read_timeout:?} (setting: read_timeout)");
            Err(FederationError::new(408, "M_UNKNOWN", message).into())
        })
    }

    /// What was signed, if it agrees with the message; our own writing of the message, if nothing was said.
    fn form(
        &self,
        row: &Row,
        signed: Option<Signed>,
        parts: EndpointParts,
    ) -> Result<EndpointForm, Refusal> {
        let Some(Signed { method, target }) = signed else {
            if row.op.spec().authentication == Authentication::Server {
                return Err(missing_target().into());
            }
            let own = EndpointForm::from_parts(row.op.method(), row.op.path(), parts);
            return own.map_err(|error| {
                FederationError::invalid_param(format!("the message has no target: {error}")).into()
            });
        };
        let own = |routed: &EndpointParts| routed.path == parts.path && routed.query == parts.query;
        let agrees = match self.shared.operations.route(&method, &target) {
            Ok((op, routed)) if op == row.op => own(&routed),
            // A more literal path of ours has taken the target that the message stands for: the caller does not know of it. The target
            // decides in `Invoke`.
            Ok((op, _)) if stands_for(row.op, &method, &target, own) => {
                return Err(Refusal::Lacks(format!(
                    "{} answers this target here, not {}",
                    op.spec().name,
                    row.op.spec().name
                )));
            }
            // A target that no wire should carry is refused for what it is.
            Err(error) if matches!(error.http_status(), 400 | 414) => return Err(error.into()),
            _ => false,
        };
        if !agrees {
            return Err(FederationError::unauthorized("target does not match the message").into());
        }
        Ok(EndpointForm::received(method.into(), target, parts))
    }

    async fn invoke(self, head: &Parts, body: Body) -> Result<Body, Refusal> {
        let (context, signed) = self.context(head)?;
        let deadline = context.deadline;
        let limit = match &signed {
            Some(Signed { method, target }) => {
                let (op, _) = self.shared.operations.route(method, target)?;
                self.screened(op, &context)?;
                op.spec().limits.request
            }
            // Nothing is known of the call before its message is read, which nobody may have read unscreened.
            None if self.shared.screen.is_some() => return Err(missing_target().into()),
            None => MAX_MESSAGE,
        };
        let message = self
            .message(deadline, body, message_limit(limit), limit)
            .await?;
        let shared = Arc::clone(&self.shared);
        let request = InvokeRequest::decode(message).map_err(|error| bad_request(&error.into()))?;
        let reply = match self.read_invoked(request, signed, context) {
            Ok(call) => {
                let operation = call.operation();
                if let Some(on_invoke) = &shared.options.on_invoke {
                    on_invoke.tell(operation.spec());
                }
                let result = within(deadline, self.service.oneshot(call)).await;
                let result = result.unwrap_or_else(|late| Err(late.into()));
                write_reply(operation, result.map_err(|error| shared.spoken(error)))
            }
            Err(error) => write_error(&federation_error(shared.spoken(error.into()))),
        };
        let whole = match &reply.body {
            WireBody::Whole(bytes) => bytes.len(),
            WireBody::Stream(_) => 0,
        };
        let messages = invoke::write_reply(reply);
        Ok(ReplyBody::stream_of(messages, whole, deadline))
    }

    fn read_invoked(
        &self,
        request: InvokeRequest,
        signed: Option<Signed>,
        context: CallContext,
    ) -> Result<Call, FederationError> {
        let target = String::from_utf8(request.target.into())
            .map_err(|_| FederationError::invalid_param("the target is not ASCII"))?;
        let own = Signed {
            method: request.method,
            target,
        };
        if signed.is_some_and(|signed| signed != own) {
            return Err(FederationError::unauthorized(
                "target does not match the message",
            ));
        }
        let (content, content_type) = (request.content, request.content_type);
        self.shared
            .operations
            .read(own.method.into(), own.target, context, |op| match content {
                None => Ok(Content::Absent),
                Some(bytes) => read_content(op, content_type.as_deref(), bytes),
            })
    }
}

fn missing_target() -> FederationError {
    FederationError::unauthorized("metadata `x-matrix-method` and `x-matrix-uri-bin` are missing")
}

/// Whether a target would be this operation's if there were no other, with what `own` asks for.
fn stands_for(
    op: Op,
    method: &str,
    target: &str,
    own: impl FnOnce(&EndpointParts) -> bool,
) -> bool {
    let alone = Operations::none().with([op]);
    let routed = alone.ok().and_then(|it| it.route(method, target).ok());
    routed.is_some_and(|(_, parts)| own(&parts))
}

/// Bounds a step by the caller's deadline. Dropping the step cancels it.
async fn within<T>(
    deadline: Option<Instant>,
    step: impl Future<Output = T>,
) -> Result<T, FederationError> {
    let Some(deadline) = deadline else {
        return Ok(step.await);
    };
    let late = || FederationError::deadline_exceeded("the caller's deadline passed");
    if deadline <= Instant::now() {
        return Err(late());
    }
    timeout_at(deadline, step).await.map_err(|_| late())
}

/// The one message of a request. `limit` is what the refusal names, `framed` the same in protobuf.
async fn only_message(body: Body, framed: usize, limit: usize) -> Result<Bytes, Refusal> {
    let mut messages = MessageReader::new(body, framed);
    let refused = |what: &str| Err(FederationError::bad_json(what).into());
    let message = match messages.next().await {
        Some(Ok(message)) => message,
        Some(Err(FrameError::TooLarge { .. })) => return Err(request_too_large(limit).into()),
        Some(Err(FrameError::Compressed)) => {
            return Err(Refusal::Lacks(
                "compressed requests are not supported".to_owned(),
            ));
        }
        Some(Err(FrameError::Truncated | FrameError::Carrier(_))) => {
            return refused("the request ended within its message");
        }
        None => return refused("the request has no message"),
    };
    match messages.next().await {
        None => Ok(message),
        Some(_) => refused("the request has more than one message"),
    }
}

fn response(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/grpc+proto"),
    );
    response
}

/// The response that an error is, as a [`GrpcServer`] would write it: for what stands before one and refuses a request itself.
pub fn error_response(error: &FederationError) -> Response<Body> {
    status_response(&to_status(error))
}

/// A status and no message: it stands in the head.
fn status_response(status: &Status) -> Response<Body> {
    let mut response = response(comity_net::body::empty());
    // Fails only for metadata that is no header; a status of ours has none.
    let _ = status.add_header(response.headers_mut());
    response
}

fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(comity_net::body::empty());
    *response.status_mut() = status;
    response
}

impl Service<Request<Body>> for GrpcServer {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Boxed<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let server = self.clone();
        Box::pin(async move { Ok(server.answer(request).await) })
    }
}

impl fmt::Debug for GrpcServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcServer")
            .field("operations", &self.shared.operations)
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}
