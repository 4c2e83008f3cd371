//! What stands between a client and a server: a wire that is listened to, and a proxy that ends TLS.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use comity_net::{Body, HttpService};
use http::{Request, Response};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tower::{service_fn, util::BoxCloneSyncService};

use crate::setting::Serving;

/// Requests to a server go on to another over a connection of this one's own, as a balancer's do.
pub(crate) fn passing(backend: &Serving) -> HttpService {
    let (pool, route) = (backend.pool(), backend.route());
    BoxCloneSyncService::new(service_fn(move |request: Request<Body>| {
        let (pool, route) = (pool.clone(), route.clone());
        async move {
            let (head, body) = request.into_parts();
            let mut on = Request::new(body);
            *on.method_mut() = head.method;
            *on.uri_mut() = head.uri.path().parse().unwrap();
            *on.headers_mut() = head.headers;
            let response: Response<Body> = pool.send(&route, on).await.unwrap();
            Ok(response)
        }
    }))
}

/// Stands on the wire before a server, and can play once more what it heard go there.
pub(crate) struct Tap {
    pub(crate) address: SocketAddr,
    /// What went to the server on the first connection.
    heard: Arc<Mutex<Vec<u8>>>,
    /// Plays from there on. Closed when the server has closed that connection.
    pub(crate) play: mpsc::Sender<usize>,
}

impl Tap {
    pub(crate) async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (play, mut played) = mpsc::channel(1);
        let heard = Arc::<Mutex<Vec<u8>>>::default();
        let hears = heard.clone();
        tokio::spawn(async move {
            let (client, _) = listener.accept().await.unwrap();
            Self::listen(client, to, &hears, &mut played).await;
            drop(played);
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let mut server = TcpStream::connect(to).await.unwrap();
                tokio::spawn(async move {
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self {
            address,
            heard,
            play,
        }
    }

    pub(crate) fn heard(&self) -> usize {
        self.heard.lock().unwrap().len()
    }

    /// Passes on in both directions, until the server ends the connection.
    async fn listen(
        mut client: TcpStream,
        to: SocketAddr,
        heard: &Mutex<Vec<u8>>,
        played: &mut mpsc::Receiver<usize>,
    ) {
        let mut server = TcpStream::connect(to).await.unwrap();
        let (mut up, mut down) = (vec![0; 1 << 16], vec![0; 1 << 16]);
        loop {
            tokio::select! {
                read = client.read(&mut up) => {
                    let bytes = &up[..read.unwrap()];
                    if bytes.is_empty() {
                        return;
                    }
                    heard.lock().unwrap().extend(bytes);
                    // A connection that has ended is noticed by reading.
                    let _ = server.write_all(bytes).await;
                }
                read = server.read(&mut down) => match read {
                    Ok(read @ 1..) => client.write_all(&down[..read]).await.unwrap(),
                    _ => return,
                },
                Some(from) = played.recv() => {
                    let again = heard.lock().unwrap()[from..].to_vec();
                    server.write_all(&again).await.unwrap();
                }
            }
        }
    }
}
