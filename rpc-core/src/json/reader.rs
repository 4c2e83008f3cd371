//! Takes known members out of an object one by one; what is left is kept.

use super::error::{ReadError, ReadErrorKind};
use super::members::Members;
use super::object::{Elements, Object};
use super::value::Value;

/// Takes known members out of an [`Object`] one by one; what is left is [`rest`](Self::rest). A member can be taken once.
///
/// - `string`, `integer`, .. : the member must be there and of that type.
/// - `string_opt`, .. : it may be absent. `null` is not absence.
/// - `try_string`, .. : taken only if it is there, of exactly that type and representable; else it stays for the rest. For bindings
///   that have a typed field for it and must not lose a value that does not fit.
#[derive(Clone, Debug)]
pub struct ObjectReader<'a> {
    object: &'a Object,
    taken: Taken,
}

/// A set of member numbers. Objects with more than 64 members are rare.
#[derive(Clone, Debug, Default)]
struct Taken {
    first: u64,
    more: Vec<u64>,
}

impl Taken {
    fn contains(&self, at: usize) -> bool {
        let word = if at < 64 {
            self.first
        } else {
            self.more.get(at / 64 - 1).copied().unwrap_or(0)
        };
        word >> (at % 64) & 1 == 1
    }

    fn insert(&mut self, at: usize) {
        let word = if at < 64 {
            &mut self.first
        } else {
            if self.more.len() < at / 64 {
                self.more.resize(at / 64, 0);
            }
            &mut self.more[at / 64 - 1]
        };
        *word |= 1 << (at % 64);
    }
}

const STRING: &str = "a string";
const INTEGER: &str = "an integer within ±(2^53-1)";
const BOOLEAN: &str = "a boolean";
const OBJECT: &str = "an object";
const ARRAY: &str = "an array";
const STRINGS: &str = "an array of strings";

impl<'a> ObjectReader<'a> {
    pub(super) fn new(object: &'a Object) -> Self {
        Self {
            object,
            taken: Taken::default(),
        }
    }

