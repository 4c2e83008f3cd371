//! SS "Request Authentication" over TLS: what a signature covers, of method, target and content, and what it does not.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use crate::{raw::Raw, signing::*};

#[tokio::test]
async fn the_content_is_judged_and_its_media_type_is_not() {
    let let_in = Arc::default();
    let serving = serving(&let_in).await;
    let mut raw = Raw::open(&serving).await;
    let line = format!("POST {MISSING}");
    let signed = lines(&[Signing::default().header()]);
    for media_type in [
        "",
        "application/json",
        "application/json; charset=utf-8",
        "text/plain",
        "application/x-www-form-urlencoded",
        "nonsense",
        "\u{e9}",
    ] {
        let headers = format!("{signed}Content-Type: {media_type}\r\n");
        let answer = raw.ask(&line, &headers, ASK).await;
        assert_eq!(answer.status, 200, "{media_type}: {answer:?}");
    }
    let many = |list: &str, count: usize| {
        let items = vec!["{}"; count].join(",");
        match list {
            "pdus" => format!(r#"{{"pdus":[{items}]}}"#),
            _ => format!(r#"{{"{list}":[{items}],"pdus":[]}}"#),
        }
    };
    for (what, body, errcode) in [
        ("broken", "{".as_bytes().to_vec(), "M_NOT_JSON"),
        ("no UTF-8", b"{\"a\":\"\xff\"}".to_vec(), "M_NOT_JSON"),
        ("a byte order mark", "\u{feff}{}".into(), "M_NOT_JSON"),
        ("a lone surrogate", r#"{"a":"\udc00"}"#.into(), "M_NOT_JSON"),
        ("no object", "[]".into(), "M_BAD_JSON"),
        ("null", "null".into(), "M_BAD_JSON"),
        ("51 PDUs", many("pdus", 51).into(), "M_BAD_JSON"),
        ("101 EDUs", many("edus", 101).into(), "M_BAD_JSON"),
    ] {
        let answer = raw.ask(&format!("PUT {SEND}"), &signed, &body).await;
        answer.assert(400, errcode, what);
    }
    for (list, count) in [("pdus", 50), ("edus", 100)] {
        let body = many(list, count);
        let signing = Signing {
            method: "PUT",
            uri: SEND,
            content: Some(&body),
            ..Default::default()
        };
        let headers = lines(&[signing.header()]);
        let answer = raw.ask(&format!("PUT {SEND}"), &headers, &body).await;
        assert_eq!(answer.status, 200, "{count} {list}: {answer:?}");
    }
}

/// Senders write JSON as they like; the signature covers its canonical form, with numbers as they stand.
#[tokio::test]
async fn the_signature_covers_the_canonical_content() {
    let let_in = Arc::default();
    let serving = serving(&let_in).await;
    let mut raw = Raw::open(&serving).await;
    for (sent, signed) in [
        (
            r#" { "latest_events" : [ ], "earliest_events":[] }"#,
            r#"{"earliest_events":[],"latest_events":[]}"#,
        ),
        (
            r#"{"latest_events":[],"earliest_events":[],"x":"\u00e9\/\u000a"}"#,
            "{\"earliest_events\":[],\"latest_events\":[],\"x\":\"é/\\n\"}",
        ),
        (
            r#"{"earliest_events":[],"latest_events":[],"x":[-0,1.1,123456789012345678901]}"#,
            r#"{"earliest_events":[],"latest_events":[],"x":[0,1.1,123456789012345678901]}"#,
        ),
        (
            r#"{"earliest_events":[],"latest_events":[],"x":1,"x":2}"#,
            r#"{"earliest_events":[],"latest_events":[],"x":2}"#,
        ),
        (
            r#"{"earliest_events":[],"latest_events":[],"signatures":{"a":{}},"unsigned":{"age":1}}"#,
            r#"{"earliest_events":[],"latest_events":[],"signatures":{"a":{}},"unsigned":{"age":1}}"#,
        ),
    ] {
        let signing = Signing {
            content: Some(signed),
            ..Default::default()
        };
        let headers = lines(&[signing.header()]);
        let answer = raw.ask(&format!("POST {MISSING}"), &headers, sent).await;
        assert_eq!(answer.status, 200, "{sent}: {answer:?}");
    }
}

/// An empty body is verified without content first, then with an empty object: senders in use do either.
#[tokio::test]
async fn an_empty_body_is_verified_without_content_and_with_an_empty_object() {
    let let_in: Arc<AtomicUsize> = Arc::default();
    let serving = serving(&let_in).await;
    let mut raw = Raw::open(&serving).await;
    // The one operation whose content has no member that must be there.
    let event = "/_matrix/federation/v2/send_join/!r:d/$e";
    for (content, expected) in [
        (None, true),
        (Some("{}"), true),
        (Some(r#"{"a":1}"#), false),
    ] {
        let signing = Signing {
            method: "PUT",
            uri: event,
            content,
            ..Default::default()
        };
        let headers = lines(&[signing.header()]);
        let answer = raw.ask(&format!("PUT {event}"), &headers, "").await;
        match expected {
            true => assert_eq!(answer.status, 200, "{content:?}: {answer:?}"),
            false => answer.assert(401, "M_UNAUTHORIZED", "another content"),
        }
    }
    // A body that is there is what it is: signed without content it proves nothing.
    for (content, status) in [(Some("{}"), 200), (None, 401)] {
        let signing = Signing {
            method: "PUT",
            uri: event,
            content,
            ..Default::default()
        };
        let headers = lines(&[signing.header()]);
        let answer = raw.ask(&format!("PUT {event}"), &headers, "{}").await;
        assert_eq!(answer.status, status, "{content:?}: {answer:?}");
    }
    // Nor has a GET an empty object.
    let get = "/_matrix/federation/v1/event/$e";
    for (content, status) in [(None, 200), (Some("{}"), 401)] {
        let signing = Signing {
            method: "GET",
            uri: get,
            content,
            ..Default::default()
        };
        let answer = raw
            .ask(&format!("GET {get}"), &lines(&[signing.header()]), "")
            .await;
        assert_eq!(answer.status, status, "{content:?}: {answer:?}");
    }
}

#[tokio::test]
async fn head_is_answered_as_get_and_signed_as_head() {
    let let_in = Arc::default();
    let serving = serving(&let_in).await;
    let mut raw = Raw::open(&serving).await;
    let uri = "/_matrix/federation/v1/event/$e";
    for (method, status) in [("HEAD", 200), ("GET", 401)] {
        let signing = Signing {
            method,
            uri,
            content: None,
            ..Default::default()
        };
        let headers = lines(&[signing.header()]);
        let answer = raw.ask(&format!("HEAD {uri}"), &headers, "").await;
        assert_eq!(answer.status, status, "signed as {method}: {answer:?}");
        assert!(
            answer
                .header("content-length")
                .is_some_and(|length| length != "0")
        );
    }
    assert_eq!(let_in.load(Ordering::SeqCst), 1);
}

/// The target is verified as it came: every spelling of it, signed as it is spelt.
#[tokio::test]
async fn every_spelling_of_a_target_is_verified_as_it_came() {
    let let_in = Arc::default();
    let serving = serving(&let_in).await;
    let mut raw = Raw::open(&serving).await;
    for uri in [
        "/_matrix/federation/v1/event/$e",
        "/_matrix/federation/v1/event/%24e",
        "/_matrix/federation/v1/event/%24e?",
        "/_matrix/federation/v1/event/$e?x=a+b&x=%20&&y",
        "/_matrix/federation/v1/event/$e/",
        "/_matrix/federation/v1/event/%24%2F+%2f",
    ] {
        let signing = Signing {
            method: "GET",
            uri,
            content: None,
            ..Default::default()
        };
        let answer = raw
            .ask(&format!("GET {uri}"), &lines(&[signing.header()]), "")
            .await;
        assert_eq!(answer.status, 200, "{uri}: {answer:?}");
    }
    // Behind a proxy that writes the whole URL, the target is still path and query.
    let uri = "/_matrix/federation/v1/event/$e";
    let signing = Signing {
        method: "GET",
        uri,
        content: None,
        ..Default::default()
    };
    let headers = lines(&[signing.header()]);
    let answer = raw
        .ask(&format!("GET https://matrix.test{uri}"), &headers, "")
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    // A fragment is nothing that a client may send. The parser drops it, and what was signed is then not what came.
    let signing = Signing {
        method: "GET",
        uri: &format!("{uri}#x"),
        content: None,
        ..Default::default()
    };
    let answer = raw
        .ask(&format!("GET {uri}#x"), &lines(&[signing.header()]), "")
        .await;
    answer.assert(401, "M_UNAUTHORIZED", "a fragment");
}

#[tokio::test]
async fn an_operation_that_needs_no_proof_ignores_a_wrong_one() {
    let let_in = Arc::default();
    let serving = serving(&let_in).await;
    let mut raw = Raw::open(&serving).await;
    let wrong = [
        vec!["X-Matrix origin=".to_owned()],
        vec![
            Signing {
                destination: "b.example",
                ..Default::default()
            }
            .header(),
        ],
    ];
    for values in wrong {
        for target in ["/_matrix/key/v2/server", "/_matrix/federation/v1/version"] {
            let answer = raw.ask(&format!("GET {target}"), &lines(&values), "").await;
            assert_eq!(answer.status, 200, "{target}: {answer:?}");
        }
    }
}

/// The limit that docs/http-binding.md states: a signature holds no time and no nonce. What is signed once is let in again, on any connection, and nothing else is.
#[tokio::test]
async fn a_signed_request_can_be_repeated_as_it_is_and_not_otherwise() {
    let let_in: Arc<AtomicUsize> = Arc::default();
    let serving = serving(&let_in).await;
    let uri = "/_matrix/federation/v1/event/$e";
    let signing = Signing {
        method: "GET",
        uri,
        content: None,
        ..Default::default()
    };
    let seen = lines(&[signing.header()]);
    for _ in 0..3 {
        let mut raw = Raw::open(&serving).await;
        let answer = raw.ask(&format!("GET {uri}"), &seen, "").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        for (line, body) in [
            ("GET /_matrix/federation/v1/event/$f".to_owned(), ""),
            (format!("GET {uri}?x"), ""),
            (format!("POST {MISSING}"), ASK),
        ] {
            let answer = raw.ask(&line, &seen, body).await;
            answer.assert(401, "M_UNAUTHORIZED", &line);
        }
    }
    assert_eq!(let_in.load(Ordering::SeqCst), 3);
}
