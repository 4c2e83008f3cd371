//! The connections that are kept for one origin.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use comity_core::error::TransportError;
use comity_core::transport::Route;
use hyper::client::conn::{http1, http2};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::dial::{self, Dialled, Dialling};
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

/// An HTTP/2 connection. Each exchange holds a reference.
#[derive(Debug)]
pub(super) struct Http2 {
    pub(super) sender: http2::SendRequest<RequestBody>,
    pub(super) info: Arc<ConnectionInfo>,
    used: Mutex<Instant>,
}

impl Http2 {
    pub(super) fn new(
        sender: http2::SendRequest<RequestBody>,
        info: Arc<ConnectionInfo>,
    ) -> Arc<Self> {
        Arc::new(Self {
            sender,
            info,
            used: Mutex::new(Instant::now()),
        })
    }

    pub(super) fn touch(&self) {
        *lock(&self.used) = Instant::now();
    }
}

impl Connections {
    pub(super) fn new(options: &PoolOptions) -> Arc<Self> {
        Arc::new(Self {
            idle: Mutex::default(),
            shared: Mutex::default(),
            speaks_http1: AtomicBool::new(options.protocol == Protocol::Http1),
            exchanges: Arc::new(Semaphore::new(options.max_in_flight)),
            max_idle: options.max_idle,
            idle_timeout: options.idle_timeout,
        })
    }

    /// Waits until there may be one more exchange.
    pub(super) async fn permit(&self) -> OwnedSemaphorePermit {
        let permit = Arc::clone(&self.exchanges).acquire_owned().await;
        permit.expect("the semaphore is never closed")
    }

    /// A connection of HTTP/2 for this route.
    pub(super) fn http2(&self, route: &Route) -> Option<Arc<Http2>> {
        let mut shared = lock(&self.shared);
        shared
            .ready
            .retain(|connection| !connection.sender.is_closed());
        let found = shared.ready.iter().find(|one| leads_to(route, &one.info))?;
        Some(Arc::clone(found))
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
        let dialled = dial::dial(connector, route, options).await?;
        self.learn(&dialled);
        Ok(dialled)
    }

    /// Dials once for all callers that ask meanwhile. The dial goes on if this caller gives up.
    pub(super) async fn dial_shared(
        self: &Arc<Self>,
        connector: &Connector,
        route: &Route,
        options: PoolOptions,
    ) -> Result<Dialled, TransportError> {
        let dialling = {
            let mut shared = lock(&self.shared);
            // It may have become ready between the caller's look and this one.
            let ready = shared
                .ready
                .iter()
                .find(|one| !one.sender.is_closed() && leads_to(route, &one.info));
            if let Some(ready) = ready {
                return Ok(Dialled::Http2(Arc::clone(ready)));
            }
            match shared
                .dialling
                .iter()
                .find(|dialling| dialling.is_for(route))
            {
                Some(dialling) => dialling.clone(),
                None => {
                    let dialling = Dialling::start(self, connector, route, options);
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
            let busy = Arc::strong_count(one) > 1;
            !one.sender.is_closed() && (busy || lock(&one.used).elapsed() <= limit)
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        let shared = lock(&self.shared);
        lock(&self.idle).is_empty() && shared.ready.is_empty() && shared.dialling.is_empty()
    }
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
