//! The error model: the mapping of every row, malformed answers, and the round trip over parts.

use std::{error::Error as _, time::Duration};

use bytes::Bytes;
use comity_core::error::{
    BODY_LIMIT, CallError, DEFAULT_RETRY_AFTER, Delivery, ErrorKind, ErrorOrigin, ErrorParts,
    FederationError, MAX_RETRY_AFTER, Retry, TransportError, TransportErrorKind,
};
use proptest::prelude::*;

const WAIT: Retry = Retry::After(DEFAULT_RETRY_AFTER);

/// errcode, usual statuses, kind, retry.
const ERRCODES: &[(&str, &[u16], ErrorKind, Retry)] = &[
    (
        "M_UNAUTHORIZED",
        &[401, 400],
        ErrorKind::Unauthenticated,
        Retry::No,
    ),
    (
        "M_MISSING_TOKEN",
        &[401],
        ErrorKind::Unauthenticated,
        Retry::No,
    ),
    (
        "M_UNKNOWN_TOKEN",
        &[401],
        ErrorKind::Unauthenticated,
        Retry::No,
    ),
    (
        "M_FORBIDDEN",
        &[403, 400],
        ErrorKind::PermissionDenied,
        Retry::No,
    ),
    (
        "M_INVITE_BLOCKED",
        &[403],
        ErrorKind::PermissionDenied,
        Retry::No,
    ),
    (
        "M_SERVER_NOT_TRUSTED",
        &[403],
        ErrorKind::PermissionDenied,
        Retry::No,
    ),
    (
        "M_USER_SUSPENDED",
        &[403],
        ErrorKind::PermissionDenied,
        Retry::No,
    ),
    (
        "M_USER_LOCKED",
        &[403, 401],
        ErrorKind::PermissionDenied,
        Retry::No,
    ),
    (
        "M_UNABLE_TO_AUTHORISE_JOIN",
        &[400],
        ErrorKind::FailedPrecondition,
        Retry::OtherServer,
    ),
    (
        "M_UNABLE_TO_GRANT_JOIN",
        &[400],
        ErrorKind::FailedPrecondition,
        Retry::OtherServer,
    ),
    ("M_NOT_FOUND", &[404], ErrorKind::NotFound, Retry::No),
    (
        "M_UNRECOGNIZED",
        &[404, 405, 400],
        ErrorKind::Unimplemented,
        Retry::No,
    ),
    ("M_BAD_JSON", &[400], ErrorKind::InvalidArgument, Retry::No),
    ("M_NOT_JSON", &[400], ErrorKind::InvalidArgument, Retry::No),
    (
        "M_INVALID_PARAM",
        &[400],
        ErrorKind::InvalidArgument,
        Retry::No,
    ),
    (
        "M_MISSING_PARAM",
        &[400],
        ErrorKind::InvalidArgument,
        Retry::No,
    ),
    (
        "M_INCOMPATIBLE_ROOM_VERSION",
        &[400],
        ErrorKind::FailedPrecondition,
        Retry::No,
    ),
    (
        "M_UNSUPPORTED_ROOM_VERSION",
        &[400],
        ErrorKind::FailedPrecondition,
        Retry::No,
    ),
    (
        "M_BAD_STATE",
        &[400],
        ErrorKind::FailedPrecondition,
        Retry::No,
    ),
    (
        "M_LIMIT_EXCEEDED",
        &[429],
        ErrorKind::ResourceExhausted,
        WAIT,
    ),
    (
        "M_RESOURCE_LIMIT_EXCEEDED",
        &[403, 400],
        ErrorKind::ResourceExhausted,
        Retry::No,
    ),
    (
        "M_TOO_LARGE",
        &[413, 502],
        ErrorKind::OutOfRange,
        Retry::Split,
    ),
    ("M_NOT_YET_UPLOADED", &[504], ErrorKind::Unavailable, WAIT),
];

