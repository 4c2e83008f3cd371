//! `comity call` and how it proves its origin: by a session of the connection, or by a signature.

use std::sync::atomic::Ordering;

use comity_core::{auth::MAX_SESSION_LIFETIME, transport::Offer};
use serde_json::{Value, json};

use crate::setting::{CALLER, Peer, Wanted};

const ASKED: [&str; 4] = ["GetEvent", "eventId=$there/is", "-v", "--json"];

fn offer() -> Vec<Offer> {
    vec![Offer {
        binding: "grpc/1".to_owned(),
        connect_to: None,
        priority: 0,
        session: true,
    }]
}

/// Makes a call, and gives what `-v` told of it.
async fn told(peer: &Peer, words: &[&str]) -> Value {
    let ran = peer.call(&[&ASKED, words].concat()).await.expect(0);
    serde_json::from_str(&ran.stderr).unwrap()
}

fn signed(instead_of_session: bool) -> Value {
    json!({ "scheme": "X-Matrix", "origin": CALLER, "key": "ed25519:caller", "instead_of_session": instead_of_session })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_offer_of_sessions_is_taken_up() {
    let peer = Peer::with(Wanted {
        offers: offer(),
        sessions: true,
        ..Wanted::default()
    })
    .await;
    let said = told(&peer, &[]).await;
    assert_eq!(said["binding"], "grpc/1");
    assert_eq!(said["why"], "it offers that (signed)");
    let proof = &said["proof"];
    assert_eq!(proof["scheme"], "session");
    assert_eq!(proof["origin"], CALLER);
    assert_eq!(proof["key"], "ed25519:caller");
    let time = |name: &str| proof[name].as_u64().unwrap();
    let lasts = u128::from(time("expires_ts") - time("proven_ts"));
    assert_eq!(lasts, MAX_SESSION_LIFETIME.as_millis());

    let ran = peer.call(&ASKED[..3]).await.expect(0);
    let said =
        "> proven as caller.example by a session of the connection, key ed25519:caller, proven 2";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
    assert!(ran.stderr.contains(", good until 2"), "{}", ran.stderr);

    // What the command line says counts more.
    assert_eq!(
        told(&peer, &["--sessions", "off"]).await["proof"],
        signed(false)
    );
    let by_https = told(&peer, &["--binding", "https"]).await;
    assert_eq!(by_https["proof"], signed(false));
    assert_eq!(by_https["why"], "--binding says so");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_session_is_refused_the_call_is_signed_and_that_is_told() {
    let peer = Peer::with(Wanted {
        offers: offer(),
        ..Wanted::default()
    })
    .await;
    let said = told(&peer, &[]).await;
    assert_eq!(
        (&said["binding"], &said["proof"]),
        (&json!("grpc/1"), &signed(true))
    );
    let ran = peer.call(&ASKED[..3]).await.expect(0);
    let said = "key ed25519:caller; the connection has no session, or the server refused it";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
    // Nothing is signed in its place for who will not have that.
    let before = peer.over_grpc.load(Ordering::SeqCst);
    let words = [&ASKED[..2], &["--sessions", "required"]].concat();
    let ran = peer.call(&words).await.expect(1);
    assert!(ran.stderr.contains("401 M_UNAUTHORIZED"), "{}", ran.stderr);
    assert_eq!(peer.over_grpc.load(Ordering::SeqCst), before + 1);
}

/// Whoever can write `.well-known` switches no session on.
#[tokio::test(flavor = "multi_thread")]
async fn a_hint_brings_the_binding_and_no_session() {
    let peer = Peer::with(Wanted {
        name: Some("hs2.test"),
        well_known: Some(
            r#"{"m.server":"hs2.test:PORT","dev.comity.bindings":[{"binding":"grpc/1","priority":0,"session":true}]}"#,
        ),
        sessions: true,
        ..Wanted::default()
    })
    .await;
    let (key, port) = (peer.key_file(), peer.address.port().to_string());
    let mut words = vec!["call", "--origin", CALLER, "--key", &key, "hs2.test"];
    words.extend(ASKED);
    words.extend(["--well-known-port", &port]);
    let ran = peer.run(&words).await.expect(0);
    let said: Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!(said["why"], "it offers that (hint)");
    assert_eq!(said["proof"], signed(false));
    // Who asks for one gets it.
    words.extend(["--sessions", "on"]);
    let ran = peer.run(&words).await.expect(0);
    let said: Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!(said["proof"]["scheme"], "session");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_session_is_required_a_server_with_https_alone_is_sent_nothing() {
    let peer = Peer::with(Wanted {
        sessions: true,
        ..Wanted::default()
    })
    .await;
    let words = [&ASKED[..3], &["--sessions", "required"]].concat();
    let ran = peer.call(&words).await.expect(3);
    for said in [
        "http/1 has none",
        "setting: Policy::sessions",
        "--sessions auto",
        "> not sent",
    ] {
        assert!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
    }
    let proven = told(&peer, &["--sessions", "required", "--binding", "grpc"]).await;
    assert_eq!(proven["proof"]["scheme"], "session");
}
