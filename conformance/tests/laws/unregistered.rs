//! A call that no row knows crosses every binding: method, target, content and signature as they were sent, and any successful body back.
//! Where it is not taken in, it is unrecognized everywhere.

use std::sync::OnceLock;

use bytes::Bytes;
use comity_conformance::{BodySample, Failure, ReplySample, json};
use comity_core::{
    Operations,
    call::{AnyRequest, Call, CallContext, Unregistered},
    endpoint::Content,
    json::Object,
};
use http::uri::PathAndQuery;
use proptest::{
    collection::vec,
    option,
    prelude::any,
    prop_assert_eq, prop_oneof,
    sample::select,
    strategy::{BoxedStrategy, Just, Strategy},
};

use crate::{
    credentials::{DESTINATION, ORIGIN, name},
    recorder::Answer,
    run::{cases, runtime},
    wire::{Wire, wires, wires_of},
};

/// Wires whose servers and gateways take in what they do not know.
fn open_wires() -> &'static [Wire] {
    static WIRES: OnceLock<Vec<Wire>> = OnceLock::new();
    WIRES.get_or_init(|| runtime().block_on(wires_of(taking())))
}

fn taking() -> Operations {
    Operations::federation().with_unregistered()
}

/// Methods that HTTP has, and some that it might have; case counts.
const METHODS: [&str; 10] = [
    "GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "M-SEARCH", "get", "X",
];

/// Where the rows' paths are not, or not yet.
const ROOTS: [&str; 10] = [
    "/",
    "//",
    "/_matrix",
    "/_matrix/federation/v1/",
    "/_matrix/federation/v3/send/",
    "/_matrix/federation/v1/version/",
    "/_matrix/federation/unstable/org.matrix.msc4370/extremities/",
    "/_matrix/key/v2/server//",
    "/_tuwunel/",
    "/.well-known/../",
];

/// Every byte that a target may have and HTTP's parser bears, and `%` in places where it makes no escape.
fn target() -> BoxedStrategy<String> {
    let piece = || {
        prop_oneof![
            4 => "[!$&'()*+,;=:@_~./a-zA-Z0-9-]{0,12}",
            2 => "%[0-9a-fA-F]{2}",
            1 => select(&["%", "%%", "%zz", "%2F", "%2f", "%00", "%FF", "%C0%AF", "/../", "/./", "//", "%2e%2e", "\"", "|", "[]", "{x}", "\\"][..])
                .prop_map(str::to_owned),
        ]
    };
    let text = || vec(piece(), 0..6).prop_map(|pieces| pieces.concat());
    (select(&ROOTS[..]), text(), option::of(text()))
        .prop_map(|(root, path, query)| match query {
            Some(query) => format!("{root}{path}?{query}"),
            None => format!("{root}{path}"),
        })
        .prop_filter("HTTP can carry it", |target| {
            PathAndQuery::try_from(target.as_str()).is_ok_and(|parsed| parsed.as_str() == target)
        })
        .boxed()
}

/// No body, or any object: floats and integers that no room version takes among its values.
fn content() -> BoxedStrategy<Content> {
    prop_oneof![
        1 => Just(Content::Absent),
        4 => json::object().prop_map(|object| Content::Json(Object::from_value(&object).unwrap())),
    ]
    .boxed()
}

fn call() -> BoxedStrategy<Unregistered> {
    (select(&METHODS[..]), target(), content())
        .prop_map(|(method, target, content)| Unregistered::new(method, target, content).unwrap())
        .prop_filter("no row knows it", |call| {
            let (op, _) = taking().route(call.method(), call.target()).unwrap();
            op == Unregistered::operation()
        })
        .boxed()
}

fn reply() -> BoxedStrategy<BodySample> {
    let statuses = select(&[200, 201, 202, 203, 206, 226, 299][..]);
    let types = select(&["application/json", "multipart/mixed; boundary=x", "a/b"][..]);
    let names = select(&["inline", "attachment; filename=\"x y\""][..]);
    let bytes = vec(vec(any::<u8>(), 0..64).prop_map(Bytes::from), 0..4);
    (statuses, option::of(types), option::of(names), bytes)
        .prop_map(|(status, content_type, name, pieces)| BodySample {
            status,
            content_type: content_type.map(str::to_owned),
            content_disposition: name.map(str::to_owned),
            pieces,
        })
        .boxed()
}

