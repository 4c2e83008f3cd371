//! What the layer does for a room's server ACL, for each kind of operation.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use comity_core::{
    Client, Operations, Router,
    acl::{ServerAcl, ServerAcls},
    api::{self, *},
    auth::{KeyRing, KeyRingOptions, Verify, XMatrixAuthenticator},
    call::{Authenticated, EventReply},
    error::{CallError, FederationError},
    event::{
        Edu, Pdu,
        room_version::{RoomVersion, RoomVersions},
    },
    json::{Object, Value},
    layers::{Acl, MAX_ACL_ROOMS},
    transport::{MemoryMode, MemoryTransport},
};
use tower::layer::util::Identity;

use crate::{
    acl_content::{acl, object},
    homeserver::{Homeserver, name, signing},
};

/// Rooms by ID; `!broken` cannot be looked up.
#[derive(Debug, Default)]
struct Rooms {
    acls: HashMap<&'static str, Arc<ServerAcl>>,
    asked: Mutex<Vec<String>>,
    version: Option<&'static str>,
}

#[async_trait]
impl ServerAcls for Rooms {
    async fn server_acl(&self, room_id: &str) -> Result<Option<Arc<ServerAcl>>, FederationError> {
        self.asked.lock().unwrap().push(room_id.to_owned());
        match room_id {
            "!broken" => Err(FederationError::new(503, "M_UNKNOWN", "the store is away")),
            _ => Ok(self.acls.get(room_id).cloned()),
        }
    }

    async fn room_version(&self, _: &str) -> Option<Arc<dyn RoomVersion>> {
        let versions = RoomVersions::matrix();
        Some(versions.get(self.version?)?.rules().clone())
    }
}

