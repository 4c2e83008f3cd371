//! The errors that we make ourselves: their bodies, and those that have a name.

use std::time::Duration;

use comity_core::error::{ErrorKind, ErrorOrigin, FederationError};

use crate::{assert_round_trip, http};

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
