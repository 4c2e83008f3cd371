//! The room versions that this server speaks.

use std::sync::{Arc, LazyLock};

use comity_core::event::room_version::{RoomVersion, RoomVersions};
use ruma_common::{RoomVersionId, room_version_rules::RoomVersionRules};

static REGISTRY: LazyLock<RoomVersions> = LazyLock::new(RoomVersions::matrix);

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
    /// The versions that this server speaks: those that ruma's checks are exact for. Before version 6, events may hold numbers
    /// that are not canonical.
    pub const SPOKEN: [&str; 7] = ["6", "7", "8", "9", "10", "11", "12"];

    /// The version of new rooms (SS "Room versions" asks for it).
    pub const DEFAULT: &str = "12";

    /// The version with this name, if this server speaks it.
    pub fn find(id: &str) -> Option<Self> {
        if !Self::SPOKEN.contains(&id) {
            return None;
        }
        Some(Self {
            id: id.to_owned(),
            format: REGISTRY.get(id)?.rules().clone(),
            rules: RoomVersionId::try_from(id).ok()?.rules()?,
        })
    }

    /// Whether a room's ID is the hash of its create event, which then has no `room_id` and is cited by nothing.
    pub fn room_id_is_hash(&self) -> bool {
        self.rules.authorization.room_create_event_id_as_room_id
    }
}
