//! What is wrong with a request before its parameters are read: method, target and body. HTTP carries it, and so does `Invoke`.

use bytes::Bytes;
use comity_core::{
    api::operations,
    endpoint::{EndpointForm, TrailingSlash, split_target, target::TARGET_LIMIT},
};

use super::{Expected, Subject};

/// A request that is no call.
pub(super) struct Fault {
    pub(super) what: String,
    pub(super) method: String,
    pub(super) target: String,
    pub(super) body: Option<Bytes>,
    pub(super) expected: Expected,
}

/// Bodies that are no JSON.
const NOT_JSON: [&[u8]; 9] = [
    b"{",
    b"{\"a\":1}x",
    b"nul",
    b"{\"a\":\"\xff\"}",
    b"{\"a\":\"\\ud800\"}",
    b"\xef\xbb\xbf{}",
    b"{\"a\":01}",
    b"{'a':1}",
    b"<html></html>",
];

/// Bodies that are JSON, but no object.
const NO_OBJECT: [&[u8]; 5] = [b"[]", b"\"{}\"", b"null", b"1", b"[{}]"];

/// Every fault of a request that is good but for one thing. What is another operation's method or target is no fault.
pub(super) fn faults(subject: &Subject, good: &EndpointForm, body: &Option<Bytes>) -> Vec<Fault> {
    let targets = of_target(subject, good).into_iter();
    let unserved = targets.filter(|(_, target, expected)| {
        expected.errcode != "M_UNRECOGNIZED" || serving(target).next().is_none()
    });
    let with_target = unserved.map(|(what, target, expected)| Fault {
        what,
        method: good.method().to_owned(),
        target,
        body: body.clone(),
        expected,
    });
    let mut faults: Vec<Fault> = with_target.collect();
    let others = ["GET", "PUT", "POST", "DELETE", "PATCH"];
    let served: Vec<&str> = serving(good.target()).collect();
    for method in others.iter().filter(|method| !served.contains(method)) {
        faults.push(Fault {
            what: format!("method {method}"),
            method: (*method).to_owned(),
            target: good.target().to_owned(),
            body: body.clone(),
            expected: Expected::new(405, "M_UNRECOGNIZED", "method"),
        });
    }
    for (what, body, expected) in of_body(subject) {
        faults.push(Fault {
            what,
            method: good.method().to_owned(),
            target: good.target().to_owned(),
            body: Some(body),
            expected,
        });
    }
    faults
}

/// The methods that the path of this target is served by.
fn serving(target: &str) -> impl Iterator<Item = &'static str> {
    let (path, _) = split_target(target);
    let spellings = operations().into_iter().flat_map(|op| {
        let others = op.alternatives().iter();
        let others = others.map(move |other| (op, other.method, &other.path));
        std::iter::once((op, op.method(), op.path())).chain(others)
    });
    spellings
        .filter(move |(op, _, template)| template.matches(path, op.trailing_slash()).is_some())
        .map(|(_, method, _)| method)
}

fn of_target(subject: &Subject, good: &EndpointForm) -> Vec<(String, String, Expected)> {
    let (path, query) = split_target(good.target());
    let pieces: Vec<&str> = path.split('/').collect();
    let with = |path: String| match query {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let unknown = || Expected::new(404, "M_UNRECOGNIZED", "Unrecognized");
    let mut faults = vec![
        (
            "a longer path".to_owned(),
            with(format!("{path}/x")),
            unknown(),
        ),
        (
            "two slashes behind the path".to_owned(),
            with(format!("{path}//")),
            unknown(),
        ),
        (
            "a slash doubled".to_owned(),
            with(path.replacen('/', "//", 1)),
            unknown(),
        ),
        (
            "a path in capitals".to_owned(),
            with(path.replacen("_matrix", "_MATRIX", 1)),
            unknown(),
        ),
        (
            "an escape in a literal".to_owned(),
            with(path.replacen("_matrix", "%5fmatrix", 1)),
            unknown(),
        ),
    ];
    if subject.operation.trailing_slash() == TrailingSlash::Refuse {
        let target = with(format!("{path}/"));
        faults.push(("a slash behind the path".to_owned(), target, unknown()));
    }
    let template = subject.operation.path().as_str().split('/');
    for (at, name) in template
        .enumerate()
        .filter(|(_, name)| name.starts_with('{'))
    {
        let with_piece = |piece: &str| {
            let mut pieces = pieces.clone();
            pieces[at] = piece;
            with(pieces.join("/"))
        };
        faults.push((format!("`{name}` is empty"), with_piece(""), unknown()));
        for (bad, why) in [
            ("%", "percent"),
            ("a%zz", "percent"),
            ("%f", "percent"),
            ("%ff", "UTF-8"),
        ] {
            let expected = Expected::new(400, "M_INVALID_PARAM", why);
            faults.push((format!("`{name}` is {bad}"), with_piece(bad), expected));
        }
    }
    let and = if query.is_some() { '&' } else { '?' };
    for (bad, why) in [("x=%zz", "percent"), ("%=1", "percent"), ("x=%ff", "UTF-8")] {
        let target = format!("{}{and}{bad}", good.target());
        let expected = Expected::new(400, "M_INVALID_PARAM", why);
        faults.push((format!("the query has {bad}"), target, expected));
    }
    let long = format!("{}{and}x={}", good.target(), "x".repeat(TARGET_LIMIT));
    let expected = Expected::new(414, "M_INVALID_PARAM", "8192");
    faults.push(("a target over its limit".to_owned(), long, expected));
    faults
}

fn of_body(subject: &Subject) -> Vec<(String, Bytes, Expected)> {
    let mut faults = Vec::new();
    for body in NOT_JSON {
        let expected = Expected::new(400, "M_NOT_JSON", "at byte");
        faults.push((text(body), Bytes::from_static(body), expected));
    }
    for body in NO_OBJECT {
        let expected = Expected::new(400, "M_BAD_JSON", "object");
        faults.push((text(body), Bytes::from_static(body), expected));
    }
    let limit = subject.operation.spec().limits.request;
    let large = format!("{{\"x\":\"{}\"}}", "x".repeat(limit));
    faults.push((
        "a body over its limit".to_owned(),
        large.into(),
        Expected {
            also: Some("limits.request"),
            ..Expected::new(413, "M_TOO_LARGE", limit.to_string())
        },
    ));
    faults
}

fn text(body: &[u8]) -> String {
    format!("the body is {}", String::from_utf8_lossy(body))
}
