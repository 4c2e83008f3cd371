//! What a server says of itself (SS "Server implementation").

use serde::{Deserialize, Serialize};

use crate::{
    call::{Endpoint, MessageForm},
    endpoint::{EndpointParts, PathTemplate, Query},
    error::FederationError,
    json::{Json, Members, Object, ObjectWriter, ReadError},
};

/// Asks for the server's implementation name and version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetVersion {
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

impl Endpoint for GetVersion {
    const METHOD: &'static str = "GET";
    const PATH: PathTemplate = PathTemplate::new("/_matrix/federation/v1/version");

    fn write(&self) -> EndpointParts {
        EndpointParts {
            query: self.extra_query.clone(),
            ..EndpointParts::default()
        }
    }

    fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
        Ok(Self {
            extra_query: parts.query.clone(),
        })
    }
}

/// The server's implementation name and version.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GetVersionReply {
    /// Name and version.
    pub server: Option<Json<ServerVersion>>,
    /// Members that the operation does not know.
    pub extra: Members,
}

/// Name and version of an implementation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerVersion {
    /// An arbitrary name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its format depends on the implementation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

impl MessageForm for GetVersionReply {
    fn write(&self) -> Object {
        let mut object = ObjectWriter::new();
        object.value_opt("server", self.server.as_ref().map(Json::value));
        object.members(&self.extra);
        object.into_object()
    }

    fn read(object: &Object) -> Result<Self, ReadError> {
        let mut reader = object.reader();
        Ok(Self {
            server: reader.object_opt("server")?.map(Json::from_value),
            extra: reader.rest(),
        })
    }
}
