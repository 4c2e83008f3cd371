//! Servers that a room does not talk to.

use std::{
    any::Any,
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{Around, AroundLayer, Inner, around};
use crate::{
    ServerName,
    acl::ServerAcls,
    api::SendTransaction,
    call::{AclDuty, Call, Message, Reply},
    endpoint::target::Segment,
    error::{CallError, FederationError},
    event::{Edu, Listed, Pdu},
    json::{Members, Object, ObjectWriter},
};

/// Does for the ACLs of rooms what a call's row asks for ([`AclDuty`]), on the side that is called (SS "Server Access Control Lists
/// (ACLs)").
///
/// - `Room`: an origin that the room in the path denies is answered 403 `M_FORBIDDEN`.
/// - `Items`, a transaction: the handler gets it without the PDUs of rooms that deny the origin, and their results say so if their ID can be told.
///   Typing and receipts of such rooms are dropped without a word; of receipts in several rooms, those rooms alone. Everything
///   else passes: events that are malformed or name no room, and EDUs that belong to no room.
///
/// It needs the origin, so it stands behind [`Verify`](crate::auth::Verify); a call whose origin nobody proved is answered 401. A server's own
/// name is never denied: there is no call from it.
///
/// A transaction from which something was taken out is no longer what was signed. The handler sees the narrower request, and may still read what
/// arrived, whole, as [`CallContext::form`](crate::call::CallContext::form). Passed on to another server it would be written anew, and
/// unsigned: a gateway that judges by ACLs speaks in its own name.
///
/// Calls that no row knows ([`Unregistered`](crate::call::Unregistered)) are never judged: nothing says which room they are of. Who answers them asks
/// [`ServerAcls`] itself, or they pass a server that the room denies.
#[derive(Debug)]
pub struct Acl {
    rooms: Arc<dyn ServerAcls>,
}

/// Most rooms that are looked up for one transaction. Receipts can name any number; those of more rooms are dropped.
pub const MAX_ACL_ROOMS: usize = 1_000;

impl Acl {
    /// Judges by the ACLs that `rooms` gives.
    pub fn layer(rooms: Arc<dyn ServerAcls>) -> AroundLayer<Self> {
        around(Self { rooms })
    }

    async fn denies(&self, room_id: &str, origin: &ServerName) -> Result<bool, FederationError> {
        let acl = self.rooms.server_acl(room_id).await?;
        Ok(acl.is_some_and(|acl| !acl.allows(origin)))
    }

    async fn judge_room(&self, call: &mut Call, origin: &ServerName) -> Result<(), CallError> {
        let segments = call.operation().path().segments();
        let mut parameters = segments.filter_map(|segment| match segment {
            Segment::Parameter(name) => Some(name),
            Segment::Literal(_) => None,
        });
        let place = parameters.position(|name| name == "roomId");
        let form = call.make_form()?;
        let Some(room_id) = place.and_then(|place| form.parts().path.get(place)) else {
            return Err(FederationError::internal(
                "the operation's row asks for the ACL of a room that its path does not have",
            )
            .into());
        };
        match self.denies(room_id, origin).await? {
            true => Err(denied(origin).into()),
            false => Ok(()),
        }
    }
}

fn denied(origin: &ServerName) -> FederationError {
    FederationError::forbidden(format!("the room's server ACL denies {origin}"))
}

impl Around for Acl {
    async fn around<S: Inner>(
        self: Arc<Self>,
        mut call: Call,
        mut inner: S,
    ) -> Result<Reply, CallError> {
        let duty = call.spec().server_acl;
        if duty == AclDuty::Unchecked {
            return inner.call(call).await;
        }
        let Some(origin) = call.context().origin().cloned() else {
            return Err(FederationError::unauthorized("the origin is not proven").into());
        };
        if duty == AclDuty::Room {
            self.judge_room(&mut call, &origin).await?;
            return inner.call(call).await;
        }
        let transaction = (call.request() as &dyn Any).downcast_ref::<SendTransaction>();
        let Some(transaction) = transaction else {
            return Err(FederationError::internal(
                "the operation's row asks for ACLs of items that this server cannot read",
            )
            .into());
        };
        let mut sieve = Sieve {
            acl: &self,
            origin: &origin,
            rooms: HashMap::new(),
            results: Members::new(),
            dropped: false,
        };
        let left = sieve.transaction(transaction).await?;
        let Sieve {
            results, dropped, ..
        } = sieve;
        if dropped {
            call.narrow_request(Box::new(left));
        }
        let reply = inner.call(call).await?;
        Ok(match reply {
            Reply::Message(message) if !results.is_empty() => {
                Reply::Message(with_results(message, results))
            }
            reply => reply,
        })
    }
}

/// Takes out of one transaction what belongs to rooms that deny the origin.
struct Sieve<'a> {
    acl: &'a Acl,
    origin: &'a ServerName,
    /// Whether each room denies it.
    rooms: HashMap<String, bool>,
    /// Results of PDUs that were taken out.
    results: Members,
    dropped: bool,
}

