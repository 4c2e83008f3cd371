//! Dialling a route.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use comity_core::error::{Delivery, TransportError, TransportErrorKind};
use comity_core::transport::Route;
use http::Version;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsConnector, TlsStream};

use crate::connect_unix::UnixPath;
use crate::happy_eyeballs::first_to_connect;
use crate::silence;
use crate::stream::Metered;
use crate::{AddressGuard, ClientTls, ConnectionInfo, Counters, Protocol, Stream};

/// More addresses than this of one route are not tried.
const MAX_ADDRESSES: usize = 16;

/// Dials routes: the guard is asked, a TCP connection is made, TLS verifies the certificate for the route's name. No byte of a request leaves before.
#[derive(Clone, Debug)]
pub struct Connector {
    tls: Option<ClientTls>,
    guard: AddressGuard,
    connect_timeout: Duration,
    tls_timeout: Duration,
    total_timeout: Option<Duration>,
    attempt_delay: Duration,
    silence_timeout: Duration,
    counters: Option<Counters>,
    unix: Option<UnixPath>,
}

/// A connection that was dialled.
#[derive(Debug)]
pub struct Connected {
    /// Its bytes, inside TLS.
    pub stream: Stream,
    /// What is known about it.
    pub info: Arc<ConnectionInfo>,
}

impl Connector {
    /// Dials with TLS, with the guard of [`AddressGuard::default`].
    pub fn new(tls: ClientTls) -> Self {
        Self::with_optional_tls(Some(tls))
    }

    /// Dials without TLS, to a proxy on the same host or in a test: nothing proves who answers.
    pub fn danger_without_tls() -> Self {
        Self::with_optional_tls(None)
    }

    fn with_optional_tls(tls: Option<ClientTls>) -> Self {
        Self {
            tls,
            guard: AddressGuard::default(),
            connect_timeout: Duration::from_secs(10),
            tls_timeout: Duration::from_secs(10),
            total_timeout: None,
            attempt_delay: Duration::from_millis(250),
            silence_timeout: Duration::from_secs(15),
            counters: None,
            unix: None,
        }
    }

    /// Dials this Unix socket, without TLS, whatever the route's addresses are: a server on the same host, which the socket's permissions vouch for.
    pub fn to_unix(path: impl AsRef<Path>) -> Self {
        Self {
            unix: Some(UnixPath::new(path.as_ref())),
            ..Self::with_optional_tls(None)
        }
    }

    /// Which addresses may be connected to.
    pub fn with_guard(mut self, guard: AddressGuard) -> Self {
        self.guard = guard;
        self
    }

    /// The time that a TCP connection to one address may take.
    pub fn with_connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// The time that the TLS handshake with one address may take.
    pub fn with_tls_timeout(mut self, limit: Duration) -> Self {
        self.tls_timeout = limit;
        self
    }

    /// The time that connecting to a route may take in all, TLS and every address included. Unlimited unless set: each address has its own two limits.
    pub fn with_total_timeout(mut self, limit: Duration) -> Self {
        self.total_timeout = Some(limit);
        self
    }

    /// The lead that each address of a route has over the next one (RFC 8305 §5, "Connection Attempt Delay").
    pub fn with_attempt_delay(mut self, lead: Duration) -> Self {
        self.attempt_delay = lead;
        self
    }

    /// How long the peer's TCP may acknowledge nothing: neither what was sent nor, where nothing is under way, a probe. The connection is given up then, in whole seconds and
    /// one at least; [`Delivery::MaybeProcessed`] is what becomes of an exchange. A peer that takes its time over an answer acknowledges all the while, and is not cut off; one that
    /// leaves a request's bytes in its buffers for so long is (RFC 5482, tcp(7): `TCP_USER_TIMEOUT`). Unix sockets have no such peers.
    pub fn with_silence_timeout(mut self, limit: Duration) -> Self {
        self.silence_timeout = limit;
        self
    }

    /// Which addresses may be connected to.
    pub fn guard(&self) -> &AddressGuard {
        &self.guard
    }

    /// Counts the bytes of all connections.
    pub fn with_counters(mut self, counters: Counters) -> Self {
        self.counters = Some(counters);
        self
    }

