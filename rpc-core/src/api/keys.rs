//! Server keys (SS "Retrieving server keys").

use crate::{
    call::{Endpoint, MessageForm},
    endpoint::{EndpointParts, PathTemplate, Query, TrailingSlash},
    error::FederationError,
    json::{Object, ReadError},
};

/// Asks a server for its own signing keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetServerKeys {
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

impl Endpoint for GetServerKeys {
    const METHOD: &'static str = "GET";
    const PATH: PathTemplate = PathTemplate::new("/_matrix/key/v2/server");
    const TRAILING_SLASH: TrailingSlash = TrailingSlash::Accept;

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

/// A server's key document. It is signed, so it stays one opaque canonical object.
///
/// # Reading it
/// By [`ServerKeys::parse`](crate::auth::ServerKeys::parse).
#[derive(Clone, Debug, PartialEq)]
pub struct GetServerKeysReply {
    /// The document.
    pub document: Object,
}

impl MessageForm for GetServerKeysReply {
    fn write(&self) -> Object {
        self.document.clone()
    }

    fn read(object: &Object) -> Result<Self, ReadError> {
        Ok(Self {
            document: object.clone(),
        })
    }
}