impl Sieve<'_> {
    async fn denies(&mut self, room_id: &str) -> Result<bool, FederationError> {
        if let Some(denies) = self.rooms.get(room_id) {
            return Ok(*denies);
        }
        if self.rooms.len() == MAX_ACL_ROOMS {
            return Ok(true);
        }
        let denies = self.acl.denies(room_id, self.origin).await?;
        self.rooms.insert(room_id.to_owned(), denies);
        Ok(denies)
    }

    async fn transaction(
        &mut self,
        sent: &SendTransaction,
    ) -> Result<SendTransaction, FederationError> {
        let mut pdus = Vec::with_capacity(sent.pdus.len());
        for listed in &sent.pdus {
            if self.keeps_pdu(listed).await? {
                pdus.push(listed.clone());
            }
        }
        let edus = match &sent.edus {
            None => None,
            Some(listed) => {
                let mut edus = Vec::with_capacity(listed.len());
                for listed in listed {
                    edus.extend(self.left_of_edu(listed).await?);
                }
                Some(edus)
            }
        };
        Ok(SendTransaction {
            pdus,
            edus,
            ..sent.clone()
        })
    }

    async fn keeps_pdu(&mut self, listed: &Listed<Pdu>) -> Result<bool, FederationError> {
        let Ok(pdu) = listed else { return Ok(true) };
        let Some(room_id) = pdu.room_id() else {
            return Ok(true);
        };
        if !self.denies(&room_id).await? {
            return Ok(true);
        }
        self.dropped = true;
        let version = self.acl.rooms.room_version(&room_id).await;
        if let Some(id) = version.and_then(|rules| rules.event_id(pdu.object()).ok()) {
            let mut result = ObjectWriter::new();
            result.string("error", denied(self.origin).message());
            self.results.insert(id, result.into_object().to_value());
        }
        Ok(false)
    }

    /// The EDU, or what is left of it, or nothing.
    async fn left_of_edu(
        &mut self,
        listed: &Listed<Edu>,
    ) -> Result<Option<Listed<Edu>>, FederationError> {
        let Ok(edu) = listed else {
            return Ok(Some(listed.clone()));
        };
        let rooms = edu.rooms();
        let mut open = HashSet::new();
        for room_id in &rooms {
            if !self.denies(room_id).await? {
                open.insert(room_id.as_str());
            }
        }
        // A room that was not looked up, as there are too many, is not open.
        let left = edu.retain_rooms(|room_id| open.contains(room_id));
        self.dropped |= left.as_ref() != Some(edu);
        Ok(left.map(Ok))
    }
}

/// The reply to a transaction with more results in it. A handler's own word on an event stays.
fn with_results(mut message: Message, results: Members) -> Message {
    let content: &Object = message.content();
    let mut members = Members::from_object(content);
    let mut pdus = results;
    if let Some(own) = content.object("pdus") {
        for (id, result) in own.members() {
            pdus.insert(id.into_owned(), result);
        }
    }
    members.insert("pdus".to_owned(), pdus.to_object().to_value());
    Message::from_content(members.to_object())
}
