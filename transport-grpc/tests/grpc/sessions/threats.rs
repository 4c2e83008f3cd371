//! The threat model in `docs/grpc-binding.md`, row by row: a test is named after its threat.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use comity_core::{
    auth::{SessionOptions, SessionUse},
    error::{CallError, Delivery, TransportErrorKind},
    transport::{Policy, Preference},
};
use comity_net::{ConnectionInfo, Dispatch, Pool, PoolOptions, Protocol, ServerTls};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use super::{
    between::{Tap, passing},
    selecting::{select, signing},
    setting::*,
};
use crate::setting::{Serving, destination};

/// What a server was shown: whoever has its memory, its log, or stands behind the proxy that ends its TLS, has this.
async fn captured(homeserver: &Homeserver, caller: &Caller) -> String {
    homeserver.credentials();
    caller.client.send(getting()).await.unwrap();
    assert_eq!(homeserver.arrivals().len(), 1);
    homeserver.credentials().concat().concat()
}

/// One origin has one session on a connection; whoever can write on it is that origin already.
#[tokio::test]
async fn replay_on_the_same_connection() {
    let homeserver = Homeserver::new();
    let serving = homeserver.start().await;
    let tap = Tap::start(serving.address).await;
    let mut route = serving.route();
    route.addresses = vec![tap.address];
    let caller = Caller::at(serving.pool(), route, "a.test", 1, always());
    caller.client.send(getting()).await.unwrap();
    let first = tap.heard();
    caller.client.send(getting()).await.unwrap();
    assert!(tap.heard() > first);
    assert_eq!(homeserver.arrivals().len(), 2);
    // The second call, once more: TLS numbers its records (RFC 8446 §5.3), so they are none, and the connection ends.
    tap.play.send(first).await.unwrap();
    let closed = tokio::time::timeout(Duration::from_secs(60), tap.play.closed());
    closed.await.expect("the server ends the connection");
    assert_eq!(homeserver.arrivals(), []);
    // On another, calls go on with another session.
    homeserver.credentials();
    caller.client.send(getting()).await.unwrap();
    assert_eq!(homeserver.schemes(), ["Comity-Session"]);
}

/// The limit of X-Matrix that the HTTP binding documents, and what a session makes of it.
#[tokio::test]
async fn replay_on_another_connection() {
    let homeserver = Homeserver::new();
    let serving = homeserver.start().await;

    // A signed request without content is good for whoever has it, on any connection to that server.
    let signing = Caller::new(&serving, "a.test", 1, SessionOptions::default());
    let signed = captured(&homeserver, &signing).await;
    assert!(signed.starts_with("X-Matrix "));
    for _ in 0..2 {
        assert_eq!(Peer::new(&serving).get(|_| credential(&signed)).await, None);
        assert_eq!(
            homeserver.arrivals(),
            [let_in("GetEvent", "a.test", "X-Matrix")]
        );
    }

    // The same call by a session is not.
    let on_session = Caller::new(&serving, "a.test", 1, always());
    let session = captured(&homeserver, &on_session).await;
    assert!(session.starts_with("Comity-Session "));
    for _ in 0..2 {
        let answer = Peer::new(&serving).get(|_| credential(&session)).await;
        assert_eq!(answer, refused());
        assert_eq!(homeserver.arrivals(), []);
    }
    on_session.client.send(getting()).await.unwrap();
    assert_eq!(
        homeserver.arrivals(),
        [let_in("GetEvent", "a.test", "session")],
        "it goes on"
    );
}

/// A session resumed is another connection: other keying material, other session.
#[tokio::test]
async fn resumption() {
    let homeserver = Homeserver::new();
    let serving = homeserver.start().await;
    let pool = |connector: &comity_net::Connector| {
        let options = PoolOptions::default().with_protocol(Protocol::Http2);
        Pool::new(connector.clone(), options)
    };
    // The connector keeps TLS sessions for both.
    let connector = serving.connector();
    let first = Caller::at(pool(&connector), serving.route(), "a.test", 1, always());
    let session = captured(&homeserver, &first).await;
    drop(first);
    let resumed = Peer {
        pool: pool(&connector),
        route: serving.route(),
    };
    let was_resumed = Arc::new(AtomicUsize::new(0));
    let noting = |info: &ConnectionInfo, value: String| {
        let resumed = info.tls().unwrap().resumed;
        was_resumed.fetch_add(usize::from(resumed), Ordering::SeqCst);
        credential(&value)
    };
    assert_eq!(
        resumed.get(|info| noting(info, session.clone())).await,
        refused()
    );
    assert_eq!(homeserver.arrivals(), []);
    let own = resumed.get(|info| noting(info, session_on(info, "a.test", 1)));
    assert_eq!(own.await, None);
    assert_eq!(was_resumed.load(Ordering::SeqCst), 2);
}

