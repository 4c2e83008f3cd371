//! One event of a room, read once, in the form that ruma's checks ask for.

use std::time::{Duration, UNIX_EPOCH};

use comity_core::event::Pdu;
use ruma_common::{
    EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId,
};
use ruma_events::{StateEventType, TimelineEventType, room::member::MembershipState};
use ruma_state_res::events::RoomMemberEvent;
use serde_json::value::RawValue;

use crate::Unauthorized;

/// What a state event is about: its type and state key.
pub type StateKey = (StateEventType, String);

/// An event that passed the checks of its own: format, hash, signatures.
///
/// The canonical text stays beside what was read from it, as that is what other servers are given.
#[derive(Debug)]
pub struct Event {
    pdu: Pdu,
    id: OwnedEventId,
    room_id: Option<OwnedRoomId>,
    sender: OwnedUserId,
    kind: TimelineEventType,
    state_key: Option<String>,
    content: Box<RawValue>,
    previous: Vec<OwnedEventId>,
    authorising: Vec<OwnedEventId>,
    depth: i64,
    sent_at: MilliSecondsSinceUnixEpoch,
    rejected: Option<Unauthorized>,
}

/// A member of an event that is missing or malformed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event's `{0}` is missing or malformed")]
pub struct UnreadableEvent(pub &'static str);

impl Event {
    /// Reads an event whose ID is `id`.
    ///
    /// # Errors
    /// [`UnreadableEvent`] names the member that is not what the specification asks for.
    pub fn read(id: &str, pdu: Pdu) -> Result<Self, UnreadableEvent> {
        // It is kept, and the body that it came in should not be.
        let pdu = pdu.detached();
        let content = pdu.get("content").ok_or(UnreadableEvent("content"))?;
        let room_id = match pdu.room_id() {
            Some(id) => Some(RoomId::parse(id).map_err(|_| UnreadableEvent("room_id"))?),
            // From room version 12 on, the create event has none: its ID is the room's.
            None => None,
        };
        Ok(Self {
            id: EventId::parse(id).map_err(|_| UnreadableEvent("event_id"))?,
            room_id,
            sender: pdu
                .sender()
                .and_then(|sender| UserId::parse(sender).ok())
                .ok_or(UnreadableEvent("sender"))?,
            kind: pdu.event_type().ok_or(UnreadableEvent("type"))?.into(),
            state_key: pdu.state_key(),
            content: content.to().map_err(|_| UnreadableEvent("content"))?,
            previous: pdu
                .prev_events()
                .and_then(event_ids)
                .ok_or(UnreadableEvent("prev_events"))?,
            authorising: pdu
                .auth_events()
                .and_then(event_ids)
                .ok_or(UnreadableEvent("auth_events"))?,
            depth: pdu.depth().ok_or(UnreadableEvent("depth"))?,
            sent_at: pdu
                .origin_server_ts()
                // A time before 1970 is allowed, but ruma's type has none.
                .map(|ms| ms.max(0).unsigned_abs())
                .and_then(|ms| UNIX_EPOCH.checked_add(Duration::from_millis(ms)))
                .and_then(MilliSecondsSinceUnixEpoch::from_system_time)
                .ok_or(UnreadableEvent("origin_server_ts"))?,
            rejected: None,
            pdu,
        })
    }

    /// The event as one that failed check 4 or 5 on receipt.
    #[must_use]
    pub(crate) fn rejected_for(mut self, why: Unauthorized) -> Self {
        self.rejected = Some(why);
        self
    }

    /// Why it was rejected, if it was (SS "Rejection").
    pub fn why_rejected(&self) -> Option<&Unauthorized> {
        self.rejected.as_ref()
    }

    /// The canonical text.
    pub fn pdu(&self) -> &Pdu {
        &self.pdu
    }

    /// The event's ID.
    pub fn id(&self) -> &EventId {
        &self.id
    }

    /// Who sent it.
    pub fn sender(&self) -> &UserId {
        &self.sender
    }

    /// Its type.
    pub fn kind(&self) -> &TimelineEventType {
        &self.kind
    }

    /// One more than the greatest depth of the events before it, if the sender is honest.
    pub fn depth(&self) -> i64 {
        self.depth
    }

    /// The IDs of the events before it.
    pub fn previous(&self) -> &[OwnedEventId] {
        &self.previous
    }

    /// The IDs of the events that show that its sender was allowed to send it.
    pub fn authorising(&self) -> &[OwnedEventId] {
        &self.authorising
    }

    /// What it is about, if it is a state event.
    pub fn state_key(&self) -> Option<StateKey> {
        let key = self.state_key.clone()?;
        Some((self.kind.to_string().into(), key))
    }

    /// Whether this is a state event of this type and state key.
    pub fn is_state(&self, kind: &TimelineEventType, key: &str) -> bool {
        self.kind == *kind && self.state_key.as_deref() == Some(key)
    }

    /// The user and membership that an `m.room.member` states.
    pub fn membership(&self) -> Option<(OwnedUserId, MembershipState)> {
        if self.kind != TimelineEventType::RoomMember {
            return None;
        }
        let user = UserId::parse(self.state_key.as_deref()?).ok()?;
        Some((user, RoomMemberEvent::new(self).membership().ok()?))
    }
}

fn event_ids(ids: Vec<String>) -> Option<Vec<OwnedEventId>> {
    ids.into_iter().map(|id| EventId::parse(id).ok()).collect()
}

impl ruma_state_res::Event for Event {
    type Id = OwnedEventId;

    fn event_id(&self) -> &Self::Id {
        &self.id
    }

    fn room_id(&self) -> Option<&RoomId> {
        self.room_id.as_deref()
    }

    fn sender(&self) -> &UserId {
        &self.sender
    }

    fn origin_server_ts(&self) -> MilliSecondsSinceUnixEpoch {
        self.sent_at
    }

    fn event_type(&self) -> &TimelineEventType {
        &self.kind
    }

    fn content(&self) -> &RawValue {
        &self.content
    }

    fn state_key(&self) -> Option<&str> {
        self.state_key.as_deref()
    }

    fn prev_events(&self) -> Box<dyn DoubleEndedIterator<Item = &Self::Id> + '_> {
        Box::new(self.previous.iter())
    }

    fn auth_events(&self) -> Box<dyn DoubleEndedIterator<Item = &Self::Id> + '_> {
        Box::new(self.authorising.iter())
    }

    /// Read by the rules of room versions 1 and 2 only, which this server does not speak.
    fn redacts(&self) -> Option<&Self::Id> {
        None
    }

    fn rejected(&self) -> bool {
        self.rejected.is_some()
    }
}
