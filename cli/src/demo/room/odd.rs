//! A call of every signed operation, with parameters and members that nobody knows.

use comity_core::{
    api::{
        Backfill, ClaimKeys, Direction, DownloadMedia, DownloadThumbnail, ExchangeThirdPartyInvite,
        GetEvent, GetEventAuth, GetEventByTimestamp, GetHierarchy, GetMissingEvents,
        GetPublicRooms, GetState, GetStateIds, GetUserDevices, Invite, InviteV1, MakeJoin,
        MakeKnock, MakeLeave, PolicySign, QueryCustom, QueryDirectory, QueryKeys, QueryProfile,
        QueryPublicRooms, SendJoin, SendJoinV1, SendKnock, SendLeave, SendLeaveV1, SendTransaction,
        operations,
    },
    auth::now_ms,
    call::{Authentication, Call, Endpoint},
    event::Pdu,
    json::{Json, Object, ObjectWriter},
};
use comity_homeserver::{Draft, Homeserver, NewRoom};
use ruma_common::RoomId;

use super::{cast::Cast, large::VERSION, public_room, requests};
use crate::demo::{
    calls::{show, unknown_members, unknown_query},
    mascot,
    stage::Stage,
};

/// The calls, from the joining server to the resident one. The last event of `room` is what they ask about; what changes a room is of rooms
/// made for that. What the resident server does not have it answers so, once it has seen the call.
pub(crate) async fn calls(
    stage: &Stage<Homeserver>,
    cast: &Cast,
    room: &RoomId,
) -> Result<Vec<Call>, String> {
    let (joining, resident) = (&stage.joining, &stage.resident);
    let last = resident
        .house
        .with_room(room, |room| room.heads().next().map(ToString::to_string));
    let event_id = last.flatten().ok_or("the room has no last event")?;
    let room_id = room.to_string();
    let extra_query = unknown_query();
    let extra = unknown_members();

    let transaction_id = "odd/ID ~%2F'";
    let joined = resident
        .house
        .create_room(&cast.alice, &public_room())
        .map_err(show)?;
    let join = requests::send_join(joining, resident, &joined, &cast.guest("odd", 0)).await?;
    let leaver = cast.guest("odd", 2);
    let there = joining.house.join(&joined, &leaver, resident.name()).await;
    there.map_err(show)?;
    let leave = requests::send_leave(joining, resident, &joined, &leaver).await?;
    let knocked = NewRoom {
        join_rule: "knock".to_owned(),
        ..NewRoom::default()
    };
    let knocked = resident.house.create_room(&cast.alice, &knocked);
    let knocked = knocked.map_err(show)?;
    let knock = requests::send_knock(joining, resident, &knocked, &cast.bob).await?;
    let private = joining
        .house
        .create_room(&cast.bob, &NewRoom::default())
        .map_err(show)?;
    let invite = requests::invite(joining, &private, &cast.bob, &cast.member(0))?;

    let mut calls = vec![
        call(
            stage,
            SendTransaction {
                extra: extra.clone(),
                extra_query: extra_query.clone(),
                ..SendTransaction::new(transaction_id, joining.name(), now_ms(), [])
            },
        ),
        call(
            stage,
            GetEvent {
                event_id: event_id.clone(),
                extra_query: extra_query.clone(),
            },
        ),
        call(
            stage,
            GetState {
                room_id: room_id.clone(),
                event_id: event_id.clone(),
                extra_query: extra_query.clone(),
            },
        ),
        call(
            stage,
            GetStateIds {
                room_id: room_id.clone(),
                event_id: event_id.clone(),
                extra_query: extra_query.clone(),
            },
        ),
        call(
            stage,
            GetEventAuth {
                room_id: room_id.clone(),
                event_id: event_id.clone(),
                extra_query: extra_query.clone(),
            },
        ),
        call(
            stage,
            Backfill {
                room_id: room_id.clone(),
                from: vec![event_id.clone(), "$another".to_owned()],
                limit: 3,
                extra_query: extra_query.clone(),
            },
        ),
        call(
            stage,
            GetMissingEvents {
                room_id: room_id.clone(),
                latest_events: vec![event_id],
                extra: extra.clone(),
                extra_query: extra_query.clone(),
                ..GetMissingEvents::default()
            },
        ),
        call(
            stage,
            GetEventByTimestamp {
                room_id: room_id.clone(),
                timestamp: now_ms(),
                direction: Direction::Backwards,
                extra_query: extra_query.clone(),
            },
        ),
        call(
            stage,
            MakeJoin {
                versions: vec!["11".to_owned(), VERSION.to_owned()],
                extra_query: extra_query.clone(),
                ..requests::make_join(room, &cast.guest("odd", 1))
            },
        ),
        call(
            stage,
            SendJoin {
                extra_query: extra_query.clone(),
                ..join.clone()
            },
        ),
        call(
            stage,
            SendJoinV1 {
                room_id: join.room_id,
                event_id: join.event_id,
                event: join.event,
                extra_query: extra_query.clone(),
            },
        ),
        call(
            stage,
            MakeKnock {
                extra_query: extra_query.clone(),
                ..requests::make_knock(&knocked, &cast.bob)
            },
        ),
        call(
            stage,
            SendKnock {
                extra_query: extra_query.clone(),
                ..knock
            },
        ),
        call(
            stage,
            MakeLeave {
                extra_query: extra_query.clone(),
                ..requests::make_leave(&joined, &leaver)
            },
        ),
        call(
            stage,
            SendLeave {
                extra_query: extra_query.clone(),
                ..leave.clone()
            },
        ),
        call(
            stage,
            SendLeaveV1 {
                room_id: leave.room_id,
                event_id: leave.event_id,
                event: leave.event,
                extra_query: extra_query.clone(),
            },
        ),
        call(
            stage,
            InviteV1 {
                room_id: room_id.clone(),
                event_id: invite.event_id.clone(),
                event: invite.event.clone(),
                extra_query: extra_query.clone(),
            },
        ),
        call(
            stage,
            ExchangeThirdPartyInvite {
                room_id: room_id.clone(),
                event_type: "m.room.member".to_owned(),
                event_room_id: Some(room_id),
                sender: cast.alice.to_string(),
                state_key: cast.bob.to_string(),
                content: Json::from_value(Object::empty().to_value()),
                extra: extra.clone(),
                extra_query: extra_query.clone(),
            },
        ),
        call(
            stage,
            Invite {
                extra: extra.clone(),
                extra_query: extra_query.clone(),
                ..invite
            },
        ),
        call(
            stage,
            QueryProfile {
                user_id: cast.alice.to_string(),
                field: Some("displayname".to_owned()),
                extra_query: extra_query.clone(),
            },
        ),
        call(
            stage,
            QueryKeys {
                extra: extra.clone(),
                extra_query: extra_query.clone(),
                ..requests::query_keys(&cast.alice)
            },
        ),
        call(
            stage,
            ClaimKeys {
                extra,
                extra_query: extra_query.clone(),
                ..requests::claim_keys(&cast.alice)
            },
        ),
        call(
            stage,
            DownloadMedia {
                extra_query,
                ..mascot::request()
            },
        ),
    ];
    let alias = format!("#straße/ü?:{}", resident.name());
    let mut named = ObjectWriter::new();
    named.string("alias", &alias);
    let named = Draft::state(
        &cast.alice,
        "m.room.canonical_alias",
        "",
        named.into_object(),
    );
    resident.house.append(&joined, &named).map_err(show)?;
    calls.extend(lookups(stage, cast, room, alias));
    // The claim is about all of them.
    for operation in operations() {
        let name = operation.spec().name;
        let signed = operation.spec().authentication == Authentication::Server;
        if signed && !calls.iter().any(|call| call.spec().name == name) {
            return Err(format!("{name} was not tried"));
        }
    }
    Ok(calls)
}

