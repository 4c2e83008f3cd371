//! Events of our own, from what a user wants to send to their place in the room.

use std::sync::Arc;

use comity_core::{
    ServerName,
    auth::SigningKey,
    event::{Pdu, room_version::EventError, sign_event},
    json::{Object, ObjectWriter},
};
use ruma_common::OwnedUserId;

use crate::{Event, Refused, Room, UnreadableEvent, authorization::select_auth_events};

/// Greatest depth, the greatest integer of canonical JSON.
const MAX_DEPTH: i64 = (1 << 53) - 1;

/// What a user wants to send, before it has a place in the graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// The event's type.
    pub kind: String,
    /// Who sends it.
    pub sender: OwnedUserId,
    /// For a state event.
    pub state_key: Option<String>,
    /// The content.
    pub content: Object,
}

/// An event of our own has no place in a room.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// It cannot be signed: too large, or not in the form that the room version asks for.
    #[error(transparent)]
    Form(#[from] EventError),
    /// The user may not send it.
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl Room {
    /// The event that `draft` becomes on top of the room, without hashes and signatures.
    ///
    /// # Errors
    /// [`Refused`] if the draft's content is malformed.
    pub(crate) fn compose(&self, draft: &Draft, now: i64) -> Result<Object, Refused> {
        let heads = self.heads().filter_map(|id| self.event(id));
        let depth = heads.map(|event| event.depth()).max().unwrap_or(0);
        let rules = &self.version().rules.authorization;
        let cited = select_auth_events(rules, draft, self.state())?;
        let mut event = ObjectWriter::new();
        event
            .string("room_id", self.id().as_str())
            .string("type", &draft.kind)
            .string("sender", draft.sender.as_str())
            .string_opt("state_key", draft.state_key.as_deref())
            .value("content", &draft.content.to_value())
            .strings("prev_events", self.heads())
            .strings("auth_events", &cited)
            .integer("depth", depth.saturating_add(1).min(MAX_DEPTH))
            .integer("origin_server_ts", now);
        Ok(event.into_object())
    }

    /// Makes, signs and takes in an event of one of our users.
    ///
    /// # Errors
    /// The event cannot be signed, or the user may not send it.
    pub(crate) fn append(
        &mut self,
        draft: &Draft,
        server: &ServerName,
        key: &SigningKey,
        now: i64,
    ) -> Result<Arc<Event>, AppendError> {
        let event = self.sign(draft, server, key, now)?;
        Ok(self.add(event)?.event)
    }

    /// Makes and signs an event, and leaves the room as it is.
    ///
    /// # Errors
    /// The event cannot be signed.
    pub(crate) fn sign(
        &self,
        draft: &Draft,
        server: &ServerName,
        key: &SigningKey,
        now: i64,
    ) -> Result<Event, AppendError> {
        let unsigned = self.compose(draft, now)?;
        let (id, pdu) = sign_event(&*self.version().format, &unsigned, server, key)?;
        Ok(Event::read(&id, pdu).map_err(Refused::from)?)
    }

    /// Checks what a user of another server would send, before it is signed.
    ///
    /// # Errors
    /// [`Refused`].
    pub(crate) fn check_template(&self, unsigned: &Object) -> Result<(), Refused> {
        let pdu = Pdu::judge(unsigned.to_value()).map_err(|_| UnreadableEvent("content"))?;
        // Its ID will be the hash of what it becomes, and is not looked at.
        self.check_own(&Event::read("$template", pdu)?)
    }
}
