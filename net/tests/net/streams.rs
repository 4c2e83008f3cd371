//! A peer that takes few streams on a connection.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use comity_net::{
    AddressGuard, ConnectionInfo, Connector, HttpService, ListenerOptions, Pool, PoolOptions,
    Protocol, body,
};
use futures_util::future::join_all;
use http::Response;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::setting::{Serving, ask, eventually, service};

const STREAMS: u32 = 5;

/// Counts the calls that have arrived, and answers when it is let go: with the port of the connection's other end.
#[derive(Clone, Default)]
struct Slow {
    arrived: Arc<AtomicUsize>,
    go: Arc<Notify>,
}

impl Slow {
    fn service(&self) -> HttpService {
        let slow = self.clone();
        service(move |request| {
            let slow = slow.clone();
            async move {
                let info = Arc::clone(request.extensions().get::<Arc<ConnectionInfo>>().unwrap());
                let port = info.peer().socket_addr().unwrap().port();
                if request.uri().path() == "/slow" {
                    let go = slow.go.notified();
                    slow.arrived.fetch_add(1, Ordering::SeqCst);
                    go.await;
                }
                Response::new(body::full(port.to_string()))
            }
        })
    }

    fn arrived(&self) -> usize {
        self.arrived.load(Ordering::SeqCst)
    }

    async fn serve(&self, max_connections: usize) -> Serving {
        let options = ListenerOptions {
            max_concurrent_streams: STREAMS,
            max_connections,
            ..ListenerOptions::default()
        };
        Serving::start(options, self.service()).await
    }
}

fn pool(max_http2: usize) -> Pool {
    let connector =
        Connector::danger_without_tls().with_guard(AddressGuard::default().allow_loopback());
    let options = PoolOptions {
        max_http2,
        ..PoolOptions::default().with_protocol(Protocol::Http2)
    };
    Pool::new(connector, options)
}

/// Sends slow calls, waits until so many have arrived, lets all go; how many each connection carried.
async fn calls(
    pool: &Pool,
    serving: &Serving,
    slow: &Slow,
    sent: usize,
    at_once: usize,
) -> HashMap<String, usize> {
    let route = serving.route();
    let begun = slow.arrived();
    let all = join_all((0..sent).map(|_| ask(pool, &route, "/slow")));
    let watch = async {
        eventually("they are served at once", || {
            slow.arrived() == begun + at_once
        })
        .await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(slow.arrived(), begun + at_once, "more than the peer takes");
        while slow.arrived() < begun + sent {
            slow.go.notify_waiters();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        slow.go.notify_waiters();
    };
    let both = async { tokio::join!(all, watch) };
    let (answers, ()) = timeout(Duration::from_secs(20), both).await.unwrap();
    let mut carried = HashMap::new();
    for answer in answers {
        *carried.entry(answer.unwrap()).or_default() += 1;
    }
    carried
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forty_calls_are_served_at_once_where_a_connection_takes_five() {
    let slow = Slow::default();
    let serving = slow.serve(100).await;
    let pool = pool(8);
    // At first, where the peer has not said yet what it takes; and again.
    for _ in 0..2 {
        let carried = calls(&pool, &serving, &slow, 40, 40).await;
        assert_eq!(carried.len(), 8);
        assert!(carried.values().all(|calls| *calls == 5), "{carried:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_beyond_all_connections_wait_and_are_served() {
    let slow = Slow::default();
    let serving = slow.serve(100).await;
    let carried = calls(&pool(2), &serving, &slow, 25, 10).await;
    assert_eq!(carried.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn few_calls_need_one_connection() {
    let slow = Slow::default();
    let serving = slow.serve(100).await;
    let carried = calls(&pool(8), &serving, &slow, 5, 5).await;
    assert_eq!(carried.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_takes_no_second_connection_serves_on_the_first() {
    let slow = Slow::default();
    let serving = slow.serve(1).await;
    let carried = calls(&pool(8), &serving, &slow, 12, 5).await;
    assert!(carried.values().sum::<usize>() == 12);
}
