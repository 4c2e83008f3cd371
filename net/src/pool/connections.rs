//! The connections that are kept for one origin.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use comity_core::error::TransportError;
use comity_core::transport::Route;
use hyper::client::conn::http1;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::dial::{self, Dialled, Dialling};
use super::http2::{Http2, SharedLease, Streams};
use super::{PoolOptions, RequestBody};
use crate::{Address, ConnectionInfo, Connector, Protocol};

/// A connection whose last response has been read is given this long to become ready; normally hyper needs one turn of the scheduler.
const SETTLING: Duration = Duration::from_millis(20);

/// What is kept for one origin.
#[derive(Debug)]
pub(super) struct Connections {
    idle: Mutex<Vec<Http1>>,
    shared: Mutex<Multiplexed>,
    speaks_http1: AtomicBool,
    exchanges: Arc<Semaphore>,
    freed: Arc<Notify>,
    max_http2: usize,
    max_idle: usize,
    idle_timeout: Duration,
}

#[derive(Debug, Default)]
struct Multiplexed {
    ready: Vec<Arc<Http2>>,
    dialling: Vec<Dialling>,
}

/// An HTTP/1.1 connection between two exchanges, or in one.
#[derive(Debug)]
pub(super) struct Http1 {
    pub(super) sender: http1::SendRequest<RequestBody>,
    pub(super) info: Arc<ConnectionInfo>,
    pub(super) used: Instant,
}

impl Connections {
    pub(super) fn new(options: &PoolOptions) -> Arc<Self> {
        Arc::new(Self {
            idle: Mutex::default(),
            shared: Mutex::default(),
            speaks_http1: AtomicBool::new(options.protocol == Protocol::Http1),
            exchanges: Arc::new(Semaphore::new(options.max_in_flight)),
            freed: Arc::default(),
            max_http2: options.max_http2,
            max_idle: options.max_idle,
            idle_timeout: options.idle_timeout,
        })
    }

    /// Waits until there may be one more exchange.
    pub(super) async fn permit(&self) -> OwnedSemaphorePermit {
        let permit = Arc::clone(&self.exchanges).acquire_owned().await;
        permit.expect("the semaphore is never closed")
    }

    /// A stream of HTTP/2 for this route: of the first connection that has one, so that those behind it come to rest and are closed.
    pub(super) fn http2(&self, route: &Route) -> Shared {
        let mut shared = lock(&self.shared);
        shared
            .ready
            .retain(|connection| !connection.sender.is_closed());
        let mut full = false;
        for connection in shared.leading_to(route) {
            match connection.stream() {
                Streams::One(lease) => return Shared::Stream(lease),
                Streams::Unknown => return Shared::Settling(Arc::clone(connection)),
                Streams::None => full = true,
            }
        }
        if full { Shared::Full } else { Shared::None }
    }

    /// The HTTP/2 connection for this route with the fewest exchanges; this one waits until the peer has a stream for it.
    pub(super) fn queue(&self, route: &Route) -> Option<SharedLease> {
        let shared = lock(&self.shared);
        let least = shared.leading_to(route).min_by_key(|one| one.load())?;
        tracing::debug!(
            host = route.host,
            exchanges = least.load(),
            "no stream is left on any HTTP/2 connection: waiting for one"
        );
        Some(least.queue())
    }

    /// Whether there may be one more HTTP/2 connection.
    pub(super) fn may_grow(&self) -> bool {
        lock(&self.shared).ready.len() < self.max_http2
    }

    /// Hears when an exchange over HTTP/2 ends.
    pub(super) fn freed(&self) -> &Arc<Notify> {
        &self.freed
    }

