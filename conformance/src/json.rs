//! Canonical JSON, random and hostile.

use bytes::Bytes;
use comity_core::json::{Members, Object, ObjectWriter, Value, write_string};
use proptest::{
    collection::vec,
    option,
    prelude::{any, prop_oneof},
    sample::select,
    strategy::{BoxedStrategy, Just, Strategy},
};

/// Greatest integer that canonical JSON has.
const MAX_INTEGER: i64 = (1 << 53) - 1;

/// Any value: nested a few levels, with numbers that no room version takes among the others.
pub fn value() -> BoxedStrategy<Value> {
    text().prop_map(|text| parse(&text)).boxed()
}

/// Any object.
pub fn object() -> BoxedStrategy<Value> {
    object_text(text()).prop_map(|text| parse(&text)).boxed()
}

/// A string.
pub fn string() -> BoxedStrategy<String> {
    prop_oneof![
        3 => "[a-zA-Z0-9:.@!$_-]{0,24}",
        1 => select(&[
            "", "\"", "\\", "\u{0}\u{1f}\u{7f}", "\n\r\t\u{8}\u{c}", "/", "\u{2028}\u{2029}", "\u{1f600}", "\u{ffff}\u{10ffff}", "é",
            "1},\"x\":{", "null",
        ][..]).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
    .boxed()
}

/// An integer within the canonical range.
pub fn integer() -> BoxedStrategy<i64> {
    prop_oneof![
        Just(0),
        Just(MAX_INTEGER),
        Just(-MAX_INTEGER),
        -1_000i64..1_000,
        -MAX_INTEGER..=MAX_INTEGER
    ]
    .boxed()
}

/// Members with names that are none of `known`.
pub fn members(known: &'static [&'static str]) -> BoxedStrategy<Members> {
    vec((name(), value()), 0..4)
        .prop_map(move |pairs| {
            let mut members = Members::new();
            for (name, value) in pairs {
                if !known.contains(&name.as_str()) {
                    members.insert(name, value);
                }
            }
            members
        })
        .boxed()
}

/// A canonical object in which each of `known` is absent, as it should be, or something else: null, empty, of another type; beside
/// names that nobody knows. This is what a peer may send.
pub fn hostile(known: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Object> {
    let known: Vec<_> = known
        .into_iter()
        .map(|(name, usual)| {
            let odd = select(&ODD[..]).prop_map(parse);
            let what = prop_oneof![
                2 => Just(None),
                4 => usual.prop_map(Some),
                2 => odd.prop_map(Some),
                1 => value().prop_map(Some),
            ];
            what.prop_map(move |value| value.map(|value| (name, value)))
        })
        .collect();
    (known, vec((name(), value()), 0..4))
        .prop_map(|(known, unknown)| {
            // The last of two equal names counts; the table's own names go last.
            let mut members = Members::new();
            for (name, value) in unknown {
                members.insert(name, value);
            }
            for (name, value) in known.into_iter().flatten() {
                members.insert(name.to_owned(), value);
            }
            members.to_object()
        })
        .boxed()
}

/// An array of `element`s, empty ones among them.
pub fn array(element: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    vec(element, 0..4).prop_map(Value::array).boxed()
}

/// An object of `value`s under identifiers, empty ones among them.
pub fn map(value: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    vec((crate::identifier(), value), 0..4)
        .prop_map(|members| Members::from_iter(members).to_object().to_value())
        .boxed()
}

/// An array of strings.
pub fn strings() -> BoxedStrategy<Value> {
    array(string().prop_map(|text| Value::string(&text)).boxed())
}

/// An element of a list of events: mostly an object that looks like an event, and sometimes anything.
pub fn event() -> BoxedStrategy<Value> {
    let event = (
        string(),
        string(),
        integer(),
        object(),
        option::of(string()),
    )
        .prop_map(|(room, kind, depth, content, state_key)| {
            let mut event = ObjectWriter::new();
            event.string("room_id", &room);
            event.string("type", &kind);
            event.integer("depth", depth);
            event.value("content", &content);
            event.string_opt("state_key", state_key.as_deref());
            event.value(
                "signatures",
                &parse(r#"{"a.example":{"ed25519:1":"AAAA"}}"#),
            );
            event.into_object().to_value()
        });
    prop_oneof![6 => event, 2 => object(), 2 => value(), 1 => select(&ODD[..]).prop_map(parse)]
        .boxed()
}

/// An element of a list of event IDs: mostly a string, and sometimes anything.
pub fn event_id() -> BoxedStrategy<Value> {
    let id = || crate::identifier().prop_map(|id| Value::string(&id));
    prop_oneof![6 => id(), 1 => value(), 1 => select(&ODD[..]).prop_map(parse)].boxed()
}

/// Values that stand where another type is expected.
const ODD: [&str; 18] = [
    "null",
    "[]",
    "{}",
    "\"\"",
    "0",
    "-1",
    "false",
    "true",
    "1.1",
    "1e400",
    "9007199254740992",
    "-9007199254740993",
    "[null]",
    "[[]]",
    "[\"\"]",
    "[0]",
    "{\"\":null}",
    "18446744073709551616",
];

fn name() -> BoxedStrategy<String> {
    prop_oneof![
        2 => "org\\.example\\.[a-z]{1,8}",
        1 => select(&["", "extra_json", "é", "\u{1f600}", "\u{ffff}", "a\"b", "__proto__", "PDUS", "pdus ", "content"][..]).prop_map(str::to_owned),
        1 => string(),
    ]
    .boxed()
}

fn text() -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        3 => string().prop_map(|text| quoted(&text)),
        2 => integer().prop_map(|number| number.to_string()),
        2 => select(&ODD[..]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| {
        let array = vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(",")));
        prop_oneof![array, object_text(inner.boxed())]
    })
    .boxed()
}

fn object_text(element: BoxedStrategy<String>) -> BoxedStrategy<String> {
    vec((string(), element), 0..4)
        .prop_map(|members| {
            let members: Vec<_> = members
                .iter()
                .map(|(name, value)| format!("{}:{value}", quoted(name)))
                .collect();
            format!("{{{}}}", members.join(","))
        })
        .boxed()
}

fn quoted(text: &str) -> String {
    let mut out = Vec::new();
    write_string(&mut out, text);
    String::from_utf8(out).expect("canonical text is UTF-8")
}

/// The canonical value of a JSON text.
///
/// # Panics
/// If it is none: for texts of a test's own.
pub fn parse(text: &str) -> Value {
    Value::parse(Bytes::copy_from_slice(text.as_bytes()), usize::MAX)
        .unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The object with another value of a member, or without it.
pub fn with_member(object: &Object, name: &str, value: Option<Value>) -> Object {
    let mut members = Members::from_object(object);
    members.remove(name);
    if let Some(value) = value {
        members.insert(name.to_owned(), value);
    }
    members.to_object()
}
