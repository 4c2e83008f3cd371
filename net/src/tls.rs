//! TLS settings of either side: rustls with aws-lc-rs, TLS 1.2 and 1.3, session resumption.
//!
//! The provider is always named. Nothing is installed for the process, so that a program with another provider is not disturbed.

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    CipherSuite, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
};

use crate::Protocol;

/// The cryptography behind TLS: aws-lc-rs, with AES of 128 bits before the one of 256. Every peer has it (RFC 8446 §9.1), browsers ask for it first, and a
/// record costs fewer rounds. A server goes by its client's order.
pub fn provider() -> Arc<CryptoProvider> {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.cipher_suites.sort_by_key(|suite| {
        let older = suite.version() != &rustls::version::TLS13;
        (older, !SHORT_KEYS.contains(&suite.suite()))
    });
    Arc::new(provider)
}

/// The suites whose keys have 128 bits.
const SHORT_KEYS: [CipherSuite; 3] = [
    CipherSuite::TLS13_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
];

/// TLS for dialling: whom to trust.
#[derive(Clone)]
pub struct ClientTls {
    configs: Configs,
    /// Peers whose certificate is not looked at.
    exceptions: Option<(Arc<HashSet<String>>, Configs)>,
}

/// One configuration, for each of the protocols that may be offered.
#[derive(Clone)]
struct Configs {
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
    either: Arc<ClientConfig>,
}

impl Configs {
    fn new(config: ClientConfig) -> Self {
        let offer = |protocol: Protocol| {
            let mut config = config.clone();
            config.alpn_protocols = protocol.alpn();
            // What is sent before the handshake's end can be replayed (RFC 8446 §8).
            config.enable_early_data = false;
            Arc::new(config)
        };
        Self {
            http1: offer(Protocol::Http1),
            http2: offer(Protocol::Http2),
            either: offer(Protocol::Http1Or2),
        }
    }
}

impl ClientTls {
    /// Trusts the certificate authorities that the operating system trusts. `SSL_CERT_FILE` and `SSL_CERT_DIR` name others in their place.
    ///
    /// It reads files: not for a place where nothing may block.
    ///
    /// # Errors
    ///
    /// [`TlsConfigError::NoSystemRoots`] if the system has none.
    pub fn system() -> Result<Self, TlsConfigError> {
        let (store, failures) = system_roots();
        match store.is_empty() {
            true => Err(TlsConfigError::NoSystemRoots(failures)),
            false => Self::with_store(store),
        }
    }

    /// Trusts the certificate authorities of a PEM file beside those of the system, of which there need not be any.
    ///
    /// # Errors
    ///
    /// If the file is no PEM or holds no certificate that can serve as a root.
    pub fn system_with(roots: &[u8]) -> Result<Self, TlsConfigError> {
        let (mut store, failures) = system_roots();
        if store.is_empty() {
            tracing::warn!(failures, "the system has no certificate authorities");
        }
        for root in certificates(roots)? {
            store.add(root)?;
        }
        Self::with_store(store)
    }

    /// Trusts these certificate authorities, and no others.
    ///
    /// # Errors
    ///
    /// If a certificate cannot serve as a root, or there is none.
    pub fn with_roots(
        roots: impl IntoIterator<Item = CertificateDer<'static>>,
    ) -> Result<Self, TlsConfigError> {
        Self::with_store(store(roots)?)
    }

    fn with_store(store: RootCertStore) -> Result<Self, TlsConfigError> {
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(store)
            .with_no_client_auth();
        Ok(Self::from_config(config))
    }

    /// Trusts the certificate authorities of a PEM file, and shows a certificate of its own (chain and private key, both PEM) to servers that ask
    /// for one.
    ///
    /// # Errors
    ///
    /// If a text is no PEM or holds nothing that can serve, or the key is not the certificate's.
    pub fn from_pem_with_certificate(
        roots: &[u8],
        certificate_chain: &[u8],
        key: &[u8],
    ) -> Result<Self, TlsConfigError> {
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(store(certificates(roots)?)?)
            .with_client_auth_cert(certificates(certificate_chain)?, private_key(key)?)?;
        Ok(Self::from_config(config))
    }

