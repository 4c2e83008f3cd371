//! Calls of servers that are no homeservers: identity servers and services that users log in to (SS "OpenID", "Third-party invites").

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    ServerName,
    call::{Alternative, Endpoint, MessageForm},
    endpoint::{Content, EndpointParts, PathTemplate, Query},
    error::FederationError,
    json::{Json, Members, Object, ObjectWriter, ReadError, Value},
};

/// Asks whom an OpenID token was given to.
///
/// Duties: the caller takes the answer only if the user is of the server that it asked: any other server could name a user of anyone's. The token
/// is a secret: whoever has it can show it elsewhere, so it is never logged.
///
/// # Secrecy
/// `Debug` leaves the token out, and no error or trace of this crate holds it. It stands in the target of the endpoint form, which bindings
/// must not log either.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct GetOpenIdUserInfo {
    /// The token, as the user's server made it.
    pub access_token: String,
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

impl fmt::Debug for GetOpenIdUserInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GetOpenIdUserInfo")
            .field("extra_query", &self.extra_query)
            .finish_non_exhaustive()
    }
}

impl Endpoint for GetOpenIdUserInfo {
    const METHOD: &'static str = "GET";
    const PATH: PathTemplate = PathTemplate::new("/_matrix/federation/v1/openid/userinfo");
    const REQUIRED_QUERY: &'static [&'static str] = &["access_token"];

    fn write(&self) -> EndpointParts {
        let mut query = Query::new();
        query.push("access_token", &self.access_token);
        query.extend(&self.extra_query);
        EndpointParts {
            path: Vec::new(),
            query,
            content: Content::Absent,
        }
    }

    fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
        let mut extra_query = parts.query.clone();
        let access_token = extra_query.take("access_token").ok_or_else(|| {
            FederationError::missing_token("query parameter `access_token` is missing")
        })?;
        Ok(Self {
            access_token,
            extra_query,
        })
    }
}

/// Whom the token was given to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GetOpenIdUserInfoReply {
    /// The user's ID. To be trusted only if it is of the server that was asked.
    pub sub: String,
    /// Members that the operation does not know.
    pub extra: Members,
}

impl GetOpenIdUserInfoReply {
    /// The user, if it is one of the server that was asked: what every caller has to make sure of (v1.18).
    ///
    /// # Errors
    /// [`ForeignUser`]: the answer is worth nothing.
    pub fn user_of(&self, asked: &ServerName) -> Result<&str, ForeignUser> {
        match asked.has_user(&self.sub) {
            true => Ok(&self.sub),
            false => Err(ForeignUser {
                asked: asked.clone(),
                user: self.sub.clone(),
            }),
        }
    }
}

/// A server that was asked about a token named a user who is not its own.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{asked} was asked whose token it is and named {user:?}, who is no user of it")]
pub struct ForeignUser {
    asked: ServerName,
    user: String,
}

impl MessageForm for GetOpenIdUserInfoReply {
    fn write(&self) -> Object {
        let mut object = ObjectWriter::new();
        object.string("sub", &self.sub);
        object.members(&self.extra);
        object.into_object()
    }

    fn read(object: &Object) -> Result<Self, ReadError> {
        let mut reader = object.reader();
        Ok(Self {
            sub: reader.string("sub")?,
            extra: reader.rest(),
        })
    }
}

/// Tells a homeserver that one of its users has proven to own an address, and which invites wait for it.
///
/// Duties: anyone may call, so the receiver takes no word for what it is: it sees to each invite by itself, through the server that invited, which
/// checks `signed`. One invite that fails fails no other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NotifyThirdPartyBind {
    /// What kind of address it is: `email`.
    pub medium: String,
    /// The address.
    pub address: String,
    /// The user.
    pub mxid: String,
    /// Invites to the address, at most [`NotifyThirdPartyBind::MAX_INVITES`].
    pub invites: Vec<Json<BoundInvite>>,
    /// Members that the operation does not know.
    pub extra: Members,
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

impl NotifyThirdPartyBind {
    /// Most elements of `invites`. Each makes the receiver call another server.
    pub const MAX_INVITES: usize = 1_000;
}

/// An invite that was sent to an address before anyone knew whose it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BoundInvite {
    /// What kind of address it is: `email`.
    pub medium: String,
    /// The address.
    pub address: String,
    /// The user.
    pub mxid: String,
    /// The room.
    pub room_id: String,
    /// Who invites.
    pub sender: String,
    /// What the identity server signed: `mxid`, the invite's `token` and `signatures`.
    pub signed: Value,
}

impl Endpoint for NotifyThirdPartyBind {
    const METHOD: &'static str = "PUT";
    const PATH: PathTemplate = PathTemplate::new("/_matrix/federation/v1/3pid/onbind");
    // What Synapse and Dendrite serve.
    const ALTERNATIVES: &'static [Alternative] = &[Alternative {
        method: "POST",
        path: PathTemplate::new("/_matrix/federation/v1/3pid/onbind"),
    }];

    fn write(&self) -> EndpointParts {
        let mut object = ObjectWriter::new();
        object.string("medium", &self.medium);
        object.string("address", &self.address);
        object.string("mxid", &self.mxid);
        let invites = self.invites.iter().map(|invite| invite.value().clone());
        object.array("invites", invites);
        object.members(&self.extra);
        EndpointParts {
            path: Vec::new(),
            query: self.extra_query.clone(),
            content: Content::Json(object.into_object()),
        }
    }

    fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
        let object = parts.object()?;
        let mut reader = object.reader();
        reader.at_most("invites", Self::MAX_INVITES)?;
        Ok(Self {
            medium: reader.string("medium")?,
            address: reader.string("address")?,
            mxid: reader.string("mxid")?,
            invites: reader
                .array("invites")?
                .into_iter()
                .map(Json::from_value)
                .collect(),
            extra: reader.rest(),
            extra_query: parts.query.clone(),
        })
    }
}

/// That the notification was taken.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NotifyThirdPartyBindReply {
    /// Members that the operation does not know.
    pub extra: Members,
}

impl MessageForm for NotifyThirdPartyBindReply {
    fn write(&self) -> Object {
        self.extra.to_object()
    }

    fn read(object: &Object) -> Result<Self, ReadError> {
        Ok(Self {
            extra: Members::from_object(object),
        })
    }
}