/// Calls that look something up: rooms, aliases, devices, a picture, what a policy server thinks.
fn lookups(stage: &Stage<Homeserver>, cast: &Cast, room: &RoomId, room_alias: String) -> Vec<Call> {
    let (extra, extra_query) = (unknown_members(), unknown_query());
    let event = Object::empty().with_member("content", &extra.to_object().to_value());
    let event = Pdu::judge(event.to_value()).expect("it is a small object");
    vec![
        call(
            stage,
            GetPublicRooms {
                limit: Some(0),
                include_all_networks: Some(true),
                extra_query: extra_query.clone(),
                ..GetPublicRooms::default()
            },
        ),
        call(
            stage,
            QueryPublicRooms {
                since: Some(String::new()),
                filter: Some(Json::from_value(extra.to_object().to_value())),
                extra: extra.clone(),
                extra_query: extra_query.clone(),
                ..QueryPublicRooms::default()
            },
        ),
        call(
            stage,
            GetHierarchy {
                room_id: room.to_string(),
                suggested_only: Some(false),
                extra_query: extra_query.clone(),
            },
        ),
        call(
            stage,
            QueryDirectory {
                room_alias,
                extra_query: extra_query.clone(),
            },
        ),
        call(
            stage,
            QueryCustom {
                query_type: "org.example/ö".to_owned(),
                parameters: extra_query.clone(),
            },
        ),
        call(
            stage,
            GetUserDevices {
                user_id: cast.alice.to_string(),
                extra_query: extra_query.clone(),
            },
        ),
        call(
            stage,
            DownloadThumbnail {
                media_id: "no such/file".to_owned(),
                width: 96,
                height: 96,
                method: Some("crop".to_owned()),
                animated: Some(true),
                extra_query: extra_query.clone(),
                ..DownloadThumbnail::default()
            },
        ),
        call(stage, PolicySign { event, extra_query }),
    ]
}

fn call(stage: &Stage<Homeserver>, request: impl Endpoint) -> Call {
    Call::new(stage.resident.name().clone(), request)
}
