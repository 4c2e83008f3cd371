//! What stands in the middle and breaks things.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use comity_core::{
    Operations,
    call::Call,
    error::{CallError, FederationError},
};
use comity_http::HttpServer;
use comity_net::{Dispatch, Listener, ListenerOptions, ServerTls};
use tokio::{
    io::{AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::AbortHandle,
};
use tower::{service_fn, util::BoxCloneSyncService};

use crate::{
    Done,
    harnesses::{Authority, CERTIFICATE_NAME},
};

/// How it breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Break {
    /// Not at all.
    Nothing,
    /// Nobody listens.
    Closed,
    /// What answers is no TLS.
    NotTls,
    /// TLS with a certificate that is nobody's.
    OtherCertificate,
    /// A server that knows no gRPC.
    Unimplemented,
    /// Bytes go in, and none come out.
    BlackHole,
    /// Reset as soon as the receiver has begun.
    Reset,
    /// Silent as soon as the receiver has begun.
    Silent,
}

/// A port that is between a client and a server. It counts who touches it.
pub(crate) struct Middle {
    address: SocketAddr,
    touched: Arc<AtomicUsize>,
    running: Option<AbortHandle>,
}

impl Drop for Middle {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.abort();
        }
    }
}

impl Middle {
    pub(crate) async fn before(server: SocketAddr, kind: Break, done: Arc<Done>) -> Self {
        let behind = match kind {
            Break::OtherCertificate => other_certificate().await,
            Break::Unimplemented => {
                let listening = Authority::shared().listen(without_grpc()).await;
                listening.unwrap().0
            }
            _ => server,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let touched = Arc::new(AtomicUsize::new(0));
        let running = (kind != Break::Closed).then(|| {
            let touched = touched.clone();
            let accepting = async move {
                loop {
                    let (client, _) = listener.accept().await.unwrap();
                    touched.fetch_add(1, Ordering::SeqCst);
                    tokio::spawn(between(client, behind, kind, done.clone()));
                }
            };
            tokio::spawn(accepting).abort_handle()
        });
        Self {
            address,
            touched,
            running,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn touched(&self) -> usize {
        self.touched.load(Ordering::SeqCst)
    }
}

async fn between(mut client: TcpStream, behind: SocketAddr, kind: Break, done: Arc<Done>) {
    match kind {
        Break::NotTls => {
            let _ = client.write_all(b"SSH-2.0-x\r\n").await;
            return;
        }
        Break::BlackHole => {
            std::future::pending::<()>().await;
        }
        _ => {}
    }
    let mut server = TcpStream::connect(behind).await.unwrap();
    let begun = done.each.notified();
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => return,
        () = begun, if matches!(kind, Break::Reset | Break::Silent) => {}
    }
    if kind == Break::Silent {
        std::future::pending::<()>().await;
    }
    // Both ends are dropped with what is unread: a reset.
}

/// A server that answers every call with an error, over HTTP alone.
fn without_grpc() -> Dispatch {
    let nobody = BoxCloneSyncService::new(service_fn(|_: Call| async {
        Err(CallError::from(FederationError::unrecognized()))
    }));
    Dispatch::new(HttpServer::new(Operations::federation(), nobody).boxed())
}

async fn other_certificate() -> SocketAddr {
    let signed = rcgen::generate_simple_self_signed([CERTIFICATE_NAME.to_owned()]).unwrap();
    let (chain, key) = (signed.cert.pem(), signed.signing_key.serialize_pem());
    let tls = ServerTls::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
    let options = ListenerOptions::with_tls(tls);
    let listener = Listener::bind(("127.0.0.1", 0), options).await.unwrap();
    let address = listener.local_addr();
    tokio::spawn(listener.serve(without_grpc(), std::future::pending()));
    address
}
