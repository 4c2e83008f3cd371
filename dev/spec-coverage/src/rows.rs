//! The rows of the table, with what of an operation needs its types.

use bytes::Bytes;
use comity_core::{
    call::{Op, Reply, ReplyForm, operation},
    endpoint::{Content, EndpointParts},
    error::CallError,
    json::Object,
};
use comity_grpc::GrpcCodec;
use prost::Message;

use crate::schema::Type;

/// One operation.
pub(crate) struct Row {
    pub(crate) op: Op,
    /// Reads the reply by its type, and makes one of it again.
    pub(crate) retype: fn(Reply) -> Result<Reply, CallError>,
    /// Whether a message of the operation's own carries the request.
    pub(crate) has_message: fn(&EndpointParts) -> bool,
    /// The bytes of the message that carries a request of this content.
    request: fn(Object) -> Option<Bytes>,
    /// The bytes of the message that carries a reply of this content.
    reply: fn(&Object) -> Option<Bytes>,
}

macro_rules! every_row {
    ($(
        $(#[$group_doc:meta])*
        group $Group:ident $routes:ident {
            $(
                $(#[$doc:meta])*
                $auth:ident $method:ident: $Request:ty => $Reply:ty { $($facts:tt)* }
            )*
        }
    )*) => {
        /// Every row, in the order of the samples.
        pub(crate) fn rows() -> Vec<Row> {
            vec![$($( row::<$Request>() ),*),*]
        }
    };
}

comity_core::operations!(every_row);

fn row<O: GrpcCodec>() -> Row {
    Row {
        op: operation::<O>(),
        retype: |reply| reply.typed::<O>().map(ReplyForm::into_reply),
        has_message: |parts| {
            O::request_to_message(parts).is_some_and(|message| {
                O::request_from_message(&message).is_ok_and(|fields| fields.matches(parts))
            })
        },
        request: |content| {
            let message = O::request_to_message(&EndpointParts {
                content: Content::Json(content),
                ..EndpointParts::default()
            });
            message.map(|message| message.encode_to_vec().into())
        },
        reply: |content| O::REPLY.encode(content),
    }
}

impl Row {
    /// Whether a member of the request has a place of its own, apart from those that the operation does not know.
    pub(crate) fn knows(&self, name: &str, ty: Type) -> bool {
        has_field(|content| (self.request)(content), name, ty)
    }

    /// The same of a reply that is one message; `true` where the reply is no message, or the message holds it whole.
    pub(crate) fn knows_of_reply(&self, name: &str, ty: Type) -> bool {
        let encode = |content: Object| (self.reply)(&content);
        match encode(Object::empty()) {
            None => true,
            Some(message) => contains(&message, "{}") || has_field(encode, name, ty),
        }
    }
}

/// Members without a field travel as text in `extra_json`.
fn has_field(encode: impl Fn(Object) -> Option<Bytes>, name: &str, ty: Type) -> bool {
    let values: &[&str] = match ty {
        Type::String => &["\"x\""],
        Type::Integer => &["1"],
        Type::Boolean => &["true"],
        Type::Object => &["{\"x\":{\"x\":1}}"],
        Type::Array => &["[\"x\"]", "[{\"x\":1}]"],
    };
    values.iter().any(|value| {
        let text = format!("{{\"{name}\":{value}}}");
        let content = Object::parse(Bytes::from(text), 1 << 10).expect("a member's name");
        encode(content).is_some_and(|message| !contains(&message, &format!("\"{name}\":")))
    })
}

fn contains(message: &[u8], text: &str) -> bool {
    message
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> Row {
        let mut rows = rows().into_iter();
        rows.find(|row| row.op.spec().name == name).unwrap()
    }

    #[test]
    fn a_member_is_known_if_the_message_has_a_field_for_it() {
        let send = of("SendTransaction");
        assert!(send.knows("origin", Type::String));
        assert!(send.knows("pdus", Type::Array));
        assert!(!send.knows("unheard_of", Type::String));
        assert!(send.knows_of_reply("pdus", Type::Object));
        assert!(!send.knows_of_reply("unheard_of", Type::Object));
        // One message holds the document whole, the other is no message.
        assert!(of("GetServerKeys").knows_of_reply("server_name", Type::String));
        assert!(of("GetState").knows_of_reply("pdus", Type::Array));
    }
}
