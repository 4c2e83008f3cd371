//! What calls go by a session, and what becomes of those whose session is refused.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use comity_core::{
    Client,
    api::{Calls, DownloadMedia, GetVersion, SendJoin},
    auth::{
        OwnProof, PublishedKeys, PublishedKeysOptions, SessionOptions, SessionUse, Sign, now_ms,
    },
    call::{Call, Credentials},
    error::FederationError,
    layers::{Observe, Observed, Observer, Side},
    transport::Transport,
};
use comity_grpc::{Codecs, GrpcTransport};
use comity_http::HttpTransport;
use comity_net::{Counters, Dispatch, Pool, PoolOptions, Protocol};
use futures_util::StreamExt;
use tower::{ServiceBuilder, ServiceExt};

use super::setting::*;
use crate::setting::{Serving, destination, handler, pdu};

#[tokio::test]
async fn every_kind_of_call_goes_by_a_session() {
    let homeserver = Homeserver::new();
    let serving = homeserver.start().await;
    for codecs in [Codecs::federation(), Codecs::none()] {
        let (pool, route) = (serving.pool(), serving.route());
        let caller = Caller::with_codecs(pool, route, "a.test", 1, always(), codecs);
        caller.ask().await.unwrap();
        caller.client.send(getting()).await.unwrap();
        let join = SendJoin {
            room_id: "!r".to_owned(),
            event_id: "$e".to_owned(),
            event: pdu(1),
            omit_members: None,
            extra_query: Default::default(),
        };
        let joined = caller.client.send_join(&destination(), join).await.unwrap();
        joined.finish().await.unwrap();
        let media = DownloadMedia {
            media_id: "cat".to_owned(),
            ..DownloadMedia::default()
        };
        let mut blob = caller
            .client
            .download_media(&destination(), media)
            .await
            .unwrap();
        assert_eq!(blob.bytes.next().await.unwrap().unwrap(), "meow");
        let expected = ["GetMissingEvents", "GetEvent", "SendJoin", "DownloadMedia"];
        let expected = expected.map(|operation| let_in(operation, "a.test", "session"));
        assert_eq!(homeserver.arrivals(), expected);
        let credentials = homeserver.credentials();
        assert!(
            credentials.iter().all(|it| *it == credentials[0]),
            "one credential"
        );
        assert_eq!(credentials[0].len(), 1);
    }
}

/// Keeps the last record.
#[derive(Debug, Default)]
struct Last(Mutex<Option<Observed>>);

impl Observer for Last {
    fn ended(&self, call: &Observed) {
        *self.0.lock().unwrap() = Some(call.clone());
    }
}