    pub(crate) fn counters(&self) -> Option<&Counters> {
        self.counters.as_ref()
    }

    pub(crate) fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Connects to one of the route's addresses: they are tried in their order, the next one beside those before as soon as these are slow, and the first connection
    /// that comes about is kept (RFC 8305). Dropping the future gives all attempts up.
    ///
    /// # Errors
    ///
    /// [`Delivery::NotSent`] always. The kind is that of the attempt that came furthest: `Tls`, `Unsupported` (no common protocol), `Timeout`, `Connect`,
    /// or `Refused` if the guard allows none of the addresses.
    pub async fn connect(
        &self,
        route: &Route,
        protocol: Protocol,
    ) -> Result<Connected, TransportError> {
        let connecting = self.connect_to_any(route, protocol);
        let Some(limit) = self.total_timeout else {
            return connecting.await;
        };
        timeout(limit, connecting).await.unwrap_or_else(|_| {
            let message = format!("no connection for {} within {limit:?}", route.host);
            Err(not_sent(TransportErrorKind::Timeout, message))
        })
    }

    async fn connect_to_any(
        &self,
        route: &Route,
        protocol: Protocol,
    ) -> Result<Connected, TransportError> {
        if let Some(path) = &self.unix {
            let counters = self.counters.clone();
            return path.connect(self.connect_timeout, protocol, counters).await;
        }
        let addresses = route.addresses.iter().copied().take(MAX_ADDRESSES);
        let outcome = first_to_connect(
            addresses.collect(),
            self.attempt_delay,
            |address| self.dial(address, route),
            |(address, tcp)| self.secure(address, tcp, route, protocol),
        )
        .await;
        let failures = match outcome {
            Ok(connected) => return Ok(connected),
            Err(failures) => failures,
        };
        // Of several that came equally far, the first.
        let furthest = failures.into_iter().rev().max_by_key(progress);
        Err(furthest.unwrap_or_else(|| {
            let message = format!("{} has no address", route.host);
            not_sent(TransportErrorKind::Resolve, message)
        }))
    }

    /// The first half of an attempt.
    async fn dial(
        &self,
        address: SocketAddr,
        route: &Route,
    ) -> Result<(SocketAddr, TcpStream), TransportError> {
        let dialled = if self.guard.permits(address.ip()) {
            self.tcp(address).await
        } else {
            let message = format!(
                "{} has the address {}, which is not global; it is allowed by AddressGuard::allow, for the range it is in",
                route.host,
                address.ip()
            );
            Err(not_sent(TransportErrorKind::Refused, message))
        };
        match dialled {
            Ok(tcp) => Ok((address, tcp)),
            Err(error) => Err(noted(address, route, error)),
        }
    }

    /// The second half.
    async fn secure(
        &self,
        address: SocketAddr,
        tcp: TcpStream,
        route: &Route,
        protocol: Protocol,
    ) -> Result<Connected, TransportError> {
        self.connected(address, tcp, route, protocol)
            .await
            .map_err(|error| noted(address, route, error))
    }

    async fn connected(
        &self,
        address: SocketAddr,
        tcp: TcpStream,
        route: &Route,
        protocol: Protocol,
    ) -> Result<Connected, TransportError> {
        let local = tcp
            .local_addr()
            .map_err(|error| connect_failed(address, error))?;
        let tcp = Metered::new(tcp, self.counters.clone());
        let Some(tls) = &self.tls else {
            let version = match protocol {
                Protocol::Http2 => Version::HTTP_2,
                Protocol::Http1 | Protocol::Http1Or2 => Version::HTTP_11,
            };
            let info = Arc::new(ConnectionInfo::without_tls(address, local, version));
            return Ok(Connected {
                stream: Stream::plain(tcp),
                info,
            });
        };
        let stream = self.handshake(tls, tcp, address, route, protocol).await?;
        let (stream, tls, exporter) = Stream::tls(stream);
        let version = match (protocol, tls.alpn.as_deref()) {
            (Protocol::Http2 | Protocol::Http1Or2, Some(b"h2")) => Version::HTTP_2,
            (Protocol::Http2, _) => {
                let message = format!("{} at {address} does not speak HTTP/2", route.host);
                return Err(not_sent(TransportErrorKind::Unsupported, message));
            }
            _ => Version::HTTP_11,
        };
        let info = ConnectionInfo::new(address, local, version, Some((tls, exporter)));
        Ok(Connected {
            stream,
            info: Arc::new(info),
        })
    }

