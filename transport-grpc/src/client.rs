//! The client.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use async_trait::async_trait;
use bytes::Bytes;
use comity_core::{
    auth::{SessionOptions, SessionUse},
    call::{Call, EventStream, Message, Reply, ReplyShape},
    endpoint::{EndpointForm, check_counts},
    error::{CallError, Delivery, TransportError, TransportErrorKind},
    transport::{Capabilities, Resolve, Route, Transport, route_of},
};
use comity_net::Pool;
use http::{
    HeaderMap, HeaderValue, Method, Request, StatusCode,
    header::{CONTENT_TYPE, TE, USER_AGENT},
};
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};
use tonic::Status;

use crate::{
    BINDING, MAX_MESSAGE, blob, chunks,
    codec::{Codecs, Row},
    error::{Refused, bad_reply, from_status, protocol, reply_fault},
    framing::{MessageReader, PREFIX},
    invoke,
    invoked::OnInvoke,
    message_limit, metadata,
    proof::Proof,
};

/// Calls other servers over gRPC.
///
/// A call goes as its operation's own message if that message stands for exactly the request's content, else through
/// `Invoke`; so does a call of a method that the peer lacks, once more on the same connection. Dropping the future, or the
/// streamed reply, resets the HTTP/2 stream. The deadline in the call's context covers the reply's stream.
#[derive(Clone)]
pub struct GrpcTransport {
    resolver: Arc<dyn Resolve>,
    pool: Pool,
    codecs: Arc<Codecs>,
    on_invoke: Option<OnInvoke>,
    sessions: Option<Arc<SessionOptions>>,
}

impl GrpcTransport {
    /// A transport over a pool's connections, which has to speak HTTP/2, with the codecs of [`Codecs::federation`].
    pub fn new(resolver: Arc<dyn Resolve>, pool: Pool) -> Self {
        Self {
            resolver,
            pool,
            codecs: Arc::new(Codecs::federation()),
            on_invoke: None,
            sessions: None,
        }
    }

    /// With other codecs: more, fewer, or none.
    #[must_use]
    pub fn with_codecs(mut self, codecs: Codecs) -> Self {
        self.codecs = Arc::new(codecs);
        self
    }

    /// Tells of each call that is sent through `Invoke`.
    #[must_use]
    pub fn with_on_invoke(mut self, on_invoke: OnInvoke) -> Self {
        self.on_invoke = Some(on_invoke);
        self
    }

    /// Proves calls by a session of their connection, where the destination's signed offer or the operator says so, or these options do: one signature for a
    /// connection in place of one for each call. Where it is refused the call is sent again, signed, and the connection goes without for a while.
    ///
    /// For calls that a [`Sign`](comity_core::auth::Sign) layer passed; one that came with credentials goes by those. The pool has to be one server's own: a connection on which
    /// a session was made is that server's alone.
    #[must_use]
    pub fn with_sessions(mut self, options: SessionOptions) -> Self {
        self.sessions = Some(Arc::new(options));
        self
    }

    async fn exchange(
        &self,
        exchange: &Exchange<'_>,
        method: &str,
        message: Bytes,
        limit: usize,
        setting: &'static str,
    ) -> Result<Incoming, Refused> {
        if message.len() > MAX_MESSAGE + PREFIX {
            return Err(TransportError::new(
                TransportErrorKind::LimitExceeded,
                Delivery::NotSent,
                format!("the request message is over the limit of {MAX_MESSAGE} bytes of the binding {BINDING}"),
            )
            .into());
        }
        let mut request = Request::new(comity_net::body::full(message));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = format!("/{method}").parse().map_err(|error| {
            protocol(format!("`{method}` is no method's name")).with_source(error)
        })?;
        *request.headers_mut() = exchange.headers.clone();
        let prove = |connection: &Arc<_>, head: &mut _| exchange.proof.write(connection, head);
        let response = self.pool.send_with(&exchange.route, request, prove).await?;
        let (head, body) = response.into_parts();
        if head.status != StatusCode::OK {
            return Err(carrier_status(head.status));
        }
        if !is_grpc_type(&head.headers) {
            return Err(Refused::Carrier(TransportError::new(
                TransportErrorKind::Carrier,
                Delivery::MaybeProcessed,
                "the carrier answered something else than gRPC",
            )));
        }
        // A status in the head: there is no message.
        if let Some(status) = Status::from_header_map(&head.headers)
            && status.code() != tonic::Code::Ok
        {
            return Err(from_status(&status));
        }
        Ok(Incoming {
            reader: MessageReader::new(body, limit),
            deadline: exchange
                .deadline
                .map(|deadline| Box::pin(sleep_until(deadline))),
            setting,
        })
    }

