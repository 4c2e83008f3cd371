//! Reading what is nested in a content: errors that say where, and a bound on how much is taken apart.

use super::{EduError, MAX_ENTRIES};
use crate::{
    event::MAX_ID_BYTES,
    json::{Kind, Object, ReadError, Value},
};

/// A place in a content. Costs nothing until an error names it.
#[derive(Clone, Copy)]
pub(super) enum At<'a> {
    /// The content itself.
    Content,
    /// A member of the object at a place.
    Member(&'a At<'a>, &'a str),
    /// An element of the array at a place.
    Element(&'a At<'a>, usize),
}

/// Most characters of one name in an error: names come from a peer.
const NAMED: usize = 64;

const INTEGER: &str = "an integer within ±(2^53-1)";

impl At<'_> {
    /// `push[3].user_id`
    pub(super) fn path(&self) -> String {
        match self {
            Self::Content => String::new(),
            Self::Member(object, name) => {
                let name: String = name.chars().take(NAMED).collect();
                match object.path() {
                    path if path.is_empty() => name,
                    path => format!("{path}.{name}"),
                }
            }
            Self::Element(array, index) => format!("{}[{index}]", array.path()),
        }
    }

    /// An error about a member of the object here.
    pub(super) fn error(&self, error: &ReadError) -> EduError {
        let member = At::Member(self, error.member()).path();
        ReadError::new(&member, error.kind()).into()
    }

    /// Refuses an ID that is too long.
    pub(super) fn check_id(&self, id: &str) -> Result<(), EduError> {
        match id.len() {
            size if size > MAX_ID_BYTES => Err(EduError::IdTooLong {
                member: self.path(),
                size,
            }),
            _ => Ok(()),
        }
    }

    /// Refuses an integer that canonical JSON does not have.
    pub(super) fn check_integer(&self, integer: i64) -> Result<(), EduError> {
        const LARGEST: u64 = (1 << 53) - 1;
        match integer.unsigned_abs() {
            ..=LARGEST => Ok(()),
            _ => Err(self.wrong(INTEGER, Kind::Number)),
        }
    }

    /// Here stands something else than an integer.
    pub(super) fn not_an_integer(&self, value: &Value) -> EduError {
        self.wrong(INTEGER, value.kind())
    }

    /// Here stands something else than an object.
    pub(super) fn not_an_object(&self, value: &Value) -> EduError {
        self.wrong("an object", value.kind())
    }

    fn wrong(&self, expected: &'static str, found: Kind) -> EduError {
        ReadError::wrong_type(&self.path(), expected, found).into()
    }
}

/// The top-level member of this name.
pub(super) fn member(name: &str) -> At<'_> {
    At::Member(&At::Content, name)
}

/// How much may still be taken apart.
pub(super) struct Budget(usize);

impl Budget {
    /// For a content, whose own members count.
    pub(super) fn new(content: &Object) -> Result<Self, EduError> {
        let mut budget = Self(MAX_ENTRIES);
        budget.take(content.len())?;
        Ok(budget)
    }

    /// Takes so many members or elements. To be asked before they are made.
    pub(super) fn take(&mut self, entries: usize) -> Result<(), EduError> {
        self.0 = self
            .0
            .checked_sub(entries)
            .ok_or(EduError::TooManyEntries)?;
        Ok(())
    }

    /// The object that is the value at this place.
    pub(super) fn object(&mut self, at: &At<'_>, value: &Value) -> Result<Object, EduError> {
        let object = Object::from_value(value).ok_or_else(|| at.not_an_object(value))?;
        self.take(object.len())?;
        Ok(object)
    }

    /// Pays for an array that is a member of this object, if it is one.
    pub(super) fn array(&mut self, object: &Object, name: &str) -> Result<(), EduError> {
        match object.array(name) {
            Some(elements) => self.take(elements.len()),
            None => Ok(()),
        }
    }
}
