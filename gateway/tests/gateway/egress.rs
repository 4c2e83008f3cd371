//! The egress is the homeserver's, and no proxy for anybody else.

use crate::setting::{HS1, HS2, Outgoing, Pair, Settings, peer};

const VERSION: &str = "/_matrix/federation/v1/version";

#[tokio::test]
async fn who_has_not_the_secret_is_refused() {
    let pair = Pair::start("grpc").await;
    let call = || Outgoing::new(HS2, "GET", VERSION).without("proxy-authorization");
    for call in [
        call(),
        call().with("proxy-authorization", "Bearer wrong"),
        call().with("proxy-authorization", "Bearer between-the-two-of-u"),
        call().with("proxy-authorization", "Basic between-the-two-of-us"),
        call().with("proxy-authorization", "between-the-two-of-us"),
        call().with("authorization", "Bearer between-the-two-of-us"),
        // Two are ambiguous, even if one is right.
        Outgoing::new(HS2, "GET", VERSION).with("proxy-authorization", "Bearer wrong"),
    ] {
        let got = pair.one.send(call).await;
        let refused = (407, "M_UNAUTHORIZED".to_owned(), HS1.to_owned());
        assert_eq!(got.via(), refused, "{got:?}");
        assert_eq!(got.headers["proxy-authenticate"], "Bearer");
    }
    assert_eq!(pair.two.homeserver.take_seen().len(), 0);
    let metrics = pair.one.metrics().await;
    let line = "comity_refused_calls_total{direction=\"outbound\",reason=\"egress_secret\"} 7";
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test]
async fn the_scheme_of_the_secret_has_no_case() {
    let pair = Pair::start("grpc").await;
    let call = Outgoing::new(HS2, "GET", VERSION)
        .without("proxy-authorization")
        .with("proxy-authorization", "bearer between-the-two-of-us");
    assert_eq!(pair.one.send(call).await.status, 200);
}

#[tokio::test]
async fn another_server_s_call_is_refused() {
    let pair = Pair::start("grpc").await;
    let target = "/_matrix/federation/v1/event/%24x";
    let theirs = pair.two.homeserver.sign(HS2, "GET", target, None);
    let got = pair
        .one
        .send(Outgoing::new(HS2, "GET", target).signed(&theirs))
        .await;
    assert_eq!(got.via(), (403, "M_FORBIDDEN".to_owned(), HS1.to_owned()));
    // Both, one of them our own.
    let own = pair.one.homeserver.sign(HS2, "GET", target, None);
    let both = Outgoing::new(HS2, "GET", target)
        .signed(&own)
        .signed(&theirs);
    let got = pair.one.send(both).await;
    assert_eq!(
        got.via(),
        (400, "M_UNAUTHORIZED".to_owned(), HS1.to_owned())
    );
    let unsigned = pair.one.send(Outgoing::new(HS2, "GET", target)).await;
    assert_eq!(
        unsigned.via(),
        (401, "M_UNAUTHORIZED".to_owned(), HS1.to_owned())
    );
    assert_eq!(pair.two.homeserver.take_seen().len(), 0);
}

#[tokio::test]
async fn a_call_goes_where_its_target_says_not_where_host_says() {
    let pair = Pair::start("grpc").await;
    let target = "/_matrix/federation/v1/event/%24x";
    let own = pair.one.homeserver.sign(HS2, "GET", target, None);
    let call = Outgoing::new(HS2, "GET", target).without("host");
    let call = call.with("host", "elsewhere.example").signed(&own);
    assert_eq!(pair.one.send(call).await.status, 200);
    assert_eq!(pair.two.homeserver.only().target, target);
    // Signed for another than it is sent to.
    let other = pair.one.homeserver.sign("hs3.example", "GET", target, None);
    let got = pair
        .one
        .send(Outgoing::new(HS2, "GET", target).signed(&other))
        .await;
    assert_eq!(
        got.via(),
        (401, "M_UNAUTHORIZED".to_owned(), HS1.to_owned())
    );
    assert_eq!(pair.two.homeserver.take_seen().len(), 0);
}

