//! What others answer: malformed, deep, without end, a success that is none, an endpoint that is not there.

use std::time::Duration;

use bytes::Bytes;
use comity_core::error::{BODY_LIMIT, ErrorKind, ErrorOrigin, ErrorParts, FederationError};

use crate::{assert_round_trip, http};

#[test]
fn malformed_answers_become_errors_with_status_and_body() {
    let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
    let bodies = [
        r#""""#,
        "{}",
        "null",
        "17",
        "[]",
        "",
        " ",
        r#"{"error":"You are not here"}"#,
        r#"{"message":"bad authentication"}"#,
        r#"{"errcode":404,"error":"x"}"#,
        r#"{"errcode":null}"#,
        r#"{"errcode":{"errcode":"M_FORBIDDEN"}}"#,
        r#"{"errcode":"M_FORBIDDEN""#,
        r#"{"errcode":"M_FORBIDDEN"} trailing"#,
        "<html><body><h1>502 Bad Gateway</h1></body></html>",
        "Not found",
        "\u{feff}{\"errcode\":\"M_FORBIDDEN\"}",
        &deep,
    ];
    for body in bodies {
        let error = http(400, body);
        assert_eq!(error.errcode(), None, "{body:.40}");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert_eq!(error.body(), body.as_bytes());
        assert_eq!(error.origin(), &ErrorOrigin::Intermediary);
        assert!(!error.to_string().is_empty());
        assert_round_trip(&error);
    }
    assert_eq!(
        http(400, r#"{"message":"bad authentication"}"#).message(),
        "bad authentication"
    );
    assert_eq!(
        http(400, r#"{"error":"You are not here"}"#).message(),
        "You are not here"
    );
    let latin =
        FederationError::from_http(500, None, Bytes::from_static(b"{\"errcode\":\"M_\xe9\"}"));
    assert_eq!(latin.errcode(), None);
    assert_round_trip(&latin);
}

#[test]
fn deep_nesting_neither_overflows_nor_hides_the_errcode() {
    let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
    let error = http(
        403,
        &format!(r#"{{"deep":{deep},"errcode":"M_FORBIDDEN","error":"no"}}"#),
    );
    assert_eq!(error.errcode(), Some("M_FORBIDDEN"));
    let error = http(403, &format!(r#"{{"errcode":{deep}}}"#));
    assert_eq!(error.errcode(), None);
    let error = http(403, &"{\"a\":".repeat(10_000));
    assert_eq!(error.errcode(), None);
}

#[test]
fn bodies_are_cut_at_the_limit() {
    let long = format!(
        r#"{{"errcode":"M_FORBIDDEN","error":"{}"}}"#,
        "é".repeat(BODY_LIMIT)
    );
    let error = http(403, &long);
    assert_eq!(error.body(), &long.as_bytes()[..BODY_LIMIT]);
    assert_eq!(error.errcode(), None);
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert_round_trip(&error);

    let ours = FederationError::new(500, "M_UNKNOWN", "\u{1}".repeat(1 << 20));
    assert!(ours.body().len() <= BODY_LIMIT);
    let ours = ours.with_string("a", &"b".repeat(BODY_LIMIT));
    assert_round_trip(&ours);
    let full = ours
        .with_string("a", &"b".repeat(BODY_LIMIT - 12 - 49 * 1024))
        .with_string("c", &"d".repeat(80_000));
    assert_round_trip(&full.with_retry_after(Duration::from_millis(1500)));
}

#[test]
fn a_success_is_never_an_error_on_the_wire() {
    for status in [0, 100, 200, 201, 204, 299, 1000, u16::MAX] {
        assert_eq!(
            http(status, r#"{"errcode":"M_UNKNOWN"}"#).http_status(),
            502,
            "{status}"
        );
        assert_eq!(http(status, "").http_status(), 502, "{status}");
        let parts = ErrorParts {
            http_status: status,
            ..http(500, "").parts()
        };
        assert_eq!(FederationError::from_parts(parts).http_status(), 502);
        assert_eq!(
            FederationError::new(status, "M_UNKNOWN", "").http_status(),
            500
        );
    }
    assert_eq!(http(202, "").http_status(), 202);
    assert_eq!(http(202, "{}").http_status(), 502);
    // An empty 202 whose binding claims an errcode would get a body.
    let parts = ErrorParts {
        errcode: Some("M_X".into()),
        ..http(202, "").parts()
    };
    assert_eq!(FederationError::from_parts(parts).http_status(), 502);
}

#[test]
fn unknown_endpoints_are_told_by_status_and_body() {
    for (status, body, unknown) in [
        (404, "", true),
        (405, "", true),
        (404, r#""""#, true),
        (404, "404 page not found", true),
        (404, r#"{"errcode":"M_UNRECOGNIZED"}"#, true),
        (405, r#"{"errcode":"M_UNRECOGNIZED"}"#, true),
        (400, r#"{"errcode":"M_UNRECOGNIZED"}"#, true),
        (404, r#"{"errcode":"M_NOT_FOUND"}"#, false),
        (404, "{}", false),
        (400, "", false),
        (403, r#"{"errcode":"M_UNRECOGNIZED"}"#, false),
        (500, "", false),
    ] {
        assert_eq!(
            http(status, body).is_unknown_endpoint(),
            unknown,
            "{status} {body}"
        );
    }
    assert_ne!(http(404, "").kind(), ErrorKind::Unimplemented);
}
