//! A binding that is in order, in memory, and what a mutant does with it.

use std::{sync::Arc, time::Duration};

use comity_conformance::{
    Declared, Harness, HarnessError, Served, async_trait,
    bench::credentials::{DESTINATION, name},
};
use comity_core::{
    Boxed, CallService, Operations, ServerName,
    call::{Blob, Body, ByteStream, Call, EventStream, PartStream, Reply},
    error::{CallError, Delivery, TransportError, TransportErrorKind},
    transport::{Capabilities, MemoryMode, MemoryTransport, Transport},
};
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use tokio::sync::watch;
use tower::{service_fn, util::BoxCloneSyncService};

/// What a faulty client does with a call, given the way that is in order.
pub(crate) type Act =
    Arc<dyn Fn(Arc<dyn Transport>, Call) -> Boxed<'static, Result<Reply, CallError>> + Send + Sync>;

/// A fault: on the caller's side, or in front of the service.
#[derive(Clone, Copy)]
pub(crate) enum Fault {
    Nothing,
    /// Made anew for each server, as it may remember something.
    Client(fn() -> Act),
    Server(fn(Call) -> Call),
}

/// The binding with the fault.
pub(crate) struct Mutated {
    name: &'static str,
    fault: Fault,
    patience: Duration,
}

impl Mutated {
    pub(crate) fn new(name: &'static str, fault: Fault) -> Self {
        Self {
            name,
            fault,
            patience: Declared::default().patience,
        }
    }

    pub(crate) const fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }
}

#[async_trait]
impl Harness for Mutated {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    async fn serve(
        &self,
        server: &ServerName,
        operations: Operations,
        service: CallService,
    ) -> Result<Served, HarnessError> {
        // The callers' keys are fetched by a way in order: a fault there would answer every signed call with 401, and so be found by all cases.
        let fault = match *server == name(DESTINATION) {
            true => self.fault,
            false => Fault::Nothing,
        };
        let service = match fault {
            Fault::Server(alter) => BoxCloneSyncService::new(service_fn(move |call| {
                let mut service = service.clone();
                async move { tower::Service::call(&mut service, alter(call)).await }
            })),
            _ => service,
        };
        let memory = MemoryTransport::new(operations, service, MemoryMode::ThroughCodec);
        let (power, on) = watch::channel(true);
        let memory: Arc<dyn Transport> = Arc::new(Cable { memory, on });
        let transport = match fault {
            Fault::Client(act) => Arc::new(Faulty {
                inner: memory,
                act: act(),
            }),
            _ => memory,
        };
        Ok(Served::new(transport).with_cut(move || _ = power.send(false)))
    }

    fn declared(&self) -> Declared {
        let declared = Declared::default().naming_destination().without_shrinking();
        declared.with_patience(self.patience)
    }
}

struct Faulty {
    inner: Arc<dyn Transport>,
    act: Act,
}

impl std::fmt::Debug for Faulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Faulty")
    }
}

#[async_trait]
impl Transport for Faulty {
    fn name(&self) -> &'static str {
        "faulty"
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn send(&self, call: Call) -> Result<Reply, CallError> {
        (self.act)(self.inner.clone(), call).await
    }
}

/// Memory with a cable that can be cut.
#[derive(Debug)]
struct Cable {
    memory: MemoryTransport,
    on: watch::Receiver<bool>,
}

fn dead(delivery: Delivery) -> CallError {
    TransportError::new(TransportErrorKind::Closed, delivery, "the cable is cut").into()
}

#[async_trait]
impl Transport for Cable {
    fn name(&self) -> &'static str {
        self.memory.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.memory.capabilities()
    }

    async fn send(&self, call: Call) -> Result<Reply, CallError> {
        let mut on = self.on.clone();
        if !*on.borrow() {
            return Err(dead(Delivery::NotSent));
        }
        let reply = tokio::select! {
            reply = self.memory.send(call) => reply?,
            _ = on.wait_for(|on| !on) => return Err(dead(Delivery::MaybeProcessed)),
        };
        let (parts_on, bytes_on) = (on.clone(), on);
        Ok(streams(
            reply,
            |parts| until_cut(parts, parts_on),
            |bytes| until_cut(bytes, bytes_on),
        ))
    }
}

/// What arrives before the cut, and then an error.
fn until_cut<T: Send + 'static>(
    stream: BoxStream<'static, Result<T, CallError>>,
    on: watch::Receiver<bool>,
) -> BoxStream<'static, Result<T, CallError>> {
    let mut watched = on.clone();
    let cut = async move {
        if watched.wait_for(|on| !on).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let end = async move { (!*on.borrow()).then(|| Err(dead(Delivery::MaybeProcessed))) };
    let end = stream::once(end).filter_map(std::future::ready);
    stream.take_until(Box::pin(cut)).chain(end).boxed()
}

/// The reply with its stream changed, whatever it is a stream of.
pub(crate) fn streams(
    reply: Reply,
    parts: impl FnOnce(PartStream) -> PartStream,
    bytes: impl FnOnce(ByteStream) -> ByteStream,
) -> Reply {
    match reply {
        Reply::Message(message) => Reply::Message(message),
        Reply::Events(events) => Reply::Events(EventStream {
            parts: parts(events.parts),
        }),
        Reply::Blob(blob) => Reply::Blob(Blob {
            bytes: bytes(blob.bytes),
            ..blob
        }),
        Reply::Body(body) => Reply::Body(Body {
            bytes: bytes(body.bytes),
            ..body
        }),
    }
}
