//! Proof of origin as it is measured: by keys that are drawn from the seed, so that none is fetched.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use comity_core::{
    CallService, Client, Operations, Router, ServerName,
    auth::{
        Authenticator, KeyRing, KeyRingOptions, ServerKeys, Sign, SigningKey, Verify,
        XMatrixAuthenticator, now_ms,
    },
    call::{Call, Reply},
    error::CallError,
    layers::{Clocks, Permits, RunToEnd, Side, Trace},
    transport::{Capabilities, MemoryMode, MemoryTransport, Transport},
};
use tower::{Layer, util::BoxCloneSyncService};

use super::{Proof, Setting, SetupError};

/// Calls at once that a server takes in. More than any scenario makes.
const CALLS: usize = 1024;

/// How long the key document of a run counts.
const VALID: Duration = Duration::from_secs(24 * 3600);

impl Setting {
    /// The key that [`Setting::client`] signs with, drawn from the seed.
    pub fn signing_key(&self) -> Arc<SigningKey> {
        let mut seed = [0x42; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        let key = SigningKey::from_seed("bench", &seed);
        Arc::new(key.expect("it is a key ID"))
    }

    /// What knows the client's key and nobody else's.
    ///
    /// # Errors
    /// The key document cannot be made.
    pub fn key_ring(&self) -> Result<KeyRing, SetupError> {
        let valid_until = now_ms() + VALID.as_millis() as i64;
        let key = self.signing_key();
        let document =
            ServerKeys::sign_document(&key, &self.client, valid_until, &Default::default())?;
        let nobody = MemoryTransport::new(
            Operations::none(),
            BoxCloneSyncService::new(Router::new()),
            MemoryMode::ByValue,
        );
        let ring = KeyRing::new(Client::new(Arc::new(nobody)), KeyRingOptions::default());
        Ok(ring.with_pinned(ServerKeys::parse(document)?))
    }

    /// What verifies the calls to one of the servers by X-Matrix, unless the [service does](Proof::Brought).
    ///
    /// # Errors
    /// As [`key_ring`](Self::key_ring).
    pub fn x_matrix(
        &self,
        server: &ServerName,
    ) -> Result<Option<XMatrixAuthenticator>, SetupError> {
        Ok(match self.proof {
            Proof::Brought => None,
            Proof::Seeded => {
                let ring = Arc::new(self.key_ring()?);
                Some(XMatrixAuthenticator::new(server.clone(), ring))
            }
        })
    }

    /// `service` behind the layers that a real server has, the one that verifies by `authenticator` among them. Without one it is left as it is.
    pub fn guarded(
        &self,
        authenticator: Option<Arc<dyn Authenticator>>,
        service: CallService,
    ) -> CallService {
        let Some(authenticator) = authenticator else {
            return service;
        };
        let layers = (
            Permits::layer(Side::Server, CALLS, Duration::from_secs(1)),
            Trace::layer(Side::Server),
            Clocks::layer(Side::Server),
            Verify::layer(authenticator),
            RunToEnd::layer(CALLS),
        );
        BoxCloneSyncService::new(layers.layer(service))
    }

    /// `transport` behind the layers that a real client has, the one that signs among them; or as it is, if whoever calls [signs](Proof::Brought).
    pub fn signing(&self, transport: Arc<dyn Transport>) -> Arc<dyn Transport> {
        if self.proof == Proof::Brought {
            return transport;
        }
        let layers = (
            Trace::layer(Side::Client),
            Clocks::layer(Side::Client),
            Sign::layer(self.client.clone(), self.signing_key()),
        );
        Arc::new(Signing {
            client: Client::layered(transport.clone(), layers),
            transport,
        })
    }
}

/// A transport behind layers. One transaction at a time is not kept here: whether there is one is what a [`Flow`](crate::model::Flow) says.
#[derive(Debug)]
struct Signing {
    client: Client,
    transport: Arc<dyn Transport>,
}

#[async_trait]
impl Transport for Signing {
    fn name(&self) -> &'static str {
        self.transport.name()
    }

    /// A session that is required is required of the calls that are signed here, and not of those that come in, which nobody has signed yet.
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.transport.capabilities();
        capabilities.requires_session = false;
        capabilities
    }

    async fn send(&self, call: Call) -> Result<Reply, CallError> {
        self.client.send(call).await
    }
}
