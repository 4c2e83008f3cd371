//! The delay without a network: within the client.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use comity_core::{
    call::{Call, Reply},
    error::CallError,
    transport::{Capabilities, Transport},
};

use crate::model::Network;

/// `transport` with `network`'s delay before each call and before its reply. Parts of a streamed reply follow one another as on a wire that has been filled:
/// the first waits, the others come as they are made. There are no packets, so there is neither loss nor rate, and what takes more than one
/// round trip on a real network, such as a handshake or a slow start, takes one here: a report has to say
/// [`Emulation::InProcess`](crate::model::Emulation::InProcess) of it.
pub fn delayed(transport: Arc<dyn Transport>, network: &Network) -> Arc<dyn Transport> {
    Arc::new(Delayed {
        transport,
        delay: Duration::from_secs_f64(network.delay),
    })
}

#[derive(Debug)]
struct Delayed {
    transport: Arc<dyn Transport>,
    delay: Duration,
}

#[async_trait]
impl Transport for Delayed {
    fn name(&self) -> &'static str {
        self.transport.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.transport.capabilities()
    }

    async fn send(&self, call: Call) -> Result<Reply, CallError> {
        tokio::time::sleep(self.delay).await;
        let reply = self.transport.send(call).await;
        tokio::time::sleep(self.delay).await;
        reply
    }
}
