//! The servers of a bench: the one that is called, behind the layers of a real one, and those that publish the callers' keys.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use comity_core::{
    CallService, Client, Router, ServerName,
    api::{GetServerKeys, GetServerKeysReply, Keys, keys},
    auth::{KeyRing, KeyRingOptions, ServerKeys, Verify, XMatrixAuthenticator},
    call::{Call, CallContext, Reply},
    error::{CallError, Delivery, FederationError, TransportError, TransportErrorKind},
    json::Object,
    layers::{Clocks, Permits, RunToEnd, Side, Trace},
    transport::{Capabilities, Transport},
};
use tower::{Layer, util::BoxCloneSyncService};

use super::{
    Harness, HarnessError, Recorder,
    credentials::{DESTINATION, key, name},
};

/// The recorder behind the layers of a server, whose key ring asks by `fetch`. Who verifies is the harness's to say.
pub(super) fn destination(
    harness: &dyn Harness,
    recorder: &Recorder,
    fetch: Client,
) -> CallService {
    let ring = KeyRing::new(fetch, KeyRingOptions::default());
    let x_matrix = XMatrixAuthenticator::new(name(DESTINATION), Arc::new(ring));
    let layers = (
        Permits::layer(Side::Server, 64, Duration::from_secs(10)),
        Trace::layer(Side::Server),
        Clocks::layer(Side::Server),
        Verify::layer(harness.authenticator(x_matrix)),
        RunToEnd::layer(64),
    );
    BoxCloneSyncService::new(layers.layer(recorder.clone()))
}

/// A server that gives its keys and nothing else.
pub(super) fn caller(name: &ServerName, valid_until_ts: i64) -> Result<CallService, HarnessError> {
    let document = ServerKeys::sign_document(&key(), name, valid_until_ts, &Default::default())?;
    let own = OwnKeys(Object::parse(document, usize::MAX)?);
    Ok(BoxCloneSyncService::new(
        Router::new().with(keys(Arc::new(own))),
    ))
}

struct OwnKeys(Object);

#[async_trait]
impl Keys for OwnKeys {
    async fn get_server_keys(
        &self,
        _: &CallContext,
        _: GetServerKeys,
    ) -> Result<GetServerKeysReply, FederationError> {
        Ok(GetServerKeysReply {
            document: self.0.clone(),
        })
    }
}

/// Leads to several servers, each by a transport of its own.
#[derive(Debug)]
pub(super) struct Switchboard(pub(super) HashMap<ServerName, Arc<dyn Transport>>);

#[async_trait]
impl Transport for Switchboard {
    fn name(&self) -> &'static str {
        "switchboard"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::NONE
    }

    async fn send(&self, call: Call) -> Result<Reply, CallError> {
        let destination = call.context().destination.clone();
        match destination.as_ref().and_then(|name| self.0.get(name)) {
            Some(server) => server.send(call).await,
            None => Err(TransportError::new(
                TransportErrorKind::Resolve,
                Delivery::NotSent,
                format!("there is no way to {destination:?}"),
            )
            .into()),
        }
    }
}