    /// Takes a member of any type.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        let at = self.find(name)?;
        self.taken.insert(at);
        Some(self.object.value_at(at))
    }

    /// A required string.
    ///
    /// # Errors
    /// If it is missing or of another type; so for all methods below.
    pub fn string(&mut self, name: &str) -> Result<String, ReadError> {
        required(name, STRING, self.string_opt(name)?)
    }

    /// An optional string.
    ///
    /// # Errors
    /// If it is of another type.
    pub fn string_opt(&mut self, name: &str) -> Result<Option<String>, ReadError> {
        self.typed(name, STRING, as_string)
    }

    /// A required integer within ±(2^53-1).
    ///
    /// # Errors
    /// If it is missing, of another type or out of range.
    pub fn integer(&mut self, name: &str) -> Result<i64, ReadError> {
        required(name, INTEGER, self.integer_opt(name)?)
    }

    /// An optional integer within ±(2^53-1).
    ///
    /// # Errors
    /// If it is of another type or out of range.
    pub fn integer_opt(&mut self, name: &str) -> Result<Option<i64>, ReadError> {
        self.typed(name, INTEGER, Value::as_i64)
    }

    /// A required boolean.
    ///
    /// # Errors
    /// If it is missing or of another type.
    pub fn boolean(&mut self, name: &str) -> Result<bool, ReadError> {
        required(name, BOOLEAN, self.boolean_opt(name)?)
    }

    /// An optional boolean.
    ///
    /// # Errors
    /// If it is of another type.
    pub fn boolean_opt(&mut self, name: &str) -> Result<Option<bool>, ReadError> {
        self.typed(name, BOOLEAN, Value::as_bool)
    }

    /// A required object.
    ///
    /// # Errors
    /// If it is missing or of another type.
    pub fn object(&mut self, name: &str) -> Result<Value, ReadError> {
        required(name, OBJECT, self.object_opt(name)?)
    }

    /// An optional object.
    ///
    /// # Errors
    /// If it is of another type.
    pub fn object_opt(&mut self, name: &str) -> Result<Option<Value>, ReadError> {
        self.typed(name, OBJECT, as_object)
    }

    /// A required array's elements.
    ///
    /// # Errors
    /// If it is missing or of another type.
    pub fn array(&mut self, name: &str) -> Result<Vec<Value>, ReadError> {
        required(name, ARRAY, self.array_opt(name)?)
    }

    /// An optional array's elements.
    ///
    /// # Errors
    /// If it is of another type.
    pub fn array_opt(&mut self, name: &str) -> Result<Option<Vec<Value>>, ReadError> {
        self.elements(name, ARRAY, |elements| Some(elements.collect()))
    }

    /// Refuses an array of more than `limit` elements. To be asked before it is taken: that makes every element.
    ///
    /// # Errors
    /// If there are more. What is absent or no array passes.
    pub fn at_most(&self, name: &str, limit: usize) -> Result<(), ReadError> {
        match self.object.array(name).map(|elements| elements.len()) {
            Some(elements) if elements > limit => Err(ReadError::new(
                name,
                ReadErrorKind::TooMany { elements, limit },
            )),
            _ => Ok(()),
        }
    }

    /// A required array of strings.
    ///
    /// # Errors
    /// If it is missing or of another type.
    pub fn strings(&mut self, name: &str) -> Result<Vec<String>, ReadError> {
        required(name, STRINGS, self.strings_opt(name)?)
    }

    /// An optional array of strings.
    ///
    /// # Errors
    /// If it is of another type.
    pub fn strings_opt(&mut self, name: &str) -> Result<Option<Vec<String>>, ReadError> {
        self.elements(name, STRINGS, as_strings)
    }

    /// A string, if it is there and is one.
    pub fn try_string(&mut self, name: &str) -> Option<String> {
        self.string_opt(name).ok().flatten()
    }

    /// An integer within ±(2^53-1), if it is there and is one.
    pub fn try_integer(&mut self, name: &str) -> Option<i64> {
        self.integer_opt(name).ok().flatten()
    }

    /// A boolean, if it is there and is one.
    pub fn try_boolean(&mut self, name: &str) -> Option<bool> {
        self.boolean_opt(name).ok().flatten()
    }

    /// An array's elements, if it is there and is one.
    pub fn try_array(&mut self, name: &str) -> Option<Vec<Value>> {
        self.array_opt(name).ok().flatten()
    }

    /// An object, if it is there and is one.
    pub fn try_object(&mut self, name: &str) -> Option<Value> {
        self.object_opt(name).ok().flatten()
    }

    /// An array of strings, if it is there and every element is one.
    pub fn try_strings(&mut self, name: &str) -> Option<Vec<String>> {
        self.strings_opt(name).ok().flatten()
    }

    /// The members that were not taken.
    pub fn rest(self) -> Members {
        (0..self.object.len())
            .filter(|&at| !self.taken.contains(at))
            .map(|at| {
                (
                    self.object.name_at(at).into_owned(),
                    self.object.value_at(at),
                )
            })
            .collect()
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.object
            .find(name)
            .filter(|&at| !self.taken.contains(at))
    }

    /// A member that is taken only if `read` understands it.
    fn typed<T>(
        &mut self,
        name: &str,
        expected: &'static str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, ReadError> {
        let Some(at) = self.find(name) else {
            return Ok(None);
        };
        let value = self.object.value_at(at);
        let Some(read) = read(&value) else {
            return Err(ReadError::wrong_type(name, expected, value.kind()));
        };
        self.taken.insert(at);
        Ok(Some(read))
    }

    /// As [`typed`](Self::typed), for an array: its elements were found by the ingest pass.
    fn elements<T>(
        &mut self,
        name: &str,
        expected: &'static str,
        read: impl FnOnce(Elements<'a>) -> Option<T>,
    ) -> Result<Option<T>, ReadError> {
        let Some(at) = self.find(name) else {
            return Ok(None);
        };
        let Some(read) = self.object.array_at(at).and_then(read) else {
            return Err(ReadError::wrong_type(
                name,
                expected,
                self.object.value_at(at).kind(),
            ));
        };
        self.taken.insert(at);
        Ok(Some(read))
    }
}

fn required<T>(name: &str, expected: &'static str, value: Option<T>) -> Result<T, ReadError> {
    value.ok_or_else(|| ReadError::new(name, ReadErrorKind::Missing { expected }))
}

fn as_string(value: &Value) -> Option<String> {
    value.as_str().map(|string| string.into_owned())
}

fn as_object(value: &Value) -> Option<Value> {
    value.is_object().then(|| value.clone())
}

fn as_strings(elements: Elements<'_>) -> Option<Vec<String>> {
    elements.map(|element| as_string(&element)).collect()
}