/// status, kind without a Matrix error, retry.
const STATUSES: &[(u16, ErrorKind, Retry)] = &[
    (202, ErrorKind::Unavailable, Retry::IfIdempotent),
    (301, ErrorKind::FailedPrecondition, Retry::No),
    (304, ErrorKind::FailedPrecondition, Retry::No),
    (308, ErrorKind::FailedPrecondition, Retry::No),
    (400, ErrorKind::InvalidArgument, Retry::No),
    (401, ErrorKind::Unauthenticated, Retry::No),
    (403, ErrorKind::PermissionDenied, Retry::No),
    (404, ErrorKind::NotFound, Retry::No),
    (405, ErrorKind::FailedPrecondition, Retry::No),
    (408, ErrorKind::DeadlineExceeded, Retry::IfIdempotent),
    (409, ErrorKind::Aborted, Retry::IfIdempotent),
    (413, ErrorKind::OutOfRange, Retry::Split),
    (414, ErrorKind::OutOfRange, Retry::Split),
    (418, ErrorKind::InvalidArgument, Retry::No),
    (429, ErrorKind::ResourceExhausted, WAIT),
    (431, ErrorKind::OutOfRange, Retry::Split),
    (500, ErrorKind::Internal, Retry::IfIdempotent),
    (501, ErrorKind::FailedPrecondition, Retry::No),
    (502, ErrorKind::Unavailable, Retry::IfIdempotent),
    (503, ErrorKind::Unavailable, Retry::IfIdempotent),
    (504, ErrorKind::DeadlineExceeded, Retry::IfIdempotent),
    (508, ErrorKind::FailedPrecondition, Retry::No),
    (522, ErrorKind::Unavailable, Retry::IfIdempotent),
    (599, ErrorKind::Internal, Retry::IfIdempotent),
    (999, ErrorKind::Unknown, Retry::IfIdempotent),
];

fn http(status: u16, body: &str) -> FederationError {
    FederationError::from_http(status, None, Bytes::copy_from_slice(body.as_bytes()))
}

/// HTTP → error → parts → error → HTTP → error.
fn assert_round_trip(first: &FederationError) {
    let carried = FederationError::from_parts(first.parts());
    assert_eq!(&carried, first);
    let again = FederationError::from_http(
        carried.http_status(),
        carried.retry_after_header().as_deref(),
        carried.body().clone(),
    );
    assert_eq!(again.http_status(), first.http_status());
    assert_eq!(again.errcode(), first.errcode());
    assert_eq!(again.body(), first.body());
    assert_eq!(again.retry_after(), first.retry_after());
    assert_eq!(again.kind(), first.kind());

    // A binding that had to drop the body keeps status, errcode, message and wait.
    if first.errcode().is_some_and(|errcode| errcode.len() <= 255) && first.message().len() <= 8192
    {
        let bare = FederationError::from_parts(ErrorParts {
            body: Bytes::new(),
            ..first.parts()
        });
        assert_eq!(bare.http_status(), first.http_status());
        assert_eq!(bare.errcode(), first.errcode());
        assert_eq!(bare.message(), first.message());
        assert_eq!(bare.retry_after(), first.retry_after());
        assert_eq!(bare.kind(), first.kind());
    }
}

