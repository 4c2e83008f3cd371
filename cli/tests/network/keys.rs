//! `comity keys`.

use std::sync::Arc;

use comity_core::{auth::SigningKey, transport::Offer};
use serde_json::json;

use crate::setting::{Peer, Wanted};

#[tokio::test(flavor = "multi_thread")]
async fn a_servers_keys_are_shown_with_what_they_signed_and_offer() {
    let offer = Offer {
        binding: "grpc/1".to_owned(),
        connect_to: Some("fed.example.org:8448".parse().unwrap()),
        priority: 10,
        session: false,
    };
    let peer = Peer::with(Wanted {
        offers: vec![offer],
        ..Wanted::default()
    })
    .await;
    let next = Arc::new(SigningKey::generate("next").unwrap());
    peer.published.rotate(next.clone()).unwrap();
    let name = peer.name();
    let ran = peer.run(&["keys", &name]).await.expect(0);
    for said in [
        &name[..],
        "valid until",
        "ed25519:next",
        "signed this document",
        "old key  ed25519:peer",
        "grpc/1 at fed.example.org:8448, priority 10",
        "nothing is wrong",
    ] {
        assert!(ran.stdout.contains(said), "{said}: {}", ran.stdout);
    }
    let ran = peer.run(&["keys", &name, "--json"]).await.expect(0);
    let json = ran.json();
    assert_eq!(json["keys"][0]["id"], "ed25519:next");
    assert_eq!(json["keys"][0]["key"], next.verify_key().to_base64());
    assert_eq!(json["keys"][0]["signed"], true);
    assert_eq!(json["ok"], true);
    assert_eq!(json["document"]["server_name"], name);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_notary_relays_is_shown_and_compared() {
    let peer = Peer::start().await;
    let name = peer.name();
    let ran = peer
        .run(&["keys", &name, "--notary", &name])
        .await
        .expect(0);
    let said = format!("from the notary {name}:");
    assert!(ran.stdout.contains(&said), "{}", ran.stdout);
    assert_eq!(
        ran.stdout.matches("ed25519:peer").count(),
        2,
        "{}",
        ran.stdout
    );

    // One that knows nothing of a server that does not answer itself.
    let words = ["keys", "127.0.0.1:1", "--notary", &name, "--json"];
    let ran = peer.run(&words).await.expect(1);
    let json = ran.json();
    assert!(
        json["faults"][0]
            .as_str()
            .unwrap()
            .contains("itself gives none"),
        "{json}"
    );
    assert!(
        json["warnings"][0]
            .as_str()
            .unwrap()
            .contains("has no keys of it"),
        "{json}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notary_that_does_not_answer_is_told_of() {
    let peer = Peer::start().await;
    let words = ["keys", &peer.name(), "--notary", "127.0.0.1:1", "--json"];
    let ran = peer.run(&words).await.expect(1);
    let fault = ran.json()["faults"][0].as_str().unwrap().to_owned();
    assert!(
        fault.contains("the notary 127.0.0.1:1 does not answer"),
        "{fault}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_another_is_wrong() {
    let peer = Peer::start().await;
    let to = peer.address.port();
    // The same machine by a name that its document is not of.
    let name = format!("hs2.test:{to}");
    let ran = peer.run(&["keys", &name, "--json"]).await.expect(1);
    let json = ran.json();
    assert_eq!(json["ok"], json!(false));
    let fault = json["faults"][0].as_str().unwrap();
    assert!(fault.contains(&peer.name()), "{fault}");
}
