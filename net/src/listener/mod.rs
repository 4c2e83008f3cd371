//! One port for all bindings: TLS, HTTP/1.1 and HTTP/2, limits, drain.
//!
//! `incoming` is the socket, `activity` knows whether a connection is idle, `connection` serves one, `crowd` knows all, `dispatch` finds the binding, `reading` watches how replies are
//! read; here connections are accepted.

mod activity;
mod connection;
mod crowd;
mod dispatch;
mod incoming;
mod reading;

use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, ToSocketAddrs};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinError, JoinSet};

use crate::{Address, Counters, Protocol, ServerTls, TrustedProxies};
pub(crate) use activity::Activity;
use connection::Server;
pub use dispatch::{Claims, Dispatch, HttpService};
use incoming::Incoming;
pub use incoming::{InheritedSocket, inherited};

/// How far off the next timer is at most while a listener serves.
const PULSE: Duration = Duration::from_secs(5);

/// How a [`Listener`] accepts and serves connections.
#[derive(Clone, Debug)]
pub struct ListenerOptions {
    /// Our certificate; without, connections are plain TCP: behind a proxy that ends TLS, or in a test.
    pub tls: Option<ServerTls>,
    /// The versions of HTTP that are served.
    pub protocol: Protocol,
    /// Connections at once, handshakes included. One more waits for a place, the others in the operating system's queue; the connection that has had no request for
    /// longest makes room, if that is a second. At least one.
    pub max_connections: usize,
    /// HTTP/2 streams that a peer may have open on one connection.
    pub max_concurrent_streams: u32,
    /// Time for the TLS handshake, or for the first bytes without TLS.
    pub handshake_timeout: Duration,
    /// Time from the first byte of a request's head to its last, HTTP/1.1; a first head must arrive within it of the handshake.
    pub header_timeout: Duration,
    /// Time that a connection may stay open without a request.
    pub idle_timeout: Duration,
    /// Time that a peer may leave all bytes of a reply unread: HTTP/1.1 is closed then, and so is HTTP/2 whose peer reads nothing at all; a stream of HTTP/2 is reset
    /// whose window stays shut. The last 64 KiB of its reply are exempt: hyper is done with the stream once they are its own.
    pub write_timeout: Duration,
    /// Time for requests in flight to finish on shutdown; connections are cut then.
    pub drain_timeout: Duration,
    /// Counts the bytes of all connections.
    pub counters: Option<Counters>,
    /// The proxies that are believed about the addresses of their clients.
    pub trusted_proxies: TrustedProxies,
    /// Permissions of the file of a Unix socket that is bound here, `0o660` say: who may write to it may connect. Without, they are what the process's umask
    /// leaves, for its own user as a rule. They are set behind the bind: what must never be open stands in a directory that is not.
    pub unix_mode: Option<u32>,
}

impl Default for ListenerOptions {
    fn default() -> Self {
        Self {
            tls: None,
            protocol: Protocol::default(),
            max_connections: 4096,
            max_concurrent_streams: 200,
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(120),
            write_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(30),
            counters: None,
            trusted_proxies: TrustedProxies::default(),
            unix_mode: None,
        }
    }
}

impl ListenerOptions {
    /// The defaults, with this certificate.
    pub fn with_tls(tls: ServerTls) -> Self {
        Self {
            tls: Some(tls),
            ..Self::default()
        }
    }
}

/// A socket that is bound; connections wait in the operating system's queue until [`Listener::serve`].
#[derive(Debug)]
pub struct Listener {
    incoming: Incoming,
    local: Address,
    options: ListenerOptions,
}

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were cut because their requests did not finish in time.
    pub cut: usize,
}

impl Listener {
    /// Binds a TCP port; 0 takes a free one.
    ///
    /// # Errors
    ///
    /// If the address cannot be bound.
    pub async fn bind(address: impl ToSocketAddrs, options: ListenerOptions) -> io::Result<Self> {
        Self::new(Incoming::Tcp(TcpListener::bind(address).await?), options)
    }

    /// Binds a Unix socket, and takes its file away again when it closes. A socket file that nobody listens to any more is replaced. Within a runtime of tokio.
    ///
    /// # Errors
    ///
    /// If it cannot be bound: another process listens to it, or another file is there.
    pub fn bind_unix(path: impl AsRef<Path>, options: ListenerOptions) -> io::Result<Self> {
        let incoming = Incoming::bind_unix(path.as_ref(), options.unix_mode)?;
        Self::new(incoming, options)
    }

