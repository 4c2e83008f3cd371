//! SS "API standards" and RFC 3986 over TLS: how paths and queries are read, whoever escaped them, and how they are written.

use std::sync::{Arc, Mutex};

use comity_core::{
    CallService,
    api::*,
    call::{Call, Message, Reply},
    json::Object,
};
use comity_net::Protocol;

use crate::{raw::Raw, setting::*};

/// What a handler sees of a target: the operation, its path parameters, its query.
type Seen = Arc<Mutex<Option<(String, Vec<String>, Vec<(String, String)>)>>>;

fn watching(seen: &Seen) -> CallService {
    let seen = seen.clone();
    handler(move |call: Call| {
        let parts = call.form().unwrap().parts();
        let query = parts.query.iter();
        let query = query.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let name = call.spec().name.to_owned();
        *seen.lock().unwrap() = Some((name, parts.path.clone(), query.collect()));
        async { Ok(Reply::Message(Message::from_content(Object::empty()))) }
    })
}

#[tokio::test]
async fn a_path_is_split_first_and_unescaped_once() {
    let seen = Seen::default();
    let serving = Serving::tls(watching(&seen)).await;
    let mut raw = Raw::open(&serving).await;
    let join = "/_matrix/federation/v1/make_join";
    for (path, parameters) in [
        // Synapse, Go and ruma escape one pair of identifiers in three ways.
        ("%21r%3Ad/%40u%3Ad", ["!r:d", "@u:d"]),
        ("%21r:d/@u:d", ["!r:d", "@u:d"]),
        ("!r:d/@u:d", ["!r:d", "@u:d"]),
        ("%21r%3ad/%40u%3ad", ["!r:d", "@u:d"]),
        ("!a%2Fb/@a%2fb", ["!a/b", "@a/b"]),
        ("%252F/%2525", ["%2F", "%25"]),
        ("a+b/%2B+%20", ["a+b", "++ "]),
        ("%C3%A9/%F0%9F%90%88", ["é", "🐈"]),
        ("a&b=c;d/e,f", ["a&b=c;d", "e,f"]),
        ("%23x%3Ax%3F/[::1]:8448", ["#x:x?", "[::1]:8448"]),
        ("./..", [".", ".."]),
        ("%2E%2E/%00", ["..", "\0"]),
    ] {
        let answer = raw.ask(&format!("GET {join}/{path}"), "", "").await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        let (name, path_seen, _) = seen.lock().unwrap().take().unwrap();
        assert_eq!(
            (name.as_str(), path_seen),
            ("MakeJoin", parameters.map(str::to_owned).to_vec())
        );
    }
    for (path, status, errcode) in [
        ("%zz/u", 400, "M_INVALID_PARAM"),
        ("r/%", 400, "M_INVALID_PARAM"),
        ("r/%4", 400, "M_INVALID_PARAM"),
        ("%ff/u", 400, "M_INVALID_PARAM"),
        ("%ed%a0%80/u", 400, "M_INVALID_PARAM"),
        ("r%2Fu", 404, "M_UNRECOGNIZED"),
        ("/u", 404, "M_UNRECOGNIZED"),
        ("r//u", 404, "M_UNRECOGNIZED"),
        ("r/", 404, "M_UNRECOGNIZED"),
        ("r/u/", 404, "M_UNRECOGNIZED"),
        ("r/u/x", 404, "M_UNRECOGNIZED"),
    ] {
        let answer = raw.ask(&format!("GET {join}/{path}"), "", "").await;
        answer.assert(status, errcode, path);
    }
    for path in [
        "/_matrix/Federation/v1/version",
        "/_matrix/federation/v1/VERSION",
        "/_matrix/federation/v1/versi%6Fn",
        "/_matrix/federation/v1/../v1/version",
        "/_matrix/federation/./v1/version",
        "//_matrix/federation/v1/version",
        "/_matrix/federation/v1/version/",
    ] {
        raw.ask(&format!("GET {path}"), "", "")
            .await
            .assert(404, "M_UNRECOGNIZED", path);
    }
}

