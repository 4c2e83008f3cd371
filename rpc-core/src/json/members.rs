//! Members that a type does not know.

use std::collections::BTreeMap;

use super::object::Object;
use super::value::Value;
use super::writer::ObjectWriter;

/// Members that a type does not know: ordered by decoded name, each name once. Empty, it costs no allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Members(BTreeMap<String, Value>);

impl Members {
    /// No members.
    pub fn new() -> Self {
        Self::default()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The member with this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Sets a member, and returns the one that it replaces.
    pub fn insert(&mut self, name: String, value: Value) -> Option<Value> {
        self.0.insert(name, value)
    }

    /// Takes a member out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    /// The members in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// An object with just these members.
    pub fn to_object(&self) -> Object {
        let mut writer = ObjectWriter::new();
        writer.members(self);
        writer.finish().expect("names in a map are unique")
    }

    /// All members of an object.
    pub fn from_object(object: &Object) -> Self {
        object
            .members()
            .map(|(name, value)| (name.into_owned(), value))
            .collect()
    }
}

impl FromIterator<(String, Value)> for Members {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(members: I) -> Self {
        Self(members.into_iter().collect())
    }
}