    /// Takes over a TCP port that was bound elsewhere. Within a runtime of tokio.
    ///
    /// # Errors
    ///
    /// If it cannot be made non-blocking.
    pub fn from_tcp(tcp: StdTcpListener, options: ListenerOptions) -> io::Result<Self> {
        Self::from_inherited(InheritedSocket::Tcp(tcp), options)
    }

    /// Takes over a Unix socket that was bound elsewhere; its file stays. Within a runtime of tokio.
    ///
    /// # Errors
    ///
    /// If it cannot be made non-blocking.
    pub fn from_unix(unix: StdUnixListener, options: ListenerOptions) -> io::Result<Self> {
        Self::from_inherited(InheritedSocket::Unix(unix), options)
    }

    /// Takes over a socket of [`inherited`]. Within a runtime of tokio.
    ///
    /// # Errors
    ///
    /// If it cannot be made non-blocking.
    pub fn from_inherited(socket: InheritedSocket, options: ListenerOptions) -> io::Result<Self> {
        Self::new(Incoming::inherit(socket)?, options)
    }

    fn new(incoming: Incoming, options: ListenerOptions) -> io::Result<Self> {
        let local = incoming.local()?;
        Ok(Self {
            incoming,
            local,
            options,
        })
    }

    /// What is bound.
    pub fn address(&self) -> &Address {
        &self.local
    }

    /// The TCP address that is bound.
    ///
    /// # Panics
    ///
    /// If it is a Unix socket: [`Listener::address`] knows both.
    pub fn local_addr(&self) -> SocketAddr {
        let address = self.local.socket_addr();
        address.expect("a TCP port was bound, as the caller knows")
    }

    /// Serves until `shutdown` completes; then closes the socket, lets requests in flight finish within [`ListenerOptions::drain_timeout`], and returns.
    ///
    /// Nothing that a peer or a service does ends it: a service that panics is answered for with status 500. Dropping the future closes the socket and cuts
    /// all connections.
    pub async fn serve(self, dispatch: Dispatch, shutdown: impl Future<Output = ()>) -> Drained {
        let Self {
            incoming, options, ..
        } = self;
        let permits = Arc::new(Semaphore::new(options.max_connections.max(1)));
        let drain_timeout = options.drain_timeout;
        let server = Arc::new(Server::new(options, dispatch));
        let (stop, stopping) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let mut pulse = JoinSet::new();
        pulse.spawn(beat());
        tokio::pin!(shutdown);
        loop {
            let (stream, peer) = tokio::select! {
                biased;
                () = &mut shutdown => break,
                accepted = incoming.accept(|| server.make_room()) => accepted,
            };
            while let Some(ended) = tasks.try_join_next() {
                report(ended);
            }
            let permit = tokio::select! {
                biased;
                () = &mut shutdown => break,
                permit = server.place(&permits) => permit,
            };
            let (server, stopping) = (Arc::clone(&server), stopping.clone());
            tasks.spawn(async move {
                server.serve(stream, peer, stopping).await;
                drop(permit);
            });
        }
        drop(incoming);
        stop.send_replace(true);
        drain(tasks, drain_timeout).await
    }
}

/// Never ends. tokio wakes its own driver, by a system call and one more turn of its loop, for each timer that is due before all others; where one is always due soon, it
/// does not for those of requests, which are longer and hardly ever ring. So it is with tokio 1.54; where it is no longer so, this costs a timer and wins nothing.
async fn beat() {
    loop {
        tokio::time::sleep(PULSE).await;
    }
}

async fn drain(mut tasks: JoinSet<()>, limit: Duration) -> Drained {
    let all_ended = async {
        while let Some(ended) = tasks.join_next().await {
            report(ended);
        }
    };
    if tokio::time::timeout(limit, all_ended).await.is_ok() {
        return Drained { cut: 0 };
    }
    let cut = tasks.len();
    tracing::warn!(
        connections = cut,
        "requests did not finish in time; cutting their connections"
    );
    tasks.shutdown().await;
    Drained { cut }
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "serving a connection panicked");
    }
}
