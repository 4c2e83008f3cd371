//! Connections kept for reuse, and requests over them.
//!
//! `connections` keeps them, `dial` makes them, `http2` knows how many exchanges one of HTTP/2 takes, `lease` holds one for an exchange and gives it back; here is the exchange itself.

mod connections;
mod dial;
mod http2;
mod lease;

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use comity_core::error::{Delivery, TransportError, TransportErrorKind};
use comity_core::transport::Route;
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Response, Uri, Version, header};

use crate::body::Outgoing;
use crate::delivery::transport_error;
use crate::{Body, ConnectionInfo, Connector, Protocol};
use connections::{Connections, Shared};
use dial::Dialled;
use lease::Lease;

/// The body type that hyper's client connections are made for.
type RequestBody = Outgoing<()>;

/// How a [`Pool`] keeps connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolOptions {
    /// The versions of HTTP that are offered.
    pub protocol: Protocol,
    /// Exchanges at once with one origin; more wait. At least one.
    pub max_in_flight: usize,
    /// HTTP/2 connections with one origin. Another is dialled when the peer has no stream left on those there are; when there are as many as this, an exchange waits for a
    /// stream. At least one.
    pub max_http2: usize,
    /// Idle HTTP/1.1 connections that are kept for one origin; the oldest is closed.
    pub max_idle: usize,
    /// A connection without an exchange for this long is closed.
    pub idle_timeout: Duration,
    /// After how long without a byte from the peer an HTTP/2 connection with exchanges is pinged (RFC 9113 §6.7). A peer that is alive answers pings, however long it
    /// takes over a request: only a dead connection does not.
    pub ping_interval: Duration,
    /// How long the answer to a ping may take. Then the connection is closed, and what was in flight on it fails as [`Delivery::MaybeProcessed`].
    pub ping_timeout: Duration,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            protocol: Protocol::default(),
            max_in_flight: 256,
            max_http2: 8,
            max_idle: 16,
            idle_timeout: Duration::from_secs(60),
            ping_interval: Duration::from_secs(10),
            ping_timeout: Duration::from_secs(5),
        }
    }
}

impl PoolOptions {
    /// Sets the versions of HTTP that are offered.
    pub fn with_protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// Sets how long a connection is kept without an exchange.
    pub fn with_idle_timeout(mut self, limit: Duration) -> Self {
        self.idle_timeout = limit;
        self
    }

    /// Sets after how much silence an HTTP/2 connection with exchanges is pinged, and how long the answer may take.
    pub fn with_ping(mut self, interval: Duration, timeout: Duration) -> Self {
        (self.ping_interval, self.ping_timeout) = (interval, timeout);
        self
    }
}

