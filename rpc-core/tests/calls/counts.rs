//! How many members and elements a message may have: counted before any of them is given memory.

use bytes::Bytes;
use comity_core::{
    api::*,
    call::{
        AnyMessage, Endpoint, EventReply, Message, MessageForm, Operation, Part, Reply, operation,
    },
    endpoint::{Content, EndpointParts, ReplyHead, read_reply},
    error::{CallError, FederationError, TransportErrorKind},
    json::{Object, Value},
    layers::{Limits, Side},
};
use futures_util::{StreamExt, stream};
use tower::{Layer, Service, service_fn};

use crate::homeserver::name;

/// `{"<before>…"<list>":[0,0,…]…}` with so many elements.
fn listed(before: &str, list: &str, elements: usize) -> Object {
    let zeros = vec!["0"; elements].join(",");
    parse(format!(r#"{{{before}"{list}":[{zeros}]}}"#))
}

/// So many members, each of them 0.
fn members(count: usize) -> Object {
    let members: Vec<String> = (0..count).map(|at| format!(r#""{at}":0"#)).collect();
    parse(format!("{{{}}}", members.join(",")))
}

fn parse(text: String) -> Object {
    Object::parse(text.into(), 16 << 20).unwrap()
}

fn request<O: Endpoint>(path: &[&str], content: Object) -> Result<(), FederationError> {
    let parts = EndpointParts {
        path: path.iter().map(|&part| part.to_owned()).collect(),
        content: Content::Json(content),
        ..EndpointParts::default()
    };
    operation::<O>().read(&parts).map(|_| ())
}

fn refused(result: Result<(), FederationError>, expected: &[&str]) {
    let error = result.unwrap_err();
    assert_eq!(error.errcode(), Some("M_BAD_JSON"), "{error}");
    for part in expected {
        assert!(error.message().contains(part), "{error}");
    }
}

fn over_limit(error: &CallError, expected: &[&str]) {
    let CallError::Transport(error) = error else {
        panic!("{error}")
    };
    assert_eq!(error.kind(), TransportErrorKind::LimitExceeded, "{error}");
    for part in expected {
        assert!(error.message().contains(part), "{error}");
    }
}

#[test]
fn a_request_with_too_many_elements_or_members_is_refused() {
    let most = GetMissingEvents::SPEC.limits.elements;
    let content = listed("", "earliest_events", most + 1);
    refused(
        request::<GetMissingEvents>(&["!r"], content),
        &["earliest_events", "100001", "100000", "limits.elements"],
    );
    refused(
        request::<GetMissingEvents>(&["!r"], members(most + 1)),
        &["100001 members", "limits.elements"],
    );
    // An unknown list counts too: it would be read by whoever knows it.
    refused(
        request::<QueryKeys>(&[], listed(r#""device_keys":{},"#, "unknown", most + 1)),
        &["unknown"],
    );
    request::<QueryKeys>(&[], listed(r#""device_keys":{},"#, "unknown", most)).unwrap();
}

#[test]
fn an_operation_has_limits_of_its_own_for_its_lists() {
    for (list, most) in [
        ("pdus", SendTransaction::MAX_PDUS),
        ("edus", SendTransaction::MAX_EDUS),
    ] {
        let before = if list == "edus" { r#""pdus":[],"# } else { "" };
        let send = |elements| request::<SendTransaction>(&["1"], listed(before, list, elements));
        send(most).unwrap();
        refused(send(most + 1), &[list, &most.to_string()]);
    }
    let invite = |elements| {
        let before = r#""event":{},"room_version":"12","#;
        request::<Invite>(&["!r", "$e"], listed(before, "invite_room_state", elements))
    };
    invite(Invite::MAX_STATE).unwrap();
    refused(
        invite(Invite::MAX_STATE + 1),
        &["invite_room_state", "1001", "1000"],
    );
    let bind = |elements| {
        let before = r#""address":"","medium":"","mxid":"","#;
        request::<NotifyThirdPartyBind>(&[], listed(before, "invites", elements))
    };
    bind(NotifyThirdPartyBind::MAX_INVITES).unwrap();
    refused(
        bind(NotifyThirdPartyBind::MAX_INVITES + 1),
        &["invites", "1001", "1000"],
    );
}

async fn reply_of<O: Endpoint>(content: Object) -> Result<Reply, CallError> {
    let head = ReplyHead {
        status: 200,
        content_type: Some("application/json".to_owned()),
        ..ReplyHead::default()
    };
    let text: Bytes = content.text().clone();
    let body = stream::once(async move { Ok(text) }).boxed();
    read_reply(operation::<O>(), head, body).await
}

#[tokio::test]
async fn a_reply_with_too_many_elements_is_refused_where_it_is_read() {
    let most = GetMissingEvents::SPEC.limits.elements;
    let reply = reply_of::<GetMissingEvents>(listed("", "events", most)).await;
    reply.unwrap().typed::<GetMissingEvents>().unwrap();
    let error = reply_of::<GetMissingEvents>(listed("", "events", most + 1))
        .await
        .unwrap_err();
    over_limit(&error, &["GetMissingEvents", "events", "limits.elements"]);
}

/// A transport that reads nothing hands over what a handler made.
#[tokio::test]
async fn the_limits_layer_counts_as_well() {
    #[derive(Clone, Debug, PartialEq)]
    struct Made(Object);
    impl MessageForm for Made {
        fn write(&self) -> Object {
            self.0.clone()
        }
        fn read(object: &Object) -> Result<Self, comity_core::json::ReadError> {
            Ok(Self(object.clone()))
        }
    }
    let made = Made(listed("", "events", 100_001));
    assert_eq!(AnyMessage::write(&made).len(), 1);
    let handler = service_fn(move |_| {
        let reply = Reply::Message(Message::from_value(made.clone()));
        async move { Ok::<_, CallError>(reply) }
    });
    let mut limited = Limits::layer(Side::Client).layer(handler);
    let asked = GetMissingEvents {
        room_id: "!r".to_owned(),
        ..Default::default()
    };
    let call = comity_core::call::Call::new(name("b.example"), asked);
    let error = limited.call(call).await.unwrap_err();
    over_limit(&error, &["events", "limits.elements"]);
}

fn joined(parts: Vec<Part>) -> SendJoinReply {
    EventReply::from_parts(stream::iter(parts.into_iter().map(Ok)).boxed())
}

fn member(name: String, text: &str) -> Part {
    Part::Member {
        name,
        value: Value::parse(text.to_owned().into(), 16 << 20).unwrap(),
    }
}

#[tokio::test]
async fn members_beside_the_arrays_of_a_stream_are_bounded_in_number() {
    let beside = |count: usize| {
        let members = (0..count).map(|at| member(at.to_string(), "0"));
        joined(members.collect())
    };
    assert_eq!(beside(10_000).finish().await.unwrap().extra.len(), 10_000);
    let error = beside(10_001).finish().await.unwrap_err();
    over_limit(&error, &["beside the arrays", "10000"]);
}

#[tokio::test]
async fn a_list_beside_the_arrays_of_a_stream_is_bounded_too() {
    let servers = |count: usize| {
        let text = format!("[{}]", vec![r#""a""#; count].join(","));
        joined(vec![member("servers_in_room".to_owned(), &text)])
    };
    let members = servers(100_000).finish().await.unwrap();
    assert_eq!(members.servers_in_room.unwrap().len(), 100_000);
    let error = servers(100_001).finish().await.unwrap_err();
    over_limit(&error, &["servers_in_room", "100000"]);
}
