//! Many peers, and peers that want too much: what is held is bounded, what is shed is told so, and everybody else is served meanwhile.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use comity_core::transport::Route;
use comity_net::{
    AddressGuard, ConnectionInfo, Connector, HttpService, ListenerOptions, Pool, PoolOptions,
    Protocol, body,
};
use futures_util::future::join_all;
use http::Response;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::setting::{Serving, ask, echo, eventually, read_head, service, write};

const MANY: usize = 10_000;

/// Counts the requests that are being answered, and the most there were at once.
#[derive(Clone, Default)]
struct Count(Arc<(AtomicUsize, AtomicUsize)>);

impl Count {
    fn enter(&self) -> Guard {
        let now = self.0.0.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.1.fetch_max(now, Ordering::SeqCst);
        Guard(self.clone())
    }

    fn now(&self) -> usize {
        self.0.0.load(Ordering::SeqCst)
    }

    fn most(&self) -> usize {
        self.0.1.load(Ordering::SeqCst)
    }
}

struct Guard(Count);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Answers nothing but what is asked of `/quick`.
fn hangs(count: &Count) -> HttpService {
    let count = count.clone();
    service(move |request| {
        let count = count.clone();
        async move {
            if request.uri().path() != "/quick" {
                let _guard = count.enter();
                std::future::pending::<()>().await;
            }
            Response::new(body::full("quick"))
        }
    })
}

fn pool(protocol: Protocol, max_in_flight: usize) -> Pool {
    let connector =
        Connector::danger_without_tls().with_guard(AddressGuard::default().allow_loopback());
    let options = PoolOptions {
        max_in_flight,
        ..PoolOptions::default().with_protocol(protocol)
    };
    Pool::new(connector, options)
}

