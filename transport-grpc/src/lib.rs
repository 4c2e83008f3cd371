//! The gRPC binding `grpc/1` of the Matrix Federation API.
//!
//! [`GrpcTransport`] is its client, [`GrpcServer`] its server, and a [`GrpcCodec`] says how an operation's request and reply map to
//! protobuf. The schema is `comity-proto`. A call that no typed message can carry travels through one generic method, `Invoke`.
//!
//! An operation from outside this workspace gets a typed message by a `GrpcCodec` in its own crate, over messages of its own, registered by
//! [`Codecs::with`]. What such a codec is written with is public: [`Fields`], [`QueryReader`], [`query_of`], [`content_reader`],
//! [`extra_json`], [`json`], [`json_list`], [`json_map`], [`string_list`], and the message types that fields have in common.
//!
//! Off unless they are mounted beside the server: [`Health`], for probes, and [`reflection`], for generic clients.
//!
//! # Limits
//!
//! | what | limit | setting |
//! | --- | --- | --- |
//! | a request message | 16 MiB, and what the operation's content limit allows | `limits.request` of the operation's row |
//! | elements of all lists of one message | 100,000 | – |
//! | a reply that is one message | 16 MiB, and what the operation's limit allows | `limits.message` |
//! | one frame of a streamed reply | 16 MiB; 1 MiB is the most that is sent, unless one element alone is larger | – |
//! | one element of a streamed reply; the reply in all | 1 MiB; 1 GiB | `limits.item`; `limits.stream` |
//! | details of an error status | 4 KiB; the error's body is left out first | – |
//! | a request's message has arrived | 60 s | [`GrpcServerOptions::read_timeout`] |
//! | a request of health or reflection; watching the health; asking reflection | 4 KiB, 10 s; 1 h; 60 s | – |
//! | header list | 64 KiB | `comity-net` |
//!
//! Messages are not compressed.

#![forbid(unsafe_code)]

mod blob;
mod chunks;
mod client;
mod codec;
mod content;
mod devices;
mod elements;
mod error;
mod events;
mod frames;
mod framing;
mod invoke;
mod invoked;
mod keys;
mod media;
mod membership;
mod metadata;
mod operating;
mod options;
mod parameters;
mod policy;
mod proof;
mod queries;
mod records;
mod rooms;
mod server;
mod server_info;
mod third_party;
mod timestamps;
mod transactions;

pub use client::GrpcTransport;
pub use codec::{Codecs, GrpcCodec, ReplyCodec, ReplyMessage};
pub use comity_proto::{JsonList, JsonMap, JsonMember, QueryParameter, StringList};
pub use content::{
    CodecError, ContentFields, Fields, RequestFields, content_reader, extra_json, json, json_list,
    json_map, string_list,
};
pub use invoked::OnInvoke;
pub use operating::{Health, is_reflection, reflection};
pub use options::GrpcServerOptions;
pub use parameters::{QueryReader, query_of};
pub use server::{GrpcServer, error_response, is_grpc};

/// The binding's name and version.
pub const BINDING: &str = "grpc/1";

/// Most bytes of one message, either way: 16 MiB.
pub const MAX_MESSAGE: usize = 16 << 20;

/// What holds of any bytes that come as a streamed reply, for the target in `dev/fuzz`.
#[cfg(fuzzing)]
#[doc(hidden)]
pub fn fuzz_chunks(data: &[u8]) {
    chunks::properties::hold(data);
}

/// Most bytes of a message whose content may have `content` bytes: a list of tiny elements is larger in protobuf than in JSON.
fn message_limit(content: usize) -> usize {
    content
        .saturating_mul(2)
        .saturating_add(64 << 10)
        .min(MAX_MESSAGE)
}
