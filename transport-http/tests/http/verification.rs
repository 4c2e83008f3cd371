//! HTTP-RULES "request signing", "`X-Matrix` grammar" and "verification order", row by row over TLS: what is let in, and what answers the rest.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use comity_core::{
    CallService, ServerName,
    auth::{
        KeyFault, KeyId, KeySource, SignedRequest, SigningKey, Verify, VerifyKey,
        XMatrixAuthenticator,
    },
    call::{Message, Reply},
    json::Object,
};
use tower::Layer;

use crate::{raw::Raw, setting::*};

const MISSING: &str = "/_matrix/federation/v1/get_missing_events/!r:d";
const ASK: &str = r#"{"earliest_events":[],"latest_events":[]}"#;
const SEND: &str = "/_matrix/federation/v1/send/1";

fn name(text: &str) -> ServerName {
    text.parse().unwrap()
}

fn key(version: &str) -> SigningKey {
    SigningKey::from_seed(version, &[version.len() as u8; 32]).unwrap()
}

/// Two keys of one server, one that has expired, and a server that cannot be reached.
#[derive(Debug)]
struct Keys;

#[async_trait]
impl KeySource for Keys {
    async fn request_key(&self, server: &ServerName, id: &KeyId) -> Result<VerifyKey, KeyFault> {
        match (server.as_str(), id.as_str()) {
            ("a.example:8448", "ed25519:1") => Ok(key("1").verify_key()),
            ("a.example:8448", "ed25519:22") => Ok(key("22").verify_key()),
            ("a.example:8448", "ed25519:333") => Err(KeyFault::Expired),
            ("nowhere.example", _) => Err(KeyFault::Unreachable("no route".to_owned())),
            _ => Err(KeyFault::Unknown),
        }
    }
}

/// A server that lets in whoever proves its name, but for `barred.example`.
async fn serving(let_in: &Arc<AtomicUsize>) -> Serving {
    let let_in = let_in.clone();
    let handler = handler(move |_| {
        let_in.fetch_add(1, Ordering::SeqCst);
        async { Ok(Reply::Message(Message::from_content(Object::empty()))) }
    });
    let authenticator = XMatrixAuthenticator::new(destination(), Arc::new(Keys));
    Serving::tls(CallService::new(
        Verify::layer(Arc::new(authenticator)).layer(handler),
    ))
    .await
}

/// What is signed, good but for what a test changes.
struct Signing<'a> {
    method: &'a str,
    uri: &'a str,
    origin: &'a str,
    destination: &'a str,
    content: Option<&'a str>,
    key: &'a str,
}

impl Default for Signing<'_> {
    fn default() -> Self {
        Self {
            method: "POST",
            uri: MISSING,
            origin: "a.example:8448",
            destination: "matrix.test",
            content: Some(ASK),
            key: "1",
        }
    }
}

impl Signing<'_> {
    fn sig(&self) -> String {
        let origin = name(self.origin);
        let signed = SignedRequest {
            method: self.method,
            uri: self.uri,
            origin: &origin,
            destination: self.destination,
            content: self.content.map(str::as_bytes),
        };
        let header = signed.sign(&key(self.key)).to_header();
        header.split("sig=\"").nth(1).unwrap()[..86].to_owned()
    }

    fn header(&self) -> String {
        let (origin, destination, key) = (self.origin, self.destination, self.key);
        let sig = self.sig();
        format!(
            r#"X-Matrix origin="{origin}",key="ed25519:{key}",sig="{sig}",destination="{destination}""#
        )
    }
}

/// Authorization lines of a request.
fn lines(values: &[String]) -> String {
    let lines = values
        .iter()
        .map(|value| format!("Authorization: {value}\r\n"));
    lines.collect()
}

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
    let serving = Serving::tls(CallService::new(
        Verify::layer(Arc::new(authenticator)).layer(handler),
    ))
    .await;
    let mut raw = Raw::open(&serving).await;
    let header = Signing::default().header();
    let answer = raw
        .ask(&format!("POST {MISSING}"), &lines(&[header]), ASK)
        .await;
    answer.assert(403, "M_FORBIDDEN", "a server that is not on the list");
}

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
