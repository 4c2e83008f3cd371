//! Server and client in one process: the memory transport, and whatever a third party's harness sets up.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use comity_conformance::{Declared, Harness, HarnessError, Served};
use comity_core::{
    CallService, Operations, ServerName,
    auth::Authenticator,
    call::{Call, Reply},
    error::{CallError, Delivery, TransportError, TransportErrorKind},
    transport::{Capabilities, MemoryMode, MemoryTransport, Transport},
};
use comity_net::Counters;

use super::{Client, Guard, Setting, SetupError};

/// The transport that is a function call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory;

#[async_trait]
impl Harness for Memory {
    fn name(&self) -> String {
        "memory".to_owned()
    }

    async fn serve(
        &self,
        _: &ServerName,
        operations: Operations,
        service: CallService,
    ) -> Result<Served, HarnessError> {
        let transport = MemoryTransport::new(operations, service, MemoryMode::ByValue);
        Ok(Served::new(Arc::new(transport)))
    }

    fn declared(&self) -> Declared {
        Declared::default().naming_destination().by_value()
    }
}

/// Has a harness set up every server of the setting, with the layers of a real one and its proof of origin, and gives the client to them. They stand until the
/// guard is dropped. The client counts no bytes: a harness does not say where its bytes go.
///
/// # Errors
/// The harness's own.
pub async fn together(
    harness: &dyn Harness,
    setting: &Setting,
    operations: Operations,
    service: CallService,
) -> Result<(Client, Guard), SetupError> {
    let mut served = Vec::new();
    let mut ways = HashMap::new();
    for server in &setting.servers {
        let authenticator = setting.x_matrix(server)?;
        let authenticator = authenticator.map(|it| Arc::new(it) as Arc<dyn Authenticator>);
        let guarded = setting.guarded(authenticator, service.clone());
        let standing = harness.serve(server, operations.clone(), guarded).await?;
        ways.insert(server.clone(), standing.transport().clone());
        served.push(standing);
    }
    let client = Client {
        transport: setting.signing(Arc::new(Ways(ways))),
        counters: Counters::new(),
    };
    Ok((client, Box::new(served)))
}

/// Leads to several servers, each by a transport of its own.
#[derive(Debug)]
struct Ways(HashMap<ServerName, Arc<dyn Transport>>);

#[async_trait]
impl Transport for Ways {
    fn name(&self) -> &'static str {
        self.0.values().next().map_or("nowhere", |way| way.name())
    }

    fn capabilities(&self) -> Capabilities {
        let first = self.0.values().next();
        first.map_or(Capabilities::NONE, |way| way.capabilities())
    }

    async fn send(&self, call: Call) -> Result<Reply, CallError> {
        let destination = call.context().destination.as_ref();
        match destination.and_then(|name| self.0.get(name)) {
            Some(way) => way.send(call).await,
            None => Err(TransportError::new(
                TransportErrorKind::Resolve,
                Delivery::NotSent,
                format!("there is no way to {destination:?}"),
            )
            .into()),
        }
    }
}
