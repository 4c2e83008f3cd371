//! One JSON value as canonical text.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::check::check;
use super::error::{IngestError, IngestErrorKind, LARGEST_TEXT, SerializeError};
use super::index::Index;
use super::normalise::normalise;
use super::scan::{LARGEST_INTEGER, is_space};
use super::text::{decode, write_string};

/// What the pass noticed about a value that does not stop it from being read. The room version judges it, event by event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Facts {
    /// How many containers are nested: 0 for a scalar, 1 for `{}`.
    pub depth: u32,
    /// Somewhere within is a number that is no integer within ±(2^53-1); it is kept as text.
    pub odd_numbers: bool,
}

/// The type of a JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// A number, odd ones included.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Array => "an array",
            Self::Object => "an object",
        })
    }
}

/// Canonical text of one JSON value. Cheap to clone; equal and hashed by its text.
///
/// A value that was read from a body is a slice of that body's buffer and keeps it alive.
#[derive(Clone)]
pub struct Value {
    text: Bytes,
    facts: Facts,
}

/// Checks `bytes` strictly. `Ok` holds canonical text and its index (with `INDEX`; else its facts only): the bytes themselves if they
/// are canonical but for white space around them, else their canonical encoding.
pub(super) fn ingest<const INDEX: bool>(
    bytes: Bytes,
    max_bytes: usize,
) -> Result<(Bytes, Index), IngestError> {
    let limit = max_bytes.min(LARGEST_TEXT);
    if bytes.len() > limit {
        let kind = IngestErrorKind::TooLarge {
            limit: limit as u64,
        };
        return Err(IngestError::new(kind, limit));
    }
    // Encoders that end a body with a newline are common; that alone is no reason for a copy.
    let start = bytes.iter().take_while(|&&byte| is_space(byte)).count();
    let spaces = bytes[start..]
        .iter()
        .rev()
        .take_while(|&&byte| is_space(byte))
        .count();
    let end = bytes.len() - spaces;
    let units = match check::<INDEX>(&bytes[start..end]) {
        Ok(index) => {
            let text = if end - start == bytes.len() {
                bytes
            } else {
                bytes.slice(start..end)
            };
            return Ok((text, index));
        }
        Err(Some(units)) => units,
        Err(None) => {
            let valid =
                simdutf8::compat::from_utf8(&bytes).map_or_else(|it| it.valid_up_to(), str::len);
            return Err(IngestError::new(IngestErrorKind::Utf8, valid));
        }
    };
    let (text, index) = normalise(&bytes[start..], units).map_err(|error| error.behind(start))?;
    debug_assert_eq!(
        check::<INDEX>(&text).ok().as_ref(),
        Some(&index),
        "the second pass writes canonical text and finds what the first one finds in it"
    );
    Ok((Bytes::from(text), index))
}

impl Value {
    /// Takes JSON from a peer: strict, one pass. Canonical bytes are kept without a copy, others are re-encoded.
    ///
    /// `max_bytes` bounds the text as it came (never more than 2 GiB - 1).
    ///
    /// # Errors
    /// Whatever refuses a body as a whole; see the module's table.
    pub fn parse(bytes: Bytes, max_bytes: usize) -> Result<Self, IngestError> {
        let (text, index) = ingest::<false>(bytes, max_bytes)?;
        Ok(Self::from_checked(text, index.facts))
    }

    pub(super) fn from_checked(text: Bytes, facts: Facts) -> Self {
        Self { text, facts }
    }

