//! A server that has only the first versions of the calls about membership is called by them, and the caller does not notice.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use comity_core::{
    Client, Operations, Router,
    api::{self, *},
    auth::{KeyRing, KeyRingOptions, Sign, Verify, XMatrixAuthenticator},
    call::{Authenticated, EventReply},
    endpoint::Query,
    error::{CallError, FederationError},
    event::Pdu,
    json::Members,
    layers::{Fallback, Fallbacks},
    transport::{MemoryMode, MemoryTransport},
};

use crate::homeserver::{Homeserver, join, name, pdu};

/// What its handlers were asked.
#[derive(Default)]
struct OldHouse(Mutex<Vec<String>>);

impl OldHouse {
    fn note(&self, cx: &Authenticated, what: &str, event: &Pdu) {
        let line = format!("{} {what} {}", cx.origin(), event.value());
        self.0.lock().unwrap().push(line);
    }
}

#[async_trait]
impl api::Membership for OldHouse {
    async fn send_join_v1(
        &self,
        cx: &Authenticated,
        request: SendJoinV1,
    ) -> Result<SendJoinReply, FederationError> {
        self.note(cx, "join", &request.event);
        let state = vec![pdu(r#"{"type":"m.state"}"#); 3];
        Ok(EventReply::new(
            vec![("state", state), ("auth_chain", Vec::new())],
            SendJoinMembers::default(),
        ))
    }

    async fn invite_v1(
        &self,
        cx: &Authenticated,
        request: InviteV1,
    ) -> Result<InviteReply, FederationError> {
        self.note(cx, "invite", &request.event);
        Ok(InviteReply {
            event: request.event,
            extra: Members::new(),
        })
    }

    async fn send_leave_v1(
        &self,
        cx: &Authenticated,
        request: SendLeaveV1,
    ) -> Result<SendLeaveReply, FederationError> {
        self.note(cx, "leave", &request.event);
        Ok(SendLeaveReply::default())
    }
}

/// A client of the old house, whose calls are signed and verified.
fn client(house: &Arc<OldHouse>, mode: MemoryMode) -> Client {
    let caller = Homeserver::new("a.example", 1);
    let keys = MemoryTransport::new(
        Operations::federation(),
        caller.router().layered(tower::layer::util::Identity::new()),
        mode,
    );
    let ring = KeyRing::new(Client::new(Arc::new(keys)), KeyRingOptions::default());
    let authenticator = XMatrixAuthenticator::new(name("b.example"), Arc::new(ring));
    let service = Router::new()
        .with(api::membership(house.clone()))
        .layered(Verify::layer(Arc::new(authenticator)));
    let transport = MemoryTransport::new(Operations::federation(), service, mode);
    Client::layered(
        Arc::new(transport),
        (
            Fallback::layer(Fallbacks::federation()),
            Sign::layer(caller.name.clone(), caller.key.clone()),
        ),
    )
}

fn invite(room_version: &str) -> Invite {
    Invite {
        room_id: "!r:a.example".to_owned(),
        event_id: "$e".to_owned(),
        room_version: room_version.to_owned(),
        event: pdu(r#"{"type":"m.room.member"}"#),
        invite_room_state: Some(vec![Ok(pdu(r#"{"type":"m.room.create"}"#))]),
        extra: Members::new(),
        extra_query: Query::new(),
    }
}

#[tokio::test]
async fn an_old_server_is_called_as_it_knows_it() {
    for mode in [MemoryMode::ByValue, MemoryMode::ThroughCodec] {
        let house = Arc::new(OldHouse::default());
        let (client, to) = (client(&house, mode), name("b.example"));

        let mut reply = client.send_join(&to, join()).await.unwrap();
        let mut events = 0;
        while let Some(arrival) = reply.next().await {
            arrival.unwrap();
            events += 1;
        }
        assert_eq!(events, 3);
        assert_eq!(reply.finish().await.unwrap().members_omitted, None);

        let reply = client.invite(&to, invite("2")).await.unwrap();
        let sent = r#"{"type":"m.room.member","unsigned":{"invite_room_state":[{"type":"m.room.create"}]}}"#;
        assert_eq!(reply.event.value().as_text(), sent);

        let leave = SendLeave {
            room_id: "!r:a.example".to_owned(),
            event_id: "$l".to_owned(),
            event: pdu(r#"{"depth":0}"#),
            extra_query: Query::new(),
        };
        assert_eq!(
            client.send_leave(&to, leave).await.unwrap(),
            SendLeaveReply::default()
        );
        assert_eq!(
            *house.0.lock().unwrap(),
            [
                r#"a.example join {"type":"m.room.member"}"#.to_owned(),
                format!("a.example invite {sent}"),
                r#"a.example leave {"depth":0}"#.to_owned(),
            ]
        );
    }
}

/// The first version implies the format of events of room versions 1 and 2.
#[tokio::test]
async fn an_invite_to_a_later_room_is_not_sent_by_the_first_version() {
    let house = Arc::new(OldHouse::default());
    let client = client(&house, MemoryMode::ThroughCodec);
    for room_version in ["3", "12", "I.1", "", "1 "] {
        let invite = invite(room_version);
        let answer = client.invite(&name("b.example"), invite).await;
        let Err(CallError::Federation(answer)) = answer else {
            panic!("{answer:?}");
        };
        assert!(answer.is_unknown_endpoint(), "{answer}");
    }
    let large = Pdu::judge(
        comity_core::json::Value::parse(
            format!(r#"{{"content":"{}"}}"#, "x".repeat(65_000)).into(),
            1 << 20,
        )
        .unwrap(),
    );
    let large = Invite {
        invite_room_state: Some(vec![Ok(large.unwrap()); 2]),
        ..invite("1")
    };
    assert!(client.invite(&name("b.example"), large).await.is_err());
    assert!(house.0.lock().unwrap().is_empty());
}
