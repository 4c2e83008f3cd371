//! Which room versions a server knows.

use std::{collections::BTreeMap, fmt, sync::Arc};

use ruma_common::room_version_rules::RoomVersionRules;
use thiserror::Error;

use super::{MatrixRoomVersion, RoomVersion};
use crate::call::Edition;

/// How far a room version has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Designation {
    /// An experiment; its rules may still change.
    Unstable,
    /// For use.
    Stable,
    /// For use, and kept for long (MSC3923).
    Lts,
}

impl fmt::Display for Designation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unstable => "unstable",
            Self::Stable => "stable",
            Self::Lts => "LTS",
        })
    }
}

/// A room version and what is said about it.
#[derive(Clone, Debug)]
pub struct RoomVersionEntry {
    id: String,
    edition: Edition,
    designation: Designation,
    derived_from: Option<String>,
    aliases: Vec<String>,
    rules: Arc<dyn RoomVersion>,
}

impl RoomVersionEntry {
    /// An unstable version of this ID, derived from none, without aliases.
    pub fn new(id: impl Into<String>, edition: Edition, rules: Arc<dyn RoomVersion>) -> Self {
        Self {
            id: id.into(),
            edition,
            designation: Designation::Unstable,
            derived_from: None,
            aliases: Vec::new(),
            rules,
        }
    }

    /// How far it has come.
    #[must_use]
    pub fn designated(mut self, designation: Designation) -> Self {
        self.designation = designation;
        self
    }

    /// Which version it was made from; of another edition, perhaps (MSC3923: `I.2` from 13).
    #[must_use]
    pub fn derived_from(mut self, id: impl Into<String>) -> Self {
        self.derived_from = Some(id.into());
        self
    }

    /// A name that it went by while it was unstable: rooms made then keep it.
    #[must_use]
    pub fn with_alias(mut self, alias: impl Into<String>) -> Self {
        self.aliases.push(alias.into());
        self
    }

    /// The ID that new rooms are made with.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Who publishes it.
    pub fn edition(&self) -> Edition {
        self.edition
    }

    /// How far it has come.
    pub fn designation(&self) -> Designation {
        self.designation
    }

    /// The version that it was made from.
    pub fn ancestor(&self) -> Option<&str> {
        self.derived_from.as_deref()
    }

    /// Names that it went by while it was unstable.
    pub fn aliases(&self) -> &[String] {
        &self.aliases
    }

    /// The rules.
    pub fn rules(&self) -> &Arc<dyn RoomVersion> {
        &self.rules
    }
}

/// The room versions that a server knows, by ID. Anyone's can be registered.
///
/// A room's version is an opaque string, and a version that is not here is not an error of the wire: the events of such a room are carried
/// like any other.
#[derive(Clone, Debug, Default)]
pub struct RoomVersions {
    entries: BTreeMap<String, RoomVersionEntry>,
    aliases: BTreeMap<String, String>,
}

impl RoomVersions {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Those of the Matrix specification: 1 to 12.
    pub fn matrix() -> Self {
        let mut versions = Self::new();
        let mut ancestor: Option<&str> = None;
        for (id, rules) in [
            ("1", RoomVersionRules::V1),
            ("2", RoomVersionRules::V2),
            ("3", RoomVersionRules::V3),
            ("4", RoomVersionRules::V4),
            ("5", RoomVersionRules::V5),
            ("6", RoomVersionRules::V6),
            ("7", RoomVersionRules::V7),
            ("8", RoomVersionRules::V8),
            ("9", RoomVersionRules::V9),
            ("10", RoomVersionRules::V10),
            ("11", RoomVersionRules::V11),
            ("12", RoomVersionRules::V12),
        ] {
            let rules = Arc::new(MatrixRoomVersion::new(rules));
            let mut entry =
                RoomVersionEntry::new(id, Edition::Matrix, rules).designated(Designation::Stable);
            if let Some(ancestor) = ancestor.replace(id) {
                entry = entry.derived_from(ancestor);
            }
            if id == "12" {
                entry = entry.with_alias("org.matrix.hydra.11");
            }
            versions.register(entry).expect("each ID is there once");
        }
        versions
    }

    /// That of the IETF's framework draft: `I.1`, which is version 10 with extensible events (MSC1767). What these change is how
    /// clients read an event's content; for servers the rules are those of version 10.
    pub fn ietf() -> Self {
        let rules = Arc::new(MatrixRoomVersion::new(RoomVersionRules::V10));
        let entry = RoomVersionEntry::new("I.1", Edition::Ietf, rules)
            .derived_from("10")
            .with_alias("org.matrix.msc1767.10");
        let mut versions = Self::new();
        versions.register(entry).expect("it is the first");
        versions
    }

    /// Both lists in one: a server of both editions.
    ///
    /// # Errors
    /// A name is in both.
    pub fn and(mut self, others: Self) -> Result<Self, RegisterError> {
        for entry in others.entries.into_values() {
            self.register(entry)?;
        }
        Ok(self)
    }

    /// Adds a version.
    ///
    /// # Errors
    /// Its ID or an alias is taken, or is no identifier of a room version.
    pub fn register(&mut self, entry: RoomVersionEntry) -> Result<(), RegisterError> {
        let names: Vec<&String> = std::iter::once(&entry.id).chain(&entry.aliases).collect();
        for (place, name) in names.iter().enumerate() {
            if !is_identifier(name) {
                return Err(RegisterError::NoIdentifier((*name).clone()));
            }
            if self.get(name).is_some() || names[..place].contains(name) {
                return Err(RegisterError::Taken((*name).clone()));
            }
        }
        for alias in &entry.aliases {
            self.aliases.insert(alias.clone(), entry.id.clone());
        }
        self.entries.insert(entry.id.clone(), entry);
        Ok(())
    }

    /// The version with this ID or alias.
    pub fn get(&self, id: &str) -> Option<&RoomVersionEntry> {
        let id = self.aliases.get(id).map_or(id, String::as_str);
        self.entries.get(id)
    }

    /// All of them, by ID.
    pub fn iter(&self) -> impl Iterator<Item = &RoomVersionEntry> {
        self.entries.values()
    }
}

/// Received identifiers may have up to 128 characters, and the capital letters that the IETF's drafts use.
fn is_identifier(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
}

/// Why a room version is not registered.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RegisterError {
    /// A version of that ID or alias is there.
    #[error("room version {0:?} is registered already")]
    Taken(String),
    /// Not 1 to 128 of `A-Z`, `a-z`, `0-9`, `.` and `-`.
    #[error("{0:?} is no identifier of a room version")]
    NoIdentifier(String),
}
