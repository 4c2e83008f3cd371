//! Who is in a room (SS "Joining Rooms", "Knocking upon a room", "Inviting to a room", "Leaving Rooms (Rejecting Invites)").
//!
//! Joining, knocking and leaving go alike: one asks for a template of the event, signs it, and hands it over.

mod invite;
mod join;
mod knock;
mod leave;
mod third_party;

pub use invite::{Invite, InviteReply};
pub use join::{MakeJoin, MakeJoinReply, SendJoin, SendJoinMembers, SendJoinReply};
pub use knock::{MakeKnock, MakeKnockReply, SendKnock, SendKnockReply};
pub use leave::{MakeLeave, MakeLeaveReply, SendLeave, SendLeaveReply};
pub use third_party::{
    ExchangeThirdPartyInvite, ExchangeThirdPartyInviteReply, SignedThirdPartyInvite,
    ThirdPartyInvite, ThirdPartyInviteContent,
};

use crate::{
    endpoint::EndpointParts,
    error::FederationError,
    event::{EventFault, Pdu},
    json::Value,
};

/// The one event that is the content of a request.
fn signed_event(what: &str, parts: &EndpointParts) -> Result<Pdu, FederationError> {
    read_event(what, parts.object()?.to_value())
}

/// The one event that a request is about.
fn read_event(what: &str, value: Value) -> Result<Pdu, FederationError> {
    Pdu::judge(value).map_err(|fault| match fault {
        EventFault::NotAnObject => FederationError::bad_json(format!("{what} {fault}")),
        fault => FederationError::invalid_param(format!("{what} {fault}")),
    })
}