    /// The idle connection of HTTP/1.1 for this route that was used last.
    pub(super) async fn idle(&self, route: &Route) -> Option<Http1> {
        loop {
            let mut connection = {
                let mut idle = lock(&self.idle);
                let found = idle.iter().rposition(|one| leads_to(route, &one.info));
                idle.remove(found?)
            };
            let old = connection.used.elapsed() > self.idle_timeout;
            if old || connection.sender.is_closed() {
                continue;
            }
            // Not ready for long: the peer answered early, and the request is still being sent.
            if let Ok(Ok(())) = timeout(SETTLING, connection.sender.ready()).await {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection whose exchange is complete.
    pub(super) fn give_back(&self, mut connection: Http1) {
        if connection.sender.is_closed() || self.max_idle == 0 {
            return;
        }
        connection.used = Instant::now();
        let mut idle = lock(&self.idle);
        if idle.len() >= self.max_idle {
            idle.remove(0);
        }
        idle.push(connection);
    }

    /// Whether one dial may serve many callers: unless the origin is known to speak HTTP/1.1 alone.
    pub(super) fn multiplexes(&self, protocol: Protocol) -> bool {
        protocol == Protocol::Http2 || !self.speaks_http1.load(Ordering::Relaxed)
    }

    /// Dials for this caller.
    pub(super) async fn dial(
        &self,
        connector: &Connector,
        route: &Route,
        options: PoolOptions,
    ) -> Result<Dialled, TransportError> {
        let dialled = dial::dial(connector, route, options, &self.freed).await?;
        self.learn(&dialled);
        Ok(dialled)
    }

    /// Dials once for all callers that ask meanwhile. The dial goes on if this caller gives up. What it gives may be a connection that there was, unless `another` is wanted
    /// and there may be one.
    pub(super) async fn dial_shared(
        self: &Arc<Self>,
        connector: &Connector,
        route: &Route,
        options: PoolOptions,
        another: bool,
    ) -> Result<Dialled, TransportError> {
        let dialling = {
            let mut shared = lock(&self.shared);
            // One may have become ready, and full too, between the caller's look and this one.
            let alive = |one: &&Arc<Http2>| !one.sender.is_closed();
            let ready = shared.leading_to(route).find(alive);
            let room = shared
                .leading_to(route)
                .filter(alive)
                .any(|one| one.has_room());
            let enough = !another || room || shared.ready.len() >= self.max_http2;
            if let Some(ready) = ready
                && enough
            {
                return Ok(Dialled::Http2(Arc::clone(ready)));
            }
            match shared
                .dialling
                .iter()
                .find(|dialling| dialling.is_for(route))
            {
                Some(dialling) => dialling.clone(),
                None => {
                    let dialling = Dialling::start(self, connector, route, options, another);
                    shared.dialling.push(dialling.clone());
                    dialling
                }
            }
        };
        dialling.wait().await
    }

    /// A shared dial is no longer to be waited for.
    pub(super) fn dial_ended(&self, route: &Route) {
        lock(&self.shared)
            .dialling
            .retain(|dialling| !dialling.is_for(route));
    }

    /// Takes in a connection that was dialled.
    pub(super) fn learn(&self, dialled: &Dialled) {
        let http1 = matches!(dialled, Dialled::Http1(_));
        self.speaks_http1.store(http1, Ordering::Relaxed);
        if let Dialled::Http2(connection) = dialled {
            lock(&self.shared).ready.push(Arc::clone(connection));
        }
    }

    /// Closes what has been idle for too long.
    pub(super) fn close_idle(&self) {
        let limit = self.idle_timeout;
        lock(&self.idle).retain(|one| !one.sender.is_closed() && one.used.elapsed() <= limit);
        lock(&self.shared).ready.retain(|one| {
            let busy = one.load() > 0;
            !one.sender.is_closed() && (busy || one.idle_for() <= limit)
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        let shared = lock(&self.shared);
        lock(&self.idle).is_empty() && shared.ready.is_empty() && shared.dialling.is_empty()
    }
}

impl Multiplexed {
    fn leading_to(&self, route: &Route) -> impl Iterator<Item = &Arc<Http2>> {
        let ready = self.ready.iter();
        ready.filter(|one| leads_to(route, &one.info))
    }
}

/// What HTTP/2 has for one more exchange.
pub(super) enum Shared {
    Stream(SharedLease),
    /// A connection whose peer has not said how many streams it takes.
    Settling(Arc<Http2>),
    /// Connections, and no stream.
    Full,
    /// No connection.
    None,
}

/// Whether a connection ends where the route leads. A connector to a Unix socket has but the one.
fn leads_to(route: &Route, info: &ConnectionInfo) -> bool {
    match info.peer() {
        Address::Ip(peer) => route.addresses.contains(peer),
        Address::Unix(_) => true,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