#[test]
fn a_call_that_no_row_knows_arrives_as_it_was_signed() {
    // Set up before a case runs: the runtime cannot wait for itself.
    let wires = open_wires();
    cases(
        "a call without a row",
        200,
        &(call(), reply()),
        |(request, reply)| async move {
            let reply = ReplySample::Body(reply);
            for wire in wires {
                let call = Call::new(name(DESTINATION), request.clone());
                let answer = Answer::Reply(reply.clone());
                let exchange = wire.exchange(call, answer).await;
                let Some(seen) = exchange.seen else {
                    panic!("{}: {request:?}: {:?}", wire.name, exchange.outcome);
                };
                prop_assert_eq!(&seen.method, request.method(), "over {}", wire.name);
                prop_assert_eq!(&seen.target, request.target(), "over {}", wire.name);
                prop_assert_eq!(&seen.parts.content, request.content(), "over {}", wire.name);
                assert!(seen.request.same(&request), "over {}", wire.name);
                prop_assert_eq!(seen.origin, Some(name(ORIGIN)), "over {}", wire.name);
                prop_assert_eq!(exchange.broken, None, "over {}", wire.name);
                prop_assert_eq!(exchange.outcome, Ok(reply.clone()), "over {}", wire.name);
            }
            Ok(())
        },
    );
}

#[test]
fn without_a_signature_or_with_one_of_something_else_it_is_refused() {
    let request = Unregistered::new("DELETE", "/_tuwunel/x?y=%", Content::Absent).unwrap();
    let other = Unregistered::new("DELETE", "/_tuwunel/x?y=%25", Content::Absent).unwrap();
    let form = other.write().unwrap();
    let key = crate::credentials::key();
    let wrong = crate::credentials::credential(&form, ORIGIN, DESTINATION, &key).to_header();
    for credentials in [vec![], vec![wrong]] {
        for wire in open_wires() {
            let mut context = CallContext::to(name(DESTINATION));
            for credential in &credentials {
                context.credentials.push(credential.clone());
            }
            let form = request.write().unwrap();
            let call = Call::received(request.clone_box(), form, context);
            let answer = Answer::Reply(ReplySample::Message(Object::empty()));
            let exchange = runtime().block_on(wire.exchange_as_is(call, answer));
            assert!(exchange.seen.is_none(), "over {}", wire.name);
            let Err(Failure::Answer { http_status, .. }) = exchange.outcome else {
                panic!("{}: {:?}", wire.name, exchange.outcome);
            };
            assert_eq!(http_status, 401, "over {}", wire.name);
        }
    }
}

#[test]
fn where_it_is_not_taken_in_it_is_unrecognized() {
    let wires = runtime().block_on(wires());
    for (method, target, status) in [
        ("GET", "/_tuwunel/x", 404),
        ("PUT", "/_matrix/federation/v3/send/1", 404),
        ("DELETE", "/_matrix/federation/v1/send/1", 405),
        ("POST", "/_matrix/federation/v1/version", 405),
    ] {
        let request = Unregistered::new(method, target, Content::Absent).unwrap();
        for wire in &wires {
            let call = Call::new(name(DESTINATION), request.clone());
            let answer = Answer::Reply(ReplySample::Message(Object::empty()));
            let exchange = runtime().block_on(wire.exchange(call, answer));
            assert!(exchange.seen.is_none(), "over {}", wire.name);
            let Err(Failure::Answer {
                http_status,
                errcode,
                ..
            }) = exchange.outcome
            else {
                panic!("{}: {:?}", wire.name, exchange.outcome);
            };
            let got = (http_status, errcode.as_deref());
            assert_eq!(got, (status, Some("M_UNRECOGNIZED")), "over {}", wire.name);
        }
    }
}

#[test]
fn bytes_do_not_pass_x_matrix() {
    let opaque = |content_type: &str, bytes: &'static [u8]| Content::Opaque {
        content_type: content_type.to_owned(),
        bytes: Bytes::from_static(bytes),
    };
    let request =
        Unregistered::new("POST", "/x", opaque("application/octet-stream", b"{}")).unwrap();
    // A signature over the JSON that the bytes look like.
    let json = Content::Json(Object::empty());
    let key = crate::credentials::key();
    let credential =
        crate::credentials::over("POST", "/x", &json, ORIGIN, DESTINATION, &key).to_header();
    for wire in open_wires() {
        let mut context = CallContext::to(name(DESTINATION));
        context.credentials.push(credential.clone());
        let form = request.write().unwrap();
        let call = Call::received(request.clone_box(), form, context);
        let answer = Answer::Reply(ReplySample::Message(Object::empty()));
        let exchange = runtime().block_on(wire.exchange_as_is(call, answer));
        assert!(exchange.seen.is_none(), "over {}", wire.name);
        let Err(Failure::Answer { http_status, .. }) = exchange.outcome else {
            panic!("{}: {:?}", wire.name, exchange.outcome);
        };
        assert_eq!(http_status, 401, "over {}", wire.name);
    }
}
