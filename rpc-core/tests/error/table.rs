//! Which kind and which retry an errcode has, and a status without one.

use comity_core::error::{DEFAULT_RETRY_AFTER, ErrorKind, ErrorOrigin, FederationError, Retry};

use crate::{assert_round_trip, http};

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
