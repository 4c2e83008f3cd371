//! A session proves one hop, and a gateway holds no key of its homeserver's: it accepts none, makes none and offers none.

use std::{sync::Arc, time::Duration};

use comity_core::{
    Client,
    api::GetEvent,
    auth::{KeyDocument, SessionOptions, SessionUse, Sign, now_ms},
    call::Call,
    error::CallError,
    transport::{BINDINGS_MEMBER, Offer},
};
use comity_grpc::GrpcTransport;
use tokio::time::sleep;

use crate::setting::{Authority, HS1, HS2, Pair, Settings, Side, Stranger, json};

const EVENT: &str = "/_matrix/federation/v1/event/%24x";

/// A server beside the gateway that holds the key of HS1, and would have a session.
fn caller(pair: &Pair, transport: GrpcTransport, sessions: SessionUse) -> Client {
    let options = SessionOptions::default().with_usually(sessions);
    let one = &pair.one.homeserver;
    let sign = Sign::layer(one.name.clone(), one.key.clone());
    Client::layered(Arc::new(transport.with_sessions(options)), sign)
}

fn event() -> Call {
    let request = GetEvent {
        event_id: "$x".to_owned(),
        ..Default::default()
    };
    Call::new(HS2.parse().unwrap(), request)
}

#[tokio::test]
async fn a_gateway_lets_no_session_in() {
    let pair = Pair::start("grpc").await;
    let stranger = Stranger::to(&pair.two, &pair.authority);
    let required = caller(&pair, stranger.grpc(), SessionUse::Required);
    let Err(CallError::Federation(error)) = required.send(event()).await else {
        panic!("it is no proof");
    };
    let verdict = (error.http_status(), error.errcode());
    assert_eq!(verdict, (401, Some("M_UNAUTHORIZED")));
    assert_eq!(
        pair.two.homeserver.take_seen().len(),
        0,
        "it was not delivered"
    );

    // Who can do without is let in by the signature that comes next, and the homeserver sees that alone.
    let on = caller(&pair, stranger.grpc(), SessionUse::On);
    on.send(event()).await.unwrap();
    let seen = pair.two.homeserver.only();
    let credentials = seen.all("authorization");
    assert!(
        credentials.len() == 1 && credentials[0].starts_with("X-Matrix "),
        "{credentials:?}"
    );
}

/// One that stood beside a signature, or on a call that needs no proof, would reach the homeserver as a credential.
#[tokio::test]
async fn no_session_reaches_the_homeserver_whatever_call_it_comes_with() {
    const SESSION: &str = "Comity-Session origin=\"hs1.example\"";
    const VERSION: &str = "/_matrix/federation/v1/version";
    let danger = Settings::default().with("listen", "danger_deliver_unverified = true");
    for settings in [Settings::default(), danger] {
        let pair = Pair::with("grpc", Settings::default(), settings).await;
        let stranger = Stranger::to(&pair.two, &pair.authority);
        let signed = pair.one.homeserver.sign(HS2, "GET", EVENT, None);
        for (target, credentials) in [
            (VERSION, &[SESSION][..]),
            (VERSION, &[&*signed, SESSION]),
            (EVENT, &[SESSION]),
            (EVENT, &[&*signed, SESSION]),
            (EVENT, &[SESSION, &*signed]),
        ] {
            let got = stranger.http("GET", target, credentials, None).await;
            let told = (401, "M_UNAUTHORIZED".to_owned(), HS2.to_owned());
            assert_eq!(got.via(), told, "{target} {credentials:?}");
            // There it is no place for one.
            let Err(CallError::Federation(error)) =
                stranger.invoke("GET", target, credentials).await
            else {
                panic!("{target} {credentials:?}");
            };
            let verdict = (error.http_status(), error.errcode());
            assert_eq!(verdict, (400, Some("M_UNAUTHORIZED")));
        }
        // gRPC's 16 is UNAUTHENTICATED.
        let of_session = ("x-matrix-session", SESSION);
        for (metadata, status) in [
            (&[][..], "0"),
            (&[of_session], "16"),
            (&[of_session, of_session], "16"),
            (&[of_session, ("authorization", &signed)], "16"),
            (&[("x-matrix-session", "Bearer x")], "16"),
        ] {
            let (told, message) = stranger.rpc("Server/GetVersion", metadata).await;
            assert_eq!(told, status, "{metadata:?}: {message}");
        }
        assert_eq!(pair.two.homeserver.only().target, VERSION);
    }
}

/// A side whose name leads to it. Its port has to be known before it starts, and somebody may take that one in between: then it is another.
async fn named_for_its_port(authority: &Authority) -> Side {
    for _ in 0..50 {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let name = port.local_addr().unwrap().to_string();
        drop(port);
        let listen = format!("address = \"{name}\"\ncertificate = \"tls.crt\"\nkey = \"tls.key\"");
        let settings = Settings::default().without("listen").with("listen", listen);
        if let Ok(side) = Side::try_start(&name, 2, authority, settings).await {
            return side;
        }
    }
    panic!("no port stays free");
}

#[tokio::test]
async fn a_gateway_passes_calls_on_as_they_are_signed_whatever_the_other_side_offers() {
    let authority = Authority::new();
    let one = Side::start(HS1, 1, &authority, Settings::default()).await;
    let two = named_for_its_port(&authority).await;
    let name = two.homeserver.name.to_string();
    // What a server that holds its key would sign.
    two.homeserver.publishes_nothing();
    let offer = Offer {
        binding: comity_grpc::BINDING.to_owned(),
        connect_to: None,
        priority: 10,
        session: true,
    };
    let until = now_ms() + 24 * 3600 * 1000;
    let document = KeyDocument::new(two.homeserver.name.clone(), until)
        .with_member(BINDINGS_MEMBER, Offer::write_list(&[offer]));
    let document = document.sign(&[&two.homeserver.key]).unwrap();
    two.homeserver.answers(move |seen| {
        let keys = seen.target == "/_matrix/key/v2/server";
        let answer = if keys { document.clone() } else { "{}".into() };
        async move { json(200, answer) }
    });
    // A minute.
    for _ in 0..1200 {
        assert_eq!(one.calls(&name, "GET", EVENT, None).await.status, 200);
        let status = &one.gateway.select().destinations()[0];
        if status.binding == Some(comity_grpc::BINDING) {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    two.homeserver.take_seen();
    assert_eq!(one.calls(&name, "GET", EVENT, None).await.status, 200);
    let status = &one.gateway.select().destinations()[0];
    assert_eq!(status.binding, Some(comity_grpc::BINDING));
    let seen = two.homeserver.take_seen();
    let seen = seen.iter().find(|seen| seen.target == EVENT).unwrap();
    let signed = one.homeserver.sign(&name, "GET", EVENT, None);
    assert_eq!(seen.all("authorization"), [signed]);
    let metrics = two.metrics().await;
    assert!(
        !metrics.contains("comity_authentication_failures_total{"),
        "{metrics}"
    );
}