/// A server that is shown a session goes to another with it.
#[tokio::test]
async fn replay_to_another_destination() {
    let homeserver = Homeserver::new();
    let serving = homeserver.start().await;
    let evil = Peer::new(&serving);
    // Signed for `evil.test`, on a connection of which `evil.test` could even choose the keying material.
    let answer = evil
        .get(|info| credential(&session_with(info, "a.test", 1, "evil.test", 0, HOUR)))
        .await;
    assert_eq!(answer, refused());
    assert_eq!(homeserver.arrivals(), []);
    assert_eq!(
        evil.get(|info| credential(&session_on(info, "a.test", 1)))
            .await,
        None
    );
}

/// The server that is shown a session shows it to the one that made it.
#[tokio::test]
async fn reflection() {
    let homeserver = Homeserver::new();
    let serving = homeserver.start().await;
    // `matrix.test` signs, as it does with others, and is shown that.
    homeserver.keys.add(destination().as_str(), 7);
    let other = Peer::new(&serving);
    let answer = other
        .get(|info| {
            credential(&session_with(
                info,
                destination().as_str(),
                7,
                "a.test",
                0,
                HOUR,
            ))
        })
        .await;
    assert_eq!(answer, refused());
    assert_eq!(homeserver.arrivals(), []);
}

#[tokio::test]
async fn expiry() {
    let homeserver = Homeserver::new();
    let serving = homeserver.start().await;
    let peer = Peer::new(&serving);
    for (from, to, answer) in [
        (0, HOUR, None),
        // Until then alone.
        (-HOUR, -1, refused()),
        (-2 * HOUR, HOUR, refused()),
        // For longer than an hour, or from a time that is not yet.
        (0, HOUR + 1, refused()),
        (120_000, HOUR, refused()),
    ] {
        let judged = peer
            .get(|info| {
                credential(&session_with(
                    info,
                    "a.test",
                    1,
                    destination().as_str(),
                    from,
                    to,
                ))
            })
            .await;
        assert_eq!(judged, answer, "{from}..{to}");
    }
    homeserver.arrivals();
    // One that has been accepted ends as well, and a call that finds that out is signed.
    let caller = Caller::new(&serving, "a.test", 1, always());
    caller.ask().await.unwrap();
    homeserver.ahead.store(HOUR, Ordering::SeqCst);
    caller.ask().await.unwrap();
    let schemes: Vec<_> = homeserver.arrivals().iter().map(|it| it.scheme).collect();
    assert_eq!(schemes, ["session", "X-Matrix"]);
}

#[tokio::test]
async fn a_key_that_is_withdrawn() {
    let homeserver = Homeserver::new();
    let serving = homeserver.start().await;
    let caller = Caller::new(&serving, "a.test", 1, always());
    caller.ask().await.unwrap();
    assert_eq!(
        homeserver.arrivals(),
        [let_in("GetMissingEvents", "a.test", "session")]
    );
    homeserver.keys.withdraw("a.test");
    let error = answered(caller.ask().await);
    assert_eq!(
        (error.http_status(), error.errcode()),
        (401, Some("M_UNAUTHORIZED"))
    );
    assert_eq!(homeserver.arrivals(), []);
}