#[tokio::test]
async fn it_is_no_open_proxy() {
    let pair = Pair::start("grpc").await;
    let with_uri = |uri: &str| Outgoing {
        uri: uri.to_owned(),
        ..Outgoing::new(HS2, "GET", VERSION)
    };
    for uri in [
        "http://hs2.example/_matrix/federation/v1/version",
        "https://hs2.example/_matrix/federation/v1/version",
        "matrix://hs2.example/_matrix/federation/v1/version",
        "/_matrix/federation/v1/version",
        "matrix-federation://hs2.example/",
        "matrix-federation://hs2.example/_synapse/admin/v1/users",
        "matrix-federation://user@hs2.example/_matrix/federation/v1/version",
        "matrix-federation://a_b/_matrix/federation/v1/version",
        "matrix-federation://hs1.example/_matrix/federation/v1/version",
    ] {
        let got = pair.one.send(with_uri(uri)).await;
        assert_eq!(
            got.via(),
            (400, "M_INVALID_PARAM".to_owned(), HS1.to_owned()),
            "{uri}"
        );
    }
    assert_eq!(pair.two.homeserver.take_seen().len(), 0);
}

#[tokio::test]
async fn connect_is_refused_with_a_reason() {
    let pair = Pair::start("grpc").await;
    let call = Outgoing {
        uri: "hs2.example:443".to_owned(),
        ..Outgoing::new(HS2, "CONNECT", "")
    };
    let got = pair.one.send(call.clone()).await;
    assert_eq!(got.via(), (501, "M_UNKNOWN".to_owned(), HS1.to_owned()));
    assert!(
        got.json()["error"]
            .as_str()
            .unwrap()
            .contains("matrix-federation")
    );
    let stranger = pair.one.send(call.without("proxy-authorization")).await;
    assert_eq!(stranger.status, 407);
}

#[tokio::test]
async fn what_the_gateway_says_by_itself_names_it() {
    let pair = Pair::start("grpc").await;
    // The body is no JSON: the egress reads it, nobody else.
    let target = "/_matrix/federation/v1/send/1";
    let mut call = Outgoing::new(HS2, "PUT", target)
        .signed("X-Matrix origin=\"hs1.example\",key=\"ed25519:1\",sig=\"AA\"");
    call.content = Some("{".into());
    let got = pair.one.send(call).await;
    assert_eq!(got.via(), (400, "M_NOT_JSON".to_owned(), HS1.to_owned()));
    // Nobody is there.
    pair.one.knows(&[(
        HS2,
        "binding = \"grpc\"\ntarget = \"127.0.0.1:9\"".to_owned(),
    )]);
    let got = pair
        .one
        .calls(HS2, "GET", "/_matrix/federation/v1/event/%24x", None)
        .await;
    assert_eq!(got.via(), (502, "M_UNKNOWN".to_owned(), HS1.to_owned()));
    // What the peer says is the peer's.
    pair.one.knows(&[(HS2, peer("grpc", &pair.two))]);
    pair.two.homeserver.answers(|_| async {
        crate::setting::json(404, r#"{"errcode":"M_NOT_FOUND","error":"no","x":1}"#)
    });
    let got = pair
        .one
        .calls(HS2, "GET", "/_matrix/federation/v1/event/%24x", None)
        .await;
    assert_eq!(got.status, 404);
    assert_eq!(got.body, r#"{"errcode":"M_NOT_FOUND","error":"no","x":1}"#);
}

#[tokio::test]
async fn no_secret_crosses() {
    let pair = Pair::with("grpc", Settings::default(), Settings::default()).await;
    assert_eq!(
        pair.one
            .send(Outgoing::new(HS2, "GET", VERSION))
            .await
            .status,
        200
    );
    let seen = pair.two.homeserver.only();
    assert!(!format!("{:?}", seen.headers).contains(crate::setting::SECRET));
}
