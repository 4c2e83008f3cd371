//! SS "Request Authentication", RFC 9110 §11.4 over TLS, row by row: which proofs are let in, and what answers the rest.

use std::sync::{Arc, atomic::Ordering};

use comity_core::auth::XMatrixAuthenticator;

use crate::{raw::Raw, setting::*, signing::*};

#[tokio::test]
async fn every_form_of_the_header_that_senders_use_is_let_in() {
    let let_in = Arc::default();
    let serving = serving(&let_in).await;
    let mut raw = Raw::open(&serving).await;
    let sig = Signing::default().sig();
    let usual = Signing::default().header();
    let second = Signing {
        key: "22",
        ..Default::default()
    }
    .header();
    let unknown = Signing {
        key: "55555",
        ..Default::default()
    }
    .header();
    let expired = Signing {
        key: "333",
        ..Default::default()
    }
    .header();
    let rows: Vec<(&str, Vec<String>)> = vec![
        ("Synapse's order", vec![usual.clone()]),
        (
            "the specification's order",
            vec![format!(
                r#"X-Matrix origin="a.example:8448",destination="matrix.test",key="ed25519:1",sig="{sig}""#
            )],
        ),
        (
            "unquoted values with colons, as SyTest sends them",
            vec![format!(
                "X-Matrix origin=a.example:8448,key=ed25519:1,sig={sig},destination=matrix.test"
            )],
        ),
        (
            "a scheme in small letters",
            vec![usual.replace("X-Matrix", "x-matrix")],
        ),
        (
            "several spaces",
            vec![usual.replace("X-Matrix ", "X-Matrix    ")],
        ),
        (
            "space around the signs",
            vec![usual.replace('=', " = ").replace(',', " ,\t")],
        ),
        (
            "names in capitals",
            vec![usual.replace("origin=", "ORIGIN=").replace("sig=", "Sig=")],
        ),
        (
            "a comma in quotes",
            vec![format!(r#"{usual},x="a,origin=evil""#)],
        ),
        (
            "escapes in quotes",
            vec![usual.replace("matrix.test", r"matri\x.te\st")],
        ),
        ("empty elements", vec![usual.replace(',', ",,") + ","]),
        ("a parameter without a value", vec![format!("{usual},foo")]),
        (
            "an unknown parameter",
            vec![format!("{usual},foo=bar,foo=baz")],
        ),
        (
            "no destination, as senders before v1.3",
            vec![usual.replace(r#",destination="matrix.test""#, "")],
        ),
        (
            "a padded signature",
            vec![usual.replace(&sig, &format!("{sig}=="))],
        ),
        (
            "another scheme before it",
            vec!["Bearer x".into(), usual.clone()],
        ),
        (
            "another scheme behind it",
            vec![usual.clone(), "Bearer x".into()],
        ),
        ("two keys of one origin", vec![usual.clone(), second]),
        (
            "a known key and an unknown one",
            vec![unknown, usual.clone()],
        ),
        ("a known key and an expired one", vec![expired, usual]),
    ];
    let count = rows.len();
    for (what, values) in rows {
        let answer = raw
            .ask(&format!("POST {MISSING}"), &lines(&values), ASK)
            .await;
        assert_eq!(answer.status, 200, "{what}: {answer:?}");
    }
    assert_eq!(let_in.load(Ordering::SeqCst), count);
}

#[tokio::test]
async fn what_proves_nothing_has_its_status() {
    let let_in = Arc::default();
    let serving = serving(&let_in).await;
    let mut raw = Raw::open(&serving).await;
    let sig = Signing::default().sig();
    let usual = Signing::default().header();
    let other = |signing: Signing<'_>| signing.header();
    let rows: Vec<(&str, Vec<String>, u16)> = vec![
        ("nothing", vec![], 401),
        ("another scheme", vec!["Bearer x".into()], 401),
        (
            "the scheme's name and more",
            vec![usual.replace("X-Matrix", "X-Matrix2")],
            401,
        ),
        (
            "another destination",
            vec![other(Signing {
                destination: "b.example",
                ..Default::default()
            })],
            401,
        ),
        (
            "an empty destination",
            vec![usual.replace("matrix.test", "")],
            401,
        ),
        (
            "our name over a signature for another destination",
            vec![
                other(Signing {
                    destination: "b.example",
                    ..Default::default()
                })
                .replace("b.example", "matrix.test"),
            ],
            401,
        ),
        (
            "our name in capitals",
            vec![other(Signing {
                destination: "MATRIX.test",
                ..Default::default()
            })],
            401,
        ),
        (
            "another server's signature",
            vec![
                other(Signing {
                    origin: "b.example",
                    ..Default::default()
                })
                .replace("b.example", "a.example:8448"),
            ],
            401,
        ),
        (
            "an origin without its port",
            vec![other(Signing {
                origin: "a.example",
                ..Default::default()
            })],
            401,
        ),
        (
            "another target",
            vec![other(Signing {
                uri: SEND,
                ..Default::default()
            })],
            401,
        ),
        (
            "the target escaped otherwise",
            vec![other(Signing {
                uri: "/_matrix/federation/v1/get_missing_events/%21r:d",
                ..Default::default()
            })],
            401,
        ),
        (
            "another method",
            vec![other(Signing {
                method: "PUT",
                ..Default::default()
            })],
            401,
        ),
        (
            "another content",
            vec![other(Signing {
                content: Some("{}"),
                ..Default::default()
            })],
            401,
        ),
        (
            "no content",
            vec![other(Signing {
                content: None,
                ..Default::default()
            })],
            401,
        ),
        (
            "an unknown key",
            vec![other(Signing {
                key: "55555",
                ..Default::default()
            })],
            401,
        ),
        (
            "an expired key",
            vec![other(Signing {
                key: "333",
                ..Default::default()
            })],
            401,
        ),
        (
            "keys that cannot be had",
            vec![other(Signing {
                origin: "nowhere.example",
                ..Default::default()
            })],
            401,
        ),
        (
            "one good signature and a wrong one",
            vec![
                usual.clone(),
                other(Signing {
                    key: "22",
                    uri: SEND,
                    ..Default::default()
                }),
            ],
            401,
        ),
        (
            "two origins",
            vec![
                usual.clone(),
                other(Signing {
                    origin: "b.example",
                    ..Default::default()
                }),
            ],
            400,
        ),
        (
            "a parameter twice",
            vec![format!("{usual},origin=a.example:8448")],
            400,
        ),
        (
            "a tab behind the scheme",
            vec![usual.replace("X-Matrix ", "X-Matrix\t")],
            400,
        ),
        (
            "an origin that is no server name",
            vec![usual.replace("a.example:8448", "localhost:http")],
            400,
        ),
        (
            "a key that is none",
            vec![usual.replace("ed25519:1", "ed25519")],
            400,
        ),
        (
            "a signature that is none",
            vec![usual.replace(&sig, "x")],
            400,
        ),
        (
            "no signature",
            vec![usual.replace("sig=", "signature=")],
            400,
        ),
        ("no key", vec![usual.replace("key=", "k=")], 400),
        ("no origin", vec![usual.replace("origin=", "o=")], 400),
        (
            "an open quote",
            vec![usual.trim_end_matches('"').to_owned()],
            400,
        ),
        ("the scheme alone", vec!["X-Matrix".into()], 400),
        ("two in one line", vec![format!("{usual}, {usual}")], 400),
    ];
    for (what, values, status) in rows {
        let answer = raw
            .ask(&format!("POST {MISSING}"), &lines(&values), ASK)
            .await;
        answer.assert(status, "M_UNAUTHORIZED", what);
    }
    assert_eq!(let_in.load(Ordering::SeqCst), 0);
    let answer = raw
        .ask(&format!("POST {MISSING}"), &lines(&[usual]), ASK)
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn a_server_that_is_not_let_in_is_forbidden() {
    let handler = handler(|_| async { panic!("it is not let in") });
    let authenticator =
        XMatrixAuthenticator::new(destination(), Arc::new(Keys)).with_allowed([name("b.example")]);
    let serving = screened(handler, authenticator).await;
    let mut raw = Raw::open(&serving).await;
    let header = Signing::default().header();
    let answer = raw
        .ask(&format!("POST {MISSING}"), &lines(&[header]), ASK)
        .await;
    answer.assert(403, "M_FORBIDDEN", "a server that is not on the list");
}

/// Size, credentials' syntax, origin, destination, body's syntax, signature, whether the origin is let in: of two faults the first is named.
#[tokio::test]
async fn of_two_faults_the_first_in_the_order_is_named() {
    let handler = handler(|_| async { panic!("nothing is right") });
    let authenticator =
        XMatrixAuthenticator::new(destination(), Arc::new(Keys)).with_allowed([name("b.example")]);
    let serving = screened(handler, authenticator).await;
    let mut raw = Raw::open(&serving).await;
    let usual = Signing::default().header();
    let malformed = usual.replace("ed25519:1", "ed25519");
    let elsewhere = usual.replace("matrix.test", "b.example");
    let wrong = Signing {
        uri: SEND,
        ..Default::default()
    }
    .header();
    let large = " ".repeat((1 << 20) + 1);
    let ask = format!("POST {MISSING}");
    let unknown = "POST /_matrix/federation/v1/nothing".to_owned();
    for (what, line, header, body, status, errcode) in [
        (
            "path, credential",
            &unknown,
            &malformed,
            "{",
            404,
            "M_UNRECOGNIZED",
        ),
        (
            "size, credential",
            &ask,
            &malformed,
            &large,
            413,
            "M_TOO_LARGE",
        ),
        (
            "credential, syntax",
            &ask,
            &malformed,
            "{",
            400,
            "M_UNAUTHORIZED",
        ),
        (
            "no credential, syntax",
            &ask,
            &"Bearer x".to_owned(),
            "{",
            401,
            "M_UNAUTHORIZED",
        ),
        (
            "destination, syntax",
            &ask,
            &elsewhere,
            "{",
            401,
            "M_UNAUTHORIZED",
        ),
        ("syntax, signature", &ask, &wrong, "{", 400, "M_NOT_JSON"),
        ("syntax, signature", &ask, &wrong, "[]", 400, "M_BAD_JSON"),
        (
            "signature, not let in",
            &ask,
            &wrong,
            ASK,
            401,
            "M_UNAUTHORIZED",
        ),
        ("not let in", &ask, &usual, ASK, 403, "M_FORBIDDEN"),
    ] {
        let answer = raw
            .ask(line, &lines(std::slice::from_ref(header)), body)
            .await;
        answer.assert(status, errcode, what);
    }
}

#[tokio::test]
async fn nothing_is_read_for_whoever_proves_nothing() {
    let let_in = Arc::default();
    let serving = serving(&let_in).await;
    for header in ["", "Authorization: X-Matrix origin=a.example\r\n"] {
        let mut raw = Raw::open(&serving).await;
        let began = std::time::Instant::now();
        raw.send(format!(
            "POST {MISSING} HTTP/1.1\r\nHost: x\r\n{header}Content-Length: 1000000\r\n\r\n"
        ))
        .await;
        // The body never comes.
        let answer = raw.answer().await.unwrap();
        assert!(matches!(answer.status, 400 | 401), "{answer:?}");
        assert!(began.elapsed() < std::time::Duration::from_secs(5));
    }
}
