//! A call that no row knows crosses every binding: method, target, content and signature as they were sent, and any successful body back.
//! Where it is not taken in, it is unrecognized.

use bytes::Bytes;
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
    prelude::{any, prop_oneof},
    sample::select,
    strategy::{BoxedStrategy, Just, Strategy},
};

use super::{Checked, OfBinding, Server, any_call, crossing::came_back, ensure, random, shown};
use crate::{
    AnySample, Bench, BodySample, Failure, ReplySample,
    bench::{
        Answer,
        credentials::{DESTINATION, ORIGIN, credential, key, name, over},
        runtime,
    },
    json,
};

/// Random calls.
const DRAWN: u32 = 48;

pub(super) const OF_BINDING: &[OfBinding] = &[
    super::of_binding("unknown operation", unknown_operation),
    super::of_binding("wrong method", wrong_method),
    taken_in("a call that no row knows", crosses),
    taken_in("a call that no row knows: not proven", not_proven),
    taken_in(
        "a call that no row knows: bytes are not signed",
        bytes_are_not_signed,
    ),
];

const fn taken_in(name: &'static str, check: fn(&Bench, &[AnySample]) -> Checked) -> OfBinding {
    OfBinding {
        name,
        check,
        server: Server::Open,
    }
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
        4 => json::object().prop_map(|object| Object::from_value(&object).map_or(Content::Absent, Content::Json)),
    ]
    .boxed()
}

fn call() -> BoxedStrategy<Unregistered> {
    (select(&METHODS[..]), target(), content())
        .prop_filter_map("no row knows it", |(method, target, content)| {
            let (op, _) = Operations::federation()
                .with_unregistered()
                .route(method, &target)
                .ok()?;
            let unknown = op == Unregistered::operation();
            Unregistered::new(method, target, content)
                .ok()
                .filter(|_| unknown)
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

fn crosses(bench: &Bench, _: &[AnySample]) -> Checked {
    let strategy = (call(), reply());
    random(
        bench,
        "a call without a row",
        DRAWN,
        &strategy,
        |(request, reply)| async move {
            let reply = ReplySample::Body(reply);
            let call = Call::new(name(DESTINATION), request.clone());
            let exchange = bench.exchange(call, Answer::Reply(reply.clone())).await?;
            let Some(seen) = &exchange.seen else {
                let outcome = shown(&exchange.outcome);
                return Err(format!("it did not arrive: {outcome}").into());
            };
            ensure!(
                seen.method == request.method()
                    && seen.target == request.target()
                    && &seen.parts.content == request.content()
                    && seen.request.same(&request)
                    && seen.origin == Some(name(ORIGIN)),
                "it arrived as {}",
                shown(seen)
            );
            came_back(&exchange, &reply)
        },
    )
}

fn request(method: &str, target: &str, content: Content) -> Result<Unregistered, String> {
    Unregistered::new(method, target, content).map_err(|error| error.to_string())
}

async fn is_refused(bench: &Bench, request: &Unregistered, credentials: &[String]) -> Checked {
    let mut context = CallContext::to(name(DESTINATION));
    for credential in credentials {
        context.credentials.push(credential.clone());
    }
    let form = request.write().map_err(|error| error.to_string())?;
    let call = Call::received(request.clone_box(), form, context);
    let answer = Answer::Reply(ReplySample::Message(Object::empty()));
    let exchange = bench.exchange_as_is(call, answer).await?;
    let refused = matches!(
        exchange.outcome,
        Err(Failure::Answer {
            http_status: 401,
            ..
        })
    );
    ensure!(
        refused && exchange.seen.is_none(),
        "with {credentials:?} it is answered {}",
        shown(&exchange.outcome)
    );
    Ok(())
}

/// Without a signature, or with one of something else.
fn not_proven(bench: &Bench, _: &[AnySample]) -> Checked {
    let asked = request("DELETE", "/_tuwunel/x?y=%", Content::Absent)?;
    let other = request("DELETE", "/_tuwunel/x?y=%25", Content::Absent)?;
    let form = other.write().map_err(|error| error.to_string())?;
    let wrong = credential(&form, ORIGIN, DESTINATION, &key()).to_header();
    runtime().block_on(async {
        is_refused(bench, &asked, &[]).await?;
        is_refused(bench, &asked, &[wrong]).await
    })
}

/// X-Matrix signs JSON only; a signature over the JSON that bytes look like is none of them.
fn bytes_are_not_signed(bench: &Bench, _: &[AnySample]) -> Checked {
    let bytes = Content::Opaque {
        content_type: "application/octet-stream".to_owned(),
        bytes: Bytes::from_static(b"{}"),
    };
    let asked = request("POST", "/x", bytes)?;
    let json = Content::Json(Object::empty());
    let header = over("POST", "/x", &json, ORIGIN, DESTINATION, &key()).to_header();
    runtime().block_on(is_refused(bench, &asked, &[header]))
}

async fn is_unrecognized(bench: &Bench, asked: Unregistered, status: u16) -> Checked {
    let what = format!("{} {}", asked.method(), asked.target());
    let call = Call::new(name(DESTINATION), asked);
    let answer = Answer::Reply(ReplySample::Message(Object::empty()));
    let exchange = bench.exchange(call, answer).await?;
    let refused = matches!(
        &exchange.outcome,
        Err(Failure::Answer { http_status, errcode, .. })
            if *http_status == status && errcode.as_deref() == Some("M_UNRECOGNIZED")
    );
    ensure!(
        refused && exchange.seen.is_none(),
        "{what} is answered {} and not {status} M_UNRECOGNIZED",
        shown(&exchange.outcome)
    );
    Ok(())
}

fn unknown_operation(bench: &Bench, _: &[AnySample]) -> Checked {
    for (method, target) in [
        ("GET", "/_tuwunel/x"),
        ("PUT", "/_matrix/federation/v9/send/1"),
        ("GET", "/_matrix/federation/unstable/org.example/%2F?a=b"),
        ("GET", "/_matrix/key/v2/org.example"),
        ("POST", "/_matrix/key/v9/query"),
        ("GET", "/"),
    ] {
        let asked = request(method, target, Content::Absent)?;
        runtime().block_on(is_unrecognized(bench, asked, 404))?;
    }
    Ok(())
}

/// Of every operation: no method is one of none.
fn wrong_method(bench: &Bench, samples: &[AnySample]) -> Checked {
    for sample in samples {
        let call = any_call(sample)?;
        let target = call
            .form()
            .ok_or("the call has no form")?
            .target()
            .to_owned();
        for method in ["DELETE", "PATCH"] {
            let asked = request(method, &target, Content::Absent)?;
            runtime().block_on(is_unrecognized(bench, asked, 405))?;
        }
    }
    Ok(())
}
