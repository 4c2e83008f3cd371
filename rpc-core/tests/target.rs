//! Paths, queries and targets: what is written is read back, and nothing is normalised.

use comity_core::endpoint::target::{
    BadEscape, PathTemplate, Query, Segment, TARGET_LIMIT, TargetError, TrailingSlash,
    check_target, split_target,
};
use proptest::prelude::*;

const SEND: PathTemplate = PathTemplate::new("/_matrix/federation/v1/send/{txnId}");
const JOIN: PathTemplate = PathTemplate::new("/_matrix/federation/v1/make_join/{roomId}/{userId}");
const KEYS: PathTemplate = PathTemplate::new("/_matrix/key/v2/server");

fn read(template: PathTemplate, path: &str) -> Option<Result<Vec<String>, BadEscape>> {
    template.matches(path, TrailingSlash::Refuse)
}

fn owned(params: &[&str]) -> Vec<String> {
    params.iter().map(|&param| param.to_owned()).collect()
}

#[test]
fn all_but_unreserved_characters_are_escaped() {
    assert_eq!(
        JOIN.write(&["!a:b.example", "@ü/%+?#$:\n~_-.:[::1]"]),
        "/_matrix/federation/v1/make_join/%21a%3Ab.example/%40%C3%BC%2F%25%2B%3F%23%24%3A%0A~_-.%3A%5B%3A%3A1%5D"
    );
    assert_eq!(KEYS.write(&[]), "/_matrix/key/v2/server");
}

#[test]
fn other_encoders_are_read() {
    let path = "/_matrix/federation/v1/make_join/!a+b:c$d/%40%c3%bc%2f%2F%25";
    assert_eq!(read(JOIN, path), Some(Ok(owned(&["!a+b:c$d", "@ü//%"]))));
    // Unescaped once, not twice.
    assert_eq!(
        read(SEND, "/_matrix/federation/v1/send/%252F"),
        Some(Ok(owned(&["%2F"])))
    );
}

#[test]
fn bad_escapes_are_errors_of_a_path_that_else_matches() {
    for raw in ["%", "%4", "a%4", "%zz", "%4g", "%%41", "%+1", "%é"] {
        let path = format!("/_matrix/federation/v1/send/{raw}");
        assert_eq!(read(SEND, &path), Some(Err(BadEscape::Hex)), "{raw}");
        assert_eq!(
            Query::parse(&format!("a={raw}")),
            Err(BadEscape::Hex),
            "{raw}"
        );
    }
    for raw in ["%FF", "%c3", "%ed%a0%80", "%c0%af"] {
        let path = format!("/_matrix/federation/v1/send/{raw}");
        assert_eq!(read(SEND, &path), Some(Err(BadEscape::Utf8)), "{raw}");
        assert_eq!(
            Query::parse(&format!("{raw}=")),
            Err(BadEscape::Utf8),
            "{raw}"
        );
    }
    assert_eq!(read(SEND, "/_matrix/federation/v1/event/%zz"), None);
}

#[test]
fn nothing_is_normalised() {
    for path in [
        "",
        "/",
        "_matrix/federation/v1/send/a",
        "/_matrix/federation/v1/send",
        "/_matrix/federation/v1/send/",
        "/_matrix/federation/v1/send//",
        "/_matrix/federation/v1/send/a/",
        "/_matrix/federation/v1/send/a/b",
        "/_matrix/federation/v1//send/a",
        "//_matrix/federation/v1/send/a",
        "/_matrix/federation/v1/./send/a",
        "/_matrix/federation/v1/x/../send/a",
        "/_matrix/federation/v1/SEND/a",
        "/_matrix/federation/v1/%73end/a",
        "/_matrix/federation/v1%2Fsend/a",
    ] {
        assert_eq!(read(SEND, path), None, "{path}");
    }
    // A parameter is whatever it is.
    assert_eq!(
        read(SEND, "/_matrix/federation/v1/send/.."),
        Some(Ok(owned(&[".."])))
    );
    assert_eq!(
        read(SEND, "/_matrix/federation/v1/send/%2E%2e%2f"),
        Some(Ok(owned(&["../"])))
    );
}

#[test]
fn one_trailing_slash_is_accepted_where_asked_for() {
    let accept = |template: PathTemplate, path: &str| template.matches(path, TrailingSlash::Accept);
    assert_eq!(
        accept(SEND, "/_matrix/federation/v1/send/a/"),
        Some(Ok(owned(&["a"])))
    );
    assert_eq!(
        accept(SEND, "/_matrix/federation/v1/send/a"),
        Some(Ok(owned(&["a"])))
    );
    assert_eq!(accept(SEND, "/_matrix/federation/v1/send/a//"), None);
    assert_eq!(accept(SEND, "/_matrix/federation/v1/send/"), None);
    assert_eq!(accept(SEND, "/_matrix/federation/v1/send//"), None);
    assert_eq!(accept(KEYS, "/_matrix/key/v2/server/"), Some(Ok(vec![])));
    assert_eq!(accept(KEYS, ""), None);
}

