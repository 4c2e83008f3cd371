//! Which message carries which operation.

use std::{any::TypeId, collections::HashMap, fmt};

use bytes::Bytes;
use comity_core::{
    call::{Endpoint, Op, ReplyShape, operation},
    endpoint::EndpointParts,
    json::Object,
};
use prost::Message;

use crate::{
    content::{CodecError, ContentFields, RequestFields},
    elements,
    framing::frame,
};

/// How an operation's request and reply map to protobuf.
///
/// The law: for every `parts` whose content is canonical, the fields of `request_to_message(parts)` stand for these very parts,
/// byte for byte. What a field cannot hold goes to `extra_json`; `None` says that the message cannot carry it at all, and the call
/// goes through `Invoke`. A sender checks the law for each message before it sends it.
#[diagnostic::on_unimplemented(
    message = "operation `{Self}` has no gRPC message",
    note = "write it in proto/ and implement `GrpcCodec` in transport-grpc/src/<group>.rs"
)]
pub trait GrpcCodec: Endpoint {
    /// Full name of the rpc: `comity.federation.v1.Transactions/SendTransaction`.
    const RPC: &'static str;
    /// The request's message.
    type Request: Message + Default;
    /// The reply's message, or [`ReplyCodec::STREAM`] or [`ReplyCodec::BODY`] for a reply that is no message.
    const REPLY: ReplyCodec;

    /// The request as a message; `None` if no message can carry it.
    fn request_to_message(parts: &EndpointParts) -> Option<Self::Request>;

    /// What the message's fields stand for.
    ///
    /// # Errors
    /// The fields contradict one another.
    fn request_from_message(message: &Self::Request) -> Result<RequestFields<'_>, CodecError>;

    /// What a message stands for, from its bytes, for an operation where it is worth the code: exactly what would come of decoding it, and taking in what
    /// [`request_from_message`](Self::request_from_message) says, with content of at most `limit` bytes. `None` if that has to be done: for any message that
    /// is written in an unusual way, and for each that is to be refused, as the other way says why.
    fn request_from_bytes(message: &[u8], limit: usize) -> Option<EndpointParts> {
        let _ = (message, limit);
        None
    }
}

/// A message that is a whole reply.
pub trait ReplyMessage: Message + Default {
    /// The reply as a message. Total: what no field can hold goes to `extra_json`.
    fn from_content(content: &Object) -> Self;

    /// What the message's fields stand for.
    ///
    /// # Errors
    /// The fields contradict one another.
    fn content(&self) -> Result<ContentFields<'_>, CodecError>;
}

/// How a reply maps to protobuf.
#[derive(Clone, Copy)]
pub struct ReplyCodec(Frames);

#[derive(Clone, Copy)]
enum Frames {
    Message(ReplyRow),
    Stream,
    Body,
}

#[derive(Clone, Copy)]
struct ReplyRow {
    encode: fn(&Object) -> Bytes,
    decode: fn(Bytes, usize) -> Result<Object, CodecError>,
}

impl ReplyCodec {
    /// Events or a blob: frames that are the same for every operation.
    pub const STREAM: Self = Self(Frames::Stream);

    /// A body: the frames of `Invoke`'s reply, `InvokeReply`.
    pub const BODY: Self = Self(Frames::Body);

    /// One message of type `M`.
    pub const fn message<M: ReplyMessage>() -> Self {
        Self(Frames::Message(ReplyRow {
            encode: |content| frame(&M::from_content(content)),
            decode: |bytes, limit| {
                elements::check(&bytes)?;
                let message = M::decode(bytes)?;
                let content = message.content()?.ingest(limit)?;
                Ok(content.unwrap_or_else(Object::empty))
            },
        }))
    }

    /// The reply as a framed message; `None` for any other.
    pub fn encode(self, content: &Object) -> Option<Bytes> {
        self.message_row().map(|row| (row.encode)(content))
    }

