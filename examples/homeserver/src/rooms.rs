//! The rooms that this server publishes: those that its users made and anyone may join.

use async_trait::async_trait;
use comity_core::{
    api::{
        GetPublicRooms, PublicRoomsFilter, PublicRoomsReply, QueryPublicRooms, RoomSummary, Rooms,
    },
    call::Authenticated,
    error::FederationError,
    json::{Json, Members},
};
use ruma_events::{StateEventType, room::member::MembershipState};

use crate::{Homeserver, Room, homeserver::lock};

/// Most rooms in one answer.
pub const MAX_PUBLISHED: usize = 100;

impl Room {
    /// A string in the content of the state event of this type.
    pub(crate) fn said(&self, kind: StateEventType, member: &str) -> Option<String> {
        let content = self.state().get(&kind, "")?.pdu().content()?;
        let value = content.get(member)?;
        value.as_str().map(Into::into)
    }

    /// Whether anyone may join.
    fn is_public(&self) -> bool {
        self.said(StateEventType::RoomJoinRules, "join_rule")
            .is_some_and(|rule| rule == "public")
    }

    fn summary(&self) -> RoomSummary {
        let members = self.state().events().filter_map(|event| event.membership());
        let joined = members.filter(|(_, is)| *is == MembershipState::Join);
        let visibility = self.said(StateEventType::RoomHistoryVisibility, "history_visibility");
        let guests = self.said(StateEventType::RoomGuestAccess, "guest_access");
        RoomSummary {
            room_id: self.id().to_string(),
            num_joined_members: i64::try_from(joined.count()).unwrap_or(i64::MAX),
            world_readable: visibility.is_some_and(|is| is == "world_readable"),
            guest_can_join: guests.is_some_and(|access| access == "can_join"),
            canonical_alias: self.said(StateEventType::RoomCanonicalAlias, "alias"),
            name: self.said(StateEventType::RoomName, "name"),
            topic: self.said(StateEventType::RoomTopic, "topic"),
            join_rule: self.said(StateEventType::RoomJoinRules, "join_rule"),
            room_version: Some(self.version().id.clone()),
            ..RoomSummary::default()
        }
    }
}

impl Homeserver {
    /// What the rooms that are published say of themselves, in the order of their IDs.
    fn published(&self) -> Vec<RoomSummary> {
        let rooms = self.rooms().into_iter().filter_map(|id| self.room(&id));
        let summaries = rooms.filter_map(|room| {
            let room = lock(&room);
            let is_here = room.state().has_server(self.name());
            // Not those of other servers, which publish them or not.
            let create = room.state().get(&StateEventType::RoomCreate, "");
            let is_ours = create.is_some_and(|create| self.is_ours(create.sender()));
            (is_here && is_ours && room.is_public()).then(|| room.summary())
        });
        summaries.collect()
    }
}

/// One page. Where the next one begins is said by how many came before.
fn page(
    rooms: Vec<RoomSummary>,
    limit: Option<i64>,
    since: Option<&str>,
) -> Result<PublicRoomsReply, FederationError> {
    let limit = limit.and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.filter(|limit| *limit > 0).unwrap_or(MAX_PUBLISHED);
    let limit = limit.min(MAX_PUBLISHED);
    let begin: usize = match since {
        // Servers in use write the beginning so.
        None | Some("") => 0,
        Some(since) => since
            .parse()
            .map_err(|_| FederationError::invalid_param("`since` is of no earlier answer"))?,
    };
    let total = rooms.len();
    let end = begin.saturating_add(limit).min(total);
    let chunk = rooms.iter().skip(begin).take(limit).map(Json::write);
    let chunk: Result<_, _> = chunk.collect();
    let chunk = chunk.map_err(|error| FederationError::internal(error.to_string()))?;
    Ok(PublicRoomsReply {
        chunk,
        next_batch: (end < total).then(|| end.to_string()),
        prev_batch: (begin > 0).then(|| begin.saturating_sub(limit).to_string()),
        total_room_count_estimate: i64::try_from(total).ok(),
        extra: Members::new(),
    })
}

fn passes(room: &RoomSummary, filter: &PublicRoomsFilter) -> bool {
    let types = filter.room_types.as_ref();
    let has_type = types.is_none_or(|types| types.contains(&room.room_type));
    let term = filter.generic_search_term.as_deref().unwrap_or("");
    let term = term.to_lowercase();
    let mut said = [&room.name, &room.topic, &room.canonical_alias]
        .into_iter()
        .flatten();
    has_type && (term.is_empty() || said.any(|text| text.to_lowercase().contains(&term)))
}

#[async_trait]
impl Rooms for Homeserver {
    async fn get_public_rooms(
        &self,
        _: &Authenticated,
        request: GetPublicRooms,
    ) -> Result<PublicRoomsReply, FederationError> {
        page(self.published(), request.limit, request.since.as_deref())
    }

    async fn query_public_rooms(
        &self,
        _: &Authenticated,
        request: QueryPublicRooms,
    ) -> Result<PublicRoomsReply, FederationError> {
        let filter = request.filter.as_ref().map(Json::read).transpose();
        let filter = filter.map_err(|error| {
            FederationError::bad_json(format!("`filter` is malformed: {error}"))
        })?;
        let mut rooms = self.published();
        if let Some(filter) = filter {
            rooms.retain(|room| passes(room, &filter));
        }
        page(rooms, request.limit, request.since.as_deref())
    }
}