#[test]
fn segments_are_literals_and_parameters() {
    let segments: Vec<_> = PathTemplate::new("/a/{b}").segments().collect();
    assert_eq!(segments, [Segment::Literal("a"), Segment::Parameter("b")]);
}

#[test]
#[should_panic(expected = "one parameter for each")]
fn a_missing_parameter_is_a_bug_of_the_caller() {
    JOIN.write(&["a"]);
}

#[test]
fn queries_keep_order_and_repetition() {
    let query = Query::parse("ver=1&v=%24a&v=b+c%20d%2B&&flag&=x&ver=2&e=a=b").unwrap();
    assert_eq!(query.get("ver"), Some("1"));
    assert_eq!(query.all("v").collect::<Vec<_>>(), ["$a", "b c d+"]);
    assert_eq!(
        (
            query.get("flag"),
            query.get(""),
            query.get("e"),
            query.get("x")
        ),
        (Some(""), Some("x"), Some("a=b"), None)
    );
    assert_eq!(
        query.write(),
        "ver=1&v=%24a&v=b%20c%20d%2B&flag=&=x&ver=2&e=a%3Db"
    );
    assert!(Query::parse("").unwrap().is_empty());
}

#[test]
fn taking_a_parameter_leaves_the_others_of_its_name() {
    let mut query = Query::parse("v=1&a=2&v=3&v=4").unwrap();
    assert_eq!(query.take("v").as_deref(), Some("1"));
    assert_eq!(query.write(), "a=2&v=3&v=4");
    assert_eq!(query.take_all("v"), ["3", "4"]);
    assert_eq!(query.take("v"), None);
    assert_eq!(query.write(), "a=2");
}

#[test]
fn targets_split_at_the_first_question_mark() {
    assert_eq!(split_target("/a?b?c"), ("/a", Some("b?c")));
    assert_eq!(split_target("/a?"), ("/a", Some("")));
    assert_eq!(split_target("/a"), ("/a", None));
}

#[test]
fn targets_are_checked() {
    assert_eq!(check_target("/a%20b?c=!~`<>\"{}|\\^"), Ok(()));
    assert_eq!(check_target(""), Err(TargetError::NotAbsolute));
    assert_eq!(check_target("https://a/"), Err(TargetError::NotAbsolute));
    for target in ["/a#b", "/a b", "/a\0", "/a\u{7f}", "/aé", "/a\r\n"] {
        let error = check_target(target).unwrap_err();
        assert_eq!(
            (error, error.http_status()),
            (TargetError::Byte { offset: 2 }, 400)
        );
    }
    let longest = format!("/{}", "a".repeat(TARGET_LIMIT - 1));
    assert_eq!(check_target(&longest), Ok(()));
    let error = check_target(&format!("{longest}a")).unwrap_err();
    assert_eq!(
        (error, error.http_status()),
        (
            TargetError::TooLong {
                bytes: TARGET_LIMIT + 1
            },
            414
        )
    );
}

/// Any text, with the characters that matter often.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[/%+?#!$:@&=;. \\u{0}-\\u{1f}a-f0-9é]{0,20}"
    ]
}

proptest! {
    #[test]
    fn any_parameters_are_read_back(room in text(), user in text()) {
        let path = JOIN.write(&[&room, &user]);
        prop_assert_eq!(check_target(&path).err(), (path.len() > TARGET_LIMIT).then_some(TargetError::TooLong { bytes: path.len() }));
        let expected = (!room.is_empty() && !user.is_empty()).then(|| Ok(vec![room, user]));
        prop_assert_eq!(JOIN.matches(&path, TrailingSlash::Refuse), expected.clone());
        prop_assert_eq!(JOIN.matches(&path, TrailingSlash::Accept), expected);
        // A path behind a `?` is no concern of it.
        prop_assert_eq!(split_target(&path), (path.as_str(), None));
    }

    #[test]
    fn any_query_is_read_back(pairs in proptest::collection::vec((text(), text()), 0..6)) {
        let mut query = Query::new();
        for (name, value) in &pairs {
            query.push(name, value);
        }
        let raw = query.write();
        let checked = check_target(&format!("/?{raw}"));
        prop_assert!(checked.is_ok() || raw.len() > TARGET_LIMIT - 2);
        prop_assert_eq!(Query::parse(&raw).unwrap(), query);
    }

    #[test]
    fn no_input_panics(raw: String) {
        let _ = SEND.matches(&raw, TrailingSlash::Accept);
        let _ = SEND.matches(&format!("/_matrix/federation/v1/send/{raw}"), TrailingSlash::Accept);
        let _ = (Query::parse(&raw), check_target(&raw), split_target(&raw));
    }
}
