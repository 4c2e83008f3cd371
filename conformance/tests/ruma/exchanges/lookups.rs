//! Rooms, users and aliases: looked up.

use comity_core::api;
use ruma_federation_api as ruma;

use crate::round_trip::{Exchange, pair};

pub(super) fn rooms() -> Vec<Exchange> {
    use ruma::{
        directory::{get_public_rooms::v1 as get, get_public_rooms_filtered::v1 as query},
        space::get_hierarchy::v1 as hierarchy,
    };
    vec![
        pair::<api::GetPublicRooms, get::Request>(
            &[
                (
                    "of all networks",
                    "/_matrix/federation/v1/publicRooms?limit=10&since=a%2Fb&include_all_networks=true",
                    "",
                ),
                (
                    "of one network",
                    "/_matrix/federation/v1/publicRooms?third_party_instance_id=irc-x",
                    "",
                ),
                ("plain", "/_matrix/federation/v1/publicRooms", ""),
                (
                    "with the default in words",
                    "/_matrix/federation/v1/publicRooms?include_all_networks=false",
                    "",
                ),
            ],
            &[
                (
                    "full",
                    r##"{"chunk":[{"avatar_url":"mxc://a.example/x","canonical_alias":"#x:a.example","guest_can_join":false,"join_rule":"knock","name":"x","num_joined_members":37,"room_id":"!r:a.example","room_type":"m.space","topic":"x","world_readable":true}],"next_batch":"p1","prev_batch":"p0","total_room_count_estimate":115}"##,
                ),
                (
                    "public",
                    r#"{"chunk":[{"guest_can_join":false,"join_rule":"public","num_joined_members":37,"room_id":"!r:a.example","world_readable":true}]}"#,
                ),
                ("empty", r#"{"chunk":[]}"#),
            ],
        ),
        pair::<api::QueryPublicRooms, query::Request>(
            &[
                (
                    "full",
                    "/_matrix/federation/v1/publicRooms",
                    r#"{"filter":{"generic_search_term":"foo","room_types":[null,"m.space"]},"limit":10,"since":"x","third_party_instance_id":"irc-x"}"#,
                ),
                (
                    "of all networks",
                    "/_matrix/federation/v1/publicRooms",
                    r#"{"include_all_networks":true}"#,
                ),
                ("plain", "/_matrix/federation/v1/publicRooms", "{}"),
            ],
            &[
                (
                    "full",
                    r#"{"chunk":[{"guest_can_join":false,"join_rule":"knock","num_joined_members":37,"room_id":"!r:a.example","world_readable":true}],"next_batch":"p1","prev_batch":"p0","total_room_count_estimate":115}"#,
                ),
                ("empty", r#"{"chunk":[]}"#),
            ],
        ),
        pair::<api::GetHierarchy, hierarchy::Request>(
            &[
                (
                    "of what is suggested",
                    "/_matrix/federation/v1/hierarchy/%21r?suggested_only=true",
                    "",
                ),
                ("of all", "/_matrix/federation/v1/hierarchy/%21r", ""),
                (
                    "of all in words",
                    "/_matrix/federation/v1/hierarchy/%21r?suggested_only=false",
                    "",
                ),
            ],
            &[
                (
                    "full",
                    r##"{"children":[{"allowed_room_ids":["!x:a.example"],"encryption":"m.megolm.v1.aes-sha2","guest_can_join":false,"join_rule":"restricted","num_joined_members":1,"room_id":"!b:a.example","room_version":"10","world_readable":false}],"inaccessible_children":["!c:a.example"],"room":{"avatar_url":"mxc://a.example/x","canonical_alias":"#x:a.example","children_state":[{"content":{"via":["a.example"]},"origin_server_ts":1,"sender":"@u:a.example","state_key":"!b:a.example","type":"m.space.child"}],"guest_can_join":false,"join_rule":"knock","name":"x","num_joined_members":5,"room_id":"!r:a.example","room_type":"m.space","topic":"x","world_readable":true}}"##,
                ),
                (
                    "small",
                    r#"{"children":[],"inaccessible_children":[],"room":{"children_state":[],"guest_can_join":true,"join_rule":"public","num_joined_members":0,"room_id":"!r","world_readable":true}}"#,
                ),
            ],
        ),
    ]
}

pub(super) fn queries() -> Vec<Exchange> {
    use ruma::query::{
        get_custom_information::v1 as custom, get_profile_information::v1 as profile,
        get_room_information::v1 as directory,
    };
    vec![
        pair::<api::QueryProfile, profile::Request>(
            &[
                (
                    "of all",
                    "/_matrix/federation/v1/query/profile?user_id=%40u%2Fx%3D%2B%3Aa.example",
                    "",
                ),
                (
                    "of one field",
                    "/_matrix/federation/v1/query/profile?user_id=%40u%3Aa.example&field=displayname",
                    "",
                ),
                (
                    "of an unknown field",
                    "/_matrix/federation/v1/query/profile?user_id=%40u%3Aa.example&field=org.example.x",
                    "",
                ),
            ],
            &[
                (
                    "full",
                    r#"{"avatar_url":"mxc://a.example/x","displayname":"Ä \"b\"","m.tz":"Europe/London","org.example.x":{"a":[1]}}"#,
                ),
                ("with null", r#"{"avatar_url":null,"displayname":null}"#),
                ("empty", "{}"),
            ],
        ),
        pair::<api::QueryDirectory, directory::Request>(
            &[(
                "plain",
                "/_matrix/federation/v1/query/directory?room_alias=%23r%C3%B6%C3%B6m%2Fx%3Aa.example",
                "",
            )],
            &[(
                "full",
                r#"{"room_id":"!r:a.example","servers":["a.example","b.example:1"]}"#,
            )],
        ),
        pair::<api::QueryCustom, custom::Request>(
            &[
                (
                    "with parameters",
                    "/_matrix/federation/v1/query/org.example.x?a=1&b=%26",
                    "",
                ),
                ("plain", "/_matrix/federation/v1/query/client_keys", ""),
                (
                    "with a parameter twice",
                    "/_matrix/federation/v1/query/x?a=1&a=2",
                    "",
                ),
            ],
            &[("full", r#"{"any":[{"thing":null}]}"#), ("empty", "{}")],
        ),
    ]
}
