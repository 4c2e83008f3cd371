//! Messages whose fields contradict one another or stand for no JSON: derived from the schema, so that a new message has them too.

use comity_proto as pb;
use prost::{Message, encoding as wire};
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorSet, field_descriptor_proto::Type,
};

/// A message that stands for no content.
pub(crate) struct Contradiction {
    pub(crate) what: String,
    pub(crate) message: Vec<u8>,
    /// The field that the error names.
    pub(crate) names: String,
}

/// Those of an rpc's request, of whose parameters these stand in the query.
pub(crate) fn of_request(rpc: &str, query: &[&str]) -> Vec<Contradiction> {
    contradictions(&message_type(rpc, |method| method.input_type()), query)
}

/// Those of an rpc's reply, if it is one message.
pub(crate) fn of_reply(rpc: &str) -> Vec<Contradiction> {
    contradictions(&message_type(rpc, |method| method.output_type()), &[])
}

/// A request's message with a query parameter whose name is not UTF-8.
pub(crate) fn parameter_that_is_not_utf8(rpc: &str) -> Vec<u8> {
    let message = message_type(rpc, |method| method.input_type());
    let mut fields = message.field.iter();
    let field = fields.find(|field| field.name() == "extra_query");
    let number = field.expect("every request has it").number() as u32;
    let mut out = Vec::new();
    wire::bytes::encode(number, &vec![0x0a, 1, 0xff], &mut out);
    out
}

/// Texts that are not exactly one canonical JSON value.
const NOT_ONE: [&str; 8] = [
    "",
    "{",
    "nul",
    "1,2",
    "{},\"x\":{}",
    "{} ",
    "{\"b\":1,\"a\":1}",
    "-0",
];

/// What a field holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Json,
    List,
    Strings,
    Map,
    Integer,
    Boolean,
    Text,
}

/// A field that gives a member of the content, or the whole.
struct Field {
    /// The member's name.
    name: String,
    number: u32,
    shape: Shape,
}

/// A message so far.
#[derive(Clone, Default)]
struct Built(Vec<u8>);

impl Built {
    fn json(mut self, number: u32, text: &str) -> Self {
        wire::bytes::encode(number, &text.as_bytes().to_vec(), &mut self.0);
        self
    }

    fn list(mut self, number: u32, items: &[&str]) -> Self {
        let items = items.iter().map(|item| (*item).to_owned().into()).collect();
        wire::message::encode(number, &pb::JsonList { items }, &mut self.0);
        self
    }

    fn map(mut self, number: u32, members: &[(&str, &str)]) -> Self {
        let members = members.iter().map(|(name, value)| pb::JsonMember {
            name: (*name).to_owned(),
            value: (*value).to_owned().into(),
        });
        let members = members.collect();
        wire::message::encode(number, &pb::JsonMap { members }, &mut self.0);
        self
    }

    fn integer(mut self, number: u32, integer: i64) -> Self {
        wire::int64::encode(number, &integer, &mut self.0);
        self
    }

    /// The field set to what it should hold.
    fn good(mut self, field: &Field) -> Self {
        match field.shape {
            Shape::Json => self.json(field.number, "{}"),
            Shape::List => self.list(field.number, &[]),
            Shape::Map => self.map(field.number, &[]),
            Shape::Integer => self.integer(field.number, 1),
            Shape::Boolean => {
                wire::bool::encode(field.number, &true, &mut self.0);
                self
            }
            Shape::Text => {
                wire::string::encode(field.number, &"x".to_owned(), &mut self.0);
                self
            }
            Shape::Strings => {
                wire::message::encode(field.number, &pb::StringList::default(), &mut self.0);
                self
            }
        }
    }
}

fn contradictions(message: &DescriptorProto, query: &[&str]) -> Vec<Contradiction> {
    let number = |name: &str| {
        let mut fields = message.field.iter();
        let field = fields.find(|field| field.name() == name);
        field.map(|field| field.number() as u32)
    };
    let fields = message.field.iter();
    let fields: Vec<Field> = fields
        .filter(|field| !query.contains(&field.name()))
        .filter_map(|field| content_field(message, field))
        .collect();
    let mut all = Vec::new();
    let mut add = |what: String, message: Built, names: &str| {
        all.push(Contradiction {
            what,
            message: message.0,
            names: format!("`{names}`"),
        });
    };
    for field in &fields {
        for (what, message) in of_field(field) {
            add(what, message, &field.name);
        }
        if let Some(extra_json) = number("extra_json") {
            let twice = format!("{{\"{}\":null}}", field.name);
            let message = Built::default().good(field).json(extra_json, &twice);
            add(
                format!("`{}` in two fields", field.name),
                message,
                &field.name,
            );
        } else {
            let message = Built::default().json(field.number, "[]");
            add(
                format!("`{}` that is no object", field.name),
                message,
                &field.name,
            );
        }
        if let Some(no_content) = number("no_content") {
            let mut message = Built::default().good(field);
            wire::bool::encode(no_content, &true, &mut message.0);
            add(
                format!("no content and `{}`", field.name),
                message,
                "no_content",
            );
        }
    }
    if let Some(extra_json) = number("extra_json") {
        for text in NOT_ONE
            .into_iter()
            .filter(|text| !text.is_empty())
            .chain(["[]"])
        {
            let message = Built::default().json(extra_json, text);
            add(
                format!("other members that are {text:?}"),
                message,
                "extra_json",
            );
        }
        if let Some(no_content) = number("no_content") {
            let mut message = Built::default().json(extra_json, "{\"a\":1}");
            wire::bool::encode(no_content, &true, &mut message.0);
            add(
                "no content and other members".to_owned(),
                message,
                "no_content",
            );
        }
    }
    all
}

