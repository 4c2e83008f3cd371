//! The pages for the gateway's operator, on a port of their own.
//!
//! | path | what |
//! | --- | --- |
//! | `/` | a page for a person: each destination, the binding in use and why, calls, errors, fallbacks, latency, backoff |
//! | `/metrics` | the counters, in Prometheus' text format |
//! | `/health` | 200 as long as the process answers |
//! | `/ready` | 200 if calls can be served, 503 with the reason if not |
//!
//! They are read only and ask for no password: the port belongs on loopback, or behind something that does. What a loopback port is asked for under another
//! name is refused, so that no page of the web can read it through a name that leads here (DNS rebinding).
//!
//! | limit | default |
//! | --- | --- |
//! | connections at once | 64 |
//! | destinations on one page | [`DESTINATIONS_PER_PAGE`] |
//! | waiting for the homeserver's answer to "are you there" | [`READY_TIMEOUT`], asked once a second at most |
//!
//! | metric | labels |
//! | --- | --- |
//! | `comity_calls_total` | direction, operation, binding, outcome |
//! | `comity_call_seconds` (histogram, to the reply's head) | direction, operation, binding |
//! | `comity_content_bytes_total` | direction, operation, binding, part: `request`, `reply` |
//! | `comity_invoke_calls_total`, `comity_coalesced_calls_total` | direction, operation |
//! | `comity_fallbacks_total` | operation, binding: the one that failed, reason |
//! | `comity_authentication_failures_total`, `comity_unverified_deliveries_total` | operation, binding, reason |
//! | `comity_refused_calls_total` | direction, reason |
//! | `comity_wire_bytes_total` | port, way: `received`, `sent` |
//! | `comity_destinations` (gauge) | binding in use |
//! | `comity_build_info`, `comity_start_time_seconds` (gauges) | version; none |
//!
//! `status` is what the pages show, `destinations` makes that of what `Select` knows, `page` writes the one for people, `table` its destinations as `view` says, `figures` are numbers for people, `metrics` counts what `ended_call` says, `labels` are
//! what it counts by, `answer` finds the page; here is the server.

mod answer;
mod destinations;
mod ended_call;
mod figures;
mod labels;
mod metrics;
mod page;
mod status;
mod table;
mod view;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use comity_net::{Dispatch, Drained, Listener, ListenerOptions, Protocol};
use tokio::net::ToSocketAddrs;

use answer::Pages;
pub use destinations::destination_rows;
pub use ended_call::{Direction, EndedCall};
pub use labels::OTHER;
pub use metrics::Metrics;
pub use status::{
    BackoffRow, BindingRow, Check, DestinationRow, Latency, Status, StatusSource, Totals,
};
pub use table::DESTINATIONS_PER_PAGE;

/// Longest time that [`StatusSource::checks`] may take.
pub const READY_TIMEOUT: Duration = Duration::from_secs(3);

/// Connections at once. Those who look are few.
const CONNECTIONS: usize = 64;

/// The operator's port, bound.
#[derive(Debug)]
pub struct Admin {
    listener: Listener,
    pages: Pages,
}

impl Admin {
    /// Binds the port; requests wait until [`serve`](Self::serve).
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn bind(
        address: impl ToSocketAddrs,
        source: Arc<dyn StatusSource>,
        metrics: Metrics,
    ) -> io::Result<Self> {
        let options = ListenerOptions {
            protocol: Protocol::Http1,
            max_connections: CONNECTIONS,
            drain_timeout: Duration::from_secs(2),
            ..ListenerOptions::default()
        };
        let listener = Listener::bind(address, options).await?;
        let loopback = listener.local_addr().ip().to_canonical().is_loopback();
        let pages = Pages::new(source, metrics, loopback);
        Ok(Self { listener, pages })
    }

    /// The address that is bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// Serves until `shutdown` completes. Dropping the future closes the port and cuts all connections.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Drained {
        let dispatch = Dispatch::new(self.pages.into_service());
        self.listener.serve(dispatch, shutdown).await
    }
}