    /// Sends the operation's own message.
    async fn typed(
        &self,
        exchange: &Exchange<'_>,
        row: &Row,
        message: Bytes,
    ) -> Result<Reply, Refused> {
        let spec = row.op.spec();
        let (limit, setting) = match spec.reply {
            ReplyShape::Message => (message_limit(spec.limits.message), "limits.message"),
            _ => (MAX_MESSAGE, "the binding's frame"),
        };
        let mut incoming = self
            .exchange(exchange, row.method, message, limit, setting)
            .await?;
        match spec.reply {
            ReplyShape::Message => {
                let message = incoming.only().await?;
                let content = row
                    .reply
                    .decode(message, spec.limits.message)
                    .expect("a codec's reply has the shape of its operation's row")
                    .map_err(|error| bad_reply(error, "limits.message"))?;
                // Lists that the message has no field for were not counted yet.
                check_counts(&content, spec)?;
                Ok(Reply::Message(Message::from_content(content)))
            }
            ReplyShape::Events { arrays } => Ok(Reply::Events(EventStream {
                parts: chunks::read(incoming, arrays, spec),
            })),
            ReplyShape::Blob => Ok(Reply::Blob(blob::read(incoming, spec).await?)),
            ReplyShape::Body => invoke::read(incoming, row.op).await,
        }
    }

    async fn deliver(&self, mut call: Call) -> Result<Reply, CallError> {
        call.make_form()?;
        call.check_method()?;
        let context = call.context();
        let destination = context.destination.as_ref().ok_or_else(|| {
            TransportError::new(
                TransportErrorKind::Unsupported,
                Delivery::NotSent,
                "the call has no destination",
            )
        })?;
        let route = route_of(&*self.resolver, context).await?;
        let form = call.form().expect("made above");
        let mut headers = metadata::write(context, destination, form)?;
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/grpc+proto"),
        );
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("comity-grpc/", env!("CARGO_PKG_VERSION"))),
        );
        let exchange = Exchange {
            route,
            headers,
            deadline: context.deadline,
            proof: Proof::new(context, destination, form, self.sessions.as_deref()),
        };
        match self.attempt(&exchange, &call, form).await {
            Ok(reply) => {
                exchange.proof.worked();
                Ok(reply)
            }
            Err(CallError::Federation(error)) if exchange.proof.is_refused(&error) => {
                tracing::debug!(%destination, %error, "a session was refused; the call is signed");
                self.attempt(&exchange, &call, form).await
            }
            Err(error) => Err(error),
        }
    }

    /// Sends the call as its own message, or else through `Invoke`.
    async fn attempt(
        &self,
        exchange: &Exchange<'_>,
        call: &Call,
        form: &EndpointForm,
    ) -> Result<Reply, CallError> {
        let (spec, operation) = (call.spec(), call.operation());
        let row = self.codecs.of_operation(operation);
        if let Some(row) = row
            && let Some(message) = (row.encode)(form.parts())
            && message.len() <= MAX_MESSAGE + PREFIX
        {
            match self.typed(exchange, row, message).await {
                Ok(reply) => return Ok(reply),
                Err(Refused::Lacks(error)) => {
                    tracing::debug!(destination = ?call.context().destination, operation = spec.name, %error, "the peer lacks the typed method");
                }
                Err(refused) => return Err(refused.into()),
            }
        }
        if let Some(on_invoke) = &self.on_invoke {
            on_invoke.tell(spec);
        }
        let message = invoke::write_request(form);
        let incoming = self
            .exchange(
                exchange,
                invoke::METHOD,
                message,
                MAX_MESSAGE,
                "the binding's frame",
            )
            .await?;
        Ok(invoke::read(incoming, operation).await?)
    }
}