    async fn tcp(&self, address: SocketAddr) -> Result<TcpStream, TransportError> {
        let connecting = timeout(self.connect_timeout, TcpStream::connect(address));
        let tcp = connecting
            .await
            .map_err(|_| {
                let message = format!("{address} did not answer within {:?}", self.connect_timeout);
                not_sent(TransportErrorKind::Timeout, message)
            })?
            .map_err(|error| connect_failed(address, error))?;
        tcp.set_nodelay(true)
            .and_then(|()| silence::limit(&tcp, self.silence_timeout))
            .map_err(|error| connect_failed(address, error))?;
        Ok(tcp)
    }

    async fn handshake(
        &self,
        tls: &ClientTls,
        tcp: Metered,
        address: SocketAddr,
        route: &Route,
        protocol: Protocol,
    ) -> Result<TlsStream<Metered>, TransportError> {
        let name = ServerName::try_from(route.certificate_name.clone()).map_err(|error| {
            let message = format!("{:?} is no name of a certificate", route.certificate_name);
            not_sent(TransportErrorKind::Tls, message).with_source(error)
        })?;
        let handshake =
            TlsConnector::from(tls.offering(protocol, &route.certificate_name)).connect(name, tcp);
        match timeout(self.tls_timeout, handshake).await {
            Ok(Ok(stream)) => Ok(TlsStream::Client(stream)),
            Ok(Err(error)) => {
                let message = format!("no TLS with {address} as {:?}", route.certificate_name);
                Err(not_sent(TransportErrorKind::Tls, message).with_source(error))
            }
            Err(_) => {
                let message = format!("no TLS with {address} within {:?}", self.tls_timeout);
                Err(not_sent(TransportErrorKind::Timeout, message))
            }
        }
    }
}

fn noted(address: SocketAddr, route: &Route, error: TransportError) -> TransportError {
    tracing::debug!(%address, host = route.host, %error, "could not connect");
    error
}

/// How far an attempt came; what a later stage says is more telling.
fn progress(error: &TransportError) -> u8 {
    match error.kind() {
        TransportErrorKind::Refused => 0,
        TransportErrorKind::Connect => 1,
        TransportErrorKind::Timeout => 2,
        _ => 3,
    }
}

fn connect_failed(address: SocketAddr, error: std::io::Error) -> TransportError {
    not_sent(
        TransportErrorKind::Connect,
        format!("no connection to {address}"),
    )
    .with_source(error)
}

fn not_sent(kind: TransportErrorKind, message: String) -> TransportError {
    TransportError::new(kind, Delivery::NotSent, message)
}

#[cfg(test)]
mod tests {
    use socket2::SockRef;
    use tokio::net::TcpListener;

    use super::*;

    async fn dialled(connector: Connector) -> TcpStream {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        connector.tcp(listener.local_addr().unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn a_dialled_socket_gives_a_silent_peer_up() {
        let default = Connector::danger_without_tls();
        let set = default
            .clone()
            .with_silence_timeout(Duration::from_secs(60));
        let least = default.clone().with_silence_timeout(Duration::ZERO);
        for (connector, limit, probe) in [(default, 15, 5), (set, 60, 20), (least, 1, 1)] {
            let tcp = dialled(connector).await;
            let socket = SockRef::from(&tcp);
            assert!(socket.keepalive().unwrap());
            let probe = Duration::from_secs(probe);
            assert_eq!(socket.tcp_keepalive_time().unwrap(), probe);
            assert_eq!(socket.tcp_keepalive_interval().unwrap(), probe);
            assert_eq!(socket.tcp_keepalive_retries().unwrap(), 2);
            #[cfg(target_os = "linux")]
            assert_eq!(
                socket.tcp_user_timeout().unwrap(),
                Some(Duration::from_secs(limit))
            );
        }
    }
}
