//! Path and query parameters that need escaping.

use comity_core::endpoint::Query;
use proptest::{
    collection::vec,
    prelude::{any, prop_oneof},
    sample::select,
    strategy::{BoxedStrategy, Just, Strategy},
};

/// Identifiers as rooms, users, events and senders make them, and worse ones. Never empty.
pub fn identifier() -> BoxedStrategy<String> {
    prop_oneof![
        4 => "[!$@#][a-zA-Z0-9/+=_.%~-]{1,24}(:[a-z0-9.-]{1,12}(:[0-9]{1,5})?)?",
        2 => "[a-zA-Z0-9]{1,16}",
        2 => select(&[
            "!room:[2001:db8::1]:8448", "$with/slash+plus", "%2F", "%", "%zz", "..", ".", "a b", "a&b=c?d#e", "é", "\u{1f600}", "\u{0}",
            "\\", "~", "`<>\"", "\u{7f}", "\u{feff}", ";v=1", ",", "'",
        ][..]).prop_map(str::to_owned),
        1 => vec(any::<char>(), 1..12).prop_map(String::from_iter),
    ]
    .boxed()
}

/// Query parameters that an operation does not know: with names and values repeated, empty, and in need of escaping.
pub fn extra_query() -> BoxedStrategy<Query> {
    let name = prop_oneof![
        "org\\.example\\.[a-z]{1,6}",
        Just("v".to_owned()),
        any::<String>().prop_map(|name| format!("x{name}"))
    ];
    let value = prop_oneof![Just(String::new()), identifier()];
    let queries = vec((name, value), 1..4).prop_map(|pairs| {
        let mut query = Query::new();
        for (name, value) in pairs {
            query.push(name, value);
        }
        query
    });
    prop_oneof![2 => Just(Query::new()), 1 => queries].boxed()
}
