//! How many writes a call over HTTP/2 costs. Each is a record of TLS, and a wire before the listener counts those: however late they are read, they are as many.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use comity_net::{ListenerOptions, Protocol, body};
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{
    TcpListener, TcpStream,
    tcp::{OwnedReadHalf, OwnedWriteHalf},
};
use tokio::time::timeout;

use crate::setting::{Authority, Serving, put, route, service};

/// What a record begins with (RFC 8446 §5.1): its type, a version, its length.
const HEAD: usize = 5;
const APPLICATION_DATA: u8 = 23;

/// Longest that all calls take, however busy the machine is.
const LIMIT: Duration = Duration::from_secs(60);

/// Passes connections on, record by record.
struct Wire {
    address: SocketAddr,
    to_server: Arc<AtomicUsize>,
    to_client: Arc<AtomicUsize>,
}

impl Wire {
    async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (to_server, to_client) = (Arc::default(), Arc::default());
        let (up, down) = (Arc::clone(&to_server), Arc::clone(&to_client));
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let server = TcpStream::connect(to).await.unwrap();
                for socket in [&client, &server] {
                    socket.set_nodelay(true).unwrap();
                }
                let (client, server) = (client.into_split(), server.into_split());
                tokio::spawn(pass(client.0, server.1, Arc::clone(&up)));
                tokio::spawn(pass(server.0, client.1, Arc::clone(&down)));
            }
        });
        Self {
            address,
            to_server,
            to_client,
        }
    }

    /// Records of content so far: to the server, to the client.
    fn records(&self) -> (usize, usize) {
        let counted = |way: &AtomicUsize| way.load(Ordering::SeqCst);
        (counted(&self.to_server), counted(&self.to_client))
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, counted: Arc<AtomicUsize>) {
    let mut record = vec![0; HEAD];
    while from.read_exact(&mut record[..HEAD]).await.is_ok() {
        let length = u16::from_be_bytes([record[3], record[4]]);
        record.resize(HEAD + usize::from(length), 0);
        if from.read_exact(&mut record[HEAD..]).await.is_err() {
            return;
        }
        if record[0] == APPLICATION_DATA {
            counted.fetch_add(1, Ordering::SeqCst);
        }
        if to.write_all(&record).await.is_err() {
            return;
        }
    }
}

/// As gRPC has it: a request with content, a reply with content and trailers behind it.
#[tokio::test]
async fn a_small_call_is_one_write_each_way() {
    let calls = write_once_each_way();
    timeout(LIMIT, calls).await.expect("the calls end");
}

async fn write_once_each_way() {
    const CALLS: usize = 20;
    let authority = Authority::new();
    let serving = Serving::start(
        ListenerOptions::with_tls(authority.server()),
        service(|request| async move {
            let content = request.into_body().collect().await.unwrap().to_bytes();
            let trailers = HeaderMap::from_iter([(
                "grpc-status".parse().unwrap(),
                HeaderValue::from_static("0"),
            )]);
            let reply = body::full(content).with_trailers(async move { Some(Ok(trailers)) });
            Response::new(reply.boxed_unsync())
        }),
    )
    .await;
    let wire = Wire::start(serving.address).await;
    let pool = authority.pool(Protocol::Http2);
    let call = async || {
        let request = put("/", vec![b'x'; 300]);
        let reply = pool.send(&route(wire.address), request).await.unwrap();
        let reply = reply.into_body().collect().await.unwrap();
        assert!(reply.trailers().is_some());
        assert_eq!(reply.to_bytes().len(), 300);
    };
    // Settings and their acknowledgements go with the first ones.
    for _ in 0..5 {
        call().await;
    }
    let before = wire.records();
    for _ in 0..CALLS {
        call().await;
    }
    let after = wire.records();
    // Without gathering they are twice as many. A ping of the connection's own, say, is no reason to fail.
    let few = CALLS..=CALLS + CALLS / 4;
    for (way, records) in [
        ("to the server", after.0 - before.0),
        ("to the client", after.1 - before.1),
    ] {
        assert!(few.contains(&records), "{records} records {way}");
    }
}
