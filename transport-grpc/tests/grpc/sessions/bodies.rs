//! What was not signed is checked as strictly as what was: every message has the same verdict under a session as under X-Matrix.

use bytes::Bytes;
use comity_proto as pb;
use prost::Message;

use super::setting::*;
use crate::wire::framed;

const PATH: &str = "/_matrix/federation/v1/send/t";

/// What is sent, and what a signature over it would cover.
struct Case {
    what: &'static str,
    rpc: &'static str,
    method: &'static str,
    uri: &'static str,
    /// The content that the message stands for, if it stands for any.
    content: Option<&'static str>,
    body: Bytes,
    /// Errcode and status; none if it is let in.
    expected: Option<(&'static str, u32)>,
}

fn send(change: impl FnOnce(&mut pb::SendTransactionRequest)) -> Bytes {
    let mut message = pb::SendTransactionRequest {
        transaction_id: "t".to_owned(),
        pdus: Some(pb::JsonList::default()),
        ..Default::default()
    };
    change(&mut message);
    framed(&[message.encode_to_vec().into()])
}

fn pdu(text: &'static str) -> Bytes {
    send(|it| {
        it.pdus = Some(pb::JsonList {
            items: vec![text.into()],
        });
    })
}

fn invoke(target: &str, content: Option<&'static str>) -> Bytes {
    let message = pb::InvokeRequest {
        method: "PUT".to_owned(),
        target: target.to_owned().into(),
        content: content.map(Bytes::from),
        ..Default::default()
    };
    framed(&[message.encode_to_vec().into()])
}

const SEND: &str = "Transactions/SendTransaction";
const INVOKE: &str = "Invocation/Invoke";
const BAD: Option<(&str, u32)> = Some(("M_BAD_JSON", 400));

fn typed(what: &'static str, body: Bytes) -> Case {
    Case {
        what,
        rpc: SEND,
        method: "PUT",
        uri: PATH,
        content: Some(r#"{"pdus":[]}"#),
        body,
        expected: BAD,
    }
}

fn cases() -> Vec<Case> {
    let good = send(|_| ());
    let two = [good.clone(), good.clone()].concat();
    let large = " ".repeat(17 << 20);
    let mut compressed = good.to_vec();
    compressed[0] = 1;
    vec![
        Case {
            expected: None,
            ..typed("a good message", good.clone())
        },
        Case {
            expected: Some(("M_MISSING_PARAM", 400)),
            content: None,
            ..typed(
                "no content at all",
                send(|it| {
                    it.pdus = None;
                    it.no_content = true;
                }),
            )
        },
        typed(
            "a member that stands twice, in a field and beside it",
            send(|it| it.extra_json = "{\"pdus\":[]}".into()),
        ),
        typed(
            "a member that stands twice beside the fields",
            send(|it| it.extra_json = "{\"x\":1,\"x\":2}".into()),
        ),
        typed(
            "members that are not sorted",
            send(|it| it.extra_json = "{\"y\":1,\"x\":2}".into()),
        ),
        typed(
            "members with a space",
            send(|it| it.extra_json = "{\"x\": 1}".into()),
        ),
        typed(
            "members that break off",
            send(|it| it.extra_json = "{\"x\":1".into()),
        ),
        typed(
            "members that are no object",
            send(|it| it.extra_json = "[]".into()),
        ),
        typed("an event with another beside it", pdu("{},{}")),
        typed("an event that closes the list", pdu("1],\"x\":[1")),
        typed("an event that is nothing", pdu("")),
        typed("an event with a space", pdu("{ }")),
        typed("an event with a member twice", pdu(r#"{"a":1,"a":2}"#)),
        typed("an event that is not sorted", pdu(r#"{"b":1,"a":2}"#)),
        typed("a number in another writing", pdu(r#"{"a":-0}"#)),
        typed("a needless escape", pdu(r#"{"a":"\u0041"}"#)),
        typed("half a surrogate", pdu(r#"{"a":"\ud800"}"#)),
        typed(
            "bytes that are no UTF-8",
            send(|it| it.extra_json = Bytes::from_static(b"{\"a\":\"\xff\"}")),
        ),
        typed("two messages", two.into()),
        typed("no message", Bytes::new()),
        typed("a message that breaks off", good.slice(..good.len() - 1)),
        typed("a message that is none", framed(&["\u{7}".into()])),
        Case {
            expected: Some(("Unimplemented", 0)),
            ..typed("a compressed message", compressed.into())
        },
        Case {
            expected: Some(("M_TOO_LARGE", 413)),
            ..typed("a message over the limit", framed(&[large.into()]))
        },
        Case {
            uri: "/_matrix/federation/v1/send/other",
            expected: Some(("M_UNAUTHORIZED", 401)),
            ..typed("a target that is not the message's", good.clone())
        },
        Case {
            uri: "/_matrix/federation/v1/send/t?x=1",
            expected: Some(("M_UNAUTHORIZED", 401)),
            ..typed("a query that is not the message's", good.clone())
        },
        Case {
            method: "POST",
            expected: Some(("M_UNAUTHORIZED", 401)),
            ..typed("a method that is not the message's", good)
        },
        Case {
            rpc: INVOKE,
            expected: None,
            ..typed(
                "the same through Invoke",
                invoke(PATH, Some(r#"{"pdus":[]}"#)),
            )
        },
        Case {
            rpc: INVOKE,
            expected: Some(("M_UNAUTHORIZED", 401)),
            ..typed(
                "another target in the message",
                invoke("/_matrix/federation/v1/send/other", Some(r#"{"pdus":[]}"#)),
            )
        },
    ]
}

#[tokio::test]
async fn what_was_not_signed_is_checked_as_strictly_as_what_was() {
    let homeserver = Homeserver::new();
    let serving = homeserver.start().await;
    for case in cases() {
        let metadata = metadata(case.method, case.uri);
        let signed = signed(("a.test", 1), case.method, case.uri, case.content);
        let peer = Peer::new(&serving);
        let send = async |proof: &dyn Fn(&comity_net::ConnectionInfo) -> String| {
            let own = |info: &_| credential(&proof(info));
            peer.send(case.rpc, &metadata, case.body.clone(), own).await
        };
        let by_signature = send(&|_| signed.clone()).await;
        let by_session = send(&|info| session_on(info, "a.test", 1)).await;
        assert_eq!(by_session, by_signature, "{}", case.what);
        let expected = case
            .expected
            .map(|(errcode, status)| (errcode.to_owned(), status));
        assert_eq!(by_session, expected, "{}", case.what);
        let schemes: Vec<_> = homeserver.arrivals().iter().map(|it| it.scheme).collect();
        match case.expected {
            None => assert_eq!(schemes, ["X-Matrix", "session"], "{}", case.what),
            Some(_) => assert!(schemes.is_empty(), "{}", case.what),
        }
    }
}
