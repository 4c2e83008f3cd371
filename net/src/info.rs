//! What is known about a connection, for whoever handles a request or response of it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use comity_core::auth::{Channel, ChannelProofs, EXPORTER_BYTES};
use http::{Extensions, Version};
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;

use crate::Address;

/// One connection. Requests that a [`Listener`](crate::Listener) hands on, and responses of a [`Pool`](crate::Pool), carry it in their
/// extensions as `Arc<ConnectionInfo>`; all of one connection carry the same.
pub struct ConnectionInfo {
    peer: Address,
    local: Address,
    version: Version,
    tls: Option<TlsInfo>,
    exporter: Option<Weak<dyn Export>>,
    proofs: ChannelProofs,
    state: Mutex<Extensions>,
}

/// What the TLS handshake of a connection agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsInfo {
    /// The version of TLS.
    pub version: rustls::ProtocolVersion,
    /// The protocol chosen by ALPN, if any was.
    pub alpn: Option<Vec<u8>>,
    /// The name that the client asked for by SNI; none for an IP literal.
    pub sni: Option<String>,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
    /// Whether data was taken before the handshake's end (0-RTT). It is never offered or accepted here; a connection that has some all the same exports nothing.
    pub early_data: bool,
    /// The certificates that the peer showed, its own first. Each side that asks for them verifies them in the handshake; a listener has none unless
    /// [it asks](crate::ServerTls::asking_clients) and the client has one. Of a resumed session, those of the first handshake.
    pub peer_certificates: Vec<CertificateDer<'static>>,
}

impl TlsInfo {
    /// Whether the peer's certificate is for this DNS name or IP literal (RFC 6125, as rustls checks servers' names).
    pub fn peer_is(&self, name: &str) -> bool {
        let certificate = self.peer_certificates.first();
        let parsed = certificate.and_then(|own| ParsedCertificate::try_from(own).ok());
        let name = ServerName::try_from(name).ok();
        parsed
            .zip(name)
            .is_some_and(|(own, name)| verify_server_name(&own, &name).is_ok())
    }
}

impl ConnectionInfo {
    pub(crate) fn new(
        peer: impl Into<Address>,
        local: impl Into<Address>,
        version: Version,
        tls: Option<(TlsInfo, Weak<dyn Export>)>,
    ) -> Self {
        let (tls, exporter) = tls.unzip();
        Self {
            peer: peer.into(),
            local: local.into(),
            version,
            tls,
            exporter,
            proofs: ChannelProofs::default(),
            state: Mutex::default(),
        }
    }

    /// A connection without TLS: behind a proxy, or in a test without a socket.
    pub fn without_tls(
        peer: impl Into<Address>,
        local: impl Into<Address>,
        version: Version,
    ) -> Self {
        Self::new(peer, local, version, None)
    }

    /// The address at the other end.
    pub fn peer(&self) -> &Address {
        &self.peer
    }

    /// The address at this end.
    pub fn local(&self) -> &Address {
        &self.local
    }

    /// `HTTP/1.1` or `HTTP/2`.
    pub fn version(&self) -> Version {
        self.version
    }

    /// What the TLS handshake agreed on; none without TLS.
    pub fn tls(&self) -> Option<&TlsInfo> {
        self.tls.as_ref()
    }

