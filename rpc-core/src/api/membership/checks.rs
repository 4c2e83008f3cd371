//! What both sides check in a change of membership before anything is signed or taken (SS "Joining Rooms" and the like, since v1.18).
//!
//! A server that asks for a template signs nothing unseen: [`MakeJoin::check`]. A server that is handed the event takes none that is another's, or
//! something else than it is called: [`SendJoin::check`]; [`ExchangeThirdPartyInvite::check`] is the same for an invite that has yet to become one. These look at the request or reply alone; signatures are
//! [`check_event`](crate::event::check_event)'s, and whether the room allows it is a homeserver's to say.

use thiserror::Error;

use super::{
    ExchangeThirdPartyInvite, Invite, InviteV1, MakeJoin, MakeJoinReply, MakeKnock, MakeKnockReply,
    MakeLeave, MakeLeaveReply, SendJoin, SendJoinV1, SendKnock, SendLeave, SendLeaveV1,
};
use crate::{
    ServerName,
    error::{CallError, Delivery, FederationError, TransportError, TransportErrorKind},
    event::{
        Pdu,
        room_version::{EventError, RoomVersion},
    },
    json::{Json, Object, Value},
};

/// What a template is made into an event of.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// The room's version.
    pub room_version: String,
    /// The event without hashes and signatures.
    pub event: Object,
}

/// Why a template is not signed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TemplateFault {
    /// There is none.
    #[error("the reply has no event")]
    Missing,
    /// The room has a version that was not asked for.
    #[error("the room has version {0:?}, which was not asked for")]
    RoomVersion(String),
    /// A member says something else than what was asked for.
    #[error("the template's `{member}` is not {expected:?}")]
    Member {
        /// Which.
        member: &'static str,
        /// What was asked for.
        expected: String,
    },
}

impl From<TemplateFault> for CallError {
    /// A reply that is to be discarded: another server may be asked.
    fn from(fault: TemplateFault) -> Self {
        TransportError::new(
            TransportErrorKind::Protocol,
            Delivery::MaybeProcessed,
            "the template is none of what was asked for",
        )
        .with_source(fault)
        .into()
    }
}

/// Why an event is not taken. To a peer it is 400 `M_INVALID_PARAM`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MemberFault {
    /// A member says something else than the call.
    #[error("the event's `{member}` is not {expected:?}")]
    Member {
        /// Which.
        member: &'static str,
        /// What the call says.
        expected: String,
    },
    /// The sender is a user of another server, or no user.
    #[error("the event's `sender` is not a user of {0}")]
    Sender(ServerName),
    /// The member whose membership changes is somebody else than the sender.
    #[error("the event's `state_key` is not its sender")]
    StateKey,
    /// The invited user is a user of another server, or no user.
    #[error("the event's `state_key` is not a user of {0}")]
    Invited(ServerName),
    /// The event has another ID than the call says.
    #[error("the event's ID is {0}, not that of the call")]
    EventId(String),
    /// The event has no ID.
    #[error("the event has no ID")]
    NoEventId(#[source] EventError),
}

impl From<MemberFault> for FederationError {
    fn from(fault: MemberFault) -> Self {
        match fault {
            MemberFault::NoEventId(why) => Self::invalid_param(why.to_string()),
            fault => Self::invalid_param(fault.to_string()),
        }
    }
}

/// Refuses a user who is not of the calling server.
fn check_user(user_id: &str, origin: &ServerName) -> Result<(), FederationError> {
    match origin.has_user(user_id) {
        true => Ok(()),
        false => Err(FederationError::forbidden(format!(
            "{user_id} is not a user of {origin}"
        ))),
    }
}

/// What was asked for.
struct Asked<'a> {
    membership: &'static str,
    room_id: &'a str,
    user_id: &'a str,
}

