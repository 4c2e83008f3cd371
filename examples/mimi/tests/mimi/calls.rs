//! Every endpoint, byte for byte.

use bytes::Bytes;
use comity_core::{Client, call::Body, error::CallError};
use futures_util::TryStreamExt;
use mimi::{
    Calls, GroupInfo, IdentifierQuery, KeyMaterial, Notify, ProxyDownload, ReportAbuse,
    RequestConsent, SubmitMessage, Update, UpdateConsent,
};

use crate::setting::{Serving, name};

async fn read(body: Result<Body, CallError>) -> (u16, Option<String>, Bytes) {
    let body = body.unwrap();
    let bytes: Vec<Bytes> = body.bytes.try_collect().await.unwrap();
    (body.status, body.content_type, bytes.concat().into())
}

/// Bodies that something on the way might take for text or JSON, and large ones.
fn bodies() -> Vec<Bytes> {
    vec![
        (0..=255).collect(),
        Bytes::from_static(b"{\"b\": 1, \"a\": 1.50, \"a\": 2}\r\n"),
        Bytes::from_static(b"\xef\xbb\xbfnull"),
        Bytes::new(),
        Bytes::from_static(b"\x00"),
        vec![0xa5; 3 << 20].into(),
    ]
}

const PARAMETER: &str = "mimi://b.example/r/Club house%2F?x=1#ü";

async fn call(client: &Client, operation: &str, body: Bytes) -> (u16, Option<String>, Bytes) {
    let them = &name("b.example");
    let parameter = PARAMETER.to_owned();
    read(match operation {
        "KeyMaterial" => {
            client
                .key_material(
                    them,
                    KeyMaterial {
                        target_user: parameter,
                        body,
                    },
                )
                .await
        }
        "Update" => {
            client
                .update(
                    them,
                    Update {
                        room_id: parameter,
                        body,
                    },
                )
                .await
        }
        "SubmitMessage" => {
            client
                .submit_message(
                    them,
                    SubmitMessage {
                        room_id: parameter,
                        body,
                    },
                )
                .await
        }
        "Notify" => {
            client
                .notify(
                    them,
                    Notify {
                        room_id: parameter,
                        body,
                    },
                )
                .await
        }
        "GroupInfo" => {
            client
                .group_info(
                    them,
                    GroupInfo {
                        room_id: parameter,
                        body,
                    },
                )
                .await
        }
        "ReportAbuse" => {
            client
                .report_abuse(
                    them,
                    ReportAbuse {
                        room_id: parameter,
                        body,
                    },
                )
                .await
        }
        "RequestConsent" => {
            client
                .request_consent(
                    them,
                    RequestConsent {
                        target_user: parameter,
                        body,
                    },
                )
                .await
        }
        "UpdateConsent" => {
            client
                .update_consent(
                    them,
                    UpdateConsent {
                        requester_user: parameter,
                        body,
                    },
                )
                .await
        }
        "IdentifierQuery" => {
            client
                .identifier_query(
                    them,
                    IdentifierQuery {
                        domain: parameter,
                        body,
                    },
                )
                .await
        }
        "ProxyDownload" => {
            client
                .proxy_download(
                    them,
                    ProxyDownload {
                        download_url: parameter,
                    },
                )
                .await
        }
        other => panic!("{other} is called nowhere"),
    })
    .await
}

#[tokio::test]
async fn every_endpoint_carries_any_bytes_both_ways_over_each_binding() {
    let serving = Serving::start().await;
    let mut bindings = Vec::new();
    for client in serving.clients() {
        for operation in mimi::operations() {
            let operation = operation.spec().name;
            if operation == "GetDirectory" {
                continue;
            }
            for body in bodies() {
                let body = match operation {
                    "ProxyDownload" => Bytes::from(PARAMETER),
                    _ => body,
                };
                let (status, content_type, answer) = call(&client, operation, body.clone()).await;
                let seen = serving.provider.0.lock().unwrap().pop().unwrap();
                assert_eq!(
                    (seen.operation, seen.parameter.as_str()),
                    (operation, PARAMETER)
                );
                assert_eq!(seen.origin, "a.example");
                assert!(seen.body == body, "{operation} over {}", seen.binding);
                bindings.push(seen.binding);
                assert_eq!(content_type, None);
                if ["Notify", "RequestConsent", "UpdateConsent"].contains(&operation) {
                    assert_eq!((status, answer.len()), (201, 0));
                } else {
                    let backwards: Bytes = body.iter().rev().copied().collect();
                    assert!(
                        status == 200 && answer == backwards,
                        "{operation} over {}",
                        seen.binding
                    );
                }
            }
        }
    }
    bindings.dedup();
    assert_eq!(bindings, ["http/1", "grpc/1"]);
}
