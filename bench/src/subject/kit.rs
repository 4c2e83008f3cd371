//! A wire as the conformance kit sees it: what is judged is what is measured.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use comity_conformance::{Declared, Harness, HarnessError, Served};
use comity_core::{
    CallService, Operations, ServerName,
    auth::{Authenticator, Origin, XMatrixAuthenticator},
    call::{Call, CallContext, Op},
    error::FederationError,
};

use super::{Proof, Setting, Tls, Wire};

/// The same wire as a harness of the kit: both sides in this process, on loopback, by the same [`Wire::serve`] and [`Wire::connect`]. Who signs is the kit's to say, and its layer verifies
/// ([`Proof::Brought`]), by the wire's own [`authenticator`](Wire::authenticator): a wire with sessions is judged with sessions. How calls were proven is counted in `proven`.
pub fn harness(wire: &Arc<dyn Wire>, proven: &Proven) -> impl Harness + use<> {
    OnLoopback {
        wire: wire.clone(),
        proven: proven.clone(),
    }
}

/// How many calls proved their origin, by how they did. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Proven(Arc<Mutex<BTreeMap<&'static str, u64>>>);

impl Proven {
    /// The numbers so far, by [`Origin::scheme`].
    pub fn counts(&self) -> BTreeMap<String, u64> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts
            .iter()
            .map(|(scheme, count)| ((*scheme).to_owned(), *count))
            .collect()
    }

    fn note(&self, origin: &Origin) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(origin.scheme()).or_default() += 1;
    }
}

/// Counts what another one proves.
#[derive(Debug)]
struct Counting {
    authenticator: Arc<dyn Authenticator>,
    proven: Proven,
    /// Whether the next call is the one by which the kit has a wire's own proof accepted, before any case: it says nothing of the cases.
    first: AtomicBool,
}

#[async_trait]
impl Authenticator for Counting {
    async fn authenticate(&self, call: &mut Call) -> Result<Origin, FederationError> {
        let origin = self.authenticator.authenticate(call).await?;
        if !self.first.swap(false, Ordering::Relaxed) {
            self.proven.note(&origin);
        }
        Ok(origin)
    }

    fn screen(&self, op: Op, context: &CallContext) -> Result<(), FederationError> {
        self.authenticator.screen(op, context)
    }
}

#[derive(Debug)]
struct OnLoopback {
    wire: Arc<dyn Wire>,
    proven: Proven,
}

#[async_trait]
impl Harness for OnLoopback {
    fn name(&self) -> String {
        self.wire.name()
    }

    async fn serve(
        &self,
        server: &ServerName,
        operations: Operations,
        service: CallService,
    ) -> Result<Served, HarnessError> {
        let servers = vec![server.clone()];
        let setting = Setting {
            client: server.clone(),
            listen: IpAddr::V4(Ipv4Addr::LOCALHOST),
            seed: 0,
            tls: Tls::drawn(&servers)?,
            servers,
            proof: Proof::Brought,
        };
        let (addresses, guard) = self.wire.serve(&setting, operations, service).await?;
        let client = self.wire.connect(&setting, &addresses).await?;
        let guard = Arc::new(Mutex::new(Some(guard)));
        let standing = guard.clone();
        let cut = move || {
            drop(
                standing
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take(),
            )
        };
        Ok(Served::new(client.transport)
            .until_dropped(guard)
            .with_cut(cut))
    }

    fn authenticator(&self, x_matrix: XMatrixAuthenticator) -> Arc<dyn Authenticator> {
        Arc::new(Counting {
            authenticator: self.wire.authenticator(x_matrix),
            proven: self.proven.clone(),
            first: AtomicBool::new(self.declared().own_proof),
        })
    }

    fn declared(&self) -> Declared {
        self.wire.declared()
    }
}
