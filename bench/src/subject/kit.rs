//! A wire as the conformance kit sees it: what is judged is what is measured.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use comity_conformance::{Declared, Harness, HarnessError, Served};
use comity_core::{CallService, Operations, ServerName};

use super::{Proof, Setting, Tls, Wire};

/// The same wire as a harness of the kit: both sides in this process, on loopback, by the same [`Wire::serve`] and [`Wire::connect`]. The layers that sign and
/// verify are the kit's own ([`Proof::Brought`]): how a wire proves origins by itself, as by a session, is not judged here. Such a wire says so by
/// [`Wire::unjudged`].
pub fn harness(wire: &Arc<dyn Wire>) -> impl Harness + use<> {
    OnLoopback(wire.clone())
}

#[derive(Debug)]
struct OnLoopback(Arc<dyn Wire>);

#[async_trait]
impl Harness for OnLoopback {
    fn name(&self) -> String {
        self.0.name()
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
        let (addresses, guard) = self.0.serve(&setting, operations, service).await?;
        let client = self.0.connect(&setting, &addresses).await?;
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

    fn declared(&self) -> Declared {
        self.0.declared()
    }
}
