//! From a route to a connection that speaks HTTP.

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use comity_core::error::{Delivery, TransportError, TransportErrorKind};
use comity_core::transport::Route;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use http::Version;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Notify;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::PoolOptions;
use super::connections::{Connections, Http1};
use super::http2::{Http2, Tasks, UNKNOWN};
use crate::gathered::Gathered;
use crate::{Connected, Connector, HEADER_LIST, http2_settings as h2};

/// Most bytes of a response that hyper reads ahead of its reader, HTTP/1.1: no less than a head needs. Its own default of 400 KiB makes several such pieces of each
/// reply that is read as a stream.
const READ_BUFFER: usize = HEADER_LIST + (8 << 10);

/// A connection that was dialled, for one caller or for all that wait.
#[derive(Clone, Debug)]
pub(super) enum Dialled {
    Http1(Single),
    Http2(Arc<Http2>),
}

/// A connection that only one of those who wait can have.
#[derive(Clone, Debug)]
pub(super) struct Single(Arc<Mutex<Option<Http1>>>);

impl Single {
    pub(super) fn take(&self) -> Option<Http1> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Dials, and begins HTTP on the connection. Errors are `NotSent`.
pub(super) async fn dial(
    connector: &Connector,
    route: &Route,
    options: PoolOptions,
    freed: &Arc<Notify>,
) -> Result<Dialled, TransportError> {
    let Connected { stream, info } = connector.connect(route, options.protocol).await?;
    if info.version() == Version::HTTP_2 {
        let io = TokioIo::new(Gathered::new(stream));
        let tasks = Tasks::default();
        let (sender, connection) = http2::Builder::new(tasks.clone())
            .timer(TokioTimer::new())
            .initial_max_send_streams(UNKNOWN)
            .initial_stream_window_size(h2::STREAM_WINDOW)
            .initial_connection_window_size(h2::CONNECTION_WINDOW)
            .max_frame_size(h2::FRAME)
            .max_header_list_size(HEADER_LIST as u32)
            .keep_alive_interval(options.ping_interval)
            .keep_alive_timeout(options.ping_timeout)
            .handshake(io)
            .await
            .map_err(no_http)?;
        let freed = Arc::clone(freed);
        return Ok(Dialled::Http2(Http2::start(
            sender, connection, tasks, info, freed,
        )));
    }
    let (sender, connection) = http1::Builder::new()
        .max_header_size(HEADER_LIST)
        .max_buf_size(READ_BUFFER)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(no_http)?;
    tokio::spawn(run(connection));
    let single = Http1 {
        sender,
        info,
        used: Instant::now(),
    };
    Ok(Dialled::Http1(Single(Arc::new(Mutex::new(Some(single))))))
}

async fn run(connection: impl Future<Output = Result<(), hyper::Error>>) {
    if let Err(error) = connection.await {
        tracing::debug!(error = &error as &dyn Error, "a connection ended");
    }
}

fn no_http(error: hyper::Error) -> TransportError {
    let message = "the connection ended before HTTP began";
    TransportError::new(TransportErrorKind::Connect, Delivery::NotSent, message).with_source(error)
}

/// Dials beside connections that have no stream left. One that the peer only lets lie in its queue would keep exchanges that the others have a place for soon.
async fn dial_another(
    connector: &Connector,
    route: &Route,
    options: PoolOptions,
    freed: &Arc<Notify>,
) -> Result<Dialled, TransportError> {
    let dialled = dial(connector, route, options, freed).await?;
    if let Dialled::Http2(connection) = &dialled
        && !connection.settled().await
    {
        let message = format!(
            "{} does not begin HTTP/2 on one more connection",
            route.host
        );
        let (kind, delivery) = (TransportErrorKind::Timeout, Delivery::NotSent);
        return Err(TransportError::new(kind, delivery, message));
    }
    Ok(dialled)
}

/// A dial that many callers may wait for.
#[derive(Clone)]
pub(super) struct Dialling {
    addresses: Arc<[SocketAddr]>,
    outcome: Shared<BoxFuture<'static, Result<Dialled, Arc<TransportError>>>>,
}

impl Dialling {
    /// A dial, and the work to spawn for it. Not under a lock that the end of the work takes: a runtime that is shutting down ends it in place.
    pub(super) fn new(
        connections: &Arc<Connections>,
        connector: &Connector,
        route: &Route,
        options: PoolOptions,
        another: bool,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let addresses = route.addresses.as_slice().into();
        let (connector, route) = (connector.clone(), route.clone());
        let pending = Pending {
            connections: Arc::clone(connections),
            route,
        };
        let (tell, told) = oneshot::channel();
        let work = async move {
            let freed = pending.connections.freed();
            let dialled = if another {
                dial_another(&connector, &pending.route, options, freed).await
            } else {
                dial(&connector, &pending.route, options, freed).await
            };
            if let Ok(dialled) = &dialled {
                pending.connections.learn(dialled);
            }
            drop(pending);
            // Nobody waits any more, perhaps; the connection is kept all the same.
            let _ = tell.send(dialled);
        };
        let outcome = told.map(|told| match told {
            Ok(dialled) => dialled.map_err(Arc::new),
            Err(error) => Err(Arc::new(ended(error))),
        });
        let dialling = Self {
            addresses,
            outcome: outcome.boxed().shared(),
        };
        (dialling, work)
    }

    pub(super) fn is_for(&self, route: &Route) -> bool {
        *self.addresses == *route.addresses
    }

    pub(super) async fn wait(self) -> Result<Dialled, TransportError> {
        self.outcome.await.map_err(|error| {
            TransportError::new(error.kind(), error.delivery(), error.message())
                .with_source(SharedCause(error))
        })
    }
}

impl fmt::Debug for Dialling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialling")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

/// A dial that is under way; nobody is to wait for it when it ended, in whatever way.
struct Pending {
    connections: Arc<Connections>,
    route: Route,
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.connections.dial_ended(&self.route);
    }
}

/// The task is gone, with the runtime or by a panic.
fn ended(error: oneshot::error::RecvError) -> TransportError {
    let message = "dialling was abandoned";
    TransportError::new(TransportErrorKind::Connect, Delivery::NotSent, message).with_source(error)
}

/// The cause beneath an error that several callers got.
#[derive(Debug)]
struct SharedCause(Arc<TransportError>);

impl fmt::Display for SharedCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.source() {
            Some(source) => fmt::Display::fmt(source, f),
            None => f.write_str("dialling failed for all who waited"),
        }
    }
}

impl Error for SharedCause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()?.source()
    }
}