async fn assert_serves(serving: &Serving) {
    let quick = pool(Protocol::Http2, 1);
    let quick = timeout(Duration::from_secs(5), async {
        ask(&quick, &serving.route(), "/quick").await
    });
    assert_eq!(quick.await.expect("in time").unwrap(), "quick");
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

/// A frame of HTTP/2 (RFC 9113 §4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A GET for `/` without a body: `:method`, `:scheme`, `:path` of HPACK's static table, and `:authority` as it is (RFC 7541).
fn get(stream: u32) -> Vec<u8> {
    frame(HEADERS, 0x5, stream, &[0x82, 0x86, 0x84, 0x41, 1, b'x'])
}

/// HTTP/2 by hand, without regard for the server's settings.
async fn rude(address: SocketAddr) -> TcpStream {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    write(&mut tcp, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    tcp.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    tcp
}

/// The codes of RST_STREAM frames, how many each, and that of GOAWAY, until the server closes or says no more for a while.
async fn codes(tcp: &mut (impl AsyncReadExt + Unpin)) -> (usize, Option<u32>) {
    let (mut refused, mut goaway) = (0, None);
    let mut head = [0; 9];
    while let Ok(Ok(_)) = timeout(Duration::from_secs(5), tcp.read_exact(&mut head)).await {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        if tcp.read_exact(&mut payload).await.is_err() {
            break;
        }
        let code = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
        match head[3] {
            RST_STREAM => {
                assert_eq!(code(0), REFUSED_STREAM);
                refused += 1;
            }
            GOAWAY => goaway = Some(code(4)),
            _ => {}
        }
    }
    (refused, goaway)
}

#[tokio::test]
async fn ten_thousand_streams_of_a_peer_that_keeps_no_rule_are_refused() {
    let count = Count::default();
    let serving = Serving::start(ListenerOptions::default(), hangs(&count)).await;
    let (mut read, mut write) = rude(serving.address).await.into_split();
    let writing = tokio::spawn(async move {
        for number in 0..MANY as u32 {
            if write.write_all(&get(2 * number + 1)).await.is_err() {
                break;
            }
        }
        write
    });
    let (refused, goaway) = codes(&mut read).await;
    // Each that is refused is told that nothing was done; whoever goes on is cut off.
    assert!(refused > 0);
    assert_eq!(goaway, Some(ENHANCE_YOUR_CALM));
    assert!(count.most() <= 200, "{}", count.most());
    assert_serves(&serving).await;
    drop((read, writing.await.unwrap()));
    eventually("its handlers are dropped", || count.now() == 0).await;
}

#[tokio::test]
async fn ten_thousand_streams_that_are_reset_at_once_are_cut_off() {
    let count = Count::default();
    let serving = Serving::start(ListenerOptions::default(), hangs(&count)).await;
    let (mut read, mut write) = rude(serving.address).await.into_split();
    tokio::spawn(async move {
        for number in 0..MANY as u32 {
            let stream = 2 * number + 1;
            let reset = frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
            let both = [get(stream), reset].concat();
            if write.write_all(&both).await.is_err() {
                break;
            }
        }
    });
    let (_, goaway) = codes(&mut read).await;
    assert_eq!(goaway, Some(ENHANCE_YOUR_CALM));
    assert!(count.most() <= 200, "{}", count.most());
    assert_serves(&serving).await;
    eventually("its handlers are dropped", || count.now() == 0).await;
}

#[tokio::test]
async fn a_head_without_end_is_cut_off() {
    let count = Count::default();
    let serving = Serving::start(ListenerOptions::default(), hangs(&count)).await;
    // Neither empty pieces nor full ones (CVE-2024-27316).
    let field = [&[0, 1, b'x', 0x7f, 0xfb, 0x7e][..], &[b'y'; 16_384 - 6]].concat();
    for piece in [&[][..], &field] {
        let (mut read, mut write) = rude(serving.address).await.into_split();
        let sent = Arc::new(AtomicUsize::new(0));
        let sending = Arc::clone(&sent);
        let open = frame(HEADERS, 0, 1, &[0x82, 0x86, 0x84, 0x41, 1, b'x']);
        let more = frame(CONTINUATION, 0, 1, piece);
        let writing = tokio::spawn(async move {
            let mut next = write.write_all(&open).await;
            while next.is_ok() {
                sending.fetch_add(more.len(), Ordering::SeqCst);
                next = write.write_all(&more).await;
            }
        });
        let (_, goaway) = codes(&mut read).await;
        assert!(goaway.is_some());
        drop(read);
        timeout(Duration::from_secs(5), writing)
            .await
            .unwrap()
            .unwrap();
        assert!(sent.load(Ordering::SeqCst) < 16 << 20, "{sent:?}");
        assert_eq!(count.most(), 0);
    }
    assert_serves(&serving).await;
}

#[tokio::test]
async fn who_still_reads_the_end_of_a_reply_does_not_make_room() {
    let options = ListenerOptions {
        max_connections: 1,
        ..ListenerOptions::default()
    };
    const LENGTH: usize = 32 << 20;
    let large = service(|_| async { Response::new(body::full(vec![b'x'; LENGTH])) });
    let serving = Serving::start(options, large).await;
    let mut slow = TcpStream::connect(serving.address).await.unwrap();
    write(
        &mut slow,
        "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    )
    .await;
    read_head(&mut slow).await;
    let mut waiting = TcpStream::connect(serving.address).await.unwrap();
    write(&mut waiting, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    // hyper has the whole reply already, so that its request is done with.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let mut read = Vec::new();
    timeout(Duration::from_secs(5), slow.read_to_end(&mut read))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(read.len(), LENGTH);
    assert!(read_head(&mut waiting).await.contains("200 OK"));
}

/// Both ends and all calls share a thread, and a busy machine leaves it little: a turn through them can take longer than the answer to a ping may.
fn patient() -> PoolOptions {
    let patience = Duration::from_secs(600);
    PoolOptions::default()
        .with_protocol(Protocol::Http2)
        .with_ping(patience, patience)
}

#[tokio::test]
async fn ten_thousand_calls_to_one_server_wait_for_their_turn() {
    let count = Count::default();
    let counting = count.clone();
    let answering = service(move |_| {
        let guard = counting.enter();
        async move {
            tokio::task::yield_now().await;
            drop(guard);
            Response::new(body::full("done"))
        }
    });
    let serving = Serving::start(ListenerOptions::default(), answering).await;
    // More at once than the server takes on one connection, and fewer.
    for max_in_flight in [64, 1_000] {
        let connector =
            Connector::danger_without_tls().with_guard(AddressGuard::default().allow_loopback());
        let options = PoolOptions {
            max_in_flight,
            max_http2: 1,
            ..patient()
        };
        let pool = Pool::new(connector, options);
        let route = serving.route();
        let answers = join_all((0..MANY / 2).map(|_| ask(&pool, &route, "/"))).await;
        assert!(
            answers
                .iter()
                .all(|answer| answer.as_deref().ok() == Some("done"))
        );
    }
    assert!(count.most() <= 200, "{}", count.most());
}

#[tokio::test]
async fn ten_thousand_calls_to_many_servers_take_a_connection_each_and_let_go_of_them() {
    const SERVERS: usize = 200;
    let (count, connections) = (Count::default(), Count::default());
    let (counting, connected) = (count.clone(), connections.clone());
    let answering = service(move |request| {
        let info = request.extensions().get::<Arc<ConnectionInfo>>().unwrap();
        info.state_or_insert_with(|| connected.enter());
        let guard = counting.enter();
        async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            drop(guard);
            Response::new(body::full("done"))
        }
    });
    let serving = Serving::start(ListenerOptions::default(), answering).await;
    let connector =
        Connector::danger_without_tls().with_guard(AddressGuard::default().allow_loopback());
    let options = patient().with_idle_timeout(Duration::from_millis(500));
    let pool = Pool::new(connector, options);
    let routes: Vec<_> = (0..SERVERS)
        .map(|number| Route {
            host: format!("hs{number}.test"),
            ..serving.route()
        })
        .collect();
    let calls = (0..MANY).map(|number| ask(&pool, &routes[number % SERVERS], "/"));
    let answers = join_all(calls).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(connections.most(), SERVERS);
    eventually("the connections are closed", || connections.now() == 0).await;
}

#[tokio::test]
async fn idle_connections_make_room_when_a_listener_is_full() {
    let options = ListenerOptions {
        max_connections: 32,
        ..ListenerOptions::default()
    };
    let count = Count::default();
    let serving = Serving::start(options, hangs(&count)).await;
    // One has a request in flight. It is no idle one, however long it takes.
    let mut busy = TcpStream::connect(serving.address).await.unwrap();
    write(&mut busy, "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    eventually("the request is there", || count.now() == 1).await;
    // The others say nothing, or no more: over either version, before and behind a request.
    let mut idle = Vec::new();
    for number in 0..60 {
        let mut tcp = TcpStream::connect(serving.address).await.unwrap();
        match number % 4 {
            0 => {}
            1 => write(&mut tcp, "GET /quick HTTP/1.1\r\nhost: x\r\n\r\n").await,
            2 => write(&mut tcp, "PRI").await,
            _ => {
                write(&mut tcp, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
                tcp.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
            }
        }
        idle.push(tcp);
    }
    // All who came before stand in front of this one.
    let began = Instant::now();
    let quick = pool(Protocol::Http1, 1);
    let quick = timeout(Duration::from_secs(30), async {
        ask(&quick, &serving.route(), "/quick").await
    });
    assert_eq!(quick.await.expect("in time").unwrap(), "quick");
    let took = began.elapsed();
    // By the clocks alone it would be ten seconds for those who say nothing, and 120 for the others.
    assert!(took < Duration::from_secs(9), "{took:?}");
    assert_eq!(count.now(), 1, "the one with a request stayed");
    drop(idle);
}

#[tokio::test]
async fn who_has_just_come_does_not_make_room() {
    let options = ListenerOptions {
        max_connections: 1,
        ..ListenerOptions::default()
    };
    let serving = Serving::start(options, echo()).await;
    let mut first = TcpStream::connect(serving.address).await.unwrap();
    let mut second = TcpStream::connect(serving.address).await.unwrap();
    write(&mut second, "GET /2 HTTP/1.1\r\nhost: x\r\n\r\n").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    write(&mut first, "GET /1 HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(read_head(&mut first).await.contains("200 OK"));
    // A second later it does.
    let answer = timeout(Duration::from_secs(5), read_head(&mut second)).await;
    assert!(answer.unwrap().contains("200 OK"));
}

#[tokio::test]
async fn a_listener_that_is_full_still_shuts_down() {
    let options = ListenerOptions {
        max_connections: 1,
        drain_timeout: Duration::from_millis(200),
        ..ListenerOptions::default()
    };
    let count = Count::default();
    let serving = Serving::start(options, hangs(&count)).await;
    let mut busy = TcpStream::connect(serving.address).await.unwrap();
    write(&mut busy, "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    eventually("the request is there", || count.now() == 1).await;
    let _waiting = TcpStream::connect(serving.address).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let drained = timeout(Duration::from_secs(5), serving.stop()).await;
    assert_eq!(drained.unwrap().unwrap().cut, 1);
}

#[tokio::test]
async fn a_dead_server_holds_no_more_calls_than_may_be_in_flight() {
    let count = Count::default();
    let serving = Serving::start(ListenerOptions::default(), hangs(&count)).await;
    let pool = pool(Protocol::Http2, 100);
    let route = serving.route();
    let patience = Duration::from_secs(1);
    let calls = (0..MANY).map(|_| timeout(patience, ask(&pool, &route, "/slow")));
    let ended = join_all(calls).await;
    assert!(ended.iter().all(Result::is_err), "nobody is answered");
    assert!(count.most() <= 100, "{}", count.most());
    eventually("their handlers are dropped", || count.now() == 0).await;
    // Those who gave up are in nobody's way.
    assert_eq!(ask(&pool, &route, "/quick").await.unwrap(), "quick");
}