impl Asked<'_> {
    fn check(
        &self,
        room_version: &str,
        event: Option<&Value>,
        supports: impl FnOnce(&str) -> bool,
    ) -> Result<Template, TemplateFault> {
        if !supports(room_version) {
            return Err(TemplateFault::RoomVersion(room_version.to_owned()));
        }
        let event = event.and_then(Object::from_value);
        let event = event.ok_or(TemplateFault::Missing)?;
        for (member, expected) in [
            ("type", "m.room.member"),
            ("room_id", self.room_id),
            ("sender", self.user_id),
            ("state_key", self.user_id),
        ] {
            if !says(&event, member, expected) {
                return Err(TemplateFault::Member {
                    member,
                    expected: expected.to_owned(),
                });
            }
        }
        if !has_membership(&event, self.membership) {
            return Err(TemplateFault::Member {
                member: "content.membership",
                expected: self.membership.to_owned(),
            });
        }
        Ok(Template {
            room_version: room_version.to_owned(),
            event,
        })
    }
}

/// What a server is handed.
struct Handed<'a> {
    membership: &'static str,
    room_id: &'a str,
    event_id: &'a str,
    event: &'a Pdu,
}

impl Handed<'_> {
    /// What every change of membership has in common; gives the event's state key.
    fn check(
        &self,
        origin: &ServerName,
        version: Option<&dyn RoomVersion>,
    ) -> Result<Option<String>, MemberFault> {
        let event = self.event.object();
        for (member, expected) in [("type", "m.room.member"), ("room_id", self.room_id)] {
            if !says(event, member, expected) {
                return Err(MemberFault::Member {
                    member,
                    expected: expected.to_owned(),
                });
            }
        }
        if !has_membership(event, self.membership) {
            return Err(MemberFault::Member {
                member: "content.membership",
                expected: self.membership.to_owned(),
            });
        }
        let sender = self.event.sender();
        if !sender.is_some_and(|sender| origin.has_user(&sender)) {
            return Err(MemberFault::Sender(origin.clone()));
        }
        if let Some(version) = version {
            let id = version.event_id(event).map_err(MemberFault::NoEventId)?;
            if id != self.event_id {
                return Err(MemberFault::EventId(id));
            }
        }
        Ok(self.event.state_key())
    }

    /// The same for a user who changes their own membership.
    fn check_own(
        &self,
        origin: &ServerName,
        version: Option<&dyn RoomVersion>,
    ) -> Result<(), MemberFault> {
        let state_key = self.check(origin, version)?;
        match state_key.is_some() && state_key == self.event.sender() {
            true => Ok(()),
            false => Err(MemberFault::StateKey),
        }
    }

    /// The same for a user of `receiver` who is invited.
    fn check_invite(
        &self,
        origin: &ServerName,
        receiver: &ServerName,
        version: Option<&dyn RoomVersion>,
    ) -> Result<(), MemberFault> {
        match self.check(origin, version)? {
            Some(user) if receiver.has_user(&user) => Ok(()),
            _ => Err(MemberFault::Invited(receiver.clone())),
        }
    }
}

fn says(event: &Object, member: &str, expected: &str) -> bool {
    let value = event.get(member);
    value.as_ref().and_then(Value::as_str).as_deref() == Some(expected)
}

fn has_membership(event: &Object, membership: &str) -> bool {
    let content = event.object("content");
    content.is_some_and(|content| says(&content, "membership", membership))
}

/// Whether a template's version is one that was asked for. Who asks for none speaks version `1`.
fn is_asked_for(version: &str, versions: &[String]) -> bool {
    match versions {
        [] => version == "1",
        versions => versions.iter().any(|asked| asked == version),
    }
}

impl MakeJoin {
    /// The caller's check before it signs: the reply is a template of the join that this asks for, of a room of one of its versions.
    ///
    /// # Errors
    /// It is not; the reply is to be discarded.
    pub fn check(&self, reply: &MakeJoinReply) -> Result<Template, TemplateFault> {
        let version = reply.room_version.as_deref().unwrap_or("1");
        let event = reply.event.as_ref().map(Json::value);
        self.asked("join")
            .check(version, event, |it| is_asked_for(it, &self.versions))
    }
}

impl MakeKnock {
    /// The caller's check before it signs: the reply is a template of the knock that this asks for, of a room of one of its versions.
    ///
    /// # Errors
    /// It is not; the reply is to be discarded.
    pub fn check(&self, reply: &MakeKnockReply) -> Result<Template, TemplateFault> {
        let event = Some(reply.event.value());
        self.asked("knock").check(&reply.room_version, event, |it| {
            is_asked_for(it, &self.versions)
        })
    }
}

