//! What peers may have the gateway do: reach the federation's paths, in their own name, and nothing else.

use comity_core::error::{CallError, ErrorOrigin, FederationError};

use crate::setting::{Authority, HS2, Pair, Settings, Side, Stranger, json};

const EVENT: &str = "/_matrix/federation/v1/event/%24x";

/// What everyone on the network tries.
const CLOSED: [&str; 14] = [
    "/_synapse/admin/v1/users",
    "/_matrix/client/v3/login",
    "/_matrix/client/versions",
    "/%5Fsynapse/admin/v1/users",
    "/_matrix/%63lient/v3/login",
    "/_matrix/federation/../client/v3/login",
    "/_matrix/federation/%2e%2e/client/v3/login",
    "/_matrix/federation/..%2fclient/v3/login",
    "/_matrix/federation/%252e%252e/client/v3/login",
    "/_matrix//client/v3/login",
    "//_synapse/admin",
    "/_matrix/federation//v1/version",
    "/_matrix/media/v3/download/hs2.example/abc",
    "/.well-known/matrix/server",
];

fn answer(result: Result<comity_core::call::Reply, CallError>) -> FederationError {
    match result {
        Err(CallError::Federation(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn closed_paths_are_unknown_over_both_bindings() {
    let pair = Pair::start("grpc").await;
    let stranger = Stranger::to(&pair.two, &pair.authority);
    for target in CLOSED {
        for method in ["GET", "POST"] {
            // Even a valid proof opens nothing.
            let proof = pair.one.homeserver.sign(HS2, method, target, None);
            let got = stranger.http(method, target, &[&proof], None).await;
            assert_eq!(
                got.via(),
                (404, "M_UNRECOGNIZED".to_owned(), HS2.to_owned()),
                "{target}"
            );
            let error = answer(stranger.invoke(method, target, &[&proof]).await);
            assert_eq!(error.http_status(), 404, "{target}");
            assert_eq!(error.errcode(), Some("M_UNRECOGNIZED"), "{target}");
        }
    }
    assert_eq!(pair.two.homeserver.take_seen().len(), 0);
    let metrics = pair.two.metrics().await;
    let line = "comity_refused_calls_total{direction=\"inbound\",reason=\"closed_path\"} 56";
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test]
async fn legacy_media_is_served_where_it_is_switched_on() {
    let paths = "paths = [\"/_matrix/federation/\", \"/_matrix/key/\", \"/_matrix/media/\"]";
    let two = Settings::default().with("homeserver", paths);
    let pair = Pair::with("grpc", Settings::default(), two).await;
    let stranger = Stranger::to(&pair.two, &pair.authority);
    let target = "/_matrix/media/v3/download/hs2.example/abc";
    pair.two
        .homeserver
        .answers(|_| async { json(404, r#"{"errcode":"M_NOT_FOUND","error":""}"#) });
    let got = stranger.http("GET", target, &[], None).await;
    assert_eq!(got.via().1, "M_NOT_FOUND");
    assert_eq!(pair.two.homeserver.only().target, target);
    let closed = stranger
        .http("GET", "/_matrix/policy/unstable/x", &[], None)
        .await;
    assert_eq!(closed.via().1, "M_UNRECOGNIZED");
}

#[tokio::test]
async fn an_unregistered_call_needs_a_valid_proof() {
    let pair = Pair::start("grpc").await;
    let stranger = Stranger::to(&pair.two, &pair.authority);
    let target = "/_matrix/federation/unstable/org.example.msc1/thing?b=2&a=%2F";
    let good = pair.one.homeserver.sign(HS2, "DELETE", target, None);
    let wrong = pair
        .one
        .homeserver
        .sign(HS2, "DELETE", "/_matrix/federation/other", None);
    let nobody = good.replace("hs1.example", "hs9.example");
    for credentials in [&[][..], &["Bearer x"], &[&*wrong], &[&*nobody]] {
        let got = stranger.http("DELETE", target, credentials, None).await;
        assert_eq!(
            got.via(),
            (401, "M_UNAUTHORIZED".to_owned(), HS2.to_owned()),
            "{credentials:?}"
        );
        let error = answer(stranger.invoke("DELETE", target, credentials).await);
        assert_eq!(error.http_status(), 401);
    }
    assert_eq!(pair.two.homeserver.take_seen().len(), 0);
    assert_eq!(
        stranger.http("DELETE", target, &[&good], None).await.status,
        200
    );
    stranger.invoke("DELETE", target, &[&good]).await.unwrap();
    for seen in pair.two.homeserver.take_seen() {
        assert_eq!((&*seen.method, &*seen.target), ("DELETE", target));
        assert_eq!(seen.all("authorization"), [&*good]);
    }
}

#[tokio::test]
async fn a_proven_bad_signature_is_refused() {
    let pair = Pair::start("grpc").await;
    let stranger = Stranger::to(&pair.two, &pair.authority);
    let good = pair.one.homeserver.sign(HS2, "GET", EVENT, None);
    let of_another =
        pair.one
            .homeserver
            .sign(HS2, "GET", "/_matrix/federation/v1/event/%24y", None);
    let elsewhere = pair.one.homeserver.sign("hs3.example", "GET", EVENT, None);
    for bad in [&*of_another, &*elsewhere] {
        let got = stranger.http("GET", EVENT, &[bad], None).await;
        assert_eq!(
            got.via(),
            (401, "M_UNAUTHORIZED".to_owned(), HS2.to_owned())
        );
        let error = answer(stranger.invoke("GET", EVENT, &[bad]).await);
        assert_eq!(error.http_status(), 401);
        // A gateway's word, and it says whose.
        assert!(
            std::str::from_utf8(error.body())
                .unwrap()
                .contains("\"via\":\"hs2.example\"")
        );
    }
    // One good signature does not outweigh a bad one.
    let got = stranger
        .http("GET", EVENT, &[&good, &of_another], None)
        .await;
    assert_eq!(got.status, 401);
    let malformed = stranger
        .http("GET", EVENT, &["X-Matrix origin=hs1.example"], None)
        .await;
    assert_eq!(
        malformed.via(),
        (400, "M_UNAUTHORIZED".to_owned(), HS2.to_owned())
    );
    assert_eq!(pair.two.homeserver.take_seen().len(), 0);
    assert_eq!(
        stranger.http("GET", EVENT, &[&good], None).await.status,
        200
    );
}

#[tokio::test]
async fn where_no_key_can_be_had_the_homeserver_decides() {
    let authority = Authority::new();
    let two = Side::start(HS2, 2, &authority, Settings::default()).await;
    let stranger = Stranger::to(&two, &authority);
    let unreachable = crate::setting::Homeserver::start("hs9.example", 9).await;
    let proof = unreachable.sign(HS2, "GET", EVENT, None);
    assert_eq!(
        stranger.http("GET", EVENT, &[&proof], None).await.status,
        200
    );
    assert_eq!(two.homeserver.only().all("authorization"), [&*proof]);
    assert_eq!(two.gateway.metrics().totals().unverified, 1);
    // But what nobody knows needs a proof that holds here.
    let target = "/_matrix/federation/unstable/x";
    let proof = unreachable.sign(HS2, "GET", target, None);
    assert_eq!(
        stranger.http("GET", target, &[&proof], None).await.status,
        401
    );
}

#[tokio::test]
async fn refusing_can_be_switched_off() {
    let two = Settings::default().with("listen", "danger_deliver_unverified = true");
    let pair = Pair::with("grpc", Settings::default(), two).await;
    let stranger = Stranger::to(&pair.two, &pair.authority);
    let bad = pair.one.homeserver.sign("hs3.example", "GET", EVENT, None);
    assert_eq!(stranger.http("GET", EVENT, &[&bad], None).await.status, 200);
    assert_eq!(pair.two.homeserver.only().all("authorization"), [&*bad]);
    assert_eq!(pair.two.gateway.metrics().totals().unverified, 1);
    // Not for calls that nobody knows.
    let target = "/_matrix/federation/unstable/x";
    assert_eq!(
        stranger.http("GET", target, &[&bad], None).await.status,
        401
    );
}

#[tokio::test]
async fn an_empty_body_stays_as_it_was_signed() {
    for binding in ["grpc", "https"] {
        let pair = Pair::start(binding).await;
        // One whose request may be empty, and one whose may not: that is for the homeserver to say.
        let lists = "/_matrix/federation/v1/publicRooms";
        let keys = "/_matrix/federation/v1/user/keys/query";
        // Synapse's way: no body, no content signed; and the other: no body, `{}` signed.
        for (target, content) in [(lists, None), (lists, Some(&b"{}"[..])), (keys, None)] {
            let proof = pair.one.homeserver.sign(HS2, "POST", target, content);
            let call = crate::setting::Outgoing::new(HS2, "POST", target).signed(&proof);
            let got = pair.one.send(call).await;
            assert_eq!(got.status, 200, "{got:?}");
            let seen = pair.two.homeserver.only();
            assert_eq!(seen.body, "");
            assert_eq!(seen.all("content-type"), [""; 0]);
            assert_eq!(seen.all("authorization"), [&*proof]);
        }
        for target in [lists, keys] {
            let got = pair.one.calls(HS2, "POST", target, Some("{}")).await;
            assert_eq!(got.status, 200, "{got:?}");
            assert_eq!(pair.two.homeserver.only().body, "{}");
        }
    }
}

#[tokio::test]
async fn a_head_stays_a_head() {
    for binding in ["grpc", "https"] {
        let pair = Pair::start(binding).await;
        let got = pair.one.calls(HS2, "HEAD", EVENT, None).await;
        assert_eq!((got.status, &*got.body), (200, &b""[..]));
        let seen = pair.two.homeserver.only();
        assert_eq!((&*seen.method, &*seen.target), ("HEAD", EVENT));
    }
}

#[tokio::test]
async fn grpc_can_be_switched_off() {
    let two = Settings::default().with("bindings", "grpc = false");
    let pair = Pair::with("grpc", Settings::default(), two).await;
    let got = pair.one.calls(HS2, "GET", EVENT, None).await;
    assert_eq!(got.status, 200, "{got:?}");
    assert_eq!(pair.two.homeserver.only().target, EVENT);
    let stranger = Stranger::to(&pair.two, &pair.authority);
    let proof = pair.one.homeserver.sign(HS2, "GET", EVENT, None);
    let lost = stranger.invoke("GET", EVENT, &[&proof]).await;
    assert!(matches!(lost, Err(CallError::Transport(_))), "{lost:?}");
    // Switched off on this side, nothing is sent over it either.
    let one = Settings::default().with("bindings", "grpc = false");
    let pair = Pair::with("grpc", one, Settings::default()).await;
    assert_eq!(pair.one.calls(HS2, "GET", EVENT, None).await.status, 200);
    let metrics = pair.two.metrics().await;
    assert!(
        !metrics.contains("direction=\"inbound\",operation=\"GetEvent\",binding=\"grpc/1\""),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_gateway_s_error_over_grpc_says_which() {
    let pair = Pair::start("grpc").await;
    let stranger = Stranger::to(&pair.two, &pair.authority);
    let call = comity_core::call::Call::new(
        HS2.parse().unwrap(),
        comity_core::api::GetEvent {
            event_id: "$x".to_owned(),
            ..Default::default()
        },
    );
    let error = answer(comity_core::transport::Transport::send(&stranger.grpc(), call).await);
    assert_eq!(error.origin(), &ErrorOrigin::Gateway(HS2.to_owned()));
}