/// What one field alone can get wrong.
fn of_field(field: &Field) -> Vec<(String, Built)> {
    let Field { name, number, .. } = field;
    let new = Built::default;
    match field.shape {
        Shape::Json => NOT_ONE
            .map(|text| {
                (
                    format!("`{name}` that is {text:?}"),
                    new().json(*number, text),
                )
            })
            .into(),
        Shape::List => {
            let mut faults: Vec<_> = NOT_ONE
                .map(|text| {
                    (
                        format!("`{name}` of {text:?}"),
                        new().list(*number, &["{}", text]),
                    )
                })
                .into();
            let halves = new().list(*number, &["[1", "2]"]);
            faults.push((format!("`{name}` that only fits together"), halves));
            faults
        }
        Shape::Map => {
            let mut faults: Vec<_> = NOT_ONE
                .map(|text| {
                    (
                        format!("`{name}` to {text:?}"),
                        new().map(*number, &[("a", text)]),
                    )
                })
                .into();
            for (what, members) in [
                ("in disorder", [("b", "{}"), ("a", "{}")]),
                ("with a name twice", [("a", "{}"), ("a", "{}")]),
                ("that only fits together", [("a", "[1"), ("b", "2]")]),
            ] {
                faults.push((format!("`{name}` {what}"), new().map(*number, &members)));
            }
            faults
        }
        Shape::Integer => [1 << 53, -1 << 53, i64::MAX, i64::MIN]
            .map(|number| {
                (
                    format!("`{name}` that is {number}"),
                    new().integer(field.number, number),
                )
            })
            .into(),
        Shape::Strings | Shape::Boolean | Shape::Text => Vec::new(),
    }
}

/// How a field gives a member of the content; `None` if it gives a parameter, or says something of the whole.
fn content_field(message: &DescriptorProto, field: &FieldDescriptorProto) -> Option<Field> {
    let whole = !message
        .field
        .iter()
        .any(|field| field.name() == "extra_json");
    let shape = match (field.r#type(), field.type_name()) {
        _ if matches!(field.name(), "extra_json" | "extra_query" | "no_content") => return None,
        // A parameter of the path or query: no member is a scalar that is always there, or a bare list.
        (Type::String | Type::Bool, _) if !field.proto3_optional() => return None,
        (Type::Bool | Type::String | Type::Int64, _) if whole => return None,
        (Type::Message, ".comity.federation.v1.JsonList") => Shape::List,
        (Type::Message, ".comity.federation.v1.JsonMap") => Shape::Map,
        (Type::Message, ".comity.federation.v1.StringList") => Shape::Strings,
        (Type::Bytes, _) => Shape::Json,
        (Type::Int64, _) => Shape::Integer,
        (Type::Bool, _) => Shape::Boolean,
        (Type::String, _) => Shape::Text,
        other => panic!(
            "{}.{}: say here what contradicts {other:?}",
            message.name(),
            field.name()
        ),
    };
    Some(Field {
        name: member_name(field),
        number: field.number() as u32,
        shape,
    })
}

/// The member that a field gives has the field's name, or the one that the schema says (`json_name`).
fn member_name(field: &FieldDescriptorProto) -> String {
    let mut words = field.name().split('_');
    let mut usual = words.next().unwrap_or_default().to_owned();
    for word in words {
        usual += &word[..1].to_uppercase();
        usual += &word[1..];
    }
    match field.json_name() {
        name if name == usual => field.name().to_owned(),
        name => name.to_owned(),
    }
}

fn message_type(rpc: &str, of: fn(&prost_types::MethodDescriptorProto) -> &str) -> DescriptorProto {
    let files = FileDescriptorSet::decode(pb::DESCRIPTORS).unwrap().file;
    let (service, method) = rpc.split_once('/').unwrap();
    let services = files.iter().flat_map(|file| {
        let services = file.service.iter();
        services.map(|service| (format!("{}.{}", file.package(), service.name()), service))
    });
    let mut methods = services
        .filter(|(name, _)| name == service)
        .flat_map(|(_, service)| &service.method);
    let method = methods.find(|known| known.name() == method).expect(rpc);
    let (_, name) = of(method).rsplit_once('.').unwrap();
    let mut messages = files.iter().flat_map(|file| &file.message_type);
    messages.find(|known| known.name() == name).unwrap().clone()
}
