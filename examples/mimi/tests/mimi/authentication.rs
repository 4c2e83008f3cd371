//! Nobody is taken for another: each call that lacks something of its proof.

use std::sync::Arc;

use bytes::Bytes;
use comity_core::{
    Client,
    call::{Call, Reply},
    error::{CallError, TransportErrorKind},
    layers::{Around, Inner, around},
    transport::Transport,
};
use mimi::{Calls, SayFrom, Update};

use crate::setting::{Authority, Serving, name};

/// Says anything.
#[derive(Debug)]
struct Say(Option<&'static str>);

impl Around for Say {
    async fn around<S: Inner>(
        self: Arc<Self>,
        mut call: Call,
        mut inner: S,
    ) -> Result<Reply, CallError> {
        call.context_mut().from = self.0.map(str::to_owned);
        inner.call(call).await
    }
}

fn request() -> Update {
    Update {
        room_id: "mimi://b.example/r/one".to_owned(),
        body: Bytes::from_static(b"x"),
    }
}

async fn refusal(transport: Arc<dyn Transport>, from: Option<&'static str>) -> (u16, String) {
    let client = Client::layered(transport, around(Say(from)));
    match client.update(&name("b.example"), request()).await {
        Err(CallError::Federation(error)) => (error.http_status(), error.message().to_owned()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_caller_is_who_its_certificate_and_from_both_say() {
    let serving = Serving::start().await;
    let authority = &serving.authority;
    let known = authority.client(authority, &["a.example", "also.example", "*.wild.example"]);
    let unknown = authority.client(authority, &[]);
    for transport in serving.transports(&known) {
        for (from, status, words) in [
            (None, 401, "does not say who calls"),
            (Some("mimi@c.example"), 401, "not for c.example"),
            (Some("mimi@b.example"), 401, "not for b.example"),
            (Some("mimi@example"), 401, "not for example"),
            (Some("alice@a.example"), 400, "`mimi@` and a domain"),
            (Some("a.example"), 400, "`mimi@` and a domain"),
            (Some("mimi@a.example:8448"), 400, "`mimi@` and a domain"),
            (
                Some("mimi@a.example, mimi@c.example"),
                400,
                "`mimi@` and a domain",
            ),
            (Some("mimi@"), 400, "`mimi@` and a domain"),
        ] {
            let (found, message) = refusal(transport.clone(), from).await;
            assert!(
                found == status && message.contains(words),
                "{from:?} over {}: {found} {message}",
                transport.name()
            );
        }
        // One certificate may be for several of a provider's domains: `From` says which one calls.
        for from in ["mimi@a.example", "mimi@also.example", "mimi@x.wild.example"] {
            let client = Client::layered(transport.clone(), around(Say(Some(from))));
            client.update(&name("b.example"), request()).await.unwrap();
            let seen = serving.provider.0.lock().unwrap().pop().unwrap();
            assert_eq!(format!("mimi@{}", seen.origin), from);
        }
    }
    // Who listens for several providers is each of them only where it was asked for.
    for transport in serving.transports_as("house.example", &known) {
        let (status, message) = refusal(transport, Some("mimi@a.example")).await;
        assert!(
            status == 401 && message.contains("another provider"),
            "{status} {message}"
        );
    }
    for transport in serving.transports(&unknown) {
        let (status, message) = refusal(transport, Some("mimi@a.example")).await;
        assert!(
            status == 401 && message.contains("not for a.example"),
            "{status} {message}"
        );
    }
    assert!(
        serving.provider.0.lock().unwrap().is_empty(),
        "no handler ran"
    );
}

#[tokio::test]
async fn a_certificate_of_an_authority_that_is_not_trusted_gets_no_connection() {
    let serving = Serving::start().await;
    let stranger = Authority::new();
    let tls = serving.authority.client(&stranger, &["a.example"]);
    for transport in serving.transports(&tls) {
        let client = Client::layered(transport, SayFrom::layer(&name("a.example")));
        match client.update(&name("b.example"), request()).await {
            Err(CallError::Transport(error)) => {
                let kinds = [
                    TransportErrorKind::Tls,
                    TransportErrorKind::Closed,
                    TransportErrorKind::Connect,
                ];
                assert!(kinds.contains(&error.kind()), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(
        serving.provider.0.lock().unwrap().is_empty(),
        "no handler ran"
    );
}
