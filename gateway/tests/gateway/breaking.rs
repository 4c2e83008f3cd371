//! A port in front of a gateway that breaks gRPC in a way of its own, and lets HTTPS pass.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use comity_net::{
    Body, Dispatch, HttpService, Listener, ListenerOptions, Protocol, ServerTls, body,
};
use http::{HeaderValue, Request, Response};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::sleep,
};

use crate::setting::{Authority, HS2};

/// What becomes of a connection that offers HTTP/2 alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It passes.
    None,
    /// It is reset before TLS.
    Reset,
    /// Something else than TLS answers.
    NoTls,
    /// Somebody answers who has no such method.
    Unimplemented,
    /// It is taken, and nothing ever comes back.
    SilentFromTheStart,
}

/// The port.
pub struct Breaker {
    pub address: SocketAddr,
    fault: Arc<Mutex<Fault>>,
    cut: watch::Sender<u32>,
    freeze: watch::Sender<bool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Breaker {
    pub async fn before(behind: SocketAddr, authority: &Authority) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let fault = Arc::new(Mutex::new(Fault::None));
        let (cut, _) = watch::channel(0);
        let (freeze, _) = watch::channel(false);
        let (lacking, server) = lacking(authority).await;
        let passing = tokio::spawn({
            let (fault, cut, freeze) = (fault.clone(), cut.clone(), freeze.clone());
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let fault = *fault.lock().unwrap();
                    let (cut, freeze) = (cut.subscribe(), freeze.subscribe());
                    tokio::spawn(serve(stream, fault, behind, lacking, cut, freeze));
                }
            }
        });
        Self {
            address,
            fault,
            cut,
            freeze,
            tasks: vec![passing, server],
        }
    }

    /// From the next connection on.
    pub fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    /// Resets every HTTP/2 connection there is.
    pub fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }

    /// Has every HTTP/2 connection pass nothing more, either way, without an end.
    pub fn freeze(&self) {
        self.freeze.send_replace(true);
    }

    /// What is told to the peer's gateway of it.
    pub fn peer(&self) -> String {
        format!("binding = \"grpc\"\ntarget = \"{}\"", self.address)
    }
}

impl Drop for Breaker {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

async fn serve(
    mut stream: TcpStream,
    fault: Fault,
    behind: SocketAddr,
    lacking: SocketAddr,
    mut cut: watch::Receiver<u32>,
    mut freeze: watch::Receiver<bool>,
) {
    if !only_http2(&stream).await {
        let mut on = TcpStream::connect(behind).await.unwrap();
        let _ = copy_bidirectional(&mut stream, &mut on).await;
        return;
    }
    let on = match fault {
        Fault::None => behind,
        Fault::Unimplemented => lacking,
        Fault::Reset => return reset(stream),
        Fault::NoTls => {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            let _ = stream.read(&mut [0; 4096]).await;
            return;
        }
        Fault::SilentFromTheStart => {
            sleep(Duration::from_secs(120)).await;
            return;
        }
    };
    let mut on = TcpStream::connect(on).await.unwrap();
    tokio::select! {
        _ = copy_bidirectional(&mut stream, &mut on) => {}
        _ = cut.changed() => {
            reset(stream);
            reset(on);
        }
        () = async { drop(freeze.wait_for(|frozen| *frozen).await) } => {
            sleep(Duration::from_secs(120)).await;
        }
    }
}

/// Closes with RST.
fn reset(stream: TcpStream) {
    stream.set_zero_linger().unwrap();
    drop(stream);
}

/// Whether a ClientHello, which is readable, offers HTTP/2 and no HTTP/1.1 (RFC 7301).
async fn only_http2(stream: &TcpStream) -> bool {
    let mut hello = [0; 4096];
    for _ in 0..100 {
        let length = stream.peek(&mut hello).await.unwrap_or_default();
        let has = |name: &[u8]| hello[..length].windows(name.len()).any(|at| at == name);
        if has(b"\x02h2") || has(b"\x08http/1.1") {
            return !has(b"\x08http/1.1");
        }
        sleep(Duration::from_millis(10)).await;
    }
    false
}

/// A server with the peer's certificate that has no method at all.
async fn lacking(authority: &Authority) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let (chain, key) = authority.certificate(HS2);
    let options = ListenerOptions {
        protocol: Protocol::Http2,
        ..ListenerOptions::with_tls(ServerTls::from_pem(chain.as_bytes(), key.as_bytes()).unwrap())
    };
    let service = tower::service_fn(|_: Request<Body>| async {
        let mut response = Response::new(body::empty());
        let headers = response.headers_mut();
        headers.insert("content-type", HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-status", HeaderValue::from_static("12"));
        Ok::<_, Infallible>(response)
    });
    let listener = Listener::bind("127.0.0.1:0", options).await.unwrap();
    let address = listener.local_addr();
    let dispatch = Dispatch::new(HttpService::new(service));
    let task = tokio::spawn(async move {
        listener.serve(dispatch, std::future::pending()).await;
    });
    (address, task)
}
