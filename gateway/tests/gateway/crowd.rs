//! A thousand destinations at once.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::{
    sync::Semaphore,
    time::{sleep, timeout},
};

use crate::setting::{HS2, Outgoing, Pair, Settings, json, peer};

/// Servers that the homeserver calls at the same time.
const DESTINATIONS: usize = 1_000;

/// Calls to each of them in flight.
const EACH: usize = 2;

/// Files that it takes: a connection of the homeserver to its gateway for each call, and one of the other gateway to its own, both ends in this process.
const FILES: u64 = (4 * DESTINATIONS * EACH + 500) as u64;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_to_a_thousand_destinations_are_in_flight_at_once_and_each_is_answered() {
    let files = comity_net::raise_descriptor_limit().unwrap();
    assert!(
        files.is_none_or(|files| files >= FILES),
        "this test needs {FILES} open files; `ulimit -Hn` allows {files:?}"
    );
    // What is for a thousand others is not refused for that.
    let unverified = Settings::default().with("listen", "danger_deliver_unverified = true");
    let pair = Pair::with("grpc", Settings::default(), unverified).await;
    let names: Vec<String> = (0..DESTINATIONS)
        .map(|number| format!("d{number}.example"))
        .collect();
    // All of them are at one place, whose certificate is the other server's.
    let lines = format!("{}\ndelegated = \"{HS2}\"", peer("grpc", &pair.two));
    let peers: Vec<(&str, String)> = names
        .iter()
        .map(|name| (name.as_str(), lines.clone()))
        .collect();
    pair.one.knows(&peers);

    let (arrived, released) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (arriving, waiting) = (arrived.clone(), released.clone());
    pair.two.homeserver.answers(move |seen| {
        arriving.add_permits(1);
        let waiting = waiting.clone();
        async move {
            let _ = waiting.acquire().await.unwrap();
            json(200, format!(r#"{{"asked":"{}"}}"#, seen.target))
        }
    });
    let pair = &pair;
    let calls = names.iter().flat_map(|name| {
        (0..EACH).map(move |number| {
            let target = format!("/_matrix/federation/v1/version?of={name}&n={number}");
            async move {
                // A gateway takes 3 s to connect at most. On a busy machine so many at once can take longer: then nothing was sent, and a homeserver asks again.
                let got = loop {
                    let got = pair.one.send(Outgoing::new(name, "GET", &target)).await;
                    let unsent = got.status == 504
                        && String::from_utf8_lossy(&got.body).contains("(not sent)");
                    if !unsent {
                        break got;
                    }
                };
                assert_eq!(got.status, 200, "{got:?}");
                assert_eq!(got.json()["asked"], *target);
            }
        })
    });
    let all_there = async {
        let all = u32::try_from(DESTINATIONS * EACH).unwrap();
        let arrived = timeout(Duration::from_secs(60), arrived.acquire_many(all)).await;
        let _ = arrived.expect("all are in flight at once").unwrap();
        // The gateways answer for themselves meanwhile.
        assert_eq!(pair.one.asks("/ready").await.status, 200);
        let known = pair.one.gateway.select().destinations().len();
        assert_eq!(known, DESTINATIONS);
        released.add_permits(Semaphore::MAX_PERMITS / 2);
        sleep(Duration::from_millis(1)).await;
    };
    tokio::join!(join_all(calls), all_there);
    assert_eq!(pair.two.homeserver.take_seen().len(), DESTINATIONS * EACH);
}
