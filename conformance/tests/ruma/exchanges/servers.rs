//! Servers: their versions and keys, and policy servers.

use comity_core::api;
use ruma_federation_api as ruma;

use crate::round_trip::{Exchange, pair};

pub(super) fn servers() -> Vec<Exchange> {
    use ruma::{
        discovery::{
            get_remote_server_keys::v2 as query, get_remote_server_keys_batch::v2 as batch,
            get_server_keys::v2 as keys, get_server_version::v1 as version,
        },
        policy::sign_event::v1 as policy,
    };
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
        pair::<api::QueryServerKeys, query::Request>(
            &[(
                "valid for some time",
                "/_matrix/key/v2/query/a.example%3A8448?minimum_valid_until_ts=1234567890",
                "",
            )],
            &[
                (
                    "full",
                    r#"{"server_keys":[{"old_verify_keys":{},"server_name":"a.example","signatures":{"a.example":{"ed25519:1":"x"},"b.example":{"ed25519:2":"y"}},"valid_until_ts":1652262000000,"verify_keys":{"ed25519:1":{"key":"VGhpcyBzaG91bGQgYmUgYSByZWFsIGVkMjU1MTkgcGF5bG9hZA"}}}]}"#,
                ),
                ("empty", r#"{"server_keys":[]}"#),
            ],
        ),
        pair::<api::BatchQueryServerKeys, batch::Request>(
            &[
                (
                    "full",
                    "/_matrix/key/v2/query",
                    r#"{"server_keys":{"a.example":{"ed25519:1":{"minimum_valid_until_ts":1234567890},"ed25519:2":{}},"b.example":{}}}"#,
                ),
                (
                    "of nobody",
                    "/_matrix/key/v2/query",
                    r#"{"server_keys":{}}"#,
                ),
            ],
            &[
                (
                    "full",
                    r#"{"server_keys":[{"old_verify_keys":{},"server_name":"a.example","signatures":{"a.example":{"ed25519:1":"x"},"b.example":{"ed25519:2":"y"}},"valid_until_ts":1652262000000,"verify_keys":{"ed25519:1":{"key":"VGhpcyBzaG91bGQgYmUgYSByZWFsIGVkMjU1MTkgcGF5bG9hZA"}}}]}"#,
                ),
                ("empty", r#"{"server_keys":[]}"#),
            ],
        ),
        pair::<api::PolicySign, policy::Request>(
            &[("plain", "/_matrix/policy/v1/sign", event!())],
            &[(
                "full",
                r#"{"policy.example":{"ed25519:policy_server":"x"}}"#,
            )],
        ),
    ]
}