    /// Trusts the certificate authorities of a PEM file, and no others.
    ///
    /// # Errors
    ///
    /// If the file is no PEM or holds no certificate that can serve as a root.
    pub fn from_pem(roots: &[u8]) -> Result<Self, TlsConfigError> {
        Self::with_roots(certificates(roots)?)
    }

    /// Trusts whoever answers. Replies of a federation are authenticated by TLS alone: this is for tests.
    pub fn danger_accept_any_certificate() -> Self {
        let provider = provider();
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("aws-lc-rs speaks TLS 1.2 and 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AcceptAny(provider)))
            .with_no_client_auth();
        Self::from_config(config)
    }

    /// Trusts whoever answers for one of these names (DNS names, or IP literals without brackets): what peers say in its place is believed. For tests, and for
    /// peers that a network authenticates in another way (`.onion`). All other names are verified as before. Names of an earlier call are forgotten.
    #[must_use]
    pub fn danger_accept_any_certificate_for<N: AsRef<str>>(
        mut self,
        names: impl IntoIterator<Item = N>,
    ) -> Self {
        let mut config = ClientConfig::clone(&self.configs.either);
        config
            .dangerous()
            .set_certificate_verifier(Arc::new(AcceptAny(provider())));
        // Sessions of its own: one that was never verified must not be resumed where certificates count.
        config.resumption = Resumption::in_memory_sessions(256);
        let names = names.into_iter().map(|name| comparable(name.as_ref()));
        self.exceptions = Some((Arc::new(names.collect()), Configs::new(config)));
        self
    }

    /// Settings of the caller's own making (a verifier of the platform's, say). Its ALPN list is replaced for each use, and no early data (0-RTT) is sent, whatever they say.
    pub fn from_config(config: ClientConfig) -> Self {
        Self {
            configs: Configs::new(config),
            exceptions: None,
        }
    }

    /// The settings for a peer whose certificate has to be for `name`.
    pub(crate) fn offering(&self, protocol: Protocol, name: &str) -> Arc<ClientConfig> {
        let configs = match &self.exceptions {
            Some((names, configs)) if names.contains(&comparable(name)) => configs,
            _ => &self.configs,
        };
        Arc::clone(match protocol {
            Protocol::Http1 => &configs.http1,
            Protocol::Http2 => &configs.http2,
            Protocol::Http1Or2 => &configs.either,
        })
    }
}

/// A certificate's name as it is compared: an address in its one form, a DNS name in lower case.
fn comparable(name: &str) -> String {
    match name.parse::<IpAddr>() {
        Ok(address) => address.to_string(),
        Err(_) => name.to_ascii_lowercase(),
    }
}

/// What the operating system trusts, as far as it can serve, and what could not be read.
fn system_roots() -> (RootCertStore, String) {
    let found = rustls_native_certs::load_native_certs();
    let mut store = RootCertStore::empty();
    let (_, unusable) = store.add_parsable_certificates(found.certs);
    if unusable > 0 {
        tracing::debug!(unusable, "certificate authorities of the system left out");
    }
    let failures: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
    (store, failures.join("; "))
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").finish_non_exhaustive()
    }
}

/// Sessions that are remembered of clients of TLS 1.2 that take no ticket: rustls' own number.
const SESSIONS: usize = 256;

/// TLS for accepting: our certificate. Clones share it: [`ServerTls::reload`] changes it for all of them, while they serve.
#[derive(Clone)]
pub struct ServerTls {
    offers: Arc<std::sync::RwLock<ServerOffers>>,
}

/// The settings, once for each choice of versions of HTTP.
struct ServerOffers {
    http1: Arc<ServerConfig>,
    http2: Arc<ServerConfig>,
    either: Arc<ServerConfig>,
}

impl ServerOffers {
    fn new(config: &ServerConfig) -> Self {
        let accept = |protocol: Protocol| {
            let mut config = config.clone();
            config.alpn_protocols = protocol.alpn();
            config.max_early_data_size = 0;
            Arc::new(config)
        };
        Self {
            http1: accept(Protocol::Http1),
            http2: accept(Protocol::Http2),
            either: accept(Protocol::Http1Or2),
        }
    }
}

impl ServerTls {
    /// From a certificate chain (the server's own first) and its private key, both PEM.
    ///
    /// # Errors
    ///
    /// If either is no PEM, or the key is not the certificate's.
    pub fn from_pem(certificate_chain: &[u8], key: &[u8]) -> Result<Self, TlsConfigError> {
        Self::with_verifier(
            WebPkiClientVerifier::no_client_auth(),
            certificate_chain,
            key,
        )
    }

