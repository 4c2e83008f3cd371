//! The room events of the Matrix specification that servers themselves read (CS "Room Events", SS "Server ACLs", "Policy Servers").

use super::{
    EventTypeEntry,
    shape::{
        self, Field,
        Shape::{
            Boolean, Integer, Level, ListOf, MapOf, Object, ObjectOf, OneOf, String, StringOrNull,
        },
    },
};
use crate::call::Edition;

type Definition = &'static [Field];

/// Each type and its content. What is only required in some room versions is optional here.
const SPECIFICATION: &[(&str, Definition)] = &[
    (
        "m.room.aliases",
        &[Field::optional("aliases", ListOf(&String))],
    ),
    ("m.room.avatar", &[Field::optional("url", String)]),
    (
        "m.room.canonical_alias",
        &[
            Field::optional("alias", StringOrNull),
            Field::optional("alt_aliases", ListOf(&String)),
        ],
    ),
    (
        "m.room.create",
        &[
            Field::optional("additional_creators", ListOf(&String)),
            Field::optional("creator", String),
            Field::optional("m.federate", Boolean),
            Field::optional(
                "predecessor",
                ObjectOf(&[
                    Field::optional("event_id", String),
                    Field::required("room_id", String),
                ]),
            ),
            Field::optional("room_version", String),
            Field::optional("type", String),
        ],
    ),
    (
        "m.room.encryption",
        &[
            Field::required("algorithm", String),
            Field::optional("rotation_period_ms", Integer),
            Field::optional("rotation_period_msgs", Integer),
        ],
    ),
    (
        "m.room.guest_access",
        &[Field::required(
            "guest_access",
            OneOf(&["can_join", "forbidden"]),
        )],
    ),
    (
        "m.room.history_visibility",
        &[Field::required(
            "history_visibility",
            OneOf(&["invited", "joined", "shared", "world_readable"]),
        )],
    ),
    (
        "m.room.join_rules",
        &[
            Field::optional(
                "allow",
                ListOf(&ObjectOf(&[
                    Field::optional("room_id", String),
                    Field::required("type", String),
                ])),
            ),
            Field::required("join_rule", String),
        ],
    ),
    (
        "m.room.member",
        &[
            Field::optional("avatar_url", StringOrNull),
            Field::optional("displayname", StringOrNull),
            Field::optional("is_direct", Boolean),
            Field::optional("join_authorised_via_users_server", String),
            Field::required(
                "membership",
                OneOf(&["ban", "invite", "join", "knock", "leave"]),
            ),
            Field::optional("reason", String),
            Field::optional(
                "third_party_invite",
                ObjectOf(&[
                    Field::required("display_name", String),
                    Field::required("signed", Object),
                ]),
            ),
        ],
    ),
    ("m.room.name", &[Field::required("name", String)]),
    (
        "m.room.power_levels",
        &[
            Field::optional("ban", Level),
            Field::optional("events", MapOf(&Level)),
            Field::optional("events_default", Level),
            Field::optional("invite", Level),
            Field::optional("kick", Level),
            Field::optional("notifications", MapOf(&Level)),
            Field::optional("redact", Level),
            Field::optional("state_default", Level),
            Field::optional("users", MapOf(&Level)),
            Field::optional("users_default", Level),
        ],
    ),
    (
        "m.room.redaction",
        &[
            Field::optional("reason", String),
            Field::optional("redacts", String),
        ],
    ),
    (
        "m.room.server_acl",
        &[
            Field::optional("allow", ListOf(&String)),
            Field::optional("allow_ip_literals", Boolean),
            Field::optional("deny", ListOf(&String)),
        ],
    ),
    (
        "m.room.tombstone",
        &[
            Field::required("body", String),
            Field::required("replacement_room", String),
        ],
    ),
    ("m.room.topic", &[Field::required("topic", String)]),
    (
        "m.space.child",
        &[
            Field::optional("order", String),
            Field::optional("suggested", Boolean),
            Field::optional("via", ListOf(&String)),
        ],
    ),
];

/// Types whose content may also be empty: what was said before is taken back by it.
const WITHDRAWN: &[(&str, Definition)] = &[
    (
        "m.room.policy",
        &[
            Field::required(
                "public_keys",
                ObjectOf(&[Field::required("ed25519", String)]),
            ),
            Field::required("via", String),
        ],
    ),
    (
        "m.room.third_party_invite",
        &[
            Field::required("display_name", String),
            Field::required("key_validity_url", String),
            Field::required("public_key", String),
            Field::optional(
                "public_keys",
                ListOf(&ObjectOf(&[
                    Field::optional("key_validity_url", String),
                    Field::required("public_key", String),
                ])),
            ),
        ],
    ),
];

/// The types of [`EventTypes::matrix`](super::EventTypes::matrix).
pub(super) fn specification() -> impl Iterator<Item = EventTypeEntry> {
    let always = SPECIFICATION.iter().map(|(name, fields)| {
        matrix_entry(name).with_check(|content| shape::check(content, fields))
    });
    let unless_withdrawn = WITHDRAWN.iter().map(|(name, fields)| {
        matrix_entry(name).with_check(|content| match content.is_empty() {
            true => Ok(()),
            false => shape::check(content, fields),
        })
    });
    always.chain(unless_withdrawn)
}

fn matrix_entry(name: &str) -> EventTypeEntry {
    EventTypeEntry::new("m", name, "Matrix specification v1.19").of_edition(Edition::Matrix)
}

/// `m.message`: a text in one or more representations.
pub(super) fn message() -> EventTypeEntry {
    const TEXT: Definition = &[Field::required("m.text", ListOf(&Object))];
    EventTypeEntry::new("m", "m.message", "MSC1767")
        .of_edition(Edition::Ietf)
        .with_alias("org.matrix.msc1767.message")
        .with_check(|content| shape::check(content, TEXT))
}
