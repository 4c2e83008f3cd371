//! When to try again, and what may be tried again.

use std::time::Duration;

use bytes::Bytes;
use comity_core::error::{
    CallError, Delivery, FederationError, MAX_RETRY_AFTER, Retry, TransportError,
    TransportErrorKind,
};

use crate::assert_round_trip;

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
