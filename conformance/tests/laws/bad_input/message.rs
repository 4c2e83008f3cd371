//! What is wrong with a message of gRPC.

use bytes::Bytes;
use comity_core::call::Authentication;
use comity_proto as pb;
use prost::Message;
use tonic::Code;

use super::{Expected, Good, Subject, connection::framed};

/// A request that is no call of gRPC.
pub(super) struct Fault {
    pub(super) what: String,
    pub(super) method: String,
    pub(super) metadata: Vec<(&'static str, String)>,
    pub(super) body: Bytes,
    pub(super) expected: Refused,
}

/// How it is refused.
pub(super) enum Refused {
    /// As a call, with our detail.
    Answer(Expected),
    /// Before it is one: a status without our detail, which says so.
    Status(Code, &'static str),
}

fn bad_json(names: &'static str) -> Refused {
    Refused::Answer(Expected::new(400, "M_BAD_JSON", names))
}

/// What any message can get wrong.
pub(super) fn faults(subject: &Subject, good: &Good) -> Vec<Fault> {
    let fault = |what: &str, body: Bytes, expected| Fault {
        what: what.to_owned(),
        method: subject.rpc.to_owned(),
        metadata: good.metadata(),
        body,
        expected,
    };
    let message = good.message.clone();
    let whole = framed(std::slice::from_ref(&message));
    let mut compressed = whole.to_vec();
    compressed[0] = 1;
    let limit = subject.operation.spec().limits.request;
    let large = (2 * limit + (64 << 10)).min(16 << 20) + 1;
    let mut faults = vec![
        fault("no message", Bytes::new(), bad_json("no message")),
        fault(
            "two messages",
            framed(&[message.clone(), message]),
            bad_json("more than one message"),
        ),
        fault(
            "a message cut short",
            framed(&[vec![0; 9]]).slice(..9),
            bad_json("ended within its message"),
        ),
        fault(
            "a field of no type",
            framed(&[vec![7]]),
            bad_json("malformed"),
        ),
        fault(
            "a field without an end",
            framed(&[vec![0x0a, 0x7f, 0]]),
            bad_json("malformed"),
        ),
        fault(
            "a field that is not UTF-8",
            framed(&[vec![0x0a, 1, 0xff]]),
            bad_json("malformed"),
        ),
        fault(
            "a compressed message",
            compressed.into(),
            Refused::Status(Code::Unimplemented, "compressed"),
        ),
        fault(
            "a message over its limit",
            framed(&[vec![0; large]]),
            Refused::Answer(Expected {
                also: Some("limits.request"),
                ..Expected::new(413, "M_TOO_LARGE", limit.to_string())
            }),
        ),
    ];
    let (service, _) = subject.rpc.split_once('/').unwrap();
    faults.push(Fault {
        method: format!("{service}/Nothing"),
        ..fault(
            "a method that there is not",
            whole.clone(),
            Refused::Status(Code::Unimplemented, "Nothing"),
        )
    });
    let unauthorized = |names| Refused::Answer(Expected::new(401, "M_UNAUTHORIZED", names));
    faults.push(Fault {
        metadata: good.metadata_of("/_matrix/federation/v1/nothing"),
        ..fault("another target", whole.clone(), unauthorized("target"))
    });
    if subject.operation.spec().authentication == Authentication::Server {
        faults.push(Fault {
            metadata: Vec::new(),
            ..fault("no target", whole, unauthorized("x-matrix-uri-bin"))
        });
    }
    faults.extend(
        contradictions(subject)
            .into_iter()
            .map(|(what, message, names)| fault(what, framed(&[message]), bad_json(names))),
    );
    faults
}

/// Fields that contradict one another or stand for no JSON, of the messages that have content.
fn contradictions(subject: &Subject) -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let extra = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    let list = |items: &[&str]| {
        Some(pb::JsonList {
            items: items.iter().map(|item| extra(item)).collect(),
        })
    };
    let map = |members: &[(&str, &str)]| {
        Some(pb::JsonMap {
            members: members
                .iter()
                .map(|(name, value)| pb::JsonMember {
                    name: (*name).to_owned(),
                    value: extra(value),
                })
                .collect(),
        })
    };
    match subject.operation.spec().name {
        "SendTransaction" => {
            let message = pb::SendTransactionRequest::default;
            vec![
                (
                    "an integer that JSON has not",
                    pb::SendTransactionRequest {
                        origin_server_ts: Some(1 << 53),
                        ..message()
                    }
                    .encode_to_vec(),
                    "origin_server_ts",
                ),
                (
                    "no content and some",
                    pb::SendTransactionRequest {
                        no_content: true,
                        pdus: list(&[]),
                        ..message()
                    }
                    .encode_to_vec(),
                    "no_content",
                ),
            ]
        }
        "GetMissingEvents" => {
            let message = pb::GetMissingEventsRequest::default;
            vec![
                (
                    "a member twice",
                    pb::GetMissingEventsRequest {
                        limit: Some(1),
                        extra_json: extra("{\"limit\":2}"),
                        ..message()
                    }
                    .encode_to_vec(),
                    "limit",
                ),
                (
                    "other members that are no object",
                    pb::GetMissingEventsRequest {
                        extra_json: extra("[]"),
                        ..message()
                    }
                    .encode_to_vec(),
                    "object",
                ),
                (
                    "other members in disorder",
                    pb::GetMissingEventsRequest {
                        extra_json: extra("{\"b\":1,\"a\":1}"),
                        ..message()
                    }
                    .encode_to_vec(),
                    "extra_json",
                ),
            ]
        }
        "SendJoin" => {
            let message = pb::SendJoinRequest::default;
            ["", "{", "[]", "{} ", "{\"b\":1,\"a\":1}"]
                .map(|event| {
                    (
                        "an event that is none",
                        pb::SendJoinRequest {
                            event: Some(extra(event)),
                            ..message()
                        }
                        .encode_to_vec(),
                        "",
                    )
                })
                .into()
        }
        "Invite" => {
            let message = pb::InviteRequest::default;
            vec![
                (
                    "no content and some",
                    pb::InviteRequest {
                        no_content: true,
                        room_version: Some("1".to_owned()),
                        ..message()
                    }
                    .encode_to_vec(),
                    "no_content",
                ),
                (
                    "a member twice",
                    pb::InviteRequest {
                        event: Some(extra("{}")),
                        extra_json: extra("{\"event\":{}}"),
                        ..message()
                    }
                    .encode_to_vec(),
                    "event",
                ),
                (
                    "an event that is no JSON",
                    pb::InviteRequest {
                        event: Some(extra("{")),
                        ..message()
                    }
                    .encode_to_vec(),
                    "JSON",
                ),
                (
                    "an event that is two",
                    pb::InviteRequest {
                        event: Some(extra("{},\"x\":{}")),
                        ..message()
                    }
                    .encode_to_vec(),
                    "not exactly one",
                ),
                (
                    "state that only fits together",
                    pb::InviteRequest {
                        invite_room_state: list(&["[1", "2]"]),
                        ..message()
                    }
                    .encode_to_vec(),
                    "invite_room_state",
                ),
            ]
        }
        "QueryKeys" => {
            let message = |device_keys| pb::QueryKeysRequest {
                device_keys,
                ..Default::default()
            };
            vec![
                (
                    "users in disorder",
                    message(map(&[("b", "[]"), ("a", "[]")])).encode_to_vec(),
                    "device_keys",
                ),
                (
                    "a user twice",
                    message(map(&[("a", "[]"), ("a", "[]")])).encode_to_vec(),
                    "device_keys",
                ),
                (
                    "a value that is no JSON",
                    message(map(&[("a", "nul")])).encode_to_vec(),
                    "JSON",
                ),
                (
                    "a value that is two",
                    message(map(&[("a", "1,\"b\":2")])).encode_to_vec(),
                    "device_keys",
                ),
            ]
        }
        "ClaimKeys" => {
            let message = |one_time_keys| pb::ClaimKeysRequest {
                one_time_keys,
                ..Default::default()
            };
            vec![
                (
                    "a user without a value",
                    message(map(&[("a", "")])).encode_to_vec(),
                    "JSON",
                ),
                (
                    "no content and some",
                    pb::ClaimKeysRequest {
                        no_content: true,
                        ..message(map(&[]))
                    }
                    .encode_to_vec(),
                    "no_content",
                ),
            ]
        }
        _ => Vec::new(),
    }
}