    /// The same, and asks each client for a certificate of these authorities (PEM). One that has none is served, as only some operations may need it: what the
    /// client showed is [`TlsInfo::peer_certificates`](crate::TlsInfo::peer_certificates). One with a certificate that is not theirs is not served.
    ///
    /// # Errors
    ///
    /// If a text is no PEM or holds nothing that can serve, or the key is not the certificate's.
    pub fn asking_clients(
        client_roots: &[u8],
        certificate_chain: &[u8],
        key: &[u8],
    ) -> Result<Self, TlsConfigError> {
        let roots = Arc::new(store(certificates(client_roots)?)?);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider())
            .allow_unauthenticated()
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        Self::with_verifier(verifier, certificate_chain, key)
    }

    fn with_verifier(
        verifier: Arc<dyn ClientCertVerifier>,
        certificate_chain: &[u8],
        key: &[u8],
    ) -> Result<Self, TlsConfigError> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_single_cert(certificates(certificate_chain)?, private_key(key)?)?;
        // Stateless tickets: resumption works for any number of peers, in constant memory.
        config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
        Ok(Self::from_config(config))
    }

    /// Settings of the caller's own making (certificates chosen by name, say). Its ALPN list is replaced, and no early data (0-RTT) is accepted, whatever they say.
    pub fn from_config(config: ServerConfig) -> Self {
        Self {
            offers: Arc::new(std::sync::RwLock::new(ServerOffers::new(&config))),
        }
    }

    /// Shows another certificate (chain and private key, both PEM) from the next handshake on, in every listener that has these settings. Connections that are open go
    /// on. Sessions of the certificate before are not resumed, so that every new connection proves the new one.
    ///
    /// # Errors
    ///
    /// If either is no PEM, or the key is not the certificate's: nothing changes then.
    pub fn reload(&self, certificate_chain: &[u8], key: &[u8]) -> Result<(), TlsConfigError> {
        let chain = certificates(certificate_chain)?;
        let shown = CertifiedKey::from_der(chain, private_key(key)?, &provider())?;
        let mut config = ServerConfig::clone(&self.accepting(Protocol::Http1));
        config.cert_resolver = Arc::new(SingleCertAndKey::from(shown));
        config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
        config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
        let offers = ServerOffers::new(&config);
        *self
            .offers
            .write()
            .unwrap_or_else(|poisoned| poisoned.into_inner()) = offers;
        Ok(())
    }

    pub(crate) fn accepting(&self, protocol: Protocol) -> Arc<ServerConfig> {
        let offers = self.offers.read();
        let offers = offers.unwrap_or_else(|poisoned| poisoned.into_inner());
        Arc::clone(match protocol {
            Protocol::Http1 => &offers.http1,
            Protocol::Http2 => &offers.http2,
            Protocol::Http1Or2 => &offers.either,
        })
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").finish_non_exhaustive()
    }
}

/// TLS settings that cannot work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsConfigError {
    /// The text holds no certificate.
    #[error("no certificate found in the PEM text")]
    NoCertificate,
    /// The text holds no private key that is understood.
    #[error("no private key found in the PEM text")]
    NoKey,
    /// The operating system trusts no certificate authority that could be read; with what went wrong.
    #[error(
        "the system has no certificate authorities (install them, or name a PEM file in SSL_CERT_FILE) {0}"
    )]
    NoSystemRoots(String),
    /// The TLS library refuses a certificate or key.
    #[error("the TLS library refuses the certificate or key")]
    Tls(#[from] rustls::Error),
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_| TlsConfigError::NoCertificate)?;
    match certificates.is_empty() {
        true => Err(TlsConfigError::NoCertificate),
        false => Ok(certificates),
    }
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsConfigError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| TlsConfigError::NoKey)
}

fn store(
    roots: impl IntoIterator<Item = CertificateDer<'static>>,
) -> Result<RootCertStore, TlsConfigError> {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(root)?;
    }
    match store.is_empty() {
        true => Err(TlsConfigError::NoCertificate),
        false => Ok(store),
    }
}

/// Takes any certificate; the handshake's signature must still be by its key.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