    /// The content of a reply message, without its frame; `None` for any other.
    ///
    /// # Errors
    /// The message is malformed, its fields contradict one another, or the content is over `limit` bytes.
    pub fn decode(self, message: Bytes, limit: usize) -> Option<Result<Object, CodecError>> {
        self.message_row().map(|row| (row.decode)(message, limit))
    }

    const fn message_row(self) -> Option<ReplyRow> {
        match self.0 {
            Frames::Message(row) => Some(row),
            Frames::Stream | Frames::Body => None,
        }
    }

    const fn is_for(self, shape: ReplyShape) -> bool {
        matches!(
            (self.0, shape),
            (Frames::Message(_), ReplyShape::Message)
                | (Frames::Stream, ReplyShape::Events { .. } | ReplyShape::Blob)
                | (Frames::Body, ReplyShape::Body)
        )
    }
}

impl fmt::Debug for ReplyCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Frames::Message(_) => "message",
            Frames::Stream => "stream",
            Frames::Body => "body",
        })
    }
}

/// One operation's codec, its types erased.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) op: Op,
    /// Full name of the rpc.
    pub(crate) method: &'static str,
    pub(crate) encode: fn(&EndpointParts) -> Option<Bytes>,
    pub(crate) decode: fn(Bytes, usize) -> Result<EndpointParts, CodecError>,
    pub(crate) reply: ReplyCodec,
}

/// The codecs of a set of operations.
#[derive(Clone, Debug, Default)]
pub struct Codecs {
    by_operation: HashMap<TypeId, Row>,
    by_method: HashMap<&'static str, TypeId>,
}

impl Codecs {
    /// No codec: every call goes through `Invoke`.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds an operation's codec. One for the same operation is replaced.
    ///
    /// Does not compile if the codec's reply is not of the shape that the operation's row says.
    #[must_use]
    pub fn with<O: GrpcCodec>(mut self) -> Self {
        const {
            assert!(
                O::REPLY.is_for(O::SPEC.reply),
                "the codec's reply is not of the shape that the operation's row says"
            );
        }
        let row = Row {
            op: operation::<O>(),
            method: O::RPC,
            encode: encode::<O>,
            decode: decode::<O>,
            reply: O::REPLY,
        };
        self.by_operation.insert(TypeId::of::<O>(), row);
        self.by_method.insert(row.method, TypeId::of::<O>());
        self
    }

    pub(crate) fn of_operation(&self, op: Op) -> Option<&Row> {
        self.by_operation.get(&op.id())
    }

    pub(crate) fn of_method(&self, method: &str) -> Option<&Row> {
        self.by_operation.get(self.by_method.get(method)?)
    }
}

/// The framed message, if its fields stand for exactly these parts.
fn encode<O: GrpcCodec>(parts: &EndpointParts) -> Option<Bytes> {
    let message = O::request_to_message(parts)?;
    let same = O::request_from_message(&message).is_ok_and(|fields| fields.matches(parts));
    same.then(|| frame(&message))
}

fn decode<O: GrpcCodec>(bytes: Bytes, limit: usize) -> Result<EndpointParts, CodecError> {
    if let Some(parts) = O::request_from_bytes(&bytes, limit) {
        return Ok(parts);
    }
    elements::check(&bytes)?;
    let message = O::Request::decode(bytes)?;
    O::request_from_message(&message)?.ingest(limit)
}

/// A row of the table without a codec does not compile.
macro_rules! federation_codecs {
    ($(
        $(#[$group_doc:meta])*
        group $Group:ident $routes:ident {
            $(
                $(#[$doc:meta])*
                $auth:ident $method:ident: $Request:ty => $Reply:ty { $($facts:tt)* }
            )*
        }
    )*) => {
        impl Codecs {
            /// The codec of every operation of the table in [`comity_core::api`].
            pub fn federation() -> Self {
                Self::none() $($( .with::<$Request>() )*)*
            }
        }
    };
}

comity_core::operations!(federation_codecs);