    /// The state of type `T` that was kept for this connection.
    pub fn state<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.states().get::<Arc<T>>().cloned()
    }

    /// The state of type `T` of this connection, made by `make` if there is none yet. `make` must not use this connection's states.
    pub fn state_or_insert_with<T: Send + Sync + 'static>(
        &self,
        make: impl FnOnce() -> T,
    ) -> Arc<T> {
        Arc::clone(self.states().get_or_insert_with(|| Arc::new(make())))
    }

    /// Keeps a state of type `T` for this connection, in place of an earlier one.
    pub fn insert_state<T: Send + Sync + 'static>(&self, state: Arc<T>) {
        self.states().insert(state);
    }

    /// Fills `out` with keying material of the TLS session (RFC 5705, RFC 8446 §7.5): both ends get the same, no other connection does.
    ///
    /// # Errors
    ///
    /// Without TLS 1.3 (material of TLS 1.2 may be shared with another session, RFC 7627), with early data, and when the connection is gone.
    pub fn export_keying_material(
        &self,
        label: &[u8],
        context: Option<&[u8]>,
        out: &mut [u8],
    ) -> Result<(), ExportError> {
        match (&self.tls, &self.exporter) {
            (Some(tls), _) if tls.early_data => Err(ExportError::EarlyData),
            (Some(tls), Some(exporter)) if tls.version == rustls::ProtocolVersion::TLSv1_3 => {
                exporter
                    .upgrade()
                    .ok_or(ExportError::Closed)?
                    .export(label, context, out)
            }
            _ => Err(ExportError::NoTls13),
        }
    }

    fn states(&self) -> MutexGuard<'_, Extensions> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Channel for ConnectionInfo {
    fn exporter(&self, label: &[u8]) -> Option<[u8; EXPORTER_BYTES]> {
        let mut material = [0; EXPORTER_BYTES];
        let exported = self.export_keying_material(label, None, &mut material);
        exported.ok().map(|()| material)
    }

    fn proofs(&self) -> &ChannelProofs {
        &self.proofs
    }
}

impl fmt::Debug for ConnectionInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionInfo")
            .field("peer", &self.peer)
            .field("local", &self.local)
            .field("version", &self.version)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

/// Keying material could not be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The connection has no TLS, or an older version.
    #[error("keying material is exported from TLS 1.3 connections only")]
    NoTls13,
    /// The connection carried data that can be replayed.
    #[error("nothing is exported from a connection with early data")]
    EarlyData,
    /// The connection has ended.
    #[error("the connection has ended")]
    Closed,
    /// The TLS library refused.
    #[error("the TLS library refused to export keying material")]
    Tls(#[source] rustls::Error),
}

/// Something that exports keying material.
pub(crate) trait Export: Send + Sync {
    fn export(
        &self,
        label: &[u8],
        context: Option<&[u8]>,
        out: &mut [u8],
    ) -> Result<(), ExportError>;
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn connection() -> ConnectionInfo {
        let address = SocketAddr::from(([192, 0, 2, 1], 8448));
        ConnectionInfo::without_tls(address, address, Version::HTTP_11)
    }

    #[test]
    fn state_is_made_once_and_kept_by_type() {
        let connection = connection();
        assert_eq!(connection.state::<u32>(), None);
        assert_eq!(*connection.state_or_insert_with(|| 1_u32), 1);
        assert_eq!(*connection.state_or_insert_with(|| 2_u32), 1);
        assert_eq!(connection.state::<u64>(), None);
    }

    /// Exports whatever it is asked for.
    struct Willing;

    impl Export for Willing {
        fn export(&self, _: &[u8], _: Option<&[u8]>, out: &mut [u8]) -> Result<(), ExportError> {
            out.fill(1);
            Ok(())
        }
    }

    #[test]
    fn a_channel_exports_with_tls_1_3_without_early_data_while_it_lasts() {
        use rustls::ProtocolVersion::{TLSv1_2, TLSv1_3};
        for (version, early_data, lasts, exports) in [
            (TLSv1_3, false, true, true),
            (TLSv1_3, true, true, false),
            (TLSv1_3, false, false, false),
            (TLSv1_2, false, true, false),
        ] {
            let tls = TlsInfo {
                version,
                alpn: None,
                sni: None,
                resumed: early_data,
                early_data,
                peer_certificates: Vec::new(),
            };
            let exporter: Arc<dyn Export> = Arc::new(Willing);
            let address = SocketAddr::from(([192, 0, 2, 1], 8448));
            let tls = (tls, Arc::downgrade(&exporter));
            let connection = ConnectionInfo::new(address, address, Version::HTTP_2, Some(tls));
            if !lasts {
                drop(exporter);
            }
            assert_eq!(connection.exporter(b"label").is_some(), exports);
        }
    }

    #[test]
    fn nothing_is_exported_without_tls() {
        let error = connection().export_keying_material(b"label", None, &mut [0; 32]);
        assert!(matches!(error, Err(ExportError::NoTls13)));
    }
}
