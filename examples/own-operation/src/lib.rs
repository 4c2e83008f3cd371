//! An operation that Comity does not have, added from outside: no line of Comity was changed for it.
//!
//! `GetRoomComplexity` is one that Synapse answers and no specification has: how heavy a room is, so that a small server can decide whether
//! to join it (`GET /_matrix/federation/unstable/rooms/{roomId}/complexity`). Its reply is a floating point number, which the
//! specified calls never have.
//!
//! This file is all that any binding needs: the row, the types, and how they are written as an endpoint. It travels over HTTP with that, and
//! over gRPC through the generic `Invoke`. [`grpc`] adds the typed message. `examples/both_bindings.rs` serves and calls it.

#![forbid(unsafe_code)]

pub mod grpc;
#[cfg(test)]
mod laws;

use comity_core::{
    call::{Endpoint, MessageForm},
    endpoint::{EndpointParts, PathTemplate, Query},
    error::FederationError,
    json::{Json, Kind, Members, Object, ObjectWriter, ReadError, ReadErrorKind},
};

// The table of this crate, in the form of Comity's own. It writes the trait `Complexity` for servers, `complexity(..)` for routers,
// `operations()` for registries, and `Calls` with a typed method for clients.
comity_core::define_operations! {
    /// How heavy a room is.
    group Complexity complexity {
        /// Tells how heavy a room is for a server that joins it. Only for servers that may see the room.
        server get_room_complexity: crate::GetRoomComplexity => crate::GetRoomComplexityReply {
            idempotency: Safe,
            flow: Concurrent,
            reply: Message,
            limits: comity_core::call::SizeLimits::SMALL,
            clocks: comity_core::call::Clocks::short(10),
            errors: [404 M_NOT_FOUND "the server is not in the room, or the room is not for the origin to see"],
            server_acl: Room,
            editions: [],
        }
    }
}

/// Asks how heavy a room is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetRoomComplexity {
    /// The room.
    pub room_id: String,
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

impl Endpoint for GetRoomComplexity {
    const METHOD: &'static str = "GET";
    const PATH: PathTemplate =
        PathTemplate::new("/_matrix/federation/unstable/rooms/{roomId}/complexity");

    fn write(&self) -> EndpointParts {
        EndpointParts {
            path: vec![self.room_id.clone()],
            query: self.extra_query.clone(),
            ..EndpointParts::default()
        }
    }

    fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
        Ok(Self {
            room_id: parts.path_parameter(0).to_owned(),
            extra_query: parts.query.clone(),
        })
    }
}

/// How heavy a room is.
#[derive(Clone, Debug, PartialEq)]
pub struct GetRoomComplexityReply {
    /// Version 1 of the measure: state events divided by 500. It stays the text that the server wrote, as every number does: a
    /// gateway that made a float of it and text again might write another one.
    pub v1: Json<f64>,
    /// Members that the operation does not know: other versions of the measure.
    pub extra: Members,
}

impl MessageForm for GetRoomComplexityReply {
    fn write(&self) -> Object {
        let mut object = ObjectWriter::new();
        object.value("v1", self.v1.value());
        object.members(&self.extra);
        object.into_object()
    }

    fn read(object: &Object) -> Result<Self, ReadError> {
        let mut reader = object.reader();
        let expected = "a number";
        let v1 = reader
            .take("v1")
            .ok_or_else(|| ReadError::new("v1", ReadErrorKind::Missing { expected }))?;
        if v1.kind() != Kind::Number {
            let found = v1.kind();
            let kind = ReadErrorKind::WrongType { expected, found };
            return Err(ReadError::new("v1", kind));
        }
        Ok(Self {
            v1: Json::from_value(v1),
            extra: reader.rest(),
        })
    }
}
