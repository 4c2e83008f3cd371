//! Events and state: pushed and pulled.

use comity_core::api;
use ruma_federation_api as ruma;

use crate::round_trip::{Exchange, pair};

pub(super) fn transactions() -> Vec<Exchange> {
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

pub(super) fn events() -> Vec<Exchange> {
    use ruma::{
        authorization::get_event_authorization::v1 as event_auth,
        backfill::get_backfill::v1 as backfill,
        event::{
            get_event::v1 as event, get_event_by_timestamp::v1 as timestamp,
            get_missing_events::v1 as missing, get_room_state::v1 as state,
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
        pair::<api::GetEventAuth, event_auth::Request>(
            &[(
                "plain",
                "/_matrix/federation/v1/event_auth/%21r%3Aa.example/%24a%2F",
                "",
            )],
            &[
                ("full", concat!(r#"{"auth_chain":["#, event!(), "]}")),
                ("empty", r#"{"auth_chain":[]}"#),
            ],
        ),
        pair::<api::GetEventByTimestamp, timestamp::Request>(
            &[
                (
                    "forwards",
                    "/_matrix/federation/v1/timestamp_to_event/%21r%3Aa.example?ts=1432684800000&dir=f",
                    "",
                ),
                (
                    "backwards",
                    "/_matrix/federation/v1/timestamp_to_event/%21r?ts=0&dir=b",
                    "",
                ),
                (
                    "before the epoch",
                    "/_matrix/federation/v1/timestamp_to_event/%21r?ts=-1&dir=b",
                    "",
                ),
            ],
            &[(
                "full",
                r#"{"event_id":"$a","origin_server_ts":1432735824653}"#,
            )],
        ),
    ]
}
