//! The room versions that a server speaks.

use std::{collections::BTreeMap, sync::Arc};

use comity_core::event::room_version::{RoomVersion, RoomVersions};
use ruma_common::{RoomVersionId, room_version_rules::RoomVersionRules};

/// What a room's version says: how its events are written (Comity's part), and who may send them (ruma's part).
#[derive(Clone, Debug)]
pub struct Version {
    /// As the create event names it.
    pub id: String,
    /// Event IDs, hashes, signatures, redaction.
    pub format: Arc<dyn RoomVersion>,
    /// Authorization and state resolution.
    pub rules: RoomVersionRules,
}

impl Version {
    /// The versions of the Matrix specification that this server can speak: those that ruma's checks are exact for. Before version 6,
    /// events may hold numbers that are not canonical.
    pub const SPOKEN: [&str; 7] = ["6", "7", "8", "9", "10", "11", "12"];

    /// The version of new rooms (SS "Room versions" asks for it).
    pub const DEFAULT: &str = "12";

    /// Whether a room's ID is the hash of its create event, which then has no `room_id` and is cited by nothing.
    pub fn room_id_is_hash(&self) -> bool {
        self.rules.authorization.room_create_event_id_as_room_id
    }
}

/// The versions that a server speaks, of one edition of the protocol or of several (MSC3923). What a room's version says holds in that room and in
/// no other.
#[derive(Clone, Debug, Default)]
pub struct Versions(BTreeMap<String, Version>);

impl Versions {
    /// None.
    pub fn none() -> Self {
        Self::default()
    }

    /// Those of the Matrix specification: [`Version::SPOKEN`].
    pub fn matrix() -> Self {
        let registry = RoomVersions::matrix();
        Version::SPOKEN.iter().fold(Self::none(), |versions, id| {
            let entry = registry.get(id).expect("it is of the specification");
            let rules = RoomVersionId::try_from(*id).ok().and_then(|id| id.rules());
            let rules = rules.expect("ruma knows the versions of the specification");
            versions.with(*id, entry.rules().clone(), rules)
        })
    }

    /// That of the IETF's edition: `I.1`, whose rules for servers are those of version 10.
    pub fn ietf() -> Self {
        let registry = RoomVersions::ietf();
        registry.iter().fold(Self::none(), |versions, entry| {
            versions.with(entry.id(), entry.rules().clone(), RoomVersionRules::V10)
        })
    }

    /// Both lists.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// With another version: anyone's.
    #[must_use]
    pub fn with(
        mut self,
        id: impl Into<String>,
        format: Arc<dyn RoomVersion>,
        rules: RoomVersionRules,
    ) -> Self {
        let id = id.into();
        let version = Version {
            id: id.clone(),
            format,
            rules,
        };
        self.0.insert(id, version);
        self
    }

    /// The version with this ID, if it is spoken.
    pub fn get(&self, id: &str) -> Option<&Version> {
        self.0.get(id)
    }

    /// Their IDs: what is said in `ver` when a room is joined.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}
