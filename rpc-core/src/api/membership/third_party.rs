//! Inviting somebody of whom only an e-mail address or the like was known (SS "Third-party invites").

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    api::NoMembers,
    call::Endpoint,
    endpoint::{Content, EndpointParts, PathTemplate, Query},
    error::FederationError,
    json::{Json, Members, ObjectWriter},
};

/// Asks a server in the room to make an invite out of an `m.room.third_party_invite` event, now that the invited third-party identifier
/// belongs to a user (SS "Third-party invites"). The members are those of the invite event, as far as the caller knows it.
///
/// Duties: the receiver refuses the request if the room has no `m.room.third_party_invite` event for `token`, or if the signature in
/// `signed` is by none of that event's keys. It completes, authorizes and signs the event, invites the user by their server, and
/// answers when that is done. Both rooms have to be the same: some live servers look at `event_room_id` only, so a caller names it, and a receiver
/// checks that it is the same if it is there; others leave it out.
#[derive(Clone, Debug, PartialEq)]
pub struct ExchangeThirdPartyInvite {
    /// The room.
    pub room_id: String,
    /// Type of the event: `m.room.member`. In the content it is called `type`.
    pub event_type: String,
    /// The room again, as the event has it. In the content it is called `room_id`.
    pub event_room_id: Option<String>,
    /// Who sent the `m.room.third_party_invite` event: a user of the receiver.
    pub sender: String,
    /// Who is invited: a user of the caller.
    pub state_key: String,
    /// The event's content.
    pub content: Json<ThirdPartyInviteContent>,
    /// Members that the operation does not know.
    pub extra: Members,
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

/// Content of an invite that was made for a third-party identifier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThirdPartyInviteContent {
    /// `invite`
    pub membership: String,
    /// What the identity server vouches for.
    pub third_party_invite: ThirdPartyInvite,
}

/// What an identity server vouches for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThirdPartyInvite {
    /// A name to show instead of the third-party identifier.
    pub display_name: String,
    /// That the identifier belongs to the user, signed by the identity server. The signatures cover its text.
    pub signed: SignedThirdPartyInvite,
}

/// That a third-party identifier belongs to a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedThirdPartyInvite {
    /// The user.
    pub mxid: String,
    /// State key of the `m.room.third_party_invite` event.
    pub token: String,
    /// Signatures of the identity server: by its name and key ID.
    pub signatures: BTreeMap<String, BTreeMap<String, String>>,
}

impl Endpoint for ExchangeThirdPartyInvite {
    const METHOD: &'static str = "PUT";
    const PATH: PathTemplate =
        PathTemplate::new("/_matrix/federation/v1/exchange_third_party_invite/{roomId}");

    fn write(&self) -> EndpointParts {
        let mut object = ObjectWriter::new();
        object.string("type", &self.event_type);
        object.string_opt("room_id", self.event_room_id.as_deref());
        object.string("sender", &self.sender);
        object.string("state_key", &self.state_key);
        object.value("content", self.content.value());
        object.members(&self.extra);
        EndpointParts {
            path: vec![self.room_id.clone()],
            query: self.extra_query.clone(),
            content: Content::Json(object.into_object()),
        }
    }

    fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
        let object = parts.object()?;
        let mut reader = object.reader();
        Ok(Self {
            room_id: parts.path_parameter(0).to_owned(),
            event_type: reader.string("type")?,
            // Servers built on ruma leave it out.
            event_room_id: reader.string_opt("room_id")?,
            sender: reader.string("sender")?,
            state_key: reader.string("state_key")?,
            content: Json::from_value(reader.object("content")?),
            extra: reader.rest(),
            extra_query: parts.query.clone(),
        })
    }
}

/// The invite was made and sent. Nothing else is said.
pub type ExchangeThirdPartyInviteReply = NoMembers;
