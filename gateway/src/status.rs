//! What the operator's pages show of this gateway.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use async_trait::async_trait;
use comity_core::{
    ServerName,
    api::GetVersion,
    call::Call,
    error::CallError,
    transport::{Select, Transport},
};

use crate::admin::{Check, Status, StatusSource, destination_rows};

/// The gateway as the pages see it.
#[derive(Debug)]
pub(crate) struct OwnStatus {
    pub(crate) server_name: ServerName,
    pub(crate) started: Instant,
    pub(crate) draining: Arc<AtomicBool>,
    pub(crate) select: Select,
    /// To the homeserver.
    pub(crate) delivery: Arc<dyn Transport>,
}

#[async_trait]
impl StatusSource for OwnStatus {
    fn status(&self) -> Status {
        Status {
            server_name: self.server_name.to_string(),
            uptime: self.started.elapsed(),
            draining: self.draining.load(Ordering::Relaxed),
            destinations: destination_rows(self.select.destinations()),
        }
    }

    async fn checks(&self) -> Vec<Check> {
        let listeners = match self.draining.load(Ordering::Relaxed) {
            true => Check::failed("listeners", "the gateway is draining"),
            false => Check::passed("listeners"),
        };
        let call = Call::new(self.server_name.clone(), GetVersion::default());
        // Whatever it answers, it is there.
        let homeserver = match self.delivery.send(call).await {
            Ok(_) | Err(CallError::Federation(_)) => Check::passed("homeserver"),
            Err(CallError::Transport(error)) => Check::failed("homeserver", error.to_string()),
        };
        vec![listeners, homeserver]
    }
}