/// Old servers required the slash on these, and Synapse still tries again with it.
#[tokio::test]
async fn one_slash_behind_the_path_is_passed_over_where_servers_in_use_send_it() {
    let seen = Seen::default();
    let serving = Serving::tls(watching(&seen)).await;
    let mut raw = Raw::open(&serving).await;
    for (line, body) in [
        ("PUT /_matrix/federation/v1/send/1", r#"{"pdus":[]}"#),
        ("GET /_matrix/federation/v1/event/$e", ""),
        ("GET /_matrix/federation/v1/state/!r", ""),
        ("GET /_matrix/federation/v1/state_ids/!r", ""),
        ("GET /_matrix/federation/v1/backfill/!r", ""),
        ("GET /_matrix/key/v2/server", ""),
    ] {
        let query = if line.contains("/state") {
            "?event_id=$e"
        } else {
            ""
        };
        let query = if line.contains("backfill") {
            "?v=$e&limit=1"
        } else {
            query
        };
        for (slash, status) in [("", 200), ("/", 200), ("//", 404)] {
            let answer = raw.ask(&format!("{line}{slash}{query}"), "", body).await;
            assert_eq!(answer.status, status, "{line}{slash}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_query_keeps_order_and_repetition_and_reads_both_spaces() {
    let seen = Seen::default();
    let serving = Serving::tls(watching(&seen)).await;
    let mut raw = Raw::open(&serving).await;
    let backfill = "/_matrix/federation/v1/backfill/!r?limit=1&v=$e";
    for (query, more) in [
        (
            "&v=%24b&v=$a&v=%24b",
            vec![("v", "$b"), ("v", "$a"), ("v", "$b")],
        ),
        (
            "&x=a+b&x=a%20b&x=a%2Bb",
            vec![("x", "a b"), ("x", "a b"), ("x", "a+b")],
        ),
        ("&&x&y=&=z", vec![("x", ""), ("y", ""), ("", "z")]),
        ("&x=a=b?c/d", vec![("x", "a=b?c/d")]),
        ("&limit=2", vec![("limit", "2")]),
        ("&%78=%C3%A9", vec![("x", "é")]),
    ] {
        let answer = raw.ask(&format!("GET {backfill}{query}"), "", "").await;
        assert_eq!(answer.status, 200, "{query}: {answer:?}");
        let (_, _, all) = seen.lock().unwrap().take().unwrap();
        let more = more
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        assert_eq!(all[2..], more.collect::<Vec<_>>(), "{query}");
    }
    let backfill = "/_matrix/federation/v1/backfill/!r";
    let join = "/_matrix/federation/v2/send_join/!r/$e";
    for (line, errcode, named) in [
        (format!("GET {backfill}?limit=1"), "M_MISSING_PARAM", "`v`"),
        (format!("GET {backfill}?v=$e"), "M_MISSING_PARAM", "`limit`"),
        (format!("GET {backfill}"), "M_MISSING_PARAM", "`"),
        (
            format!("GET {backfill}?v=$e&limit=many"),
            "M_INVALID_PARAM",
            "`limit`",
        ),
        (
            format!("GET {backfill}?v=$e&limit=1.5"),
            "M_INVALID_PARAM",
            "`limit`",
        ),
        (
            format!("GET {backfill}?v=$e&limit="),
            "M_INVALID_PARAM",
            "`limit`",
        ),
        (
            format!("GET {backfill}?v=%ff&limit=1"),
            "M_INVALID_PARAM",
            "UTF-8",
        ),
        (
            format!("PUT {join}?omit_members=1"),
            "M_INVALID_PARAM",
            "`omit_members`",
        ),
        (
            format!("PUT {join}?omit_members=True"),
            "M_INVALID_PARAM",
            "`omit_members`",
        ),
        (
            format!("PUT {join}?omit_members="),
            "M_INVALID_PARAM",
            "`omit_members`",
        ),
    ] {
        let body = if line.starts_with("PUT") { "{}" } else { "" };
        let answer = raw.ask(&line, "", body).await;
        answer.assert(400, errcode, &line);
        assert!(answer.body.contains(named), "{line}: {answer:?}");
    }
    for boolean in ["true", "false"] {
        let answer = raw
            .ask(&format!("PUT {join}?omit_members={boolean}"), "", "{}")
            .await;
        assert_eq!(answer.status, 200, "{boolean}: {answer:?}");
    }
}

/// Whatever stands in an identifier, the other side reads the same, and the target is plain ASCII.
#[tokio::test]
async fn what_is_written_is_read_back_over_each_version_of_http() {
    let seen = Seen::default();
    let serving = Serving::tls(watching(&seen)).await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let client = serving.client(protocol);
        for text in [
            "!r:d",
            "a/b",
            "%2F",
            "+ +",
            "é🐈",
            "#?&=;",
            "<>`\"\\^{|}",
            "..",
            "\u{1}\u{7f}",
        ] {
            let request = MakeJoin {
                room_id: text.to_owned(),
                user_id: format!("@{text}"),
                versions: vec![text.to_owned(), "1".to_owned(), text.to_owned()],
                ..Default::default()
            };
            let _ = client.make_join(&destination(), request).await;
            let (_, path, query) = seen.lock().unwrap().take().unwrap();
            assert_eq!(path, [text.to_owned(), format!("@{text}")], "{protocol:?}");
            let values: Vec<&str> = query.iter().map(|(_, value)| value.as_str()).collect();
            assert_eq!(values, [text, "1", text], "{protocol:?}");
        }
    }
}

#[tokio::test]
async fn a_target_over_its_limit_is_refused_and_one_of_it_is_not() {
    let seen = Seen::default();
    let serving = Serving::tls(watching(&seen)).await;
    let mut raw = Raw::open(&serving).await;
    let target = |length: usize| {
        let start = "/_matrix/federation/v1/event/$";
        format!("{start}{}", "e".repeat(length - start.len()))
    };
    assert_eq!(
        raw.ask(&format!("GET {}", target(8192)), "", "")
            .await
            .status,
        200
    );
    for length in [8193, 20_000, 60_000] {
        let answer = raw.ask(&format!("GET {}", target(length)), "", "").await;
        answer.assert(414, "M_INVALID_PARAM", "a long target");
    }
}
