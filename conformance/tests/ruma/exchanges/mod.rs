//! One entry for each operation that both know: requests and replies, with every member that the specification names, and with as
//! few as it allows.

use crate::round_trip::Exchange;

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

mod events;
mod lookups;
mod media;
mod membership;
mod servers;
mod users;

/// Every entry.
pub(crate) fn all() -> Vec<Exchange> {
    [
        servers::servers(),
        events::transactions(),
        events::events(),
        membership::membership(),
        lookups::rooms(),
        lookups::queries(),
        users::devices(),
        users::third_party(),
        media::media(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