    /// The same value in a buffer of its own, so that it keeps no larger one alive.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self {
            text: Bytes::copy_from_slice(&self.text),
            facts: self.facts,
        }
    }

    /// The canonical text.
    pub fn text(&self) -> &Bytes {
        &self.text
    }

    /// The canonical text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// The canonical text (a string's text has its quotes; for what it stands for see [`as_str`](Self::as_str)).
    pub fn as_text(&self) -> &str {
        std::str::from_utf8(&self.text).expect("canonical text was checked to be UTF-8")
    }

    /// What the pass noticed.
    pub fn facts(&self) -> Facts {
        self.facts
    }

    /// The type.
    pub fn kind(&self) -> Kind {
        match self.text.first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') => Kind::Null,
            _ => Kind::Number,
        }
    }

    /// Is this an object?
    pub fn is_object(&self) -> bool {
        self.kind() == Kind::Object
    }

    /// Is this `null`?
    pub fn is_null(&self) -> bool {
        self.kind() == Kind::Null
    }

    /// What a string stands for; `None` for another type.
    pub fn as_str(&self) -> Option<Cow<'_, str>> {
        match &self.text[..] {
            [b'"', inner @ .., b'"'] => Some(decode(inner)),
            _ => None,
        }
    }

    /// An integer within ±(2^53-1); `None` for another type or an odd number.
    pub fn as_i64(&self) -> Option<i64> {
        if self.kind() != Kind::Number || self.facts.odd_numbers {
            return None;
        }
        self.as_text().parse().ok()
    }

    /// A boolean; `None` for another type.
    pub fn as_bool(&self) -> Option<bool> {
        match &self.text[..] {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        }
    }

    /// The elements of an array, as slices of the same buffer; `None` for another type. Costs a pass over the array.
    pub fn elements(&self) -> Option<Vec<Value>> {
        if self.kind() != Kind::Array {
            return None;
        }
        let index = self.index();
        let last = index.elements.len();
        let elements = (0..last).map(|at| {
            let range = index.element_range(at, last, self.text.len());
            Self::from_checked(self.text.slice(range), index.elements[at].mark.facts())
        });
        Some(elements.collect())
    }

    /// Where members and elements lie.
    pub(super) fn index(&self) -> Index {
        check::<true>(&self.text).expect("the text of a value is canonical")
    }

    /// A JSON string.
    pub fn string(s: &str) -> Self {
        let mut text = Vec::with_capacity(s.len() + 2);
        write_string(&mut text, s);
        Self::from_checked(text.into(), Facts::default())
    }

    /// A JSON integer. Outside ±(2^53-1) it is an odd number, which no canonical JSON can hold.
    pub fn integer(number: i64) -> Self {
        let odd_numbers = number.unsigned_abs() > LARGEST_INTEGER.unsigned_abs();
        Self::from_checked(
            number.to_string().into(),
            Facts {
                depth: 0,
                odd_numbers,
            },
        )
    }

    /// `true` or `false`
    pub fn boolean(truth: bool) -> Self {
        let text: &'static [u8] = if truth { b"true" } else { b"false" };
        Self::from_checked(Bytes::from_static(text), Facts::default())
    }

    /// `null`
    pub fn null() -> Self {
        Self::from_checked(Bytes::from_static(b"null"), Facts::default())
    }

    /// An array of these values, in this order.
    pub fn array(elements: impl IntoIterator<Item = Value>) -> Self {
        let mut text = vec![b'['];
        let mut facts = Facts {
            depth: 1,
            odd_numbers: false,
        };
        for element in elements {
            if text.len() > 1 {
                text.push(b',');
            }
            text.extend_from_slice(&element.text);
            facts = facts.around(element.facts);
        }
        text.push(b']');
        Self::from_checked(text.into(), facts)
    }

    /// Reads the value as a Rust type. serde_json's own limit of 128 levels applies to types that follow the nesting.
    ///
    /// # Errors
    /// If the value is not such a `T`.
    pub fn to<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.text)
    }

    /// The canonical JSON of a Rust value.
    ///
    /// # Errors
    /// If its `Serialize` fails, or if it writes what we would not take from a peer.
    pub fn from_serialize<T: Serialize + ?Sized>(value: &T) -> Result<Self, SerializeError> {
        let text = serde_json::to_vec(value).map_err(SerializeError::Serialize)?;
        Self::parse(text.into(), LARGEST_TEXT).map_err(SerializeError::Refused)
    }
}

impl Facts {
    /// The facts of a container so far, with one more value in it.
    pub(super) fn around(self, inner: Facts) -> Facts {
        Facts {
            depth: self.depth.max(inner.depth.saturating_add(1)),
            odd_numbers: self.odd_numbers | inner.odd_numbers,
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

/// The text, cut short behind 200 characters.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_text(&self.text, f)
    }
}

/// The text.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_text())
    }
}

pub(super) fn debug_text(text: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    const SHOWN: usize = 200;
    // A character has at most four bytes.
    let head = String::from_utf8_lossy(&text[..text.len().min(4 * SHOWN)]);
    match head.char_indices().nth(SHOWN) {
        Some((cut, _)) => write!(f, "{}… ({} bytes)", &head[..cut], text.len()),
        None => f.write_str(&head),
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue =
            serde_json::from_slice(&self.text).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

/// Works with serde_json only (by its `RawValue`), and checks what it reads like [`Value::parse`].
impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let text = Box::<str>::from(raw).into_string().into_bytes();
        Self::parse(text.into(), LARGEST_TEXT).map_err(serde::de::Error::custom)
    }
}

/// A nested JSON value that is no event: canonical text, read as a `T` on demand.
///
/// So members that `T` does not know survive, and a value that is no `T` troubles only who reads it.
pub struct Json<T> {
    value: Value,
    shape: PhantomData<fn() -> T>,
}

impl<T> Json<T> {
    /// Takes any value; whether it is a `T` shows on [`read`](Self::read).
    pub fn from_value(value: Value) -> Self {
        Self {
            value,
            shape: PhantomData,
        }
    }

    /// The value as it is.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The value as it is.
    pub fn into_value(self) -> Value {
        self.value
    }

    /// Reads it.
    ///
    /// # Errors
    /// If the value is not a `T`.
    pub fn read(&self) -> Result<T, serde_json::Error>
    where
        T: DeserializeOwned,
    {
        self.value.to()
    }

    /// The canonical JSON of a `T`.
    ///
    /// # Errors
    /// As [`Value::from_serialize`].
    pub fn write(value: &T) -> Result<Self, SerializeError>
    where
        T: Serialize,
    {
        Value::from_serialize(value).map(Self::from_value)
    }
}

impl<T> Clone for Json<T> {
    fn clone(&self) -> Self {
        Self::from_value(self.value.clone())
    }
}

impl<T> PartialEq for Json<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T> Eq for Json<T> {}

impl<T> fmt::Debug for Json<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}
