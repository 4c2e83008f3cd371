//! What TLS sends before the handshake's end can be replayed (RFC 8446 §8): we send none and take none, whatever settings and peers want.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, mpsc},
    thread,
};

use comity_core::auth::{Channel, SESSION_EXPORTER_LABEL};
use comity_net::{AddressGuard, ClientTls, Connector, ListenerOptions, Protocol, ServerTls};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, ServerConfig, ServerConnection,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::io::AsyncReadExt;

use crate::setting::{Authority, Serving, echo, route};

/// A server that keeps TLS sessions, and takes early data.
fn lenient(authority: &Authority) -> ServerConfig {
    let chain = CertificateDer::pem_slice_iter(authority.chain());
    let mut config = ServerConfig::builder_with_provider(comity_net::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            chain.collect::<Result<_, _>>().unwrap(),
            PrivateKeyDer::from_pem_slice(authority.key()).unwrap(),
        )
        .unwrap();
    config.max_early_data_size = 1 << 14;
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

/// A client that sends early data wherever it can.
fn eager(authority: &Authority) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(authority.root()).unwrap())
        .unwrap();
    let mut config = ClientConfig::builder_with_provider(comity_net::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.enable_early_data = true;
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

/// What a server saw of a connection: whether it was resumed, and whether it took early data.
type Seen = (bool, bool);

/// Serves `connections` by rustls alone: a byte for each.
fn serve(config: ServerConfig, connections: usize) -> (SocketAddr, mpsc::Receiver<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = mpsc::channel();
    let config = Arc::new(config);
    thread::spawn(move || {
        for _ in 0..connections {
            let (mut tcp, _) = listener.accept().unwrap();
            let mut tls = ServerConnection::new(config.clone()).unwrap();
            while tls.is_handshaking() {
                tls.complete_io(&mut tcp).unwrap();
            }
            let early = tls.early_data().is_some();
            let resumed = tls.handshake_kind() == Some(HandshakeKind::Resumed);
            tls.writer().write_all(b"!").unwrap();
            while tls.wants_write() {
                tls.write_tls(&mut tcp).unwrap();
            }
            tell.send((resumed, early)).unwrap();
            // Until the client has gone.
            let _ = tcp.read(&mut [0; 1 << 12]);
        }
    });
    (address, told)
}

/// What becomes of a connection with early data: whether some was offered, and whether it was taken. Reads a byte, so that the session's ticket has come.
fn offer(config: &Arc<ClientConfig>, to: SocketAddr) -> (bool, bool) {
    let name = "matrix.test".try_into().unwrap();
    let mut tls = ClientConnection::new(config.clone(), name).unwrap();
    let mut tcp = TcpStream::connect(to).unwrap();
    let offered = match tls.early_data() {
        Some(mut early) => {
            early
                .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
                .unwrap();
            true
        }
        None => false,
    };
    while tls.is_handshaking() {
        tls.complete_io(&mut tcp).unwrap();
    }
    let taken = tls.is_early_data_accepted();
    let mut stream = rustls::Stream::new(&mut tls, &mut tcp);
    stream.read_exact(&mut [0]).unwrap();
    (offered, taken)
}

#[tokio::test]
async fn a_listener_takes_no_early_data() {
    let authority = Authority::new();
    let (lenient, eager) = (lenient(&authority), Arc::new(eager(&authority)));
    let (address, _told) = serve(lenient.clone(), 2);
    // The listener has the settings of a server that takes some, and knows its sessions.
    let tls = ServerTls::from_config(lenient);
    let serving = Serving::start(ListenerOptions::with_tls(tls), echo()).await;
    let here = serving.address;
    let tried = tokio::task::spawn_blocking(move || {
        // A ticket, then early data, which that server takes. Then ours.
        [
            offer(&eager, address),
            offer(&eager, address),
            offer(&eager, here),
        ]
    });
    let tried = tried.await.unwrap();
    assert_eq!(tried, [(false, false), (true, true), (true, false)]);
}

#[tokio::test]
async fn a_connector_sends_no_early_data() {
    let authority = Authority::new();
    let (address, told) = serve(lenient(&authority), 2);
    // Its settings ask for it.
    let connector = Connector::new(ClientTls::from_config(eager(&authority)))
        .with_guard(AddressGuard::default().allow_loopback());
    for _ in 0..2 {
        let connected = connector.connect(&route(address), Protocol::Http2).await;
        let mut connected = connected.unwrap();
        connected.stream.read_exact(&mut [0]).await.unwrap();
        assert!(!connected.info.tls().unwrap().early_data);
        assert!(connected.info.exporter(SESSION_EXPORTER_LABEL).is_some());
    }
    let seen = tokio::task::spawn_blocking(move || [told.recv().unwrap(), told.recv().unwrap()]);
    assert_eq!(seen.await.unwrap(), [(false, false), (true, false)]);
}