impl fmt::Debug for GrpcTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcTransport")
            .field("resolver", &self.resolver)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Transport for GrpcTransport {
    fn name(&self) -> &'static str {
        BINDING
    }

    fn capabilities(&self) -> Capabilities {
        let own = Capabilities::NONE
            .streaming()
            .multiplexed()
            .deadline_propagation()
            .cancellation()
            .delivery_certainty()
            .max_message(MAX_MESSAGE);
        match &self.sessions {
            Some(options) if options.usually == SessionUse::Required => {
                own.channel_binding().requires_session()
            }
            Some(_) => own.channel_binding(),
            None => own,
        }
    }

    async fn send(&self, call: Call) -> Result<Reply, CallError> {
        let Some(deadline) = call.context().deadline else {
            return self.deliver(call).await;
        };
        if deadline <= Instant::now() {
            return Err(late(Delivery::NotSent).into());
        }
        timeout_at(deadline, self.deliver(call))
            .await
            .unwrap_or_else(|_| Err(late(Delivery::MaybeProcessed).into()))
    }
}

fn late(delivery: Delivery) -> TransportError {
    TransportError::new(
        TransportErrorKind::Timeout,
        delivery,
        "the call's deadline passed before the reply's end",
    )
}

/// What both attempts of a call have in common.
struct Exchange<'a> {
    route: Route,
    headers: HeaderMap,
    deadline: Option<Instant>,
    proof: Proof<'a>,
}

/// Something answered in HTTP. gRPC reads 404 as UNIMPLEMENTED: whoever answered it has no such method. 431 refused the head.
fn carrier_status(status: StatusCode) -> Refused {
    let carrier = |delivery| {
        TransportError::new(
            TransportErrorKind::Carrier,
            delivery,
            format!("the carrier answered HTTP status {}", status.as_u16()),
        )
    };
    match status {
        StatusCode::NOT_FOUND | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            Refused::Carrier(carrier(Delivery::Rejected))
        }
        _ => Refused::Carrier(carrier(Delivery::MaybeProcessed)),
    }
}

/// Whether the content type is gRPC's.
pub(crate) fn is_grpc_type(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("application/grpc"))
        // Not `application/grpc-web`, which is another protocol.
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';', ' ']))
}

/// The messages of a reply. They end only with status OK.
pub(crate) struct Incoming {
    reader: MessageReader,
    deadline: Option<Pin<Box<Sleep>>>,
    /// What sets the limit of one message.
    setting: &'static str,
}

impl Incoming {
    /// The messages of a body that no call brought.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn of_body(body: comity_net::Body, limit: usize) -> Self {
        Self {
            reader: MessageReader::new(body, limit),
            deadline: None,
            setting: "the binding's frame",
        }
    }

    pub(crate) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Refused>>> {
        if let Some(timer) = &mut self.deadline
            && timer.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Some(Err(late(Delivery::MaybeProcessed).into())));
        }
        Poll::Ready(match ready!(self.reader.poll_next(cx)) {
            Some(Ok(message)) => Some(Ok(message)),
            Some(Err(fault)) => Some(Err(reply_fault(fault, self.setting).into())),
            None => match self
                .reader
                .trailers()
                .as_ref()
                .and_then(Status::from_header_map)
            {
                Some(status) if status.code() == tonic::Code::Ok => None,
                Some(status) => Some(Err(from_status(&status))),
                None => Some(Err(protocol("the reply ended without a status").into())),
            },
        })
    }

    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, Refused>> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The one message of a reply that is one.
    async fn only(&mut self) -> Result<Bytes, Refused> {
        let Some(message) = self.next().await else {
            return Err(protocol("the reply has no message").into());
        };
        let message = message?;
        match self.next().await {
            None => Ok(message),
            Some(Ok(_)) => Err(protocol("the reply has more than one message").into()),
            Some(Err(refused)) => Err(refused),
        }
    }
}
