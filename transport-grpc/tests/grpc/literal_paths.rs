//! A receiver's own operation at a path that the table's operation with a parameter would match as well.

use std::sync::Arc;

use comity_core::{
    Client, Operations,
    api::{Calls, QueryCustom, QueryCustomReply},
    call::{Call, Endpoint, Message, Operation, OperationSpec, Reply, operation},
    endpoint::{EndpointParts, PathTemplate, Query},
    error::FederationError,
};
use comity_grpc::Codecs;

use crate::{
    setting::{Serving, destination, handler, object},
    wire::{detail, framed, send, target},
};

#[derive(Clone, PartialEq, Debug)]
struct QueryX;

impl Operation for QueryX {
    type Reply = QueryCustomReply;
    const SPEC: &'static OperationSpec = &OperationSpec {
        name: "QueryX",
        ..*QueryCustom::SPEC
    };
}

impl Endpoint for QueryX {
    const METHOD: &'static str = "GET";
    const PATH: PathTemplate = PathTemplate::new("/_matrix/federation/v1/query/org.example.x");

    fn write(&self) -> EndpointParts {
        EndpointParts::default()
    }

    fn read(_: &EndpointParts) -> Result<Self, FederationError> {
        Ok(Self)
    }
}

/// Answers with the name of the operation that was reached.
async fn serving() -> Serving {
    let service = handler(|call: Call| async move {
        let reply = format!(r#"{{"reached":"{}"}}"#, call.spec().name);
        Ok(Reply::Message(Message::from_content(object(reply))))
    });
    let operations = Operations::federation()
        .with([operation::<QueryX>()])
        .unwrap();
    Serving::with(service, operations, Codecs::federation()).await
}

fn query(query_type: &str) -> QueryCustom {
    QueryCustom {
        query_type: query_type.to_owned(),
        parameters: Query::parse("user_id=%40a%3Ab").unwrap(),
    }
}

#[tokio::test]
async fn a_typed_call_reaches_the_operation_that_its_target_says() {
    let serving = serving().await;
    let typed = Client::new(Arc::new(serving.transport()));
    for client in [typed, serving.invoking_client()] {
        for (query_type, reached) in [
            ("org.example.x", "QueryX"),
            ("profile", "QueryProfile"),
            ("org.example.y", "QueryCustom"),
        ] {
            let reply = client.query_custom(&destination(), query(query_type)).await;
            let reply = format!("{:?}", reply.unwrap());
            assert!(reply.contains(reached), "{query_type}: {reply}");
        }
    }
}

#[tokio::test]
async fn a_target_that_the_message_does_not_stand_for_is_refused() {
    let serving = serving().await;
    let message = comity_proto::QueryCustomRequest {
        query_type: "org.example.x".to_owned(),
        ..Default::default()
    };
    let body = framed(&[prost::Message::encode_to_vec(&message).into()]);
    for wrong in ["org.example.x?a=b", "profile", "org.example.y"] {
        let uri = target(&format!("/_matrix/federation/v1/query/{wrong}"));
        let metadata = [
            ("x-matrix-method", "GET"),
            ("x-matrix-uri-bin", uri.as_str()),
        ];
        let status = send(&serving, "Queries/QueryCustom", &metadata, body.clone()).await;
        let expected = Some(("M_UNAUTHORIZED".to_owned(), 401));
        assert_eq!(detail(&status), expected, "{wrong}: {status:?}");
    }
}
