//! A server in a process of its own, kept busy, and what each request costs it.

use std::time::Duration;

use comity_core::transport::Route;
use tokio::runtime::Runtime;

use crate::{process::Role, setting::route};

/// Requests in flight.
pub(crate) const IN_FLIGHT: usize = 16;

/// What is sent again and again.
pub(crate) trait Sender {
    /// Sends it once, and reads the answer to its end.
    async fn send(&self);
}

/// A server, and what is sent to it.
pub(crate) struct Server<'a, S> {
    runtime: &'a Runtime,
    role: Role,
    pub(crate) sender: S,
}

impl<'a, S: Sender> Server<'a, S> {
    /// Starts the role. What sends is made of the way to it, within the runtime.
    pub(crate) fn start(
        runtime: &'a Runtime,
        role: &[&str],
        sender: impl FnOnce(Route) -> S,
    ) -> Self {
        let mut role = Role::start(role);
        let route = route(role.port());
        Self {
            runtime,
            role,
            sender: runtime.block_on(async { sender(route) }),
        }
    }

    /// CPU time of the server for one of so many requests.
    pub(crate) fn cost(&mut self, requests: usize) -> Duration {
        let begun = self.role.cpu();
        self.runtime.block_on(async {
            let workers = (0..IN_FLIGHT).map(|_| async {
                for _ in 0..requests / IN_FLIGHT {
                    self.sender.send().await;
                }
            });
            futures_util::future::join_all(workers).await;
        });
        (self.role.cpu() - begun) / (requests / IN_FLIGHT * IN_FLIGHT) as u32
    }
}
