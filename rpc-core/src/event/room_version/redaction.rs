//! What a redaction leaves of an event's content ("Redactions" of the room versions).

use ruma_common::room_version_rules::RedactionRules;

use crate::json::Object;

/// The content with the members that are kept. Only names are looked at: what stays, stays as it is, however deep.
pub(super) fn redact_content(content: &Object, event_type: &str, rules: &RedactionRules) -> Object {
    let kept: &[(&str, bool)] = match event_type {
        "m.room.create" if rules.keep_room_create_content => return content.clone(),
        "m.room.create" => &[("creator", true)],
        "m.room.member" => &[
            ("membership", true),
            (
                "join_authorised_via_users_server",
                rules.keep_room_member_join_authorised_via_users_server,
            ),
            (
                "third_party_invite",
                rules.keep_room_member_third_party_invite_signed,
            ),
        ],
        "m.room.join_rules" => &[
            ("join_rule", true),
            ("allow", rules.keep_room_join_rules_allow),
        ],
        "m.room.power_levels" => &[
            ("ban", true),
            ("events", true),
            ("events_default", true),
            ("invite", rules.keep_room_power_levels_invite),
            ("kick", true),
            ("redact", true),
            ("state_default", true),
            ("users", true),
            ("users_default", true),
        ],
        "m.room.history_visibility" => &[("history_visibility", true)],
        "m.room.redaction" => &[("redacts", rules.keep_room_redaction_redacts)],
        "m.room.aliases" => &[("aliases", rules.keep_room_aliases_aliases)],
        _ => &[],
    };
    let left = content.filtered(|name| kept.contains(&(name, true)));
    let invite = left.get("third_party_invite");
    match invite.as_ref().and_then(Object::from_value) {
        Some(invite) => {
            let signed = invite.filtered(|name| name == "signed");
            left.with_member("third_party_invite", &signed.to_value())
        }
        None => left,
    }
}
