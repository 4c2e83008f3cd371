//! Policy servers (SS "Policy servers").

use crate::{
    ServerName,
    call::{Alternative, Endpoint, MessageForm},
    endpoint::{Content, EndpointParts, PathTemplate, Query},
    error::FederationError,
    event::Pdu,
    json::{Object, ReadError},
};

/// Asks the policy server of a room to sign an event: to say that it may be sent there.
///
/// Duties: the caller never asks for a `m.room.policy` event with an empty state key. It adds the signature to those that the event has, of which the reply
/// holds none, and checks it by the key that the room's `m.room.policy` names. A refusal is final; of a server that cannot be reached it may ask
/// again.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicySign {
    /// The event.
    pub event: Pdu,
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

impl PolicySign {
    /// The ID of the key that policy servers sign with.
    pub const KEY_ID: &'static str = "ed25519:policy_server";

    /// Whether the policy server refused to sign, rather than could not: `M_FORBIDDEN`, whatever the status beside it.
    pub fn is_refusal(error: &FederationError) -> bool {
        error.errcode() == Some("M_FORBIDDEN")
    }
}

impl Endpoint for PolicySign {
    const METHOD: &'static str = "POST";
    const PATH: PathTemplate = PathTemplate::new("/_matrix/policy/v1/sign");
    const ALTERNATIVES: &'static [Alternative] = &[Alternative {
        method: "POST",
        path: PathTemplate::new("/_matrix/policy/unstable/org.matrix.msc4284/sign"),
    }];

    fn write(&self) -> EndpointParts {
        EndpointParts {
            path: Vec::new(),
            query: self.extra_query.clone(),
            content: Content::Json(self.event.object().clone()),
        }
    }

    fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
        let object = parts.object()?;
        Ok(Self {
            event: super::membership::read_event("the event", object.to_value())?,
            extra_query: parts.query.clone(),
        })
    }
}

/// The policy server's signature and no other, by server name and key ID.
///
/// # Reading it
/// By [`PolicySignReply::signature_of`].
#[derive(Clone, Debug, PartialEq)]
pub struct PolicySignReply {
    /// Signatures by server name and key ID.
    pub signatures: Object,
}

impl PolicySignReply {
    /// The policy server's signature in base64, if it is there.
    pub fn signature_of(&self, policy_server: &ServerName) -> Option<String> {
        let own = self.signatures.object(policy_server.as_str())?;
        Some(own.get(PolicySign::KEY_ID)?.as_str()?.into_owned())
    }
}

impl MessageForm for PolicySignReply {
    fn write(&self) -> Object {
        self.signatures.clone()
    }

    fn read(object: &Object) -> Result<Self, ReadError> {
        Ok(Self {
            signatures: object.clone(),
        })
    }
}