impl MakeLeave {
    /// The caller's check before it signs: the reply is a template of the leave that this asks for, of a room of a version that `supports` says
    /// yes to. A reply that names none is of version `1`, or `2`, whose events are alike.
    ///
    /// # Errors
    /// It is not; the reply is to be discarded.
    pub fn check(
        &self,
        reply: &MakeLeaveReply,
        supports: impl FnOnce(&str) -> bool,
    ) -> Result<Template, TemplateFault> {
        let version = reply.room_version.as_deref().unwrap_or("1");
        let event = reply.event.as_ref().map(Json::value);
        self.asked("leave").check(version, event, supports)
    }
}

macro_rules! templates {
    ($($Make:ty)*) => {$(
        impl $Make {
            /// The receiver's check: the user has to be of the calling server.
            ///
            /// # Errors
            /// 403 `M_FORBIDDEN`.
            pub fn check_user(&self, origin: &ServerName) -> Result<(), FederationError> {
                check_user(&self.user_id, origin)
            }

            fn asked(&self, membership: &'static str) -> Asked<'_> {
                Asked { membership, room_id: &self.room_id, user_id: &self.user_id }
            }
        }
    )*};
}

templates!(MakeJoin MakeKnock MakeLeave);

macro_rules! own_changes {
    ($($Send:ty: $membership:literal)*) => {$(
        impl $Send {
            #[doc = concat!("The receiver's check: the event is the ", $membership, " of a user of `origin`, in the room that the call says, and,")]
            /// where the rules of the room's version are given, has the ID that the call says.
            ///
            /// # Errors
            /// It is not.
            pub fn check(
                &self,
                origin: &ServerName,
                version: Option<&dyn RoomVersion>,
            ) -> Result<(), MemberFault> {
                let handed = Handed {
                    membership: $membership,
                    room_id: &self.room_id,
                    event_id: &self.event_id,
                    event: &self.event,
                };
                handed.check_own(origin, version)
            }
        }
    )*};
}

own_changes! {
    SendJoin: "join"
    SendJoinV1: "join"
    SendKnock: "knock"
    SendLeave: "leave"
    SendLeaveV1: "leave"
}

macro_rules! invites {
    ($($Invite:ty)*) => {$(
        impl $Invite {
            /// The receiver's check before it adds its signature: the event is the invite of a user of `receiver` by a user of `origin`, to the
            /// room that the call says, and, where the rules of the room's version are given, has the ID that the call says.
            ///
            /// # Errors
            /// It is not.
            pub fn check(
                &self,
                origin: &ServerName,
                receiver: &ServerName,
                version: Option<&dyn RoomVersion>,
            ) -> Result<(), MemberFault> {
                let handed = Handed {
                    membership: "invite",
                    room_id: &self.room_id,
                    event_id: &self.event_id,
                    event: &self.event,
                };
                handed.check_invite(origin, receiver, version)
            }
        }
    )*};
}

invites!(Invite InviteV1);

impl ExchangeThirdPartyInvite {
    /// The receiver's check: this is to become the invite of a user of `origin`, as whose server the caller asks, to the room that the call says. The
    /// sender is no user of the caller's: it invited by the third-party identifier, on the receiver's side.
    ///
    /// # Errors
    /// It is not.
    pub fn check(&self, origin: &ServerName) -> Result<(), MemberFault> {
        let is = |member, expected: &str, found: Option<&str>| match found {
            Some(found) if found == expected => Ok(()),
            _ => Err(MemberFault::Member {
                member,
                expected: expected.to_owned(),
            }),
        };
        is("type", "m.room.member", Some(&self.event_type))?;
        if let Some(room_id) = &self.event_room_id {
            is("room_id", &self.room_id, Some(room_id))?;
        }
        let content = Object::from_value(self.content.value());
        let membership = content.as_ref().and_then(|it| it.get("membership"));
        let membership = membership.as_ref().and_then(Value::as_str);
        is("content.membership", "invite", membership.as_deref())?;
        match origin.has_user(&self.state_key) {
            true => Ok(()),
            false => Err(MemberFault::Invited(origin.clone())),
        }
    }
}
