//! Peers that are slow, and peers that are gone, as TCP sees them.

use std::time::Duration;

use comity_core::error::Delivery;
use comity_net::{AddressGuard, Connector, Pool, PoolOptions, Protocol};
use tokio::time::{sleep, timeout};

use crate::setting::{Peer, ask, put, read_head, route, write};

const LIMIT: Duration = Duration::from_secs(1);

fn pool() -> Pool {
    let connector = Connector::danger_without_tls()
        .with_guard(AddressGuard::default().allow_loopback())
        .with_silence_timeout(LIMIT);
    Pool::new(
        connector,
        PoolOptions::default().with_protocol(Protocol::Http1),
    )
}

#[tokio::test]
async fn a_slow_answer_is_not_silence() {
    let peer = Peer::tcp(|mut tcp, _| async move {
        read_head(&mut tcp).await;
        sleep(3 * LIMIT).await;
        write(&mut tcp, "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n").await;
        sleep(3 * LIMIT).await;
        write(&mut tcp, "late").await;
    })
    .await;
    let answer = ask(&pool(), &route(peer.address), "/").await;
    assert_eq!(answer.unwrap(), "late");
}

/// On loopback every host acknowledges, so silence is a window that stays shut: the same option ends both.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_peer_that_takes_nothing_is_given_up() {
    let peer = Peer::tcp(|mut tcp, _| async move {
        read_head(&mut tcp).await;
        sleep(Duration::from_secs(60)).await;
    })
    .await;
    let pool = pool();
    let route = route(peer.address);
    let sending = pool.send(&route, put("/", vec![0; 32 << 20]));
    let failed = timeout(Duration::from_secs(15), sending).await;
    let failed = failed.expect("it is given up in time").unwrap_err();
    assert_eq!(failed.delivery(), Delivery::MaybeProcessed);
}
