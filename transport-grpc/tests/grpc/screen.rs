//! Who proves nothing has no message read: the authenticator is asked before.

use std::sync::Arc;

use async_trait::async_trait;
use comity_core::{
    Operations,
    api::{Calls, GetMissingEvents, GetVersion, GetVersionReply},
    auth::{Authenticator, Origin},
    call::{Call, CallContext, Message, Reply},
    error::{CallError, FederationError},
};
use comity_grpc::{Codecs, GrpcServer, GrpcServerOptions};

use crate::setting::{Serving, destination, handler};

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