#[tokio::test]
async fn who_observes_is_told_how_a_call_was_proven_and_until_when() {
    for accepts in [true, false] {
        let homeserver = Homeserver::new();
        let authenticator = match accepts {
            true => homeserver.sessions(),
            false => Arc::new(homeserver.x_matrix()),
        };
        let serving = Serving::start(homeserver.service(authenticator)).await;
        let last = Arc::new(Last::default());
        let transport = serving.transport().with_sessions(always());
        let stack = ServiceBuilder::new()
            .layer(Observe::layer(Side::Client, last.clone()))
            .layer(Sign::layer(name("a.test"), key(1)));
        let client = Client::layered(Arc::new(transport), stack);
        client.send(asking()).await.unwrap();
        let proof = last.0.lock().unwrap().take().unwrap().proof.unwrap();
        match proof {
            OwnProof::Session {
                key: by,
                created,
                expires,
            } => {
                assert!(accepts);
                assert_eq!(by, *key(1).key_id());
                assert_eq!(expires - created, HOUR);
            }
            OwnProof::XMatrix {
                key: by,
                instead_of_session,
            } => {
                assert!(!accepts);
                assert_eq!((by, instead_of_session), (key(1).key_id().clone(), true));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_call_that_needs_no_proof_carries_none() {
    let homeserver = Homeserver::new();
    let serving = homeserver.start().await;
    let caller = Caller::new(&serving, "a.test", 1, always());
    caller
        .client
        .send(Call::new(destination(), GetVersion::default()))
        .await
        .unwrap();
    assert_eq!(homeserver.credentials(), [Vec::<String>::new()]);
}

/// A gateway passes calls on. What a session of ours would prove is not who made them.
#[tokio::test]
async fn a_call_that_came_with_credentials_goes_by_them() {
    let homeserver = Homeserver::new();
    let serving = homeserver.start().await;
    let caller = Caller::new(&serving, "a.test", 1, always());
    let mut passed = getting();
    let credential = signed_get("a.test", 1);
    passed.context_mut().credentials = Credentials::new(vec![credential.clone()]);
    caller.client.send(passed).await.unwrap();
    assert_eq!(homeserver.credentials(), [[credential]]);
    assert_eq!(
        homeserver.arrivals(),
        [let_in("GetEvent", "a.test", "X-Matrix")]
    );
}

#[tokio::test]
async fn without_a_word_for_it_no_session_is_made() {
    let homeserver = Homeserver::new();
    let serving = homeserver.start().await;
    let caller = Caller::new(&serving, "a.test", 1, SessionOptions::default());
    caller.ask().await.unwrap();
    // A signed offer, as `Select` passes it on.
    let mut call = asking();
    call.context_mut().sessions_offered = true;
    caller.client.send(call).await.unwrap();
    // The operator, against what is usual and what is offered.
    let usual = Caller::new(&serving, "a.test", 1, always());
    let mut call = asking();
    call.context_mut().sessions = Some(SessionUse::Off);
    call.context_mut().sessions_offered = true;
    usual.client.send(call).await.unwrap();
    assert_eq!(
        homeserver.schemes(),
        ["X-Matrix", "Comity-Session", "X-Matrix"]
    );
}

/// Routing and admission answer before anyone judges the session, so their answers say nothing of it.
#[tokio::test]
async fn after_an_error_of_something_else_a_server_without_sessions_is_still_known_for_one() {
    for codecs in [Codecs::federation(), Codecs::none()] {
        let homeserver = Homeserver::new();
        let verifying = homeserver.service(Arc::new(homeserver.x_matrix()));
        let is_first = Arc::new(AtomicBool::new(true));
        let serving = Serving::start(handler(move |call| {
            let is_first = is_first.swap(false, Ordering::SeqCst);
            let verifying = verifying.clone();
            async move {
                if is_first {
                    return Err(FederationError::new(404, "M_UNRECOGNIZED", "not here").into());
                }
                verifying.oneshot(call).await
            }
        }))
        .await;
        let (pool, route) = (serving.pool(), serving.route());
        let caller = Caller::with_codecs(pool, route, "a.test", 1, always(), codecs);
        assert_eq!(answered(caller.ask().await).http_status(), 404);
        caller.ask().await.unwrap();
        assert_eq!(homeserver.schemes(), ["Comity-Session", "X-Matrix"]);
    }
}

#[test]
fn the_transport_says_that_it_binds_proofs_if_it_does() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _guard = runtime.enter();
    let pool = Pool::new(
        comity_net::Connector::danger_without_tls(),
        PoolOptions::default(),
    );
    let routes = Arc::new(comity_core::transport::FixedRoutes::new());
    let transport = GrpcTransport::new(routes, pool);
    assert!(!transport.capabilities().channel_binding);
    assert!(
        transport
            .with_sessions(always())
            .capabilities()
            .channel_binding
    );
}

/// HPACK remembers the credential (RFC 7541 §2.3.2).
#[tokio::test]
async fn a_later_call_costs_a_few_bytes_for_its_proof() {
    const CALLS: u64 = 50;
    let homeserver = Homeserver::new();
    let serving = homeserver.start().await;
    let cost = async |options: SessionOptions| {
        let counters = Counters::new();
        let connector = serving.connector().with_counters(counters.clone());
        let options_of_pool = PoolOptions::default().with_protocol(Protocol::Http2);
        let pool = Pool::new(connector, options_of_pool);
        let caller = Caller::at(pool, serving.route(), "a.test", 1, options);
        caller.ask().await.unwrap();
        let before = counters.sent();
        for _ in 0..CALLS {
            caller.ask().await.unwrap();
        }
        (counters.sent() - before) / CALLS
    };
    let (session, signed) = (cost(always()).await, cost(SessionOptions::default()).await);
    let credential = homeserver.credentials()[0][0].len() as u64;
    assert!(credential > 200, "{credential}");
    assert!(session + 100 < signed, "{session} bytes, {signed} signed");
}

#[tokio::test]
async fn a_session_is_renewed_in_time() {
    let homeserver = Homeserver::new();
    let serving = homeserver.start().await;
    let ahead = homeserver.ahead.clone();
    let now = move || now_ms() + ahead.load(Ordering::SeqCst);
    let caller = Caller::new(&serving, "a.test", 1, always().with_now(Arc::new(now)));
    for minutes in [0, 44, 46, 50] {
        homeserver.ahead.store(minutes * 60_000, Ordering::SeqCst);
        caller.ask().await.unwrap();
    }
    let credentials = homeserver.credentials();
    assert_eq!(credentials[0], credentials[1]);
    assert_ne!(
        credentials[1], credentials[2],
        "at three quarters of the hour"
    );
    assert_eq!(credentials[2], credentials[3]);
    assert!(
        homeserver
            .arrivals()
            .iter()
            .all(|it| it.scheme == "session")
    );
}

#[tokio::test]
async fn a_session_follows_a_rotation_of_keys() {
    let homeserver = Homeserver::new();
    let serving = homeserver.start().await;
    let options = PublishedKeysOptions::default();
    let published = PublishedKeys::new(name("a.test"), key(1), options).unwrap();
    let transport = serving.transport().with_sessions(always());
    let sign = Sign::with_published(published.clone());
    let client = Client::layered(Arc::new(transport), sign);
    client.send(asking()).await.unwrap();
    homeserver.keys.withdraw("a.test");
    homeserver.keys.add("a.test", 9);
    published.rotate(key(9)).unwrap();
    client.send(asking()).await.unwrap();
    let credentials = homeserver.credentials();
    assert_eq!(credentials.len(), 2, "none was sent twice: {credentials:?}");
    assert!(credentials[1][0].contains("ed25519:9"), "{credentials:?}");
    assert_eq!(
        homeserver.arrivals(),
        [
            let_in("GetMissingEvents", "a.test", "session"),
            let_in("GetMissingEvents", "a.test", "session")
        ]
    );
}

/// The server is one that knows nothing of sessions, or refuses them; the call is a typed one, or goes through `Invoke`.
#[tokio::test]
async fn a_call_whose_session_is_refused_is_sent_again_once_and_signed() {
    for knows in [false, true] {
        for codecs in [Codecs::federation(), Codecs::none()] {
            let homeserver = Homeserver::new();
            let authenticator = match knows {
                true => homeserver.sessions(),
                false => Arc::new(homeserver.x_matrix()),
            };
            // Its clock is far behind: what is made now is made in its future.
            homeserver.ahead.store(-HOUR, Ordering::SeqCst);
            let serving = Serving::start(homeserver.service(authenticator)).await;
            let options = always().with_pause(Duration::from_secs(3600));
            let (pool, route) = (serving.pool(), serving.route());
            let caller = Caller::with_codecs(pool, route, "a.test", 1, options, codecs);
            caller.ask().await.unwrap();
            assert_eq!(homeserver.schemes(), ["Comity-Session", "X-Matrix"]);
            // The connection is known for it.
            caller.ask().await.unwrap();
            assert_eq!(homeserver.schemes(), ["X-Matrix"]);
            let arrived = let_in("GetMissingEvents", "a.test", "X-Matrix");
            assert_eq!(homeserver.arrivals(), [arrived.clone(), arrived]);
        }
    }
}

#[tokio::test]
async fn after_a_pause_a_session_is_tried_again() {
    let homeserver = Homeserver::new();
    homeserver.ahead.store(-HOUR, Ordering::SeqCst);
    let serving = homeserver.start().await;
    let caller = Caller::new(&serving, "a.test", 1, always().with_pause(Duration::ZERO));
    caller.ask().await.unwrap();
    homeserver.ahead.store(0, Ordering::SeqCst);
    caller.ask().await.unwrap();
    let schemes = ["Comity-Session", "X-Matrix", "Comity-Session"];
    assert_eq!(homeserver.schemes(), schemes);
}

/// HTTPS binds proofs to its connections as well: a server that accepts sessions does so over each binding. No client of ours makes one there.
#[tokio::test]
async fn a_session_is_accepted_over_https() {
    let homeserver = Homeserver::new();
    let service = homeserver.service(homeserver.sessions());
    let http = comity_http::HttpServer::new(comity_core::Operations::federation(), service);
    let serving = Serving::dispatching(Dispatch::new(http.boxed())).await;
    let route = serving.route();
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let options = PoolOptions::default().with_protocol(protocol);
        let pool = Pool::new(serving.connector(), options);
        for _ in 0..2 {
            let request = http::Request::get(GET_TARGET).body(comity_net::body::empty());
            let sent = pool.send_with(&route, request.unwrap(), |info, head| {
                let value = session_on(info, "a.test", 1).parse().unwrap();
                head.headers.insert("authorization", value);
                Ok(())
            });
            assert_eq!(sent.await.unwrap().status(), 200);
        }
        let arrived = let_in("GetEvent", "a.test", "session");
        assert_eq!(homeserver.arrivals(), [arrived.clone(), arrived]);
    }
    let plain = HttpTransport::new(
        serving.routes(),
        Pool::new(serving.connector(), PoolOptions::default()),
    );
    let sign = Sign::layer(name("a.test"), key(1));
    Client::layered(Arc::new(plain), sign)
        .send(getting())
        .await
        .unwrap();
    assert_eq!(homeserver.arrivals()[0].scheme, "X-Matrix");
}
