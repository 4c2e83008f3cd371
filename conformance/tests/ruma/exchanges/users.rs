//! Users' devices and third-party identifiers.

use comity_core::api;
use ruma_federation_api as ruma;

use crate::round_trip::{Exchange, pair};

pub(super) fn devices() -> Vec<Exchange> {
    use ruma::{
        device::get_devices::v1 as devices,
        keys::{claim_keys::v1 as claim, get_keys::v1 as query},
    };
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
        pair::<api::GetUserDevices, devices::Request>(
            &[(
                "plain",
                "/_matrix/federation/v1/user/devices/%40u%2Fx%3D%3Aa.example",
                "",
            )],
            &[
                (
                    "full",
                    r#"{"devices":[{"device_display_name":"x","device_id":"D1","keys":{"algorithms":["m.olm.v1.curve25519-aes-sha2"],"device_id":"D1","keys":{"ed25519:D1":"x"},"signatures":{"@u:a.example":{"ed25519:D1":"x"}},"user_id":"@u:a.example"}}],"master_key":{"keys":{"ed25519:x":"x"},"usage":["master"],"user_id":"@u:a.example"},"self_signing_key":{"keys":{"ed25519:y":"y"},"usage":["self_signing"],"user_id":"@u:a.example"},"stream_id":5,"user_id":"@u:a.example"}"#,
                ),
                (
                    "without devices",
                    r#"{"devices":[],"stream_id":0,"user_id":"@u:a.example"}"#,
                ),
            ],
        ),
    ]
}

pub(super) fn third_party() -> Vec<Exchange> {
    use ruma::{openid::get_openid_userinfo::v1 as openid, thirdparty::bind_callback::v1 as bind};
    vec![
        pair::<api::GetOpenIdUserInfo, openid::Request>(
            &[(
                "plain",
                "/_matrix/federation/v1/openid/userinfo?access_token=a%2Bb%26",
                "",
            )],
            &[("full", r#"{"sub":"@u:a.example"}"#)],
        ),
        pair::<api::NotifyThirdPartyBind, bind::Request>(
            &[
                (
                    "full",
                    "/_matrix/federation/v1/3pid/onbind",
                    r#"{"address":"alice@a.example","invites":[{"address":"alice@a.example","medium":"email","mxid":"@alice:a.example","room_id":"!r:b.example","sender":"@bob:b.example","signed":{"mxid":"@alice:a.example","signatures":{"id.example":{"ed25519:0":"x"}},"token":"t"}}],"medium":"email","mxid":"@alice:a.example"}"#,
                ),
                (
                    "without invites",
                    "/_matrix/federation/v1/3pid/onbind",
                    r#"{"address":"x","invites":[],"medium":"msisdn","mxid":"@alice:a.example"}"#,
                ),
            ],
            &[("plain", "{}")],
        ),
    ]
}
