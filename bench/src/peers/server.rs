//! Servers of peers: hyper and tokio-rustls, one task for each connection, with the windows that ours have.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use comity_net::Protocol;
use hyper::{server::conn, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use super::{Peer, Speech};
use crate::{
    scenario::rooms::Rooms,
    subject::{Guard, Setting, SetupError, Tls, ours::Listening},
};

pub(super) async fn serve(
    peer: Peer,
    setting: &Setting,
) -> Result<(Vec<SocketAddr>, Guard), SetupError> {
    let acceptor = acceptor(&setting.tls, peer.protocol())?;
    let mut addresses = Vec::new();
    let mut listening = Listening::default();
    // Made before anybody calls, once for all servers.
    let rooms = Rooms::all(setting.seed);
    for server in &setting.servers {
        let listener = TcpListener::bind((setting.listen, 0)).await?;
        addresses.push(listener.local_addr()?);
        let speech = peer.speech(setting, server, &rooms)?;
        let accepting = accept(listener, acceptor.clone(), peer.protocol(), speech);
        listening.0.push(tokio::spawn(accepting).abort_handle());
    }
    Ok((addresses, Box::new(listening)))
}

fn acceptor(tls: &Tls, protocol: Protocol) -> Result<TlsAcceptor, SetupError> {
    let chain =
        CertificateDer::pem_slice_iter(tls.certificate.as_bytes()).collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(tls.key.as_bytes())?;
    let mut config = rustls::ServerConfig::builder_with_provider(comity_net::provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = match protocol {
        Protocol::Http2 => vec![b"h2".to_vec()],
        _ => vec![b"http/1.1".to_vec()],
    };
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Accepts until it is dropped, which cuts all connections.
async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    protocol: Protocol,
    speech: Arc<dyn Speech>,
) {
    let mut connections = JoinSet::new();
    // A listener that fails has no way back here: whoever calls sees that nobody answers.
    while let Ok((tcp, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let (acceptor, speech) = (acceptor.clone(), speech.clone());
        connections.spawn(connection(tcp, acceptor, protocol, speech));
    }
}

async fn connection(
    tcp: TcpStream,
    acceptor: TlsAcceptor,
    protocol: Protocol,
    speech: Arc<dyn Speech>,
) {
    let Ok(()) = tcp.set_nodelay(true) else {
        return;
    };
    let Ok(stream) = acceptor.accept(tcp).await else {
        return;
    };
    let service = service_fn(move |request| {
        let speech = speech.clone();
        async move { Ok::<_, Infallible>(speech.answer(request).await) }
    });
    let stream = TokioIo::new(stream);
    // That a connection ends is the client's business.
    let _ = match protocol {
        Protocol::Http2 => {
            conn::http2::Builder::new(TokioExecutor::new())
                .initial_stream_window_size(1 << 20)
                .initial_connection_window_size(16 << 20)
                .max_frame_size(128 << 10)
                .serve_connection(stream, service)
                .await
        }
        _ => {
            conn::http1::Builder::new()
                .serve_connection(stream, service)
                .await
        }
    };
}
