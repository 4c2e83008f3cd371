//! One request and its reply for each operation, of the size that a small room's are.

use std::sync::Arc;

use bytes::Bytes;
use comity_core::{
    api::{
        Backfill, BatchQueryServerKeys, ClaimKeys, Direction, DownloadMedia, DownloadMediaLegacy,
        DownloadThumbnail, DownloadThumbnailLegacy, ExchangeThirdPartyInvite, GetEvent,
        GetEventAuth, GetEventByTimestamp, GetHierarchy, GetMissingEvents, GetOpenIdUserInfo,
        GetPublicRooms, GetServerKeys, GetServerKeysById, GetState, GetStateIds, GetUserDevices,
        GetVersion, Invite, InviteV1, MakeJoin, MakeKnock, MakeLeave, NotifyThirdPartyBind,
        PolicySign, QueryCustom, QueryDirectory, QueryKeys, QueryProfile, QueryPublicRooms,
        QueryServerKeys, QueryServerKeysById, SendJoin, SendJoinV1, SendKnock, SendLeave,
        SendLeaveV1, SendTransaction,
    },
    call::{
        AnyRequest, Blob, BlobSource, Body, Call, Endpoint, EventStream, Message, Op, Part, Reply,
        operation,
    },
    endpoint::{Content, Query},
    event::Pdu,
    json::{Json, Members, Object, Value},
};
use comity_floors::bodies::state_event;
use futures_util::{StreamExt, stream};

use crate::setting::{destination, origin};

/// State events in the replies that give a room's state.
const STATE: u64 = 10;

/// A request as a server makes it, and the reply that it gets.
trait Exchange: Endpoint {
    fn request() -> Self;
    fn reply() -> Answer;
}

/// What stands in a reply.
#[derive(Clone)]
pub(super) enum Answer {
    Message(String),
    /// Elements of each array.
    Stream(Vec<(&'static str, Vec<Value>)>),
    Blob(Bytes),
    Body(Bytes),
}

impl Answer {
    pub(super) fn to_reply(&self) -> Reply {
        match self.clone() {
            Self::Message(text) => Reply::Message(Message::from_content(object(&text))),
            Self::Stream(arrays) => {
                let parts = arrays.into_iter().flat_map(|(array, values)| {
                    let items = (0..).zip(values).map(move |(index, value)| Part::Item {
                        array,
                        index,
                        value,
                    });
                    std::iter::once(Part::Array(array)).chain(items)
                });
                Reply::Events(EventStream {
                    parts: stream::iter(parts.map(Ok).collect::<Vec<_>>()).boxed(),
                })
            }
            Self::Blob(bytes) => Reply::Blob(Blob {
                metadata: Object::empty(),
                source: BlobSource::Here {
                    content_type: Some("image/png".to_owned()),
                    content_disposition: Some("inline".to_owned()),
                },
                bytes: stream::iter([Ok(bytes)]).boxed(),
            }),
            Self::Body(bytes) => Reply::Body(Body::new(Some("image/png".to_owned()), bytes)),
        }
    }

    pub(super) fn shape(&self) -> &'static str {
        match self {
            Self::Message(_) => "message",
            Self::Stream(_) => "events",
            Self::Blob(_) => "blob",
            Self::Body(_) => "bytes",
        }
    }

    /// Bytes of what is said, without anything around it.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Message(text) => text.len(),
            Self::Stream(arrays) => {
                let values = arrays.iter().flat_map(|(_, values)| values);
                values.map(|value| value.as_bytes().len() + 1).sum()
            }
            Self::Blob(bytes) | Self::Body(bytes) => bytes.len(),
        }
    }
}

fn object(text: &str) -> Object {
    Object::parse(Bytes::copy_from_slice(text.as_bytes()), usize::MAX).expect("it is JSON")
}

fn json<T>(text: &str) -> Json<T> {
    Json::from_value(object(text).to_value())
}

fn pdu(number: u64) -> Pdu {
    Pdu::judge(state_event(number)).expect("it is an event")
}

