//! Who proves nothing has no message read: the authenticator is asked before.

use std::sync::Arc;

use async_trait::async_trait;
use comity_core::{
    Operations,
    api::{Calls, GetMissingEvents, GetVersion, GetVersionReply},
    auth::{Authenticator, Origin},
    call::{Call, CallContext, Message, Reply},
    endpoint::Admission,
    error::{CallError, FederationError},
};
use comity_grpc::{Codecs, GrpcServer, GrpcServerOptions};

use crate::{
    setting::{Serving, destination, handler, nobody},
    wire::{detail, framed, send, target},
};

/// Lets nothing through that comes without credentials.
#[derive(Debug)]
struct Asking;

#[async_trait]
impl Authenticator for Asking {
    async fn authenticate(&self, _: &mut Call) -> Result<Origin, FederationError> {
        panic!("a binding authenticates nobody")
    }

    fn screen(&self, context: &CallContext) -> Result<(), FederationError> {
        match context.credentials.is_empty() {
            true => Err(FederationError::unauthorized("no credential")),
            false => Ok(()),
        }
    }
}

#[tokio::test]
async fn a_call_that_can_prove_nothing_is_refused_before_it_is_read() {
    let service = handler(|call| async move {
        assert_eq!(call.spec().name, "GetVersion", "it needs no proof");
        Ok(Reply::Message(Message::from_value(
            GetVersionReply::default(),
        )))
    });
    for codecs in [Codecs::federation(), Codecs::none()] {
        let options = GrpcServerOptions::default();
        let server = GrpcServer::new(Operations::federation(), codecs, service.clone(), options);
        let server = server.with_screen(Arc::new(Asking));
        let serving = Serving::http(server.into_service()).await;
        let client = serving.client();
        // Had it been read, it would have been too large.
        let request = GetMissingEvents {
            room_id: "!r".to_owned(),
            latest_events: vec!["$e".repeat(1 << 20); 2],
            ..Default::default()
        };
        let error = client.get_missing_events(&destination(), request).await;
        let Err(CallError::Federation(error)) = error else {
            panic!("{error:?}");
        };
        assert_eq!(
            (error.http_status(), error.errcode()),
            (401, Some("M_UNAUTHORIZED"))
        );
        client
            .get_version(&destination(), GetVersion::default())
            .await
            .unwrap();
    }
}

/// A server that screens, before `nobody`.
async fn screening() -> Serving {
    let (operations, codecs) = (Operations::federation(), Codecs::federation());
    let options = GrpcServerOptions::default();
    let server = GrpcServer::new(operations, codecs, nobody(), options);
    Serving::http(server.with_screen(Arc::new(Asking)).into_service()).await
}

/// Had any of these been read, it would have been refused for what it is: no message.
#[tokio::test]
async fn the_screen_is_not_passed_by_metadata_that_says_nothing() {
    let serving = screening().await;
    let garbage = framed(&[vec![0xff; 1 << 20].into()]);
    let nowhere = target("/nowhere");
    let version = target("/_matrix/federation/v1/version");
    let named = |method: &'static str, uri: &str| {
        let uri = uri.to_owned();
        vec![
            ("x-matrix-method", method.to_owned()),
            ("x-matrix-uri-bin", uri),
        ]
    };
    for (metadata, errcode, status) in [
        (vec![], "M_UNAUTHORIZED", 401),
        (named("GET", &nowhere), "M_UNRECOGNIZED", 404),
        (named("PUT", &version), "M_UNRECOGNIZED", 405),
        // The row of `GetVersion` allows 64 KiB.
        (named("GET", &version), "M_TOO_LARGE", 413),
    ] {
        let metadata: Vec<_> = metadata
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let answer = send(&serving, "Invocation/Invoke", &metadata, garbage.clone()).await;
        let expected = Some((errcode.to_owned(), status));
        assert_eq!(detail(&answer), expected, "{metadata:?}: {answer:?}");
    }
}

/// Opens nothing but one target.
#[derive(Debug)]
struct Only(&'static str);

impl Admission for Only {
    fn admit(&self, target: &str) -> Result<(), FederationError> {
        match target == self.0 {
            true => Ok(()),
            false => Err(FederationError::unrecognized()),
        }
    }
}

#[tokio::test]
async fn a_message_for_a_closed_target_is_not_read() {
    const OPEN: &str = "/_matrix/federation/v1/version";
    let (operations, codecs) = (Operations::federation(), Codecs::federation());
    let server = GrpcServer::new(operations, codecs, nobody(), GrpcServerOptions::default());
    let server = server.with_admission(Arc::new(Only(OPEN)));
    let serving = Serving::http(server.into_service()).await;
    // Had it been read, it would have been too large.
    let garbage = framed(&[vec![0xff; 1 << 20].into()]);
    for (method, uri, expected) in [
        ("Invocation/Invoke", "/_matrix/key/v2/server", 404),
        ("Invocation/Invoke", OPEN, 413),
    ] {
        let uri = target(uri);
        let metadata = [("x-matrix-method", "GET"), ("x-matrix-uri-bin", &uri)];
        let answer = send(&serving, method, &metadata, garbage.clone()).await;
        assert_eq!(detail(&answer).map(|it| it.1), Some(expected), "{answer:?}");
    }
}
