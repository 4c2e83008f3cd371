//! One entry for each operation that both know: requests and replies, with every member that the specification names, and with as
//! few as it allows.

use bytes::Bytes;
use comity_conformance::{BlobSample, ReplySample};
use comity_core::{api, call::BlobSource, json::Object};
use ruma_federation_api as ruma;

use crate::round_trip::{Exchange, pair};

/// An event with members of every type, and a name that needs escaping.
macro_rules! event {
    () => {
        r#"{"auth_events":["$a"],"content":{"body":"h\u00e9 \"ö\" \u2028","n":-7,"none":null},"depth":9007199254740991,"hashes":{"sha256":"x"},"origin_server_ts":1,"prev_events":[],"room_id":"!r:a.example","sender":"@u:a.example","signatures":{"a.example":{"ed25519:1":"x"}},"type":"m.room.message","unsigned":{"age":1}}"#
    };
}

/// A membership event.
macro_rules! member {
    ($membership:literal) => {
        concat!(
            r#"{"content":{"membership":""#,
            $membership,
            r#""},"origin":"a.example","origin_server_ts":1,"room_id":"!r:a.example","sender":"@u:a.example","state_key":"@u:a.example","type":"m.room.member"}"#
        )
    };
}

/// Every entry.
pub(crate) fn all() -> Vec<Exchange> {
    [
        server(),
        transactions(),
        events(),
        membership(),
        queries(),
        devices(),
        media(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn server() -> Vec<Exchange> {
    use ruma::discovery::{get_server_keys::v2 as keys, get_server_version::v1 as version};
    vec![
        pair::<api::GetVersion, version::Request>(
            &[("plain", "/_matrix/federation/v1/version", "")],
            &[
                (
                    "full",
                    r#"{"server":{"name":"Comity","version":"0.1 (x)"}}"#,
                ),
                ("empty", "{}"),
            ],
        ),
        pair::<api::GetServerKeys, keys::Request>(
            &[("plain", "/_matrix/key/v2/server", "")],
            &[(
                "full",
                r#"{"extra":[1],"old_verify_keys":{"ed25519:0":{"expired_ts":1,"key":"x"}},"server_name":"a.example","signatures":{"a.example":{"ed25519:1":"x"}},"valid_until_ts":1652262000000,"verify_keys":{"ed25519:1":{"key":"VGhpcyBzaG91bGQgYmUgYSByZWFsIGVkMjU1MTkgcGF5bG9hZA"}}}"#,
            )],
        ),
    ]
}

fn transactions() -> Vec<Exchange> {
    use ruma::transactions::send_transaction_message::v1 as send;
    vec![pair::<api::SendTransaction, send::Request>(
        &[
            (
                "full",
                "/_matrix/federation/v1/send/a%2Fb%20%3F",
                concat!(
                    r#"{"edus":[{"content":{"room_id":"!r:a.example","typing":true,"user_id":"@u:a.example"},"edu_type":"m.typing"},{"content":{"x":1},"edu_type":"org.example.unknown"}],"origin":"origin.example","origin_server_ts":1,"pdus":["#,
                    event!(),
                    "]}"
                ),
            ),
            (
                "without EDUs",
                "/_matrix/federation/v1/send/1",
                r#"{"origin":"origin.example","origin_server_ts":1,"pdus":[]}"#,
            ),
            (
                "with an empty list of EDUs",
                "/_matrix/federation/v1/send/1",
                r#"{"edus":[],"origin":"origin.example","origin_server_ts":1,"pdus":[]}"#,
            ),
            (
                "with a percent sign",
                "/_matrix/federation/v1/send/50%25",
                r#"{"origin":"origin.example","origin_server_ts":1,"pdus":[]}"#,
            ),
            (
                "as little as we take",
                "/_matrix/federation/v1/send/1",
                r#"{"pdus":[]}"#,
            ),
        ],
        &[
            (
                "full",
                r#"{"pdus":{"$a:a.example":{},"$b":{"error":"no"}}}"#,
            ),
            ("empty", r#"{"pdus":{}}"#),
        ],
    )]
}

fn events() -> Vec<Exchange> {
    use ruma::{
        backfill::get_backfill::v1 as backfill,
        event::{
            get_event::v1 as event, get_missing_events::v1 as missing, get_room_state::v1 as state,
            get_room_state_ids::v1 as state_ids,
        },
    };
    vec![
        pair::<api::GetEvent, event::Request>(
            &[
                (
                    "of room version 4",
                    "/_matrix/federation/v1/event/%24a-b_c",
                    "",
                ),
                (
                    "of room version 3",
                    "/_matrix/federation/v1/event/%24a%2Fb%2Bc",
                    "",
                ),
                (
                    "of room version 1",
                    "/_matrix/federation/v1/event/%241%3Aa.example",
                    "",
                ),
            ],
            &[
                (
                    "full",
                    concat!(
                        r#"{"origin":"a.example","origin_server_ts":1,"pdus":["#,
                        event!(),
                        "]}"
                    ),
                ),
                (
                    "as little as we take",
                    concat!(r#"{"pdus":["#, event!(), "]}"),
                ),
            ],
        ),
        pair::<api::GetState, state::Request>(
            &[(
                "plain",
                "/_matrix/federation/v1/state/%21r%3Aa.example?event_id=%24a%2Fb%2B",
                "",
            )],
            &[
                (
                    "full",
                    concat!(
                        r#"{"auth_chain":["#,
                        event!(),
                        r#"],"pdus":["#,
                        event!(),
                        "]}"
                    ),
                ),
                ("empty", r#"{"auth_chain":[],"pdus":[]}"#),
            ],
        ),
        pair::<api::GetStateIds, state_ids::Request>(
            &[(
                "plain",
                "/_matrix/federation/v1/state_ids/%21r%3Aa.example?event_id=%24a",
                "",
            )],
            &[
                (
                    "full",
                    r#"{"auth_chain_ids":["$a","$b/+"],"pdu_ids":["$1:a.example"]}"#,
                ),
                ("empty", r#"{"auth_chain_ids":[],"pdu_ids":[]}"#),
            ],
        ),
        pair::<api::Backfill, backfill::Request>(
            &[
                (
                    "from two events",
                    "/_matrix/federation/v1/backfill/%21r%3Aa.example?v=%24a&v=%24b%2F%2B&limit=100",
                    "",
                ),
                (
                    "of one event",
                    "/_matrix/federation/v1/backfill/%21r?v=%24a&limit=0",
                    "",
                ),
                (
                    "of fewer than none",
                    "/_matrix/federation/v1/backfill/%21r?v=%24a&limit=-1",
                    "",
                ),
            ],
            &[
                (
                    "full",
                    concat!(
                        r#"{"origin":"a.example","origin_server_ts":1,"pdus":["#,
                        event!(),
                        "]}"
                    ),
                ),
                ("as little as we take", r#"{"pdus":[]}"#),
            ],
        ),
        pair::<api::GetMissingEvents, missing::Request>(
            &[
                (
                    "full",
                    "/_matrix/federation/v1/get_missing_events/%21r%3Aa.example",
                    r#"{"earliest_events":["$a"],"latest_events":["$b","$1:a.example"],"limit":20,"min_depth":3}"#,
                ),
                (
                    "with defaults",
                    "/_matrix/federation/v1/get_missing_events/%21r",
                    r#"{"earliest_events":[],"latest_events":[]}"#,
                ),
                (
                    "with defaults in words",
                    "/_matrix/federation/v1/get_missing_events/%21r",
                    r#"{"earliest_events":[],"latest_events":[],"limit":10,"min_depth":0}"#,
                ),
            ],
            &[
                ("full", concat!(r#"{"events":["#, event!(), "]}")),
                ("empty", r#"{"events":[]}"#),
            ],
        ),
    ]
}

fn membership() -> Vec<Exchange> {
    use ruma::membership::{
        create_invite::v2 as invite, create_join_event::v2 as join, prepare_join_event::v1 as make,
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
    ]
}

fn queries() -> Vec<Exchange> {
    use ruma::query::get_profile_information::v1 as profile;
    vec![pair::<api::QueryProfile, profile::Request>(
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
    )]
}

fn devices() -> Vec<Exchange> {
    use ruma::keys::{claim_keys::v1 as claim, get_keys::v1 as query};
    vec![
        pair::<api::QueryKeys, query::Request>(
            &[
                (
                    "full",
                    "/_matrix/federation/v1/user/keys/query",
                    r#"{"device_keys":{"@u:a.example":["D1","D2"],"@v:a.example":[]}}"#,
                ),
                (
                    "of nobody",
                    "/_matrix/federation/v1/user/keys/query",
                    r#"{"device_keys":{}}"#,
                ),
            ],
            &[
                (
                    "full",
                    r#"{"device_keys":{"@u:a.example":{"D1":{"algorithms":["m.olm.v1.curve25519-aes-sha2"],"device_id":"D1","keys":{"ed25519:D1":"x"},"signatures":{"@u:a.example":{"ed25519:D1":"x"}},"unsigned":{"device_display_name":"x"},"user_id":"@u:a.example"}}},"master_keys":{"@u:a.example":{"keys":{"ed25519:x":"x"},"usage":["master"],"user_id":"@u:a.example"}},"self_signing_keys":{"@u:a.example":{"keys":{"ed25519:y":"y"},"signatures":{},"usage":["self_signing"],"user_id":"@u:a.example"}}}"#,
                ),
                (
                    "with empty maps",
                    r#"{"device_keys":{},"master_keys":{},"self_signing_keys":{}}"#,
                ),
                ("as little as we take", "{}"),
            ],
        ),
        pair::<api::ClaimKeys, claim::Request>(
            &[(
                "full",
                "/_matrix/federation/v1/user/keys/claim",
                r#"{"one_time_keys":{"@u:a.example":{"D1":"signed_curve25519","D2":"org.example.x"}}}"#,
            )],
            &[
                (
                    "full",
                    r#"{"one_time_keys":{"@u:a.example":{"D1":{"signed_curve25519:A":{"key":"x","signatures":{"@u:a.example":{"ed25519:D1":"x"}}}}}}}"#,
                ),
                ("as little as we take", "{}"),
            ],
        ),
    ]
}

fn media() -> Vec<Exchange> {
    use ruma::authenticated_media::get_content::v1 as content;
    vec![
        pair::<api::DownloadMedia, content::Request>(
            &[
                ("plain", "/_matrix/federation/v1/media/download/abc", ""),
                (
                    "with patience",
                    "/_matrix/federation/v1/media/download/abc?timeout_ms=5",
                    "",
                ),
                (
                    "with the default in words",
                    "/_matrix/federation/v1/media/download/abc?timeout_ms=20000",
                    "",
                ),
            ],
            &[],
        )
        .with_blobs(blobs()),
    ]
}

/// Blobs that are here and elsewhere.
fn blobs() -> Vec<(&'static str, ReplySample)> {
    let here = |content_type: Option<&str>, disposition: Option<&str>, bytes: &'static [u8]| {
        ReplySample::Blob(BlobSample {
            metadata: Object::empty(),
            source: BlobSource::Here {
                content_type: content_type.map(str::to_owned),
                content_disposition: disposition.map(str::to_owned),
            },
            pieces: vec![Bytes::from_static(bytes)],
        })
    };
    vec![
        (
            "full",
            here(
                Some("image/png"),
                Some("inline; filename=a.png"),
                b"\x89PNG\r\n\r\n--x\r\n\0",
            ),
        ),
        ("of unknown type", here(None, None, b"")),
        (
            "elsewhere",
            ReplySample::Blob(BlobSample {
                metadata: Object::empty(),
                source: BlobSource::Location("https://cdn.example/x?y=%20z".to_owned()),
                pieces: Vec::new(),
            }),
        ),
    ]
}
