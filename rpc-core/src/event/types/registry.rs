//! Which event types a server or client knows.

use std::{collections::BTreeMap, fmt, sync::Arc};

use thiserror::Error;

use super::{ContentFault, matrix};
use crate::{
    call::Edition,
    event::{MAX_ID_BYTES, Pdu},
    json::Object,
};

/// Compares an event's content with the definition of its type.
pub type ContentCheck = Arc<dyn Fn(&Object) -> Result<(), ContentFault> + Send + Sync>;

/// An event type and what is said about it.
#[derive(Clone)]
pub struct EventTypeEntry {
    name: String,
    namespace: String,
    defined_by: String,
    edition: Option<Edition>,
    aliases: Vec<String>,
    check: Option<ContentCheck>,
}

impl EventTypeEntry {
    /// The type `name` of `namespace` (`m`, `org.example`), as `defined_by` says: the title of a specification, an MSC's number, a vendor.
    /// It is of no edition, and its content is not looked at.
    pub fn new(
        namespace: impl Into<String>,
        name: impl Into<String>,
        defined_by: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            namespace: namespace.into(),
            defined_by: defined_by.into(),
            edition: None,
            aliases: Vec::new(),
            check: None,
        }
    }

    /// The edition of the protocol that has it.
    #[must_use]
    pub fn of_edition(mut self, edition: Edition) -> Self {
        self.edition = Some(edition);
        self
    }

    /// A name of another namespace that it went by while it was unstable. Its content was the same.
    #[must_use]
    pub fn with_alias(mut self, alias: impl Into<String>) -> Self {
        self.aliases.push(alias.into());
        self
    }

    /// What its content is compared with, when somebody asks.
    #[must_use]
    pub fn with_check(
        mut self,
        check: impl Fn(&Object) -> Result<(), ContentFault> + Send + Sync + 'static,
    ) -> Self {
        self.check = Some(Arc::new(check));
        self
    }

    /// The type, as it stands in an event: `m.room.create`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whose names these are: `m` is Matrix's, others are domains read backwards.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Where its definition stands.
    pub fn defined_by(&self) -> &str {
        &self.defined_by
    }

    /// The edition of the protocol that has it; `None` for a vendor's own.
    pub fn edition(&self) -> Option<Edition> {
        self.edition
    }

    /// Names that it went by while it was unstable.
    pub fn aliases(&self) -> &[String] {
        &self.aliases
    }

    /// Whether a content can be compared with its definition here.
    pub fn has_check(&self) -> bool {
        self.check.is_some()
    }

    /// Compares a content with the definition; a type without a check is content with any.
    ///
    /// # Errors
    /// The first departure.
    pub fn check(&self, content: &Object) -> Result<(), ContentFault> {
        self.check.as_ref().map_or(Ok(()), |check| check(content))
    }
}

impl fmt::Debug for EventTypeEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventTypeEntry")
            .field("name", &self.name)
            .field("defined_by", &self.defined_by)
            .field("edition", &self.edition)
            .field("has_check", &self.has_check())
            .finish_non_exhaustive()
    }
}

/// The event types that a program knows, by name. Anyone's can be registered; an event of another type is no worse for it.
#[derive(Clone, Debug, Default)]
pub struct EventTypes {
    entries: BTreeMap<String, EventTypeEntry>,
    aliases: BTreeMap<String, String>,
}

impl EventTypes {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// The types of room events that servers themselves read, by the Matrix specification v1.19: those that authorization, state
    /// resolution, server ACLs and policy servers go by, and what is told of a room to those outside (stripped state, directory, hierarchy).
    /// Their checks are as lenient as the oldest room version is: a power level may be the text of an integer.
    pub fn matrix() -> Self {
        Self::of(matrix::specification())
    }

    /// What the IETF's edition adds: `m.message` of extensible events (MSC1767), which its room version `I.1` has.
    pub fn ietf() -> Self {
        Self::of([matrix::message()])
    }

    fn of(entries: impl IntoIterator<Item = EventTypeEntry>) -> Self {
        let mut types = Self::new();
        for entry in entries {
            types.register(entry).expect("each name is there once");
        }
        types
    }

    /// Both lists in one.
    ///
    /// # Errors
    /// A name is in both.
    pub fn and(mut self, others: Self) -> Result<Self, EventTypeError> {
        for entry in others.entries.into_values() {
            self.register(entry)?;
        }
        Ok(self)
    }

    /// Adds a type.
    ///
    /// # Errors
    /// Its name or an alias is taken or too long, or the name is not one of its namespace.
    pub fn register(&mut self, entry: EventTypeEntry) -> Result<(), EventTypeError> {
        let rest = entry.name.strip_prefix(&entry.namespace);
        if entry.namespace.is_empty()
            || !rest.is_some_and(|rest| rest.len() > 1 && rest.starts_with('.'))
        {
            return Err(EventTypeError::NotOfNamespace {
                name: entry.name,
                namespace: entry.namespace,
            });
        }
        let names: Vec<&String> = std::iter::once(&entry.name).chain(&entry.aliases).collect();
        for (place, name) in names.iter().enumerate() {
            if name.len() > MAX_ID_BYTES {
                return Err(EventTypeError::TooLong {
                    name: (*name).clone(),
                });
            }
            if self.get(name).is_some() || names[..place].contains(name) {
                return Err(EventTypeError::Taken((*name).clone()));
            }
        }
        for alias in &entry.aliases {
            self.aliases.insert(alias.clone(), entry.name.clone());
        }
        self.entries.insert(entry.name.clone(), entry);
        Ok(())
    }

    /// The type of this name or alias.
    pub fn get(&self, name: &str) -> Option<&EventTypeEntry> {
        let name = self.aliases.get(name).map_or(name, String::as_str);
        self.entries.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &EventTypeEntry> {
        self.entries.values()
    }

    /// Compares an event's content with what is registered for its type. `None`: nobody registered it, or the event names no type, and
    /// nothing is wrong with that.
    ///
    /// # Errors
    /// The first departure from the definition.
    pub fn check(&self, event: &Pdu) -> Result<Option<&EventTypeEntry>, ContentFault> {
        let Some(entry) = event.event_type().and_then(|name| self.get(&name)) else {
            return Ok(None);
        };
        if entry.has_check() {
            entry.check(&event.content().ok_or(ContentFault::NoContent)?)?;
        }
        Ok(Some(entry))
    }
}

/// Why an event type is not registered.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EventTypeError {
    /// A type of that name or alias is there.
    #[error("event type {0:?} is registered already")]
    Taken(String),
    /// The name does not begin with the namespace and a dot.
    #[error("event type {name:?} is not of the namespace {namespace:?}")]
    NotOfNamespace {
        /// The type.
        name: String,
        /// The namespace.
        namespace: String,
    },
    /// Beyond [`MAX_ID_BYTES`], which no event's type may have.
    #[error("event type {name:?} has {} bytes, more than the limit of {MAX_ID_BYTES}", name.len())]
    TooLong {
        /// The type.
        name: String,
    },
}
