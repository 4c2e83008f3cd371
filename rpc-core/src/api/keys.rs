//! Server keys (SS "Retrieving server keys"), of a server itself and through a notary.
//!
//! A key document is signed, so it stays one opaque canonical object.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    call::{Endpoint, MessageForm},
    endpoint::{Content, EndpointParts, PathTemplate, Query, TrailingSlash},
    error::FederationError,
    event::{EventFault, Listed, judge_all},
    json::{Json, Members, Object, ObjectWriter, ReadError, Value},
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

/// Asks a notary for the keys of another server.
///
/// Duties: the notary adds its signature to the document and changes nothing else; it gives the last one that it had of a server that it cannot
/// reach, and an empty list if it never had one. The caller checks the server's own signature of the document, and the notary's if it trusts it for
/// that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryServerKeys {
    /// The server whose keys are asked for.
    pub server_name: String,
    /// Until when the keys should be valid at least, any integer of 64 bits. The present if absent.
    pub minimum_valid_until_ts: Option<i64>,
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

impl Endpoint for QueryServerKeys {
    const METHOD: &'static str = "GET";
    const PATH: PathTemplate = PathTemplate::new("/_matrix/key/v2/query/{serverName}");

    fn write(&self) -> EndpointParts {
        EndpointParts {
            path: vec![self.server_name.clone()],
            query: write_query(self.minimum_valid_until_ts, &self.extra_query),
            content: Content::Absent,
        }
    }

    fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
        let mut extra_query = parts.query.clone();
        Ok(Self {
            server_name: parts.path_parameter(0).to_owned(),
            minimum_valid_until_ts: extra_query.take_integer(VALID_UNTIL)?,
            extra_query,
        })
    }
}

/// The key documents that a notary gives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueryServerKeysReply {
    /// A document for each server, or several, with the notary's signature beside the server's own. Servers without one are left out.
    pub server_keys: Option<Vec<Listed<Object>>>,
    /// Members that the operation does not know.
    pub extra: Members,
}

impl QueryServerKeysReply {
    /// A reply of these documents.
    pub fn new(documents: impl IntoIterator<Item = Object>) -> Self {
        Self {
            server_keys: Some(documents.into_iter().map(Ok).collect()),
            extra: Members::new(),
        }
    }

    /// The documents that are JSON objects.
    pub fn documents(&self) -> impl Iterator<Item = &Object> {
        let listed = self.server_keys.as_deref().unwrap_or_default();
        listed.iter().filter_map(|document| document.as_ref().ok())
    }
}

impl MessageForm for QueryServerKeysReply {
    fn write(&self) -> Object {
        let mut object = ObjectWriter::new();
        let listed = self.server_keys.as_ref();
        let values = listed.map(|listed| {
            listed.iter().filter_map(|document| match document {
                Ok(document) => Some(document.to_value()),
                Err(bad) => bad.value.clone(),
            })
        });
        object.array_opt("server_keys", values);
        object.members(&self.extra);
        object.into_object()
    }

    fn read(object: &Object) -> Result<Self, ReadError> {
        let mut reader = object.reader();
        let server_keys = reader.array_opt("server_keys")?;
        Ok(Self {
            server_keys: server_keys.map(|values| judge_all(values, judge_document)),
            extra: reader.rest(),
        })
    }
}

fn judge_document(value: Value) -> Result<Object, EventFault> {
    Object::from_value(&value).ok_or(EventFault::NotAnObject)
}

/// Asks a notary for keys of several servers.
///
/// Duties: as of `QueryServerKeys`. The notary may give more keys than it was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchQueryServerKeys {
    /// What is asked for, by server name and key ID; no key ID stands for all keys of the server.
    pub server_keys: Json<BTreeMap<String, BTreeMap<String, KeyCriteria>>>,
    /// Members that the operation does not know.
    pub extra: Members,
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

/// What a key that a notary is asked for has to be like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyCriteria {
    /// Until when it should be valid at least. The present if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum_valid_until_ts: Option<i64>,
}

impl Endpoint for BatchQueryServerKeys {
    const METHOD: &'static str = "POST";
    const PATH: PathTemplate = PathTemplate::new("/_matrix/key/v2/query");
    const TRAILING_SLASH: TrailingSlash = TrailingSlash::Accept;

    fn write(&self) -> EndpointParts {
        let mut object = ObjectWriter::new();
        object.value("server_keys", self.server_keys.value());
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
        Ok(Self {
            server_keys: Json::from_value(reader.object("server_keys")?),
            extra: reader.rest(),
            extra_query: parts.query.clone(),
        })
    }
}

/// Asks a server for its own signing keys, as servers did that named a key: the receiver gives all of them.
///
/// Duties: as of `GetServerKeys`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetServerKeysById {
    /// The key that the caller has in mind.
    pub key_id: String,
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

impl Endpoint for GetServerKeysById {
    const METHOD: &'static str = "GET";
    const PATH: PathTemplate = PathTemplate::new("/_matrix/key/v2/server/{keyId}");

    fn write(&self) -> EndpointParts {
        EndpointParts {
            path: vec![self.key_id.clone()],
            query: self.extra_query.clone(),
            content: Content::Absent,
        }
    }

    fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
        Ok(Self {
            key_id: parts.path_parameter(0).to_owned(),
            extra_query: parts.query.clone(),
        })
    }
}

/// Asks a notary for one key of another server. Some notaries serve nothing else.
///
/// Duties: as of `QueryServerKeys`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryServerKeysById {
    /// The server whose key is asked for.
    pub server_name: String,
    /// The key. The reply may hold others too.
    pub key_id: String,
    /// Until when the key should be valid at least, any integer of 64 bits. The present if absent.
    pub minimum_valid_until_ts: Option<i64>,
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

impl Endpoint for QueryServerKeysById {
    const METHOD: &'static str = "GET";
    const PATH: PathTemplate = PathTemplate::new("/_matrix/key/v2/query/{serverName}/{keyId}");

    fn write(&self) -> EndpointParts {
        EndpointParts {
            path: vec![self.server_name.clone(), self.key_id.clone()],
            query: write_query(self.minimum_valid_until_ts, &self.extra_query),
            content: Content::Absent,
        }
    }

    fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
        let mut extra_query = parts.query.clone();
        Ok(Self {
            server_name: parts.path_parameter(0).to_owned(),
            key_id: parts.path_parameter(1).to_owned(),
            minimum_valid_until_ts: extra_query.take_integer(VALID_UNTIL)?,
            extra_query,
        })
    }
}

const VALID_UNTIL: &str = "minimum_valid_until_ts";

fn write_query(minimum_valid_until_ts: Option<i64>, extra_query: &Query) -> Query {
    let mut query = Query::new();
    if let Some(time) = minimum_valid_until_ts {
        query.push(VALID_UNTIL, time.to_string());
    }
    query.extend(extra_query);
    query
}
