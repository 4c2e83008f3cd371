//! The transport that is a function call: server and client in one process.

use async_trait::async_trait;
use futures_util::StreamExt;
use tower::ServiceExt;

use super::{Capabilities, Transport};
use crate::{
    CallService, Operations,
    call::{Call, CallContext, Reply, Unregistered},
    endpoint::{WireBody, federation_error, read_content, read_reply, write_error, write_reply},
    error::{CallError, Delivery, TransportError, TransportErrorKind},
};

/// How calls pass from one side to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryMode {
    /// Request and reply as values. Nothing is encoded.
    ByValue,
    /// Both written to bytes and read again, as a wire would. For tests that want a wire without sockets.
    ThroughCodec,
}

/// Calls a server in the same process. Credentials travel as on any wire and pass the same verify layer.
#[derive(Debug, Clone)]
pub struct MemoryTransport {
    operations: Operations,
    server: CallService,
    mode: MemoryMode,
}

impl MemoryTransport {
    /// A transport to `server`, which answers `operations`.
    pub fn new(operations: Operations, server: CallService, mode: MemoryMode) -> Self {
        Self {
            operations,
            server,
            mode,
        }
    }

    /// What of a context crosses a wire.
    fn carried(&self, context: &CallContext) -> CallContext {
        let mut carried = CallContext::received(self.name());
        carried.destination.clone_from(&context.destination);
        carried.credentials = context.credentials.clone();
        carried.deadline = context.deadline;
        carried.via.clone_from(&context.via);
        carried.trace = context.trace.clone();
        carried
    }

    /// Whether the receiver's registry has the call's own operation at its target. Another one there, more literal, takes the call on any wire.
    fn keeps_operation(&self, call: &mut Call) -> Result<bool, CallError> {
        let operation = call.operation();
        let form = call.make_form()?;
        let routed = self.operations.route(form.method(), form.target());
        // What a call is that no row knows is for the receiver's registry to say, by its method and target.
        Ok(operation != Unregistered::operation() && routed.is_ok_and(|(op, _)| op == operation))
    }

    fn call_through_codec(&self, mut call: Call) -> Result<Call, CallError> {
        let context = self.carried(call.context());
        let form = call.make_form()?;
        let (body, media_type) = (form.content().bytes(), form.content().media_type());
        let (method, target) = (form.method().to_owned(), form.target().to_owned());
        let call = self.operations.read(method.into(), target, context, |op| {
            read_content(op, media_type, body)
        })?;
        Ok(call)
    }
}

#[async_trait]
impl Transport for MemoryTransport {
    fn name(&self) -> &'static str {
        match self.mode {
            MemoryMode::ByValue => "memory",
            MemoryMode::ThroughCodec => "memory-codec",
        }
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::NONE
            .streaming()
            .multiplexed()
            .deadline_propagation()
            .cancellation()
            .delivery_certainty()
    }

    async fn send(&self, mut call: Call) -> Result<Reply, CallError> {
        let operation = call.operation();
        match self.mode {
            MemoryMode::ByValue if self.keeps_operation(&mut call)? => {
                *call.context_mut() = self.carried(call.context());
                self.server.clone().oneshot(call).await
            }
            _ => {
                let wire = match self.call_through_codec(call) {
                    Ok(call) => {
                        let operation = call.operation();
                        write_reply(operation, self.server.clone().oneshot(call).await)
                    }
                    Err(error) => write_error(&federation_error(error)),
                };
                let body = match wire.body {
                    WireBody::Whole(bytes) => {
                        futures_util::stream::once(std::future::ready(Ok(bytes))).boxed()
                    }
                    // A failure on the server's side cuts the wire; its words do not cross.
                    WireBody::Stream(stream) => stream
                        .map(|chunk| {
                            chunk.map_err(|_| {
                                TransportError::new(
                                    TransportErrorKind::Closed,
                                    Delivery::MaybeProcessed,
                                    "the reply was aborted",
                                )
                                .into()
                            })
                        })
                        .boxed(),
                };
                read_reply(operation, wire.head, body).await
            }
        }
    }
}
