//! The statuses of request authentication, and that an origin is a proof.

use std::sync::Arc;

use comity_core::{
    Client, Operations, ServerName,
    api::*,
    auth::{
        KeyRing, KeyRingOptions, SignedRequest, SigningKey, Verify, XMatrixAuthenticator, now_ms,
    },
    call::{Call, Credentials},
    error::CallError,
    transport::{MemoryMode, MemoryTransport, Transport},
};

use crate::homeserver::*;

fn ask() -> GetMissingEvents {
    GetMissingEvents {
        room_id: "!r".to_owned(),
        ..Default::default()
    }
}

/// A header that `key` signs for `origin`, over `target` as if sent to `destination`.
fn header(origin: &ServerName, key: &SigningKey, destination: &str, target: &str) -> String {
    SignedRequest {
        method: "POST",
        uri: target,
        origin,
        destination,
        content: Some(br#"{"earliest_events":[],"latest_events":[]}"#),
    }
    .sign(key)
    .to_header()
}

const TARGET: &str = "/_matrix/federation/v1/get_missing_events/%21r";

async fn answer(
    transport: &Arc<dyn Transport>,
    headers: Vec<String>,
) -> Result<(), (u16, String, String)> {
    let mut call = Call::new(name("b.example"), ask());
    call.context_mut().credentials = Credentials::new(headers);
    match transport.send(call).await {
        Ok(_) => Ok(()),
        Err(CallError::Federation(error)) => Err((
            error.http_status(),
            error.errcode().unwrap_or_default().to_owned(),
            error.message().to_owned(),
        )),
        Err(CallError::Transport(error)) => panic!("{error}"),
    }
}

#[tokio::test]
async fn each_situation_has_its_status() {
    let (a, b) = (
        Homeserver::new("a.example", 1),
        Homeserver::new("b.example", 2),
    );
    let transport = guarded(&b, &a, MemoryMode::ThroughCodec);
    let good = header(&a.name, &a.key, "b.example", TARGET);
    let other_key = SigningKey::from_seed("1", &[9; 32]).unwrap();
    let unknown_key = SigningKey::from_seed("2", &[1; 32]).unwrap();
    let parameter = |name: &str, value: &str| {
        let mut parts: Vec<String> = good
            .trim_start_matches("X-Matrix ")
            .split(',')
            .map(str::to_owned)
            .collect();
        parts.retain(|part| !part.starts_with(name));
        if !value.is_empty() {
            parts.push(format!("{name}={value}"));
        }
        format!("X-Matrix {}", parts.join(","))
    };
    let rows: Vec<(&str, Vec<String>, Option<u16>)> = vec![
        ("signed", vec![good.clone()], None),
        (
            "another scheme beside it",
            vec!["Bearer x".into(), good.clone()],
            None,
        ),
        (
            "no destination (old senders)",
            vec![parameter("destination", "")],
            None,
        ),
        ("twice the same", vec![good.clone(), good.clone()], None),
        (
            "a known and an unknown key",
            vec![
                good.clone(),
                header(&a.name, &unknown_key, "b.example", TARGET),
            ],
            None,
        ),
        ("nothing", vec![], Some(401)),
        ("another scheme alone", vec!["Bearer x".into()], Some(401)),
        (
            "signed for another destination",
            vec![header(&a.name, &a.key, "c.example", TARGET)],
            Some(401),
        ),
        (
            "an empty destination",
            vec![parameter("destination", "\"\"")],
            Some(401),
        ),
        (
            "another server's key",
            vec![header(&a.name, &other_key, "b.example", TARGET)],
            Some(401),
        ),
        (
            "an unknown key",
            vec![header(&a.name, &unknown_key, "b.example", TARGET)],
            Some(401),
        ),
        (
            "another target",
            vec![header(
                &a.name,
                &a.key,
                "b.example",
                "/_matrix/federation/v1/get_missing_events/%21s",
            )],
            Some(401),
        ),
        (
            "the same target, otherwise encoded",
            vec![header(
                &a.name,
                &a.key,
                "b.example",
                "/_matrix/federation/v1/get_missing_events/!r",
            )],
            Some(401),
        ),
        (
            "one good, one forged",
            vec![
                good.clone(),
                header(&a.name, &other_key, "b.example", TARGET),
            ],
            Some(401),
        ),
        (
            "two origins",
            vec![
                good.clone(),
                header(&name("c.example"), &a.key, "b.example", TARGET),
            ],
            Some(400),
        ),
        (
            "an origin that is no server name",
            vec![parameter("origin", "\"localhost:http\"")],
            Some(400),
        ),
        ("no signature", vec![parameter("sig", "")], Some(400)),
        ("no key", vec![parameter("key", "")], Some(400)),
        ("no parameter at all", vec!["X-Matrix".into()], Some(400)),
    ];
    for (situation, headers, status) in rows {
        let answer = answer(&transport, headers).await;
        match status {
            None => assert_eq!(answer, Ok(()), "{situation}"),
            Some(status) => {
                let (got, errcode, message) = answer.expect_err(situation);
                assert_eq!(
                    (got, errcode.as_str()),
                    (status, "M_UNAUTHORIZED"),
                    "{situation}: {message}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_is_not_let_in_is_forbidden() {
    let (a, b) = (
        Homeserver::new("a.example", 1),
        Homeserver::new("b.example", 2),
    );
    let to_a = MemoryTransport::new(
        Operations::federation(),
        a.router().layered(tower::layer::util::Identity::new()),
        MemoryMode::ByValue,
    );
    let ring = KeyRing::new(Client::new(Arc::new(to_a)), KeyRingOptions::default());
    let authenticator =
        XMatrixAuthenticator::new(b.name.clone(), Arc::new(ring)).with_allowed([name("c.example")]);
    let service = b.router().layered(Verify::layer(Arc::new(authenticator)));
    let transport: Arc<dyn Transport> = Arc::new(MemoryTransport::new(
        Operations::federation(),
        service,
        MemoryMode::ByValue,
    ));
    let (status, errcode, _) = answer(
        &transport,
        vec![header(&a.name, &a.key, "b.example", TARGET)],
    )
    .await
    .unwrap_err();
    assert_eq!((status, errcode.as_str()), (403, "M_FORBIDDEN"));
}

#[tokio::test]
async fn an_expired_key_document_is_no_proof() {
    let a = Homeserver::valid_until("a.example", 1, now_ms() - 1);
    let b = Homeserver::new("b.example", 2);
    let transport = guarded(&b, &a, MemoryMode::ThroughCodec);
    let (status, errcode, message) = answer(
        &transport,
        vec![header(&a.name, &a.key, "b.example", TARGET)],
    )
    .await
    .unwrap_err();
    assert_eq!((status, errcode.as_str()), (401, "M_UNAUTHORIZED"));
    assert!(message.contains("expired"), "{message}");
}

#[tokio::test]
async fn without_a_verify_layer_nobody_gets_in() {
    let (a, b) = (
        Homeserver::new("a.example", 1),
        Homeserver::new("b.example", 2),
    );
    for mode in [MemoryMode::ByValue, MemoryMode::ThroughCodec] {
        let open = MemoryTransport::new(
            Operations::federation(),
            b.router().layered(tower::layer::util::Identity::new()),
            mode,
        );
        let transport: Arc<dyn Transport> = Arc::new(open);
        let (status, errcode, _) = answer(
            &transport,
            vec![header(&a.name, &a.key, "b.example", TARGET)],
        )
        .await
        .unwrap_err();
        assert_eq!((status, errcode.as_str()), (401, "M_UNAUTHORIZED"));
    }
}

#[tokio::test]
async fn a_caller_cannot_hand_over_an_origin() {
    // Not even in process: a proof that the caller put into the context does not cross the transport.
    let b = Homeserver::new("b.example", 2);
    for mode in [MemoryMode::ByValue, MemoryMode::ThroughCodec] {
        let open = MemoryTransport::new(
            Operations::federation(),
            b.router().layered(tower::layer::util::Identity::new()),
            mode,
        );
        let mut call = Call::new(b.name.clone(), ask());
        call.context_mut()
            .set_proof(comity_core::auth::Origin::danger_assume_proven(
                name("a.example"),
                "test",
            ));
        let Err(CallError::Federation(error)) = open.send(call).await else {
            panic!("let in")
        };
        assert_eq!(error.http_status(), 401);
    }
}

#[tokio::test]
async fn a_signed_empty_body_verifies_with_and_without_content() {
    // Senders in use sign `{}` and send nothing, or sign nothing and send nothing.
    let (a, b) = (
        Homeserver::new("a.example", 1),
        Homeserver::new("b.example", 2),
    );
    let transport = guarded(&b, &a, MemoryMode::ThroughCodec);
    for content in [None, Some(b"{}".as_slice())] {
        let header = SignedRequest {
            method: "POST",
            uri: TARGET,
            origin: &a.name,
            destination: "b.example",
            content,
        }
        .sign(&a.key)
        .to_header();
        let mut context = comity_core::call::CallContext::received("test");
        context.credentials = Credentials::new(vec![header]);
        // The request is malformed without its members, so authentication alone is asked.
        let (op, parts) = Operations::federation().route("POST", TARGET).unwrap();
        let form =
            comity_core::endpoint::EndpointForm::received("POST".into(), TARGET.to_owned(), parts);
        assert_eq!(op.spec().name, "GetMissingEvents");
        let mut call = Call::received(Box::new(ask()), form, context);
        let to_a = MemoryTransport::new(
            Operations::federation(),
            a.router().layered(tower::layer::util::Identity::new()),
            MemoryMode::ByValue,
        );
        let ring = KeyRing::new(Client::new(Arc::new(to_a)), KeyRingOptions::default());
        let authenticator = XMatrixAuthenticator::new(b.name.clone(), Arc::new(ring));
        let origin = comity_core::auth::Authenticator::authenticate(&authenticator, &mut call)
            .await
            .unwrap();
        assert_eq!(origin.server_name(), &a.name);
    }
    drop(transport);
}
