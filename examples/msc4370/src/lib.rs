//! An operation that Comity does not have, added from outside: no line of Comity was changed for it.
//!
//! `GetExtremities` (MSC4370) asks a server for the newest events that it has of a room: what it would name as `prev_events` if it sent one now. Synapse
//! answers it under `/_matrix/federation/unstable/org.matrix.msc4370`, and policy servers ask.
//!
//! This file is all that any binding needs: the row, the types, and how they are written as an endpoint. It travels over HTTP with that, and
//! over gRPC through the generic `Invoke`. [`grpc`] adds the typed message. `examples/both_bindings.rs` serves and calls it, and
//! docs/adding-an-operation.md walks through all of it.

#![forbid(unsafe_code)]

pub mod grpc;
#[cfg(test)]
mod laws;

use comity_core::{
    call::{Endpoint, MessageForm},
    endpoint::{EndpointParts, PathTemplate, Query},
    error::FederationError,
    json::{Members, Object, ObjectWriter, ReadError},
};

// [doc: row]
comity_core::define_operations! {
    /// The ends of a room's graph (MSC4370).
    group Extremities extremities {
        /// Gives the newest events that a server has of a room.
        server get_extremities: crate::GetExtremities => crate::GetExtremitiesReply {
            idempotency: Safe,
            flow: Concurrent,
            reply: Message,
            limits: comity_core::call::SizeLimits::SMALL,
            clocks: comity_core::call::Clocks::short(10),
            errors: [
                403 M_FORBIDDEN "the calling server is not in the room",
                404 M_NOT_FOUND "the room is not known",
            ],
            server_acl: Room,
            editions: [],
        }
    }
}
// [end doc]

// [doc: request]
/// Asks for the newest events of a room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetExtremities {
    /// The room.
    pub room_id: String,
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

impl Endpoint for GetExtremities {
    const METHOD: &'static str = "GET";
    const PATH: PathTemplate =
        PathTemplate::new("/_matrix/federation/unstable/org.matrix.msc4370/extremities/{roomId}");

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
// [end doc]

// [doc: reply]
/// The newest events of a room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetExtremitiesReply {
    /// Their IDs; at least one, as the MSC has it.
    pub prev_events: Vec<String>,
    /// Members that the operation does not know.
    pub extra: Members,
}

impl MessageForm for GetExtremitiesReply {
    fn write(&self) -> Object {
        let mut object = ObjectWriter::new();
        object.strings("prev_events", &self.prev_events);
        object.members(&self.extra);
        object.into_object()
    }

    fn read(object: &Object) -> Result<Self, ReadError> {
        let mut reader = object.reader();
        Ok(Self {
            prev_events: reader.strings("prev_events")?,
            extra: reader.rest(),
        })
    }
}
// [end doc]
