//! The older operations of the table, against servers that have nothing else.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use comity_core::{
    Client, Operations, Router, ServerName,
    api::{self, *},
    auth::{KeyRing, KeyRingOptions, Verify, XMatrixAuthenticator},
    call::{Arrival, Authenticated, EventReply, Op, operation},
    error::{CallError, FederationError},
    event::{Listed, Pdu},
    json::{Members, Value},
    layers::{Fallback, Fallbacks},
    transport::{MemoryMode, MemoryTransport},
};
use tower::layer::util::Identity;

use crate::homeserver::*;

/// A server from before the second versions. It keeps who called which operation.
#[derive(Default)]
struct Old(Mutex<Vec<(ServerName, &'static str)>>);

impl Old {
    fn seen(&self, cx: &Authenticated, operation: &'static str) {
        let origin = cx.origin().clone();
        self.0.lock().unwrap().push((origin, operation));
    }

    fn calls(&self) -> Vec<&'static str> {
        let calls = std::mem::take(&mut *self.0.lock().unwrap());
        calls.into_iter().map(|(_, operation)| operation).collect()
    }
}

#[async_trait]
impl api::Membership for Old {
    async fn send_join_v1(
        &self,
        cx: &Authenticated,
        request: SendJoinV1,
    ) -> Result<SendJoinReply, FederationError> {
        self.seen(cx, "SendJoinV1");
        let state = vec![request.event, pdu(r#"{"type":"m.room.create"}"#)];
        Ok(EventReply::new(
            vec![("auth_chain", vec![]), ("state", state)],
            SendJoinMembers::default(),
        ))
    }

    async fn send_leave_v1(
        &self,
        cx: &Authenticated,
        _: SendLeaveV1,
    ) -> Result<SendLeaveReply, FederationError> {
        self.seen(cx, "SendLeaveV1");
        Ok(SendLeaveReply::default())
    }

    async fn invite_v1(
        &self,
        cx: &Authenticated,
        request: InviteV1,
    ) -> Result<InviteReply, FederationError> {
        self.seen(cx, "InviteV1");
        let state = request.invite_room_state().unwrap();
        assert_eq!(state.map(|state| state.len()), Some(1));
        Ok(InviteReply {
            event: request.event,
            extra: Members::new(),
        })
    }
}

/// A client that signs and falls back, to a server of these operations.
fn client(old: &Arc<Old>, operations: Vec<Op>) -> Client {
    client_of(old.clone(), operations)
}

fn client_of(server: Arc<impl api::Membership>, operations: Vec<Op>) -> Client {
    let mode = MemoryMode::ThroughCodec;
    let a = Homeserver::new("a.example", 1);
    let keys = MemoryTransport::new(
        Operations::federation(),
        a.router().layered(Identity::new()),
        mode,
    );
    let ring = KeyRing::new(Client::new(Arc::new(keys)), KeyRingOptions::default());
    let authenticator = XMatrixAuthenticator::new(name("b.example"), Arc::new(ring));
    let service = Router::new()
        .with(api::membership(server))
        .layered(Verify::layer(Arc::new(authenticator)));
    let operations = Operations::none().with(operations).unwrap();
    let transport = MemoryTransport::new(operations, service, mode);
    Client::layered(
        Arc::new(transport),
        (
            Fallback::layer(Fallbacks::federation()),
            comity_core::auth::Sign::layer(a.name.clone(), a.key.clone()),
        ),
    )
}

fn older() -> Vec<Op> {
    vec![
        operation::<SendJoinV1>(),
        operation::<SendLeaveV1>(),
        operation::<InviteV1>(),
    ]
}

fn leave() -> SendLeave {
    SendLeave {
        room_id: "!room:b.example".to_owned(),
        event_id: "$leave".to_owned(),
        event: pdu(r#"{"type":"m.room.member"}"#),
        extra_query: Default::default(),
    }
}

fn invite(room_version: &str) -> Invite {
    let state: Listed<Pdu> = Ok(pdu(r#"{"type":"m.room.create"}"#));
    Invite {
        room_id: "!room:a.example".to_owned(),
        event_id: "$invite".to_owned(),
        room_version: room_version.to_owned(),
        event: pdu(r#"{"type":"m.room.member"}"#),
        invite_room_state: Some(vec![state]),
        extra: Members::new(),
        extra_query: Default::default(),
    }
}

#[tokio::test]
async fn joins_and_leaves_fall_back_to_their_first_versions() {
    let old: Arc<Old> = Arc::default();
    let client = client(&old, older());
    let to = name("b.example");
    let mut reply = client.send_join(&to, join()).await.unwrap();
    let mut events = 0;
    while let Some(arrival) = reply.next().await {
        assert!(matches!(
            arrival.unwrap(),
            Arrival::Item { array: "state", .. }
        ));
        events += 1;
    }
    assert_eq!(events, 2);
    reply.finish().await.unwrap();
    client.send_leave(&to, leave()).await.unwrap();
    assert_eq!(old.calls(), ["SendJoinV1", "SendLeaveV1"]);
}

#[tokio::test]
async fn an_invite_falls_back_in_rooms_of_the_first_two_versions_only() {
    let old: Arc<Old> = Arc::default();
    let client = client(&old, older());
    let to = name("b.example");
    for version in ["1", "2"] {
        client.invite(&to, invite(version)).await.unwrap();
        assert_eq!(old.calls(), ["InviteV1"]);
    }
    for version in ["3", "10", "12", "I.1", "", "01", "1.0"] {
        let error = client.invite(&to, invite(version)).await.unwrap_err();
        assert!(
            matches!(&error, CallError::Federation(error) if error.errcode() == Some("M_UNRECOGNIZED")),
            "{version}: {error}"
        );
        assert!(old.calls().is_empty(), "{version}");
    }
}

/// Nobody wrote the second version's method, so it is unrecognized: a router without it cannot be told from a server that lacks it.
#[tokio::test]
async fn a_method_that_nobody_wrote_falls_back_like_one_that_is_lacking() {
    let old: Arc<Old> = Arc::default();
    let client = client(&old, api::operations());
    client
        .send_leave(&name("b.example"), leave())
        .await
        .unwrap();
    assert_eq!(old.calls(), ["SendLeaveV1"]);
}

/// A server with both versions of joining.
struct Both(Arc<Old>);

#[async_trait]
impl api::Membership for Both {
    async fn send_join(
        &self,
        cx: &Authenticated,
        _: SendJoin,
    ) -> Result<SendJoinReply, FederationError> {
        self.0.seen(cx, "SendJoin");
        Ok(EventReply::new(
            vec![("auth_chain", vec![]), ("state", vec![])],
            SendJoinMembers::default(),
        ))
    }

    async fn send_join_v1(
        &self,
        cx: &Authenticated,
        request: SendJoinV1,
    ) -> Result<SendJoinReply, FederationError> {
        self.0.send_join_v1(cx, request).await
    }
}

#[tokio::test]
async fn a_server_that_has_the_second_version_is_not_asked_for_the_first() {
    let seen: Arc<Old> = Arc::default();
    let client = client_of(Arc::new(Both(seen.clone())), api::operations());
    let reply = client.send_join(&name("b.example"), join()).await.unwrap();
    reply.finish().await.unwrap();
    assert_eq!(seen.calls(), ["SendJoin"]);
}

/// What follows the first version's event does not fit into it.
#[tokio::test]
async fn an_invite_whose_state_makes_the_event_too_large_is_not_sent_by_the_first_version() {
    let old: Arc<Old> = Arc::default();
    let client = client(&old, older());
    let large = format!(r#"{{"content":"{}"}}"#, "x".repeat(65_000));
    let large = Pdu::judge(Value::parse(large.into(), 1 << 20).unwrap()).unwrap();
    let large = Invite {
        invite_room_state: Some(vec![Ok(large); 2]),
        ..invite("1")
    };
    assert!(client.invite(&name("b.example"), large).await.is_err());
    assert!(old.calls().is_empty());
}

/// What the specification took out is reached from what took its place.
#[test]
fn every_call_that_was_taken_out_is_fallen_back_to() {
    use comity_core::call::Edition;
    let fallbacks = Fallbacks::federation();
    let reached: Vec<Op> = api::operations()
        .into_iter()
        .filter_map(|op| fallbacks.older(op))
        .collect();
    for op in api::operations() {
        let span = op.spec().edition(Edition::Matrix);
        let removed = span.is_some_and(|span| span.until.is_some());
        // Keys by ID are a question of their own: a caller asks for all keys of a server, and nothing was ever named otherwise.
        let by_id = ["GetServerKeysById", "QueryServerKeysById"].contains(&op.spec().name);
        assert_eq!(
            reached.contains(&op),
            removed && !by_id || op == operation::<InviteV1>(),
            "{op:?}"
        );
    }
}