#[test]
fn every_errcode_of_the_table_decides_kind_and_retry() {
    for &(errcode, statuses, kind, retry) in ERRCODES {
        // Its own statuses, and some that would say otherwise.
        for &status in statuses.iter().chain(&[400, 404, 418, 500, 503]) {
            let error = http(
                status,
                &format!(r#"{{"errcode":"{errcode}","error":"why","x":[1]}}"#),
            );
            assert_eq!(
                (error.kind(), error.retry()),
                (kind, retry),
                "{status} {errcode}"
            );
            assert_eq!(error.errcode(), Some(errcode));
            assert_eq!(error.message(), "why");
            assert_eq!(error.origin(), &ErrorOrigin::Remote);
            assert_round_trip(&error);
            assert_round_trip(&FederationError::new(status, errcode, "why"));
        }
    }
}

#[test]
fn without_an_errcode_the_status_decides() {
    for &(status, kind, retry) in STATUSES {
        let error = http(status, "");
        assert_eq!((error.kind(), error.retry()), (kind, retry), "{status}");
        assert_eq!(error.http_status(), status);
        assert_eq!(error.origin(), &ErrorOrigin::Intermediary);
        assert_round_trip(&error);
    }
}

#[test]
fn m_unknown_and_codes_that_we_do_not_know_say_what_the_status_says() {
    for errcode in ["M_UNKNOWN", "ORG.MATRIX.MSC4999_NEW", "m_forbidden"] {
        for &(status, kind, retry) in STATUSES {
            if matches!(status, 202 | 304) {
                continue; // neither has a body
            }
            let error = http(status, &format!(r#"{{"errcode":"{errcode}","error":""}}"#));
            // The peer's own word on a 500 is Unknown, not a crash.
            let kind = if status == 500 {
                ErrorKind::Unknown
            } else {
                kind
            };
            assert_eq!(
                (error.kind(), error.retry()),
                (kind, retry),
                "{status} {errcode}"
            );
            assert_round_trip(&error);
        }
    }
}

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
fn the_body_wins_over_what_a_binding_says_beside_it() {
    let mut parts = http(403, r#"{"errcode":"M_FORBIDDEN","error":"no"}"#).parts();
    parts.errcode = Some("M_NOT_FOUND".into());
    parts.message = "other".into();
    let error = FederationError::from_parts(parts);
    assert_eq!(
        (error.errcode(), error.message()),
        (Some("M_FORBIDDEN"), "no")
    );
    assert_round_trip(&error);
}

#[test]
fn retry_after_comes_from_header_and_body() {
    let wait = |header: Option<&str>, ms: Option<&str>| {
        let ms = ms
            .map(|ms| format!(r#","retry_after_ms":{ms}"#))
            .unwrap_or_default();
        let body = format!(r#"{{"errcode":"M_LIMIT_EXCEEDED","error":""{ms}}}"#);
        let error = FederationError::from_http(429, header, Bytes::from(body));
        assert_round_trip(&error);
        if let Some(wait) = error.retry_after() {
            assert_eq!(error.retry(), Retry::After(wait));
        }
        error.retry_after().map(|wait| wait.as_millis())
    };
    assert_eq!(wait(None, None), None);
    assert_eq!(wait(Some("2"), None), Some(2000));
    assert_eq!(wait(Some(" 0 "), None), Some(0));
    assert_eq!(wait(None, Some("1500")), Some(1500));
    // Synapse: the header is the body rounded up.
    assert_eq!(wait(Some("2"), Some("1500")), Some(1500));
    assert_eq!(wait(Some("30"), Some("1500")), Some(30_000));
    assert_eq!(wait(Some("1"), Some("90000")), Some(90_000));
    for nonsense in ["", "soon", "-1", "1.5", "Sun, 99 Nov 1994"] {
        assert_eq!(wait(Some(nonsense), None), None, "{nonsense}");
    }
    assert_eq!(
        wait(Some("99999999999999999999999999"), None),
        Some(MAX_RETRY_AFTER.as_millis())
    );
    assert_eq!(
        wait(None, Some("18446744073709551615")),
        Some(MAX_RETRY_AFTER.as_millis())
    );
    assert_eq!(wait(Some("Sun, 06 Nov 1994 08:49:37 GMT"), None), Some(0));
    let soon = httpdate::fmt_http_date(std::time::SystemTime::now() + Duration::from_secs(100));
    let soon = wait(Some(&soon), None).unwrap();
    assert!(
        (95_000..=100_000).contains(&soon) && soon % 1000 == 0,
        "{soon}"
    );
}

#[test]
fn our_errors_are_canonical_json() {
    let error = FederationError::limit_exceeded(
        "too many requests",
        Some(Duration::from_micros(1_500_001)),
    );
    assert_eq!(
        error.body(),
        r#"{"errcode":"M_LIMIT_EXCEEDED","error":"too many requests","retry_after_ms":1501}"#
    );
    assert_eq!(error.retry_after_header().as_deref(), Some("2"));
    assert_round_trip(&error);
    let error = FederationError::new(400, "M_INCOMPATIBLE_ROOM_VERSION", "é\n")
        .with_string("room_version", "12")
        .with_member_text("a", "[1]")
        .with_member_text("b", "[1")
        .with_string("errcode", "M_OTHER");
    assert_eq!(
        error.body(),
        r#"{"a":[1],"errcode":"M_INCOMPATIBLE_ROOM_VERSION","error":"é\n","room_version":"12"}"#
    );
    assert_round_trip(&error);
    // Somebody else's body is not ours to write.
    let theirs = http(
        429,
        r#"{"retry_after_ms":2500, "errcode":"M_LIMIT_EXCEEDED"}"#,
    );
    let body = theirs.body().clone();
    let theirs = theirs
        .with_string("x", "y")
        .with_retry_after(Duration::from_millis(100));
    assert_eq!(
        (theirs.body(), theirs.retry_after()),
        (&body, Some(Duration::from_millis(2500)))
    );
    let theirs = theirs.with_retry_after(Duration::from_millis(8100));
    assert_eq!(
        (theirs.body(), theirs.retry_after()),
        (&body, Some(Duration::from_secs(9)))
    );
    assert_round_trip(&theirs);
}

#[test]
fn the_named_errors_have_their_status_and_errcode() {
    for (error, status, errcode) in [
        (FederationError::unauthorized("x"), 401, "M_UNAUTHORIZED"),
        (
            FederationError::malformed_credentials("x"),
            400,
            "M_UNAUTHORIZED",
        ),
        (FederationError::forbidden("x"), 403, "M_FORBIDDEN"),
        (FederationError::not_found("x"), 404, "M_NOT_FOUND"),
        (FederationError::unrecognized(), 404, "M_UNRECOGNIZED"),
        (FederationError::method_not_allowed(), 405, "M_UNRECOGNIZED"),
        (FederationError::not_json("x"), 400, "M_NOT_JSON"),
        (FederationError::bad_json("x"), 400, "M_BAD_JSON"),
        (FederationError::missing_param("x"), 400, "M_MISSING_PARAM"),
        (FederationError::invalid_param("x"), 400, "M_INVALID_PARAM"),
        (
            FederationError::too_large("the request's body", 9, "server", "max_body"),
            413,
            "M_TOO_LARGE",
        ),
        (
            FederationError::limit_exceeded("too many requests", None),
            429,
            "M_LIMIT_EXCEEDED",
        ),
        (
            FederationError::deadline_exceeded("too late"),
            504,
            "M_UNKNOWN",
        ),
        (FederationError::internal("x"), 500, "M_UNKNOWN"),
    ] {
        assert_eq!(
            (error.http_status(), error.errcode()),
            (status, Some(errcode))
        );
        assert_eq!(error.origin(), &ErrorOrigin::Local);
        assert_round_trip(&error);
    }
    assert_eq!(
        FederationError::deadline_exceeded("too late").kind(),
        ErrorKind::DeadlineExceeded
    );
    let long = FederationError::new(400, "M".repeat(256), "");
    assert_eq!(long.errcode(), Some("M_UNKNOWN"));
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

#[test]
fn an_incompatible_room_version_is_named() {
    for version in ["12", "I.1", "org.example.odd", "", "a \"b\" \u{7}é"] {
        let error = FederationError::incompatible_room_version(version);
        assert_eq!(
            (error.http_status(), error.errcode()),
            (400, Some("M_INCOMPATIBLE_ROOM_VERSION"))
        );
        assert_eq!(error.room_version().as_deref(), Some(version));
        let again = FederationError::from_http(400, None, error.body().clone());
        assert_eq!(again.room_version().as_deref(), Some(version));
        let again = FederationError::from_parts(error.parts());
        assert_eq!(again.room_version().as_deref(), Some(version));
    }
    for body in [
        r#"{"errcode":"M_INCOMPATIBLE_ROOM_VERSION"}"#,
        r#"{"errcode":"M_INCOMPATIBLE_ROOM_VERSION","room_version":6}"#,
        r#"{"errcode":"M_INCOMPATIBLE_ROOM_VERSION","room_version":["6"]}"#,
        r#"{"errcode":"M_FORBIDDEN","room_version":"6"}"#,
        "",
        "[]",
    ] {
        assert_eq!(http(400, body).room_version(), None, "{body}");
    }
}

#[test]
fn kinds_are_grpc_codes() {
    for (index, kind) in ErrorKind::ALL.into_iter().enumerate() {
        assert_eq!(usize::from(kind.code()), index + 1);
        assert_eq!(ErrorKind::from_code(kind.code()), Some(kind));
    }
    assert_eq!(
        (ErrorKind::from_code(0), ErrorKind::from_code(17)),
        (None, None)
    );
    assert_eq!(ErrorKind::Unauthenticated.code(), 16);
}

#[test]
fn display_is_one_line_and_one_level() {
    let error = http(
        403,
        r#"{"errcode":"M_FORBIDDEN","error":"no\nway\u001b[31m"}"#,
    );
    assert_eq!(error.to_string(), "403 M_FORBIDDEN: no\\nway\\u{1b}[31m");
    assert_eq!(
        http(502, "<html>").to_string(),
        "502 without errcode (UNAVAILABLE)"
    );
    assert!(
        FederationError::internal("x".repeat(5000))
            .to_string()
            .chars()
            .count()
            < 600
    );

    let cause = std::io::Error::other("refused");
    let error = TransportError::new(TransportErrorKind::Connect, Delivery::NotSent, "[::1]:8448")
        .with_source(cause);
    assert_eq!(
        error.to_string(),
        "connecting failed: [::1]:8448 (not sent)"
    );
    assert_eq!(error.source().unwrap().to_string(), "refused");
    let call = CallError::from(error.clone());
    assert_eq!(call.to_string(), error.to_string());
    assert_eq!(call.source().unwrap().to_string(), "refused");
    assert_eq!(call.delivery(), Some(Delivery::NotSent));
    assert_eq!(
        CallError::from(FederationError::unrecognized()).delivery(),
        None
    );
    assert!(size_of::<CallError>() <= 16);
}

#[test]
fn only_what_may_be_sent_again_is_retryable() {
    use {Delivery::*, TransportErrorKind::*};
    let transport = |kind, delivery, idempotent| {
        CallError::from(TransportError::new(kind, delivery, "")).is_retryable(idempotent)
    };
    for kind in [Resolve, Connect, Tls, Closed, Timeout, Busy, Carrier] {
        assert!(transport(kind, NotSent, false));
        assert!(transport(kind, Rejected, false));
        assert!(!transport(kind, MaybeProcessed, false));
        assert!(transport(kind, MaybeProcessed, true));
    }
    for kind in [Protocol, Cancelled, LimitExceeded, Unsupported, Refused] {
        assert!(!transport(kind, NotSent, true));
    }
    let answer =
        |error: FederationError, idempotent| CallError::from(error).is_retryable(idempotent);
    assert!(answer(
        FederationError::limit_exceeded("too many requests", None),
        false
    ));
    assert!(answer(FederationError::internal(""), true));
    assert!(!answer(FederationError::internal(""), false));
    assert!(!answer(FederationError::new(413, "M_TOO_LARGE", ""), true));
    assert!(!answer(
        FederationError::new(400, "M_UNABLE_TO_GRANT_JOIN", ""),
        true
    ));
}

#[test]
fn a_gateway_answers_in_its_own_name() {
    let timeout = TransportError::new(
        TransportErrorKind::Timeout,
        Delivery::MaybeProcessed,
        "60 s",
    );
    let error = FederationError::from_transport(&timeout, "gw.example");
    assert_eq!(
        (error.http_status(), error.errcode()),
        (504, Some("M_UNKNOWN"))
    );
    assert_eq!(error.origin(), &ErrorOrigin::Gateway("gw.example".into()));
    assert!(error.body().ends_with(br#","via":"gw.example"}"#));
    let closed = TransportError::new(TransportErrorKind::Closed, Delivery::MaybeProcessed, "");
    assert_eq!(
        FederationError::from_transport(&closed, "gw.example").http_status(),
        502
    );
    let own = FederationError::unrecognized().spoken_by("gw.example");
    assert_eq!(own.origin(), &ErrorOrigin::Gateway("gw.example".into()));
    assert!(own.body().ends_with(br#","via":"gw.example"}"#));
    assert_round_trip(&own);
    // What another said is not the gateway's, and who is not told twice.
    for said in [
        http(403, r#"{"errcode":"M_FORBIDDEN"}"#),
        http(502, ""),
        own,
    ] {
        let passed_on = said.clone().spoken_by("other.example");
        assert_eq!(passed_on.origin(), said.origin());
        assert_eq!(passed_on.body(), said.body());
    }
}

#[test]
fn a_gateways_name_is_read_where_there_is_an_errcode() {
    let gateway = ErrorOrigin::Gateway("gw.example".into());
    for (body, origin) in [
        (r#"{"errcode":"M_UNKNOWN","via":"gw.example"}"#, &gateway),
        (r#"{"errcode":"M_UNKNOWN","via":""}"#, &ErrorOrigin::Remote),
        (
            r#"{"errcode":"M_UNKNOWN","via":["gw.example"]}"#,
            &ErrorOrigin::Remote,
        ),
        (r#"{"via":"gw.example"}"#, &ErrorOrigin::Intermediary),
    ] {
        assert_eq!(http(502, body).origin(), origin, "{body}");
    }
}

proptest! {
    #[test]
    fn any_answer_survives_the_round_trip(
        status in any::<u16>(),
        errcode in proptest::option::of("\\PC{0,40}|M_[A-Z_]{1,20}|[A-Z.]{1,30}"),
        message in proptest::option::of(any::<String>()),
        ms in proptest::option::of(any::<i64>()),
        header in proptest::option::of("[0-9]{0,12}|\\PC{0,8}"),
    ) {
        let mut body = serde_json::Map::new();
        body.extend(errcode.map(|errcode| ("errcode".to_owned(), errcode.into())));
        body.extend(message.map(|message| ("error".to_owned(), message.into())));
        body.extend(ms.map(|ms| ("retry_after_ms".to_owned(), ms.into())));
        let body = Bytes::from(serde_json::to_vec_pretty(&body).unwrap());
        assert_round_trip(&FederationError::from_http(status, header.as_deref(), body));
    }

    #[test]
    fn any_bytes_survive_the_round_trip(status in any::<u16>(), body: Vec<u8>) {
        assert_round_trip(&FederationError::from_http(status, None, Bytes::from(body)));
    }

    #[test]
    fn any_parts_give_an_error_that_survives(
        http_status in any::<u16>(),
        errcode: Option<String>,
        message: String,
        retry_after: Option<Duration>,
        body in prop_oneof![Just(Vec::new()), any::<Vec<u8>>(), "\\{\"errcode\":\"[A-Z_]{1,9}\",\"retry_after_ms\":[1-9][0-9]{0,6}\\}".prop_map(String::into_bytes)],
    ) {
        let parts = ErrorParts {
            http_status, errcode, message, retry_after, body: Bytes::from(body), origin: ErrorOrigin::Remote,
        };
        assert_round_trip(&FederationError::from_parts(parts));
    }

    #[test]
    fn any_error_of_ours_survives(errcode: String, message: String, wait: Option<Duration>, name: String, value: String) {
        let mut error = FederationError::new(400, errcode, message).with_string(&name, &value);
        if let Some(wait) = wait {
            error = error.with_retry_after(wait);
        }
        assert_round_trip(&error);
    }
}