/// Sends requests over connections that are kept for reuse. Clones share them.
///
/// Connections belong to an origin: a `Host` and the name that the certificate was verified for. One is used for a route only if it leads to one of the
/// route's addresses. HTTP/1.1 has a connection for each exchange at a time, HTTP/2 one for as many as the peer takes on it
/// (`SETTINGS_MAX_CONCURRENT_STREAMS`), and another for more.
#[derive(Clone, Debug)]
pub struct Pool {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    connector: Connector,
    options: PoolOptions,
    origins: Mutex<HashMap<Origin, Arc<Connections>>>,
    sweeping: AtomicBool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Origin {
    host: String,
    certificate_name: String,
}

impl Pool {
    /// Nothing is dialled before the first request.
    pub fn new(connector: Connector, options: PoolOptions) -> Self {
        let inner = Inner {
            connector,
            options: PoolOptions {
                max_in_flight: options.max_in_flight.max(1),
                max_http2: options.max_http2.max(1),
                ..options
            },
            origins: Mutex::default(),
            sweeping: AtomicBool::new(false),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Sends a request, and waits for the head of its response. See [`Pool::send_with`].
    ///
    /// # Errors
    ///
    /// As [`Pool::send_with`].
    pub async fn send(
        &self,
        route: &Route,
        request: Request<Body>,
    ) -> Result<Response<Body>, TransportError> {
        self.send_with(route, request, |_, _| Ok(())).await
    }

    /// Sends a request, whose head `prepare` may still change when the connection is known (to authenticate it for that connection, say). `prepare` may be
    /// called a second time, with the same head, for another connection. If it fails, nothing is sent.
    ///
    /// The request's URI is a path and query; exactly these bytes are sent, after `Host` or `:authority` of the route (RFC 9112 §3.2.1, RFC 9113 §8.3.1).
    /// A request that a connection gave back unsent is sent once more on a fresh one. The response carries `Arc<ConnectionInfo>`. Its body has to be read to the
    /// end for an HTTP/1.1 connection to be used again; dropped early, it closes the connection (HTTP/1.1) or resets the stream (HTTP/2). Errors of the
    /// response body are [`TransportError`]s.
    ///
    /// Dropping the future abandons the exchange in the same way; the peer may have acted on it.
    ///
    /// # Errors
    ///
    /// What `prepare` says. `NotSent`: dialling failed, or the connection gave the request back. `Rejected`: the peer promises that it did nothing. All else is `MaybeProcessed`.
    pub async fn send_with(
        &self,
        route: &Route,
        request: Request<Body>,
        prepare: impl Fn(&Arc<ConnectionInfo>, &mut Parts) -> Result<(), TransportError>,
    ) -> Result<Response<Body>, TransportError> {
        let target = Target::new(route, request.uri())?;
        let connections = self.connections(route);
        let permit = connections.permit().await;
        let (mut head, body) = request.into_parts();
        let mut body = Outgoing::new(body, ());
        let mut fresh = false;
        loop {
            let mut lease = self.inner.lease(&connections, route, fresh).await?;
            target.write(&self.inner.connector, lease.info().version(), &mut head);
            prepare(lease.info(), &mut head)?;
            let mut failure = match lease.send(Request::from_parts(head, body)).await {
                Ok(response) => return Ok(lease.attach(response, permit)),
                Err(failure) => failure,
            };
            match failure.take_message() {
                Some(returned) if !fresh => {
                    tracing::debug!(
                        host = route.host,
                        "a kept connection was closed; dialling again"
                    );
                    if let Some(counters) = self.inner.connector.counters() {
                        counters.note_resent();
                    }
                    (head, body) = returned.into_parts();
                    fresh = true;
                }
                Some(_) => return Err(returned_unsent(failure.into_error())),
                None => return Err(transport_error(failure.into_error())),
            }
        }
    }

    fn connections(&self, route: &Route) -> Arc<Connections> {
        self.inner.start_sweeping();
        let origin = Origin {
            host: route.host.clone(),
            certificate_name: route.certificate_name.clone(),
        };
        let mut origins = self.inner.origins();
        let connections = origins
            .entry(origin)
            .or_insert_with(|| Connections::new(&self.inner.options));
        Arc::clone(connections)
    }
}

impl Inner {
    /// A connection for one exchange: a kept one, unless a `fresh` one is asked for.
    async fn lease(
        &self,
        connections: &Arc<Connections>,
        route: &Route,
        fresh: bool,
    ) -> Result<Lease, TransportError> {
        let most = self.options.max_http2;
        let mut dials = 0;
        loop {
            let mut freed = pin!(connections.freed().notified());
            freed.as_mut().enable();
            let full = match connections.http2(route) {
                Shared::Stream(shared) => return Ok(Lease::http2(shared)),
                Shared::Settling(shared) => {
                    shared.settled().await;
                    continue;
                }
                Shared::Full => true,
                Shared::None => false,
            };
            if full && (dials == most || !connections.may_grow()) {
                match connections.queue(route) {
                    Some(shared) => return Ok(Lease::http2(shared)),
                    None => continue,
                }
            }
            if !full
                && !fresh
                && let Some(idle) = connections.idle(route).await
            {
                return Ok(Lease::http1(idle, connections));
            }
            let dialled = if connections.multiplexes(self.options.protocol) {
                tokio::select! {
                    biased;
                    dialled = connections.dial_shared(&self.connector, route, self.options, full) => dialled,
                    () = freed, if full => continue,
                }
            } else {
                connections.dial(&self.connector, route, self.options).await
            };
            dials += 1;
            match dialled {
                // A peer that closes what it accepted is not dialled for ever: the request finds that out.
                Ok(Dialled::Http2(shared)) if shared.sender.is_closed() || dials > most => {
                    return Ok(Lease::http2(shared.queue()));
                }
                Ok(Dialled::Http2(_)) => {}
                Ok(Dialled::Http1(single)) => {
                    if let Some(single) = single.take() {
                        return Ok(Lease::http1(single, connections));
                    }
                }
                // It takes no more connections; there are those that it took.
                Err(_) if full => dials = most,
                Err(error) => return Err(error),
            }
        }
    }

    /// Starts the task that closes idle connections; it ends with the pool.
    fn start_sweeping(self: &Arc<Self>) {
        if self.sweeping.swap(true, Ordering::Relaxed) {
            return;
        }
        let pool = Arc::downgrade(self);
        let pause = (self.options.idle_timeout / 4).max(Duration::from_millis(10));
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(pause).await;
                let Some(pool) = Weak::upgrade(&pool) else {
                    return;
                };
                pool.sweep();
            }
        });
    }

    fn sweep(&self) {
        self.origins().retain(|_, connections| {
            connections.close_idle();
            // A second owner is about to dial, or will give a connection back.
            Arc::strong_count(connections) > 1 || !connections.is_empty()
        });
    }

    fn origins(&self) -> MutexGuard<'_, HashMap<Origin, Arc<Connections>>> {
        self.origins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a request goes, checked once and written for each attempt.
struct Target {
    path: PathAndQuery,
    authority: Authority,
    host: HeaderValue,
}

impl Target {
    fn new(route: &Route, uri: &Uri) -> Result<Self, TransportError> {
        let unsupported = |message: String| {
            TransportError::new(TransportErrorKind::Unsupported, Delivery::NotSent, message)
        };
        let path = match (uri.authority(), uri.path_and_query()) {
            (None, Some(path)) if path.as_str().starts_with('/') => path.clone(),
            _ => return Err(unsupported(format!("{uri:?} is no path and query"))),
        };
        let bad_host = || unsupported(format!("{:?} cannot be sent as Host", route.host));
        Ok(Self {
            path,
            authority: route.host.parse().map_err(|_| bad_host())?,
            host: route.host.parse().map_err(|_| bad_host())?,
        })
    }

    fn write(&self, connector: &Connector, version: Version, head: &mut Parts) {
        head.version = version;
        if version != Version::HTTP_2 {
            head.uri = Uri::from(self.path.clone());
            head.headers.insert(header::HOST, self.host.clone());
            return;
        }
        head.headers.remove(header::HOST);
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(if connector.has_tls() {
            Scheme::HTTPS
        } else {
            Scheme::HTTP
        });
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(self.path.clone());
        head.uri = Uri::from_parts(parts).expect("scheme, authority and path make a URI");
    }
}

/// Two connections in a row gave the request back.
fn returned_unsent(error: hyper::Error) -> TransportError {
    let message = "the peer closes connections before a request can be sent";
    TransportError::new(TransportErrorKind::Closed, Delivery::NotSent, message).with_source(error)
}
