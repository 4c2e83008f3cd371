//! HTTP/2 pings find dead connections, and nothing else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use comity_core::error::{Delivery, TransportErrorKind};
use comity_net::{ListenerOptions, Pool, PoolOptions, Protocol, body};
use futures_util::{StreamExt, stream};
use http::Response;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::setting::{Authority, Peer, Serving, ask, get, route, service, text};

const INTERVAL: Duration = Duration::from_millis(200);
const TIMEOUT: Duration = Duration::from_millis(200);

/// Passes bytes on, both ways, until it swallows them: a network that fails without a word.
async fn relay(to: SocketAddr) -> (Peer, Arc<AtomicBool>) {
    let dead = Arc::new(AtomicBool::new(false));
    let swallow = Arc::clone(&dead);
    let peer = Peer::tcp(move |from, _| {
        let dead = Arc::clone(&swallow);
        async move {
            let to = TcpStream::connect(to).await.unwrap();
            let (from_read, from_write) = from.into_split();
            let (to_read, to_write) = to.into_split();
            tokio::join!(
                pass(from_read, to_write, &dead),
                pass(to_read, from_write, &dead)
            );
        }
    })
    .await;
    (peer, dead)
}

async fn pass<R, W>(mut from: R, mut to: W, dead: &AtomicBool)
where
    R: AsyncReadExt + Unpin,
    W: AsyncWriteExt + Unpin,
{
    let mut buffer = [0; 4096];
    while let Ok(read) = from.read(&mut buffer).await {
        if read == 0 {
            return;
        }
        if !dead.load(Ordering::SeqCst) && to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

fn pool(authority: &Authority) -> Pool {
    let options = PoolOptions::default()
        .with_protocol(Protocol::Http2)
        .with_ping(INTERVAL, TIMEOUT);
    Pool::new(authority.connector(), options)
}

#[test]
fn a_dead_connection_is_found_within_fifteen_seconds_unless_set_otherwise() {
    let options = PoolOptions::default();
    assert_eq!(options.ping_interval, Duration::from_secs(10));
    assert_eq!(options.ping_timeout, Duration::from_secs(5));
}

#[tokio::test]
async fn a_connection_that_dies_in_mid_call_is_found_and_replaced() {
    let authority = Authority::new();
    let options = ListenerOptions::with_tls(authority.server());
    let serving = Serving::start(
        options,
        service(|request| async move {
            if request.uri().path() == "/slow" {
                tokio::time::sleep(Duration::from_secs(60)).await;
            }
            Response::new(body::full("fine"))
        }),
    )
    .await;
    let (relay, dead) = relay(serving.address).await;
    let route = route(relay.address);
    let pool = pool(&authority);
    assert_eq!(ask(&pool, &route, "/").await.unwrap(), "fine");
    let began = Instant::now();
    let waiting = tokio::spawn({
        let (pool, route) = (pool.clone(), route.clone());
        async move { ask(&pool, &route, "/slow").await }
    });
    tokio::time::sleep(INTERVAL / 2).await;
    dead.store(true, Ordering::SeqCst);
    let error = waiting.await.unwrap().unwrap_err();
    let took = began.elapsed();
    assert_eq!(error.kind(), TransportErrorKind::Timeout);
    assert_eq!(error.delivery(), Delivery::MaybeProcessed);
    assert!(took >= TIMEOUT && took < Duration::from_secs(5), "{took:?}");
    dead.store(false, Ordering::SeqCst);
    assert_eq!(ask(&pool, &route, "/").await.unwrap(), "fine");
    assert_eq!(relay.accepted(), 2);
}

#[tokio::test]
async fn a_slow_answer_is_no_dead_connection() {
    let authority = Authority::new();
    let options = ListenerOptions::with_tls(authority.server());
    // Far longer than interval and timeout together, before the head and within the body.
    let serving = Serving::start(
        options,
        service(|_| async move {
            tokio::time::sleep(4 * (INTERVAL + TIMEOUT)).await;
            let chunks = stream::iter(["slow", "ly"]).then(|chunk| async move {
                tokio::time::sleep(2 * (INTERVAL + TIMEOUT)).await;
                Ok::<_, std::io::Error>(bytes::Bytes::from(chunk))
            });
            Response::new(body::from_stream(chunks))
        }),
    )
    .await;
    let (relay, _) = relay(serving.address).await;
    let pool = pool(&authority);
    let response = pool.send(&route(relay.address), get("/")).await.unwrap();
    assert_eq!(text(response).await, "slowly");
    assert_eq!(relay.accepted(), 1);
}
