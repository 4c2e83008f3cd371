//! Queries about users (SS "Querying for information").

use crate::{
    call::{Endpoint, MessageForm},
    endpoint::{Content, EndpointParts, PathTemplate, Query},
    error::FederationError,
    json::{Members, Object, ObjectWriter, ReadError},
};

/// Asks for the profile of one of the server's users.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryProfile {
    /// The user.
    pub user_id: String,
    /// The one field to give. All if absent.
    pub field: Option<String>,
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

impl Endpoint for QueryProfile {
    const METHOD: &'static str = "GET";
    const PATH: PathTemplate = PathTemplate::new("/_matrix/federation/v1/query/profile");
    const REQUIRED_QUERY: &'static [&'static str] = &["user_id"];

    fn write(&self) -> EndpointParts {
        let mut query = Query::new();
        query.push("user_id", &self.user_id);
        if let Some(field) = &self.field {
            query.push("field", field);
        }
        query.extend(&self.extra_query);
        EndpointParts {
            path: Vec::new(),
            query,
            content: Content::Absent,
        }
    }

    fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
        let mut extra_query = parts.query.clone();
        Ok(Self {
            user_id: extra_query.require("user_id")?,
            field: extra_query.take("field"),
            extra_query,
        })
    }
}

/// The profile, or the one field of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueryProfileReply {
    /// The user's name for display.
    pub displayname: Option<String>,
    /// URL of the user's picture.
    pub avatar_url: Option<String>,
    /// Every other field of the profile.
    pub extra: Members,
}

impl MessageForm for QueryProfileReply {
    fn write(&self) -> Object {
        let mut object = ObjectWriter::new();
        object.string_opt("displayname", self.displayname.as_deref());
        object.string_opt("avatar_url", self.avatar_url.as_deref());
        object.members(&self.extra);
        object.into_object()
    }

    fn read(object: &Object) -> Result<Self, ReadError> {
        let mut reader = object.reader();
        Ok(Self {
            // Servers give `null` for a field without a value; it stays among the others.
            displayname: reader.try_string("displayname"),
            avatar_url: reader.try_string("avatar_url"),
            extra: reader.rest(),
        })
    }
}