fn events(count: u64) -> Vec<Value> {
    (0..count).map(|number| pdu(number).into_value()).collect()
}

fn ids(count: u64) -> Vec<Value> {
    let id = |number| format!("$1XSZ1P3xZFbSZ1P3xZFbSZ1P3xZFbSZ1P3xZ{number:06}");
    (0..count)
        .map(|number| Value::string(&id(number)))
        .collect()
}

fn room() -> String {
    "!yv1TzGVpXvVvTzGVpXvVvTzGVpXvVvTzGVpXvVvTzGV".to_owned()
}

fn event_id() -> String {
    "$nS3cGUvVvTzGVpXvVvTzGVpXvVvTzGVpXvVvTzGVpXv".to_owned()
}

/// What a join, knock or leave event is made from.
fn template(membership: &str) -> Answer {
    Answer::Message(format!(
        r#"{{"event":{{"auth_events":["{0}","{0}"],"content":{{"membership":"{membership}"}},"depth":42,"origin_server_ts":1763000000000,"prev_events":["{0}"],"room_id":"{1}","sender":"{2}","state_key":"{2}","type":"m.room.member"}},"room_version":"12"}}"#,
        event_id(),
        room(),
        caller()
    ))
}

/// A user of the server that calls.
fn caller() -> String {
    "@bob:origin.example.org".to_owned()
}

fn versions() -> Vec<String> {
    (1..=12).map(|version| version.to_string()).collect()
}

fn user() -> String {
    "@alice:destination.example.org".to_owned()
}

const DEVICE_KEYS: &str = r#"{"@alice:destination.example.org":{"WORKBENCH":{"algorithms":["m.olm.v1.curve25519-aes-sha2","m.megolm.v1.aes-sha2"],"device_id":"WORKBENCH","keys":{"curve25519:WORKBENCH":"3C5BFWi2Y8MaVvjM8M22DBmh24PmgR0nPvJOIArzgyI","ed25519:WORKBENCH":"VzJIYXQ85u19z2ZpEeLLVu8hUKTCE0VXYUn4IY4iFcA"},"signatures":{"@alice:destination.example.org":{"ed25519:WORKBENCH":"FLWxXqGbwrb8SM3Y795eB6OA8bwBcoMZFXBqnTn58AYWZSqiD45tlBVcDa2L7RwdKXebW/VzDlnfVJ+9jok1Bw"}},"user_id":"@alice:destination.example.org"}}}"#;

const ONE_TIME_KEY: &str = r#"{"@alice:destination.example.org":{"WORKBENCH":{"signed_curve25519:AAAAHg":{"key":"zKbLg+NrIjpnagy+pIY6uPL4ZwEG2v+8F9lmgsnlZzs","signatures":{"@alice:destination.example.org":{"ed25519:WORKBENCH":"FLWxXqGbwrb8SM3Y795eB6OA8bwBcoMZFXBqnTn58AYWZSqiD45tlBVcDa2L7RwdKXebW/VzDlnfVJ+9jok1Bw"}}}}}}"#;

const KEY_DOCUMENT: &str = r#"{"old_verify_keys":{},"server_name":"destination.example.org","signatures":{"destination.example.org":{"ed25519:a_key":"FLWxXqGbwrb8SM3Y795eB6OA8bwBcoMZFXBqnTn58AYWZSqiD45tlBVcDa2L7RwdKXebW/VzDlnfVJ+9jok1Bw"}},"valid_until_ts":1763000000000,"verify_keys":{"ed25519:a_key":{"key":"VzJIYXQ85u19z2ZpEeLLVu8hUKTCE0VXYUn4IY4iFcA"}}}"#;