/// Sessions are switched on by what the destination signed or the operator says; whoever can write `.well-known` can do neither, nor take them away.
#[tokio::test]
async fn downgrade_by_an_unsigned_hint() {
    for (source, scheme) in [("hint", "X-Matrix"), ("signed", "session")] {
        let homeserver = Homeserver::new();
        let serving = homeserver.start().await;
        let select = select(
            &serving,
            source,
            Policy::default(),
            SessionOptions::default(),
        );
        let client = signing(select);
        // While offers are looked up calls go by HTTPS, which nobody answers here.
        for _ in 0..500 {
            if client.send(asking()).await.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let arrived = let_in("GetMissingEvents", "a.test", scheme);
        assert_eq!(homeserver.arrivals(), [arrived], "{source}");
    }
}

/// A server, or whoever plays it, that refuses sessions is shown signatures: as good as without. Who will not have that requires them.
#[tokio::test]
async fn downgrade_by_refusing() {
    let homeserver = Homeserver::new();
    let serving = Serving::start(homeserver.service(Arc::new(homeserver.x_matrix()))).await;
    let policy = |sessions| Policy {
        binding: Preference::Only(comity_grpc::BINDING.to_owned()),
        sessions: Some(sessions),
        ..Policy::default()
    };
    let on = select(
        &serving,
        "signed",
        policy(SessionUse::On),
        SessionOptions::default(),
    );
    signing(on).send(asking()).await.unwrap();
    assert_eq!(homeserver.schemes(), ["Comity-Session", "X-Matrix"]);
    let required = policy(SessionUse::Required);
    let required = select(&serving, "signed", required, SessionOptions::default());
    let error = answered(signing(required).send(asking()).await.map(drop));
    assert_eq!(error.http_status(), 401);
    assert_eq!(homeserver.schemes(), ["Comity-Session"]);
}

/// The keying material of TLS 1.2 may be another session's, too (RFC 7627).
#[tokio::test]
async fn downgrade_to_tls_1_2() {
    let homeserver = Homeserver::new();
    let grpc = comity_grpc::GrpcServer::new(
        comity_core::Operations::federation(),
        comity_grpc::Codecs::federation(),
        homeserver.service(homeserver.sessions()),
        comity_grpc::GrpcServerOptions::default(),
    );
    let dispatch = Dispatch::new(grpc.into_service());
    let serving = Serving::with_tls(dispatch, |chain, key| {
        let config = rustls::ServerConfig::builder_with_provider(comity_net::provider())
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                CertificateDer::pem_slice_iter(chain.as_bytes())
                    .collect::<Result<_, _>>()
                    .unwrap(),
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap();
        ServerTls::from_config(config)
    })
    .await;
    let caller = Caller::new(&serving, "a.test", 1, always());
    caller.ask().await.unwrap();
    assert_eq!(homeserver.schemes(), ["X-Matrix"], "none is tried");
    let required = SessionOptions::default().with_usually(SessionUse::Required);
    let Err(CallError::Transport(error)) = Caller::new(&serving, "a.test", 1, required).ask().await
    else {
        panic!("there is no session");
    };
    let what = (error.kind(), error.delivery());
    assert_eq!(what, (TransportErrorKind::Refused, Delivery::NotSent));
    // The other way round: a client that makes one up for it.
    let other = Homeserver::new();
    let elsewhere = other.start().await;
    let session = captured(&other, &Caller::new(&elsewhere, "a.test", 1, always())).await;
    assert_eq!(
        Peer::new(&serving).get(|_| credential(&session)).await,
        refused()
    );
}

/// What ends TLS before the server has other keying material on either side, and a session verifies on none.
#[tokio::test]
async fn a_load_balancer_that_ends_tls() {
    let homeserver = Homeserver::new();
    let backend = homeserver.start().await;
    let balancer = Serving::dispatching(Dispatch::new(passing(&backend))).await;
    let caller = Caller::new(&balancer, "a.test", 1, always());
    for _ in 0..3 {
        caller.ask().await.unwrap();
    }
    // One call finds out, and is sent once more.
    let schemes = ["Comity-Session", "X-Matrix", "X-Matrix", "X-Matrix"];
    assert_eq!(homeserver.schemes(), schemes);
    let arrived = let_in("GetMissingEvents", "a.test", "X-Matrix");
    assert_eq!(
        homeserver.arrivals(),
        [arrived.clone(), arrived.clone(), arrived]
    );
}

/// A proxy sends the requests of several servers over one connection of its own.
#[tokio::test]
async fn a_proxy_that_mixes_origins() {
    let homeserver = Homeserver::new();
    let backend = homeserver.start().await;

    // One that holds the key of a server proves that server; of what others send through it nothing is taken for that server's, or taken at all.
    let proxy = Peer::new(&backend);
    let get = async |value: &str| proxy.get(|_| credential(value)).await;
    assert_eq!(
        proxy
            .get(|info| credential(&session_on(info, "a.test", 1)))
            .await,
        None
    );
    let other = Some(("M_UNAUTHORIZED".to_owned(), 401));
    assert_eq!(get(&signed_get("c.test", 3)).await, other);
    assert_eq!(get(&signed_get("a.test", 1)).await, None);
    let of_other = proxy.get(|info| credential(&session_on(info, "c.test", 3)));
    assert_eq!(of_other.await, refused());

    // One on whose connection requests of two servers came gets no session, for either.
    let mixed = Peer::new(&backend);
    let get = async |value: &str| mixed.get(|_| credential(value)).await;
    assert_eq!(get(&signed_get("c.test", 3)).await, None);
    let session = mixed.get(|info| credential(&session_on(info, "a.test", 1)));
    assert_eq!(session.await, refused());
    assert_eq!(get(&signed_get("a.test", 1)).await, None);
    let session = mixed.get(|info| credential(&session_on(info, "c.test", 3)));
    assert_eq!(session.await, refused());
}