fn rooms() -> Rooms {
    let deny = Arc::new(acl(r#"{"allow":["*"],"deny":["a.example"]}"#));
    let allow = Arc::new(acl(r#"{"allow":["a.*"]}"#));
    Rooms {
        acls: HashMap::from([("!closed", deny), ("!open", allow)]),
        version: Some("10"),
        ..Rooms::default()
    }
}

/// Keeps transactions, with the content that was signed.
#[derive(Default)]
struct House {
    transactions: Mutex<Vec<(SendTransaction, Object)>>,
    answer: Mutex<BTreeMap<String, PduResult>>,
}

#[async_trait]
impl api::Transactions for House {
    async fn send_transaction(
        &self,
        cx: &Authenticated,
        request: SendTransaction,
    ) -> Result<SendTransactionReply, FederationError> {
        let form = cx.form().unwrap();
        let signed = form.content().object().unwrap().into_owned();
        self.transactions.lock().unwrap().push((request, signed));
        Ok(SendTransactionReply::new(&self.answer.lock().unwrap()))
    }
}

#[async_trait]
impl api::Events for House {
    async fn get_state(
        &self,
        _: &Authenticated,
        _: GetState,
    ) -> Result<GetStateReply, FederationError> {
        let none: Vec<(&'static str, Vec<Pdu>)> = vec![];
        Ok(EventReply::new(none, NoMembers::default()))
    }

    async fn get_event(
        &self,
        _: &Authenticated,
        _: GetEvent,
    ) -> Result<GetEventReply, FederationError> {
        Err(FederationError::not_found("reached"))
    }
}

fn client(house: &Arc<House>, rooms: Arc<Rooms>, mode: MemoryMode) -> Client {
    let a = Homeserver::new("a.example", 1);
    let keys = a.router().layered(Identity::new());
    let keys = MemoryTransport::new(Operations::federation(), keys, mode);
    let ring = KeyRing::new(Client::new(Arc::new(keys)), KeyRingOptions::default());
    let authenticator = XMatrixAuthenticator::new(name("b.example"), Arc::new(ring));
    let service = Router::new()
        .with(api::transactions(house.clone()))
        .with(api::events(house.clone()))
        .layered((Verify::layer(Arc::new(authenticator)), Acl::layer(rooms)));
    let transport = MemoryTransport::new(Operations::federation(), service, mode);
    signing(Arc::new(transport), &a)
}

const MODES: [MemoryMode; 2] = [MemoryMode::ByValue, MemoryMode::ThroughCodec];

fn status(error: &CallError) -> (u16, Option<&str>) {
    match error {
        CallError::Federation(error) => (error.http_status(), error.errcode()),
        CallError::Transport(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_room_that_denies_the_origin_is_forbidden() {
    for mode in MODES {
        let rooms = Arc::new(rooms());
        let client = client(&Arc::default(), rooms.clone(), mode);
        let to = name("b.example");
        for (room_id, expected) in [
            ("!closed", Some((403, Some("M_FORBIDDEN")))),
            ("!broken", Some((503, Some("M_UNKNOWN")))),
            ("!open", None),
            ("!unknown", None),
        ] {
            let request = GetState {
                room_id: room_id.to_owned(),
                event_id: "$e".to_owned(),
                ..GetState::default()
            };
            let result = client.get_state(&to, request).await;
            let got = result.as_ref().err().map(status);
            assert_eq!(got, expected, "{room_id}");
        }
        // No room in the path, and no duty.
        let request = GetEvent {
            event_id: "$e".to_owned(),
            ..GetEvent::default()
        };
        let error = client.get_event(&to, request).await.unwrap_err();
        assert_eq!(status(&error), (404, Some("M_NOT_FOUND")));
        assert_eq!(rooms.asked.lock().unwrap().len(), 4);
    }
}

#[tokio::test]
async fn without_a_proven_origin_nobody_is_judged() {
    let rooms = Arc::new(rooms());
    let house: Arc<House> = Arc::default();
    let service = Router::new()
        .with(api::events(house))
        .layered(Acl::layer(rooms.clone()));
    let memory = MemoryTransport::new(Operations::federation(), service, MemoryMode::ByValue);
    let request = GetState {
        room_id: "!open".to_owned(),
        event_id: "$e".to_owned(),
        ..GetState::default()
    };
    let error = Client::new(Arc::new(memory))
        .get_state(&name("b.example"), request)
        .await
        .unwrap_err();
    assert_eq!(status(&error), (401, Some("M_UNAUTHORIZED")));
    assert!(rooms.asked.lock().unwrap().is_empty());
}

fn value(text: &str) -> Value {
    object(text).to_value()
}

fn pdu_in(room_id: &str) -> Value {
    value(&format!(
        r#"{{"auth_events":[],"content":{{}},"depth":1,"hashes":{{"sha256":"x"}},"origin_server_ts":1,"prev_events":[],"room_id":"{room_id}","sender":"@u:c.example","type":"m.test"}}"#
    ))
}

/// A transaction of these values, whatever they are.
fn transaction(pdus: &[Value], edus: Option<&[&str]>) -> SendTransaction {
    let judged = comity_core::event::judge_all(pdus.to_vec(), Pdu::judge);
    SendTransaction {
        pdus: judged,
        edus: edus.map(|edus| {
            let values = edus.iter().map(|edu| value(edu));
            comity_core::event::judge_all(values, Edu::judge)
        }),
        ..SendTransaction::new("txn", &name("a.example"), 1, [])
    }
}

/// The text of each element, good or bad.
fn pdu_texts(transaction: &SendTransaction) -> Vec<String> {
    let values = transaction.pdus.iter().map(|listed| match listed {
        Ok(pdu) => pdu.value().clone(),
        Err(bad) => bad.value.clone().unwrap(),
    });
    values.map(|value| text(&value)).collect()
}

fn edu_texts(transaction: &SendTransaction) -> Option<Vec<String>> {
    let values = transaction
        .edus
        .as_ref()?
        .iter()
        .map(|listed| match listed {
            Ok(edu) => edu.value().clone(),
            Err(bad) => bad.value.clone().unwrap(),
        });
    Some(values.map(|value| text(&value)).collect())
}

fn text(value: &Value) -> String {
    String::from_utf8(value.as_bytes().to_vec()).unwrap()
}

fn id_of(pdu: &Value, version: &str) -> String {
    let versions = RoomVersions::matrix();
    let rules = versions.get(version).unwrap().rules();
    rules.event_id(&Object::from_value(pdu).unwrap()).unwrap()
}

fn results(reply: &SendTransactionReply) -> BTreeMap<String, PduResult> {
    reply.pdus.read().unwrap()
}

#[tokio::test]
async fn the_items_of_rooms_that_deny_the_origin_are_taken_out_of_a_transaction() {
    let closed = pdu_in("!closed");
    let pdus = [
        pdu_in("!open"),
        closed.clone(),
        value(r#"{"type":"m.no.room"}"#),
        pdu_in("!unknown"),
        Value::parse(Bytes::from_static(b"7"), 9).unwrap(),
        value(r#"{"room_id":["!closed"]}"#),
    ];
    let edus = [
        r#"{"content":{"room_id":"!closed","typing":true,"user_id":"@u:a.example"},"edu_type":"m.typing"}"#,
        r#"{"content":{"room_id":"!open","typing":true,"user_id":"@u:a.example"},"edu_type":"m.typing"}"#,
        r#"{"content":{"!closed":{"m.read":{}}},"edu_type":"m.receipt"}"#,
        r#"{"content":{"!closed":{"m.read":{}},"!open":{"m.read":{}}},"edu_type":"m.receipt","odd":1}"#,
        r#"{"content":{"!open":{},"!unknown":{}},"edu_type":"m.receipt"}"#,
        r#"{"content":{"room_id":7},"edu_type":"m.typing"}"#,
        r#"{"edu_type":"m.typing"}"#,
        r#"{"content":{"room_id":"!closed"},"edu_type":"org.example.odd"}"#,
        r#"{"content":{"!closed":{}},"edu_type":7}"#,
    ];
    for mode in MODES {
        let house: Arc<House> = Arc::default();
        let own = PduResult {
            error: Some("the handler's".to_owned()),
        };
        let own = BTreeMap::from([
            ("$own".to_owned(), own),
            ("$good".to_owned(), PduResult::default()),
        ]);
        *house.answer.lock().unwrap() = own.clone();
        let client = client(&house, Arc::new(rooms()), mode);
        let sent = transaction(&pdus, Some(&edus));
        let signed = {
            let call = comity_core::call::Call::new(name("b.example"), sent.clone());
            let mut call = call;
            call.make_form()
                .unwrap()
                .content()
                .object()
                .unwrap()
                .into_owned()
        };
        let reply = client
            .send_transaction(&name("b.example"), sent)
            .await
            .unwrap();
        let (got, form) = house.transactions.lock().unwrap().pop().unwrap();
        let mut expected: Vec<String> = pdus.iter().map(text).collect();
        expected.remove(1);
        assert_eq!(pdu_texts(&got), expected);
        let left = [
            edus[1],
            r#"{"content":{"!open":{"m.read":{}}},"edu_type":"m.receipt","odd":1}"#,
            edus[4],
            edus[5],
            edus[6],
            edus[7],
            edus[8],
        ];
        assert_eq!(edu_texts(&got).unwrap(), left);
        // What was signed is there as it arrived.
        assert_eq!(form, signed);
        let mut expected = own;
        expected.insert(
            id_of(&closed, "10"),
            PduResult {
                error: Some("the room's server ACL denies a.example".to_owned()),
            },
        );
        assert_eq!(results(&reply), expected);
    }
}

#[tokio::test]
async fn a_transaction_of_which_nothing_is_denied_is_the_same_and_of_which_all_is_empty() {
    for mode in MODES {
        let house: Arc<House> = Arc::default();
        let client = client(&house, Arc::new(rooms()), mode);
        for edus in [None, Some(&[][..])] {
            let sent = transaction(&[pdu_in("!open")], edus);
            let to = name("b.example");
            client.send_transaction(&to, sent.clone()).await.unwrap();
            let (got, _) = house.transactions.lock().unwrap().pop().unwrap();
            assert_eq!(got, sent);
        }
        let sent = transaction(&[pdu_in("!closed")], None);
        let to = name("b.example");
        let reply = client.send_transaction(&to, sent.clone()).await.unwrap();
        let (got, _) = house.transactions.lock().unwrap().pop().unwrap();
        assert_eq!((got.pdus, got.edus), (vec![], None));
        assert_eq!(results(&reply).len(), 1);
    }
}

#[tokio::test]
async fn a_denied_event_whose_id_cannot_be_told_is_left_out_of_the_reply() {
    let house: Arc<House> = Arc::default();
    for version in [None, Some("1")] {
        let rooms = Rooms { version, ..rooms() };
        let client = client(&house, Arc::new(rooms), MemoryMode::ByValue);
        // Version 1 writes the ID into the event, and this one has none.
        let sent = transaction(&[pdu_in("!closed")], None);
        let to = name("b.example");
        let reply = client.send_transaction(&to, sent).await.unwrap();
        assert!(results(&reply).is_empty());
        let (got, _) = house.transactions.lock().unwrap().pop().unwrap();
        assert!(got.pdus.is_empty());
    }
}

#[tokio::test]
async fn a_room_that_cannot_be_looked_up_lets_nobody_in() {
    let house: Arc<House> = Arc::default();
    let client = client(&house, Arc::new(rooms()), MemoryMode::ByValue);
    let sent = transaction(&[pdu_in("!broken")], None);
    let error = client.send_transaction(&name("b.example"), sent).await;
    assert_eq!(status(&error.unwrap_err()), (503, Some("M_UNKNOWN")));
    assert!(house.transactions.lock().unwrap().is_empty());
}

#[tokio::test]
async fn each_room_is_looked_up_once_and_only_so_many() {
    let house: Arc<House> = Arc::default();
    let rooms = Arc::new(rooms());
    let client = client(&house, rooms.clone(), MemoryMode::ByValue);
    let to = name("b.example");
    let typing = r#"{"content":{"room_id":"!open"},"edu_type":"m.typing"}"#;
    let sent = transaction(&[pdu_in("!open"), pdu_in("!open")], Some(&[typing]));
    client.send_transaction(&to, sent).await.unwrap();
    assert_eq!(rooms.asked.lock().unwrap().drain(..).count(), 1);
    let receipts: Vec<String> = (0..3 * MAX_ACL_ROOMS)
        .map(|room| format!("\"!{room:04}\":{{}}"))
        .collect();
    let receipts = format!(
        r#"{{"content":{{{}}},"edu_type":"m.receipt"}}"#,
        receipts.join(",")
    );
    let sent = transaction(&[], Some(&[&receipts]));
    client.send_transaction(&to, sent).await.unwrap();
    assert_eq!(rooms.asked.lock().unwrap().len(), MAX_ACL_ROOMS);
    let (got, _) = house.transactions.lock().unwrap().pop().unwrap();
    let edus = got.edus.unwrap();
    let left = edus[0].as_ref().unwrap().content().unwrap();
    assert_eq!(left.len(), MAX_ACL_ROOMS);
}

/// SS "Server Access Control Lists (ACLs)" names the calls; PolicySign may be judged as well.
#[test]
fn the_rows_say_what_the_specification_says() {
    use comity_core::call::AclDuty;
    const ROOM: [&str; 15] = [
        "Backfill",
        "GetEventAuth",
        "GetMissingEvents",
        "GetState",
        "GetStateIds",
        "Invite",
        "InviteV1",
        "MakeJoin",
        "MakeKnock",
        "MakeLeave",
        "SendJoin",
        "SendJoinV1",
        "SendKnock",
        "SendLeave",
        "SendLeaveV1",
    ];
    let mut found = 0;
    for op in api::operations() {
        let expected = match op.spec().name {
            "SendTransaction" => AclDuty::Items,
            name if ROOM.contains(&name) => AclDuty::Room,
            _ => AclDuty::Unchecked,
        };
        assert_eq!(op.spec().server_acl, expected, "{op:?}");
        if expected == AclDuty::Room {
            found += 1;
            assert!(op.path().as_str().contains("/{roomId}"), "{op:?}");
        }
    }
    assert_eq!(found, ROOM.len());
}