fn key_documents() -> Answer {
    Answer::Message(format!(r#"{{"server_keys":[{KEY_DOCUMENT}]}}"#))
}

const ROOM_SUMMARY: &str = r##"{"avatar_url":"mxc://destination.example.org/CHEDDARandBRIE","canonical_alias":"#cheese:destination.example.org","guest_can_join":false,"join_rule":"public","name":"CHEESE","num_joined_members":37,"room_id":"!ol19s:destination.example.org","topic":"Tasty tasty cheese","world_readable":true}"##;

fn rooms() -> Answer {
    let chunk = [ROOM_SUMMARY; 20].join(",");
    Answer::Message(format!(
        r#"{{"chunk":[{chunk}],"next_batch":"p190q","total_room_count_estimate":115}}"#
    ))
}

macro_rules! exchanges {
    ($($Request:ident: $request:expr => $reply:expr;)*) => {
        $(
            impl Exchange for $Request {
                fn request() -> Self {
                    $request
                }
                fn reply() -> Answer {
                    $reply
                }
            }
        )*
    };
}

exchanges! {
    GetVersion: Self::default()
        => Answer::Message(r#"{"server":{"name":"Synapse","version":"1.163.0"}}"#.to_owned());
    GetServerKeys: Self::default() => Answer::Message(KEY_DOCUMENT.to_owned());
    QueryServerKeys: Self { server_name: "other.example.org".to_owned(), ..Self::default() } => key_documents();
    BatchQueryServerKeys: Self { server_keys: json(r#"{"other.example.org":{"ed25519:a_key":{"minimum_valid_until_ts":1763000000000}}}"#), extra: Members::new(), extra_query: Query::default() }
        => key_documents();
    GetServerKeysById: Self { key_id: "ed25519:a_key".to_owned(), ..Self::default() } => Answer::Message(KEY_DOCUMENT.to_owned());
    QueryServerKeysById: Self { server_name: "other.example.org".to_owned(), key_id: "ed25519:a_key".to_owned(), ..Self::default() }
        => key_documents();
    SendTransaction: Self::new("m1763000000000.42", &origin(), 1_763_000_000_000, [pdu(1)])
        => Answer::Message(format!(r#"{{"pdus":{{"{}":{{}}}}}}"#, event_id()));
    GetEvent: Self { event_id: event_id(), ..Self::default() } => Answer::Message(format!(
        r#"{{"origin":"destination.example.org","origin_server_ts":1763000000000,"pdus":[{}]}}"#,
        pdu(1).value().as_text()
    ));
    GetState: Self { room_id: room(), event_id: event_id(), ..Self::default() }
        => Answer::Stream(vec![("auth_chain", events(STATE / 2)), ("pdus", events(STATE))]);
    GetStateIds: Self { room_id: room(), event_id: event_id(), ..Self::default() }
        => Answer::Stream(vec![("auth_chain_ids", ids(STATE / 2)), ("pdu_ids", ids(STATE))]);
    GetEventAuth: Self { room_id: room(), event_id: event_id(), ..Self::default() }
        => Answer::Stream(vec![("auth_chain", events(STATE / 2))]);
    Backfill: Self { room_id: room(), from: vec![event_id(), event_id()], limit: 100, extra_query: Query::default() }
        => Answer::Stream(vec![("pdus", events(100))]);
    GetMissingEvents: Self { room_id: room(), earliest_events: vec![event_id()], latest_events: vec![event_id()], limit: Some(10), ..Self::default() }
        => {
            let events: Vec<_> = events(10).iter().map(|event| event.as_text().to_owned()).collect();
            Answer::Message(format!(r#"{{"events":[{}]}}"#, events.join(",")))
        };
    GetEventByTimestamp: Self { room_id: room(), timestamp: 1_763_000_000_000, direction: Direction::Backwards, extra_query: Query::default() }
        => Answer::Message(format!(r#"{{"event_id":"{}","origin_server_ts":1762999990000}}"#, event_id()));
    MakeJoin: Self { room_id: room(), user_id: caller(), versions: versions(), extra_query: Query::default() }
        => template("join");
    SendJoin: Self { room_id: room(), event_id: event_id(), event: pdu(1), omit_members: Some(false), extra_query: Query::default() }
        => Answer::Stream(vec![("auth_chain", events(STATE / 2)), ("state", events(STATE))]);
    SendJoinV1: Self { room_id: room(), event_id: event_id(), event: pdu(1), extra_query: Query::default() }
        => SendJoin::reply();
    MakeKnock: Self { room_id: room(), user_id: caller(), versions: versions(), extra_query: Query::default() }
        => template("knock");
    SendKnock: Self { room_id: room(), event_id: event_id(), event: pdu(1), extra_query: Query::default() }
        => Answer::Message(format!(r#"{{"knock_room_state":[{},{}]}}"#, pdu(2).value().as_text(), pdu(3).value().as_text()));
    Invite: Self { room_id: room(), event_id: event_id(), room_version: "12".to_owned(), event: pdu(1), invite_room_state: Some(vec![Ok(pdu(2)), Ok(pdu(3))]), extra: Members::new(), extra_query: Query::default() }
        => Answer::Message(format!(r#"{{"event":{}}}"#, pdu(1).value().as_text()));
    InviteV1: Self { room_id: room(), event_id: event_id(), event: InviteV1::event_with_state(&pdu(1), &[Ok(pdu(2)), Ok(pdu(3))]).expect("it is not large"), extra_query: Query::default() }
        => Invite::reply();
    MakeLeave: Self { room_id: room(), user_id: caller(), extra_query: Query::default() }
        => template("leave");
    SendLeave: Self { room_id: room(), event_id: event_id(), event: pdu(1), extra_query: Query::default() }
        => Answer::Message("{}".to_owned());
    SendLeaveV1: Self { room_id: room(), event_id: event_id(), event: pdu(1), extra_query: Query::default() }
        => SendLeave::reply();
    ExchangeThirdPartyInvite: Self { room_id: room(), event_type: "m.room.member".to_owned(), event_room_id: Some(room()), sender: user(), state_key: caller(), content: json(r#"{"membership":"invite","third_party_invite":{"display_name":"bob","signed":{"mxid":"@bob:origin.example.org","signatures":{"identity.example.org":{"ed25519:0":"FLWxXqGbwrb8SM3Y795eB6OA8bwBcoMZFXBqnTn58AYWZSqiD45tlBVcDa2L7RwdKXebW/VzDlnfVJ+9jok1Bw"}},"token":"zKbLgNrIjpnagypIY6uPL4ZwEG2v8F9lmgsnlZzs"}}}"#), extra: Members::new(), extra_query: Query::default() }
        => Answer::Message("{}".to_owned());
    GetPublicRooms: Self { limit: Some(20), ..Self::default() } => rooms();
    QueryPublicRooms: Self { limit: Some(20), filter: Some(json(r#"{"generic_search_term":"cheese"}"#)), ..Self::default() } => rooms();
    GetHierarchy: Self { room_id: room(), suggested_only: Some(false), ..Self::default() } => {
        let children = [ROOM_SUMMARY; 10].join(",");
        Answer::Message(format!(r#"{{"children":[{children}],"inaccessible_children":[],"room":{ROOM_SUMMARY}}}"#))
    };
    QueryDirectory: Self { room_alias: "#cheese:destination.example.org".to_owned(), ..Self::default() } => Answer::Message(
        r#"{"room_id":"!ol19s:destination.example.org","servers":["destination.example.org","example.com","another.example.com:8449"]}"#.to_owned()
    );
    QueryCustom: Self { query_type: "client_keys".to_owned(), ..Self::default() } => Answer::Message("{}".to_owned());
    QueryProfile: Self { user_id: user(), ..Self::default() } => Answer::Message(
        r#"{"avatar_url":"mxc://destination.example.org/SDGdghriugerRg","displayname":"Alice Margatroid"}"#.to_owned()
    );
    QueryKeys: Self { device_keys: json(r#"{"@alice:destination.example.org":[]}"#), extra: Members::new(), extra_query: Query::default() }
        => Answer::Message(format!(r#"{{"device_keys":{DEVICE_KEYS}}}"#));
    ClaimKeys: Self { one_time_keys: json(r#"{"@alice:destination.example.org":{"WORKBENCH":"signed_curve25519"}}"#), extra: Members::new(), extra_query: Query::default() }
        => Answer::Message(format!(r#"{{"one_time_keys":{ONE_TIME_KEY}}}"#));
    DownloadMedia: Self { media_id: "SDGdghriugerRgSDGdghriug".to_owned(), ..Self::default() }
        => Answer::Blob(vec![7; 64 << 10].into());
    DownloadThumbnail: Self { media_id: "SDGdghriugerRgSDGdghriug".to_owned(), width: 96, height: 96, method: Some("crop".to_owned()), ..Self::default() }
        => Answer::Blob(vec![7; 8 << 10].into());
    DownloadMediaLegacy: Self { server_name: destination().to_string(), media_id: "SDGdghriugerRgSDGdghriug".to_owned(), allow_remote: Some(false), ..Self::default() }
        => Answer::Body(vec![7; 64 << 10].into());
    DownloadThumbnailLegacy: Self { server_name: destination().to_string(), media_id: "SDGdghriugerRgSDGdghriug".to_owned(), width: 96, height: 96, allow_remote: Some(false), ..Self::default() }
        => Answer::Body(vec![7; 8 << 10].into());
    GetUserDevices: Self { user_id: user(), ..Self::default() } => {
        let keys: std::collections::BTreeMap<String, std::collections::BTreeMap<String, Value>> = json(DEVICE_KEYS).read().expect("it is a map");
        let keys = &keys[&user()]["WORKBENCH"];
        Answer::Message(format!(r#"{{"devices":[{{"device_display_name":"Workbench","device_id":"WORKBENCH","keys":{}}}],"stream_id":5,"user_id":"{}"}}"#, keys.as_text(), user()))
    };
    PolicySign: Self { event: pdu(1), extra_query: Query::default() } => Answer::Message(
        r#"{"destination.example.org":{"ed25519:policy_server":"zLFxllD0pbBuBpfHh8NuHNaICpReF/PAOpUQTsw+bFGKiGfDNAsnhcP7pbrmhhpfbOAxIdLraQLeeiXBryLmBw"}}"#.to_owned()
    );
    GetOpenIdUserInfo: Self { access_token: "RgSDGdghriugerRgSDGdghriug".to_owned(), ..Self::default() }
        => Answer::Message(format!(r#"{{"sub":"{}"}}"#, user()));
    NotifyThirdPartyBind: Self { medium: "email".to_owned(), address: "alice@example.com".to_owned(), mxid: user(), ..Self::default() }
        => Answer::Message("{}".to_owned());
}

/// An exchange with its types erased.
#[derive(Clone)]
pub(super) struct Sample {
    pub(super) operation: Op,
    pub(super) request: Arc<dyn AnyRequest>,
    pub(super) answer: Answer,
}

/// A row of the table without an exchange does not compile.
macro_rules! every_exchange {
    ($(
        $(#[$group_doc:meta])*
        group $Group:ident $routes:ident {
            $(
                $(#[$doc:meta])*
                $auth:ident $method:ident: $Request:ty => $Reply:ty { $($facts:tt)* }
            )*
        }
    )*) => {
        pub(super) fn samples() -> Vec<Sample> {
            vec![$($( Sample {
                operation: operation::<$Request>(),
                request: Arc::new(<$Request as Exchange>::request()),
                answer: <$Request as Exchange>::reply(),
            } ),*),*]
        }
    };
}

comity_core::operations!(every_exchange);

impl Sample {
    pub(super) fn call(&self) -> Call {
        let form = self.request.write().expect("it has a form");
        let context = comity_core::call::CallContext::to(destination());
        Call::received(self.request.clone_box(), form, context)
    }

    pub(super) fn request_size(&self) -> usize {
        let form = self.request.write().expect("it has a form");
        match form.content() {
            Content::Json(object) => object.text().len(),
            _ => 0,
        }
    }
}
