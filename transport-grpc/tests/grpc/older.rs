//! Servers that have less than the table: those of old, and those of one edition.

use std::sync::Arc;

use comity_core::{
    Client, Operations,
    api::{QueryProfile, SendJoin, SendJoinV1, SendLeave, SendLeaveV1},
    call::{Call, Edition, EventStream, Message, Part, Reply, operation},
    error::CallError,
    json::Object,
    layers::{Fallback, Fallbacks},
};
use comity_grpc::Codecs;
use futures_util::{StreamExt, stream};

use crate::setting::{Serving, destination, handler, nobody, pdu};

/// A server that has the first versions alone says so of the second ones, and is called by what it has: by its typed messages, or without any.
#[tokio::test]
async fn a_server_of_old_is_called_by_what_it_has() {
    for serves in [Codecs::federation(), Codecs::none()] {
        let service = handler(|call: Call| async move {
            let target = call.form().unwrap().target();
            assert!(
                target.starts_with("/_matrix/federation/v1/send_"),
                "{target}"
            );
            Ok(match call.spec().name {
                "SendLeaveV1" => Reply::Message(Message::from_content(Object::empty())),
                "SendJoinV1" => Reply::Events(EventStream {
                    parts: stream::iter([
                        Ok(Part::Array("state")),
                        Ok(Part::Item {
                            array: "state",
                            index: 0,
                            value: pdu(1).into_value(),
                        }),
                    ])
                    .boxed(),
                }),
                other => panic!("{other} arrived"),
            })
        });
        let operations = Operations::none()
            .with([operation::<SendJoinV1>(), operation::<SendLeaveV1>()])
            .unwrap();
        let serving = Serving::with(service, operations, serves).await;
        let client = Client::layered(
            Arc::new(serving.transport()),
            Fallback::layer(Fallbacks::federation()),
        );
        let join = SendJoin {
            room_id: "!r".to_owned(),
            event_id: "$e".to_owned(),
            event: pdu(0),
            omit_members: Some(true),
            extra_query: Default::default(),
        };
        let mut reply = client.call(&destination(), join).await.unwrap();
        let mut events = 0;
        while let Some(arrival) = reply.next().await {
            arrival.unwrap();
            events += 1;
        }
        assert_eq!(events, 1);
        let leave = SendLeave {
            room_id: "!r".to_owned(),
            event_id: "$e".to_owned(),
            event: pdu(0),
            extra_query: Default::default(),
        };
        client.call(&destination(), leave).await.unwrap();
    }
}

#[tokio::test]
async fn a_server_of_one_edition_does_not_recognize_what_lies_outside() {
    let operations = Operations::federation().in_edition(Edition::Ietf);
    let serving = Serving::with(nobody(), operations, Codecs::federation()).await;
    let request = QueryProfile {
        user_id: "@u:matrix.test".to_owned(),
        ..QueryProfile::default()
    };
    for client in [serving.client(), serving.invoking_client()] {
        let got = client.call(&destination(), request.clone()).await;
        let Err(CallError::Federation(error)) = got else {
            panic!("{got:?}");
        };
        let answer = (error.http_status(), error.errcode());
        assert_eq!(answer, (404, Some("M_UNRECOGNIZED")));
    }
}
