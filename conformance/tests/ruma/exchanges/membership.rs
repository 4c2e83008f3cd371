//! Membership: joining, leaving, knocking, inviting.

use comity_core::api;
use ruma_federation_api as ruma;

use crate::round_trip::{Exchange, pair};

pub(super) fn membership() -> Vec<Exchange> {
    use ruma::{
        membership::{
            create_invite::{v1 as invite_v1, v2 as invite},
            create_join_event::v2 as join,
            create_knock_event::v1 as knock,
            create_leave_event::v2 as leave,
            prepare_join_event::v1 as make,
            prepare_knock_event::v1 as make_knock,
            prepare_leave_event::v1 as make_leave,
        },
        thirdparty::exchange_invite::v1 as exchange,
    };
    vec![
        pair::<api::MakeJoin, make::Request>(
            &[
                (
                    "full",
                    "/_matrix/federation/v1/make_join/%21r%3Aa.example/%40u%3Aa.example?ver=10&ver=org.example.x",
                    "",
                ),
                (
                    "without versions",
                    "/_matrix/federation/v1/make_join/%21r/%40u%3Aa.example",
                    "",
                ),
            ],
            &[
                (
                    "full",
                    concat!(r#"{"event":"#, member!("join"), r#","room_version":"10"}"#),
                ),
                (
                    "without a version",
                    concat!(r#"{"event":"#, member!("join"), "}"),
                ),
                ("as little as we take", "{}"),
            ],
        ),
        pair::<api::SendJoin, join::Request>(
            &[
                (
                    "with state reduced",
                    "/_matrix/federation/v2/send_join/%21r%3Aa.example/%24a?omit_members=true",
                    member!("join"),
                ),
                (
                    "with all of the state",
                    "/_matrix/federation/v2/send_join/%21r/%24a?omit_members=false",
                    member!("join"),
                ),
                (
                    "plain",
                    "/_matrix/federation/v2/send_join/%21r/%24a",
                    member!("join"),
                ),
            ],
            &[
                (
                    "full",
                    concat!(
                        r#"{"auth_chain":["#,
                        event!(),
                        r#"],"event":"#,
                        member!("join"),
                        r#","members_omitted":true,"servers_in_room":["a.example","b.example:1"],"state":["#,
                        event!(),
                        "]}"
                    ),
                ),
                (
                    "with all of the state",
                    r#"{"auth_chain":[],"members_omitted":false,"state":[]}"#,
                ),
                ("plain", r#"{"auth_chain":[],"state":[]}"#),
            ],
        ),
        pair::<api::Invite, invite::Request>(
            &[
                (
                    "full",
                    "/_matrix/federation/v2/invite/%21r%3Aa.example/%24a",
                    concat!(
                        r#"{"event":"#,
                        member!("invite"),
                        r#","invite_room_state":["#,
                        event!(),
                        r#",{"content":{},"sender":"@u:a.example","state_key":"","type":"m.room.name"}],"room_version":"10"}"#
                    ),
                ),
                (
                    "without state",
                    "/_matrix/federation/v2/invite/%21r%3Aa.example/%24a",
                    concat!(
                        r#"{"event":"#,
                        member!("invite"),
                        r#","room_version":"10"}"#
                    ),
                ),
            ],
            &[("full", concat!(r#"{"event":"#, member!("invite"), "}"))],
        ),
        pair::<api::InviteV1, invite_v1::Request>(
            &[
                (
                    "full",
                    "/_matrix/federation/v1/invite/%21r%3Aa.example/%241%3Aa.example",
                    r#"{"content":{"membership":"invite"},"origin":"a.example","origin_server_ts":1,"sender":"@u:a.example","state_key":"@v:b.example","type":"m.room.member","unsigned":{"invite_room_state":[{"content":{"name":"x"},"sender":"@u:a.example","state_key":"","type":"m.room.name"}]}}"#,
                ),
                (
                    "with the whole event",
                    "/_matrix/federation/v1/invite/%21r%3Aa.example/%241%3Aa.example",
                    member!("invite"),
                ),
            ],
            &[(
                "full",
                concat!(r#"[200,{"event":"#, member!("invite"), "}]"),
            )],
        ),
        pair::<api::MakeLeave, make_leave::Request>(
            &[(
                "plain",
                "/_matrix/federation/v1/make_leave/%21r%3Aa.example/%40u%3Aa.example",
                "",
            )],
            &[
                (
                    "full",
                    concat!(r#"{"event":"#, member!("leave"), r#","room_version":"10"}"#),
                ),
                (
                    "without a version",
                    concat!(r#"{"event":"#, member!("leave"), "}"),
                ),
                ("as little as we take", "{}"),
            ],
        ),
        pair::<api::SendLeave, leave::Request>(
            &[(
                "plain",
                "/_matrix/federation/v2/send_leave/%21r/%24a",
                member!("leave"),
            )],
            &[("plain", "{}")],
        ),
        pair::<api::MakeKnock, make_knock::Request>(
            &[(
                "full",
                "/_matrix/federation/v1/make_knock/%21r%3Aa.example/%40u%3Aa.example?ver=10&ver=7",
                "",
            )],
            &[(
                "full",
                concat!(r#"{"event":"#, member!("knock"), r#","room_version":"10"}"#),
            )],
        ),
        pair::<api::SendKnock, knock::Request>(
            &[(
                "plain",
                "/_matrix/federation/v1/send_knock/%21r/%24a",
                member!("knock"),
            )],
            &[
                (
                    "full",
                    concat!(
                        r#"{"knock_room_state":["#,
                        event!(),
                        r#",{"content":{},"sender":"@u:a.example","state_key":"","type":"m.room.name"}]}"#
                    ),
                ),
                ("empty", r#"{"knock_room_state":[]}"#),
            ],
        ),
        pair::<api::ExchangeThirdPartyInvite, exchange::Request>(
            &[(
                "full",
                "/_matrix/federation/v1/exchange_third_party_invite/%21r%3Aa.example",
                r#"{"content":{"membership":"invite","third_party_invite":{"display_name":"alice","signed":{"mxid":"@alice:localhost","signatures":{"magic.forest":{"ed25519:3":"x"}},"token":"abc123"}}},"room_id":"!r:a.example","sender":"@joe:a.example","state_key":"@someone:b.example","type":"m.room.member"}"#,
            )],
            &[("plain", "{}")],
        ),
    ]
}
