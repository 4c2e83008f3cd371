//! Who is in a room (SS "Joining Rooms", "Knocking upon a room", "Inviting to a room", "Leaving Rooms (Rejecting Invites)").
//!
//! Joining, knocking and leaving go alike: one asks for a template of the event, signs it, and hands it over. Where handing over has two
//! versions, the type whose name ends with `V1` is the older.

mod checks;
mod invite;
mod join;
mod knock;
mod leave;
mod third_party;

pub use checks::{MemberFault, Template, TemplateFault};
pub use invite::{Invite, InviteReply, InviteV1};
pub use join::{MakeJoin, MakeJoinReply, SendJoin, SendJoinMembers, SendJoinReply, SendJoinV1};
pub use knock::{MakeKnock, MakeKnockReply, SendKnock, SendKnockReply};
pub use leave::{MakeLeave, MakeLeaveReply, SendLeave, SendLeaveReply, SendLeaveV1};
pub use third_party::{
    ExchangeThirdPartyInvite, ExchangeThirdPartyInviteReply, SignedThirdPartyInvite,
    ThirdPartyInvite, ThirdPartyInviteContent,
};

use crate::{
    endpoint::{Content, EndpointParts, Query},
    error::FederationError,
    event::{EventFault, Pdu},
    json::Value,
};

/// A request that is one event of a room.
fn event_parts(room_id: &str, event_id: &str, event: &Pdu, query: Query) -> EndpointParts {
    EndpointParts {
        path: vec![room_id.to_owned(), event_id.to_owned()],
        query,
        content: Content::Json(event.object().clone()),
    }
}

/// The one event that is the content of a request.
fn signed_event(what: &str, parts: &EndpointParts) -> Result<Pdu, FederationError> {
    read_event(what, parts.object()?.to_value())
}

/// The one event that a request is about.
pub(super) fn read_event(what: &str, value: Value) -> Result<Pdu, FederationError> {
    Pdu::judge(value).map_err(|fault| match fault {
        EventFault::NotAnObject => FederationError::bad_json(format!("{what} {fault}")),
        fault => FederationError::invalid_param(format!("{what} {fault}")),
    })
}
