//! What has to hold for any bytes whatever. The fuzz targets in `dev/fuzz` run these functions, `fuzz_corpus.rs` replays the
//! checked-in corpus through them on a stable toolchain, and `json_oracles.rs` feeds them generated text.
//!
//! The oracles share no code with the module under test: serde_json cuts the text into pieces (`RawValue`, so numbers keep their
//! text) and decodes strings; a few lines here sort and write; ruma-common has its own idea of canonical JSON.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;

use bytes::Bytes;
use comity_core::json::{
    Facts, IngestError, IngestErrorKind, Object, StreamLimits, StreamPart, StreamReader,
    StreamWriter, Value,
};
use ruma_common::CanonicalJsonValue;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Deeper text is not compared with the oracles, which recurse.
const ORACLE_DEPTH: u32 = 400;

/// A JSON value as the oracle reads it.
enum Tree {
    Scalar { text: String, odd: bool },
    Array(Vec<Tree>),
    Object(BTreeMap<Vec<char>, Tree>),
}

impl Tree {
    fn read(text: &str) -> Result<Self, serde_json::Error> {
        Ok(match text.as_bytes().first() {
            Some(b'{') => {
                // Of equal names the last one is left in a map; the others must be well-formed all the same.
                let Members(members) = serde_json::from_str(text)?;
                let members = members
                    .into_iter()
                    .map(|(name, value)| Ok((name.chars().collect(), Self::read(value.get())?)));
                Self::Object(members.collect::<Result<_, serde_json::Error>>()?)
            }
            Some(b'[') => {
                let elements: Vec<Box<RawValue>> = serde_json::from_str(text)?;
                let elements = elements.iter().map(|element| Self::read(element.get()));
                Self::Array(elements.collect::<Result<_, _>>()?)
            }
            Some(b'"') => {
                let string: String = serde_json::from_str(text)?;
                Self::Scalar {
                    text: serde_json::to_string(&string)?,
                    odd: false,
                }
            }
            Some(b'-' | b'0'..=b'9') => {
                let canonical = if text == "-0" { "0" } else { text };
                let odd = match canonical.parse::<i128>() {
                    Ok(number) => number.abs() > 9_007_199_254_740_991,
                    Err(_) => true,
                };
                Self::Scalar {
                    text: canonical.to_owned(),
                    odd,
                }
            }
            _ => Self::Scalar {
                text: text.to_owned(),
                odd: false,
            },
        })
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Scalar { text, .. } => out.push_str(text),
            Self::Array(elements) => {
                out.push('[');
                for (at, element) in elements.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    element.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (at, (name, value)) in members.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    let name: String = name.iter().collect();
                    out.push_str(&serde_json::to_string(&name).unwrap());
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }

    fn facts(&self) -> Facts {
        let inner: Vec<Facts> = match self {
            Self::Scalar { odd, .. } => {
                return Facts {
                    depth: 0,
                    odd_numbers: *odd,
                };
            }
            Self::Array(elements) => elements.iter().map(Self::facts).collect(),
            Self::Object(members) => members.values().map(Self::facts).collect(),
        };
        Facts {
            depth: 1 + inner.iter().map(|facts| facts.depth).max().unwrap_or(0),
            odd_numbers: inner.iter().any(|facts| facts.odd_numbers),
        }
    }
}

/// The members of an object in their order, repeated ones included.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> serde::de::Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}

/// The nesting of what looks like JSON, for a start: brackets outside strings.
fn depth_of(bytes: &[u8]) -> u32 {
    let (mut depth, mut deepest, mut string, mut escape) = (0u32, 0, false, false);
    for &byte in bytes {
        match byte {
            _ if escape => escape = false,
            b'\\' if string => escape = true,
            b'"' => string = !string,
            b'{' | b'[' if !string => depth += 1,
            b'}' | b']' if !string => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

fn without_recursion_limit<'de, T: Deserialize<'de>>(
    bytes: &'de [u8],
) -> Result<T, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    deserializer.disable_recursion_limit();
    let value = T::deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// The strict ingest of any bytes.
pub(crate) fn ingest(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    let ours = Value::parse(bytes.clone(), usize::MAX);
    if depth_of(data) <= ORACLE_DEPTH {
        same_as_oracles(&bytes, &ours);
    }
    match &ours {
        Ok(value) => {
            stable(value);
            if value.is_object() {
                members_agree(&bytes, value);
            }
        }
        Err(error) => assert!(error.offset() <= data.len(), "{error:?}"),
    }
    as_stream_item(data, &ours);
}

fn same_as_oracles(bytes: &Bytes, ours: &Result<Value, IngestError>) {
    let tree = serde_json::from_slice::<Box<RawValue>>(bytes).and_then(|raw| Tree::read(raw.get()));
    let (value, tree) = match (ours, tree) {
        (Ok(value), Ok(tree)) => (value, tree),
        (Err(_), Err(_)) => {
            assert!(without_recursion_limit::<CanonicalJsonValue>(bytes).is_err());
            return;
        }
        (ours, theirs) => panic!(
            "ours {ours:?}, serde_json {:?}",
            theirs.map(|tree| tree.facts())
        ),
    };
    let mut canonical = String::new();
    tree.write(&mut canonical);
    assert_eq!(value.as_text(), canonical);
    assert_eq!(value.facts(), tree.facts());
    let kept = value.as_bytes().as_ptr() == bytes.as_ptr() && value.as_bytes().len() == bytes.len();
    assert_eq!(
        kept,
        *bytes == canonical,
        "canonical bytes are kept, and only they"
    );

    // ruma refuses some of what we take (odd numbers, and `-0`), and encodes the same where it does not.
    if let Ok(theirs) = without_recursion_limit::<CanonicalJsonValue>(bytes) {
        assert_eq!(value.as_text(), theirs.to_string());
        assert!(!value.facts().odd_numbers);
    }
    let again = without_recursion_limit::<CanonicalJsonValue>(value.as_bytes());
    assert_eq!(again.is_ok(), !value.facts().odd_numbers, "{value:?}");
    // serde_json's own tree cannot hold huge floats; otherwise re-encoding changes nothing that it sees.
    if let Ok(theirs) = without_recursion_limit::<serde_json::Value>(bytes)
        && !value.facts().odd_numbers
        && !canonical.contains('0')
    {
        assert_eq!(
            theirs,
            without_recursion_limit::<serde_json::Value>(value.as_bytes()).unwrap()
        );
    }
}

/// Canonical text is taken as it is, with the same facts.
fn stable(value: &Value) {
    let again = Value::parse(value.text().clone(), usize::MAX).unwrap();
    assert_eq!(again, *value);
    assert_eq!(again.as_bytes().as_ptr(), value.as_bytes().as_ptr());
    assert_eq!(again.facts(), value.facts());
    if let Some(string) = value.as_str() {
        assert_eq!(Value::string(&string), *value);
    }
    if let Some(elements) = value.elements() {
        check_elements(&elements);
        let array = Value::array(elements);
        assert_eq!((array.facts(), &array), (value.facts(), value));
    }
}

fn check_elements(elements: &[Value]) {
    // A few, because each costs a pass.
    for element in elements.iter().take(20) {
        let again = Value::parse(element.text().clone(), usize::MAX).unwrap();
        assert_eq!((again.facts(), &again), (element.facts(), element));
    }
}

/// The index of an object says the same as reading its parts does.
fn members_agree(bytes: &Bytes, value: &Value) {
    let object = Object::parse(bytes.clone(), usize::MAX).unwrap();
    assert_eq!(object.to_value(), *value);
    assert_eq!(object.facts(), value.facts());
    let mut writer = comity_core::json::ObjectWriter::new();
    for (name, member) in object.members() {
        assert_eq!(object.get(&name).as_ref(), Some(&member));
        check_elements(std::slice::from_ref(&member));
        match object.array(&name) {
            Some(elements) => {
                let elements: Vec<_> = elements.collect();
                check_elements(&elements);
                assert_eq!(member.elements().as_ref(), Some(&elements));
                writer.array(&name, elements);
            }
            None => {
                assert!(member.elements().is_none());
                writer.value(&name, &member);
            }
        }
    }
    let written = writer.finish().unwrap();
    assert_eq!((written.facts(), &written), (object.facts(), &object));
    assert_eq!(
        comity_core::json::Members::from_object(&object).to_object(),
        object
    );
}

const ARRAYS: &[&str] = &["a", "b"];

/// As an element of a stream, read or skipped, a text is accepted exactly if it is accepted alone.
fn as_stream_item(data: &[u8], ours: &Result<Value, IngestError>) {
    let space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let start = data.iter().take_while(|byte| space(byte)).count();
    let spaces = data[start..]
        .iter()
        .rev()
        .take_while(|byte| space(byte))
        .count();
    let length = data.len() - start - spaces;
    let document = [b"{\"a\":[", data, b"]}"].concat();
    let limits = StreamLimits {
        item: usize::MAX,
        member: usize::MAX,
        total: u64::MAX,
    };
    let read = parts(&document, usize::MAX, limits);
    let single = match read.1 {
        Ok(()) => matches!(
            &read.0[..],
            [StreamPart::ArrayStart { .. }, StreamPart::Item { .. }]
        ),
        Err(_) => false,
    };
    assert_eq!(single, ours.is_ok(), "{read:?}");
    if let (Ok(ours), Some(StreamPart::Item { value, .. })) = (ours, read.0.get(1)) {
        assert_eq!((value, value.facts()), (ours, ours.facts()));
    }
    if length >= 2 {
        let limits = StreamLimits {
            item: length - 1,
            ..limits
        };
        let skipped = parts(&document, usize::MAX, limits);
        let single = skipped.1.is_ok()
            && matches!(&skipped.0[..], [_, StreamPart::OversizedItem { bytes, .. }] if *bytes == length as u64);
        assert_eq!(single, ours.is_ok(), "{skipped:?}");
    }
}

/// Everything that a reader says about a document that arrives in pieces of this size.
fn parts(
    document: &[u8],
    size: usize,
    limits: StreamLimits,
) -> (Vec<StreamPart>, Result<(), IngestError>) {
    let mut reader = StreamReader::new(ARRAYS, limits);
    let mut parts = Vec::new();
    for piece in document.chunks(size) {
        reader.push(Bytes::copy_from_slice(piece));
        loop {
            match reader.next() {
                Ok(Some(part)) => parts.push(part),
                Ok(None) => break,
                Err(error) => return (parts, Err(error)),
            }
        }
    }
    let end = reader.finish();
    (parts, end)
}

/// A streamed document of any bytes. The first byte chooses the piece size and the item limit.
pub(crate) fn stream(data: &[u8]) {
    let Some((&choice, document)) = data.split_first() else {
        return;
    };
    let limits = StreamLimits {
        item: [8, 64, 1 << 20, usize::MAX][usize::from(choice & 3)],
        member: [32, usize::MAX][usize::from(choice >> 2 & 1)],
        total: u64::MAX,
    };
    let size = usize::from(choice >> 3) + 1;
    let whole = parts(document, usize::MAX, limits);
    assert_eq!(parts(document, size, limits), whole, "pieces of {size}");

    let unlimited = StreamLimits {
        item: usize::MAX,
        member: usize::MAX,
        total: u64::MAX,
    };
    let (read, end) = parts(document, usize::MAX, unlimited);
    let object = Object::parse(Bytes::copy_from_slice(document), usize::MAX);
    match (&end, object) {
        (Ok(()), Ok(object)) => {
            assert_eq!(rewrite(&read), object);
        }
        (Err(error), Ok(_)) => {
            assert!(
                matches!(error.kind(), IngestErrorKind::DuplicateMember { .. }),
                "{error}"
            );
        }
        (Err(_), Err(_)) => {}
        (Ok(()), Err(error)) => panic!("streamed, but refused as a whole: {error}"),
    }
}

/// Writes the parts again, in their order, and reads the text as a whole.
fn rewrite(parts: &[StreamPart]) -> Object {
    let mut writer = StreamWriter::new();
    let mut text = Vec::new();
    for part in parts {
        match part {
            StreamPart::ArrayStart { array } => writer.array_start(ARRAYS[*array]).unwrap(),
            StreamPart::Item { value, .. } => writer.item(value).unwrap(),
            StreamPart::Member { name, value } => writer.member(name, value).unwrap(),
            StreamPart::OversizedItem { .. } => panic!("there is no limit"),
        }
        text.extend_from_slice(&writer.take());
    }
    writer.finish();
    text.extend_from_slice(&writer.take());
    Object::parse(text.into(), usize::MAX).unwrap()
}
