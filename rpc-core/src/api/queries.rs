//! Queries about users, aliases and whatever else (SS "Querying for information").

use crate::{
    call::{Endpoint, MessageForm},
    endpoint::{Content, EndpointParts, PathTemplate, Query},
    error::FederationError,
    json::{Members, Object, ObjectWriter, ReadError},
};

/// Asks which room an alias stands for.
///
/// Duties: the caller asks the server that the alias is of, and the receiver answers for aliases of its own only. Both may keep the answer for a while.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryDirectory {
    /// The alias.
    pub room_alias: String,
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

impl Endpoint for QueryDirectory {
    const METHOD: &'static str = "GET";
    const PATH: PathTemplate = PathTemplate::new("/_matrix/federation/v1/query/directory");
    const REQUIRED_QUERY: &'static [&'static str] = &["room_alias"];

    fn write(&self) -> EndpointParts {
        let mut query = Query::new();
        query.push("room_alias", &self.room_alias);
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
            room_alias: extra_query.require("room_alias")?,
            extra_query,
        })
    }
}

/// The room, and whom to ask about it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueryDirectoryReply {
    /// The room.
    pub room_id: String,
    /// Servers that are likely to be in it, in the receiver's order, which may leave itself out.
    pub servers: Vec<String>,
    /// Members that the operation does not know.
    pub extra: Members,
}

impl MessageForm for QueryDirectoryReply {
    fn write(&self) -> Object {
        let mut object = ObjectWriter::new();
        object.string("room_id", &self.room_id);
        object.strings("servers", &self.servers);
        object.members(&self.extra);
        object.into_object()
    }

    fn read(object: &Object) -> Result<Self, ReadError> {
        let mut reader = object.reader();
        Ok(Self {
            room_id: reader.string("room_id")?,
            servers: reader.strings("servers")?,
            extra: reader.rest(),
        })
    }
}

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
    /// Name of the user's time zone in the IANA's database, or whatever the user chose. In the profile it is called `m.tz`.
    pub time_zone: Option<String>,
    /// Every other field of the profile.
    pub extra: Members,
}

impl MessageForm for QueryProfileReply {
    fn write(&self) -> Object {
        let mut object = ObjectWriter::new();
        object.string_opt("displayname", self.displayname.as_deref());
        object.string_opt("avatar_url", self.avatar_url.as_deref());
        object.string_opt("m.tz", self.time_zone.as_deref());
        object.members(&self.extra);
        object.into_object()
    }

    fn read(object: &Object) -> Result<Self, ReadError> {
        let mut reader = object.reader();
        Ok(Self {
            // Servers give `null` for a field without a value; it stays among the others.
            displayname: reader.try_string("displayname"),
            avatar_url: reader.try_string("avatar_url"),
            time_zone: reader.try_string("m.tz"),
            extra: reader.rest(),
        })
    }
}

/// Asks anything else: a query of a type that no other operation of this group is for.
///
/// Duties: a receiver that does not know the type answers that there is no such thing. `directory` and `profile` are operations of their
/// own, and arrive as these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryCustom {
    /// What kind of query it is.
    pub query_type: String,
    /// Whatever the query takes.
    pub parameters: Query,
}

impl Endpoint for QueryCustom {
    const METHOD: &'static str = "GET";
    const PATH: PathTemplate = PathTemplate::new("/_matrix/federation/v1/query/{queryType}");

    fn write(&self) -> EndpointParts {
        EndpointParts {
            path: vec![self.query_type.clone()],
            query: self.parameters.clone(),
            content: Content::Absent,
        }
    }

    fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
        Ok(Self {
            query_type: parts.path_parameter(0).to_owned(),
            parameters: parts.query.clone(),
        })
    }
}

/// Whatever the query gives.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryCustomReply {
    /// The answer.
    pub answer: Object,
}

impl MessageForm for QueryCustomReply {
    fn write(&self) -> Object {
        self.answer.clone()
    }

    fn read(object: &Object) -> Result<Self, ReadError> {
        Ok(Self {
            answer: object.clone(),
        })
    }
}
