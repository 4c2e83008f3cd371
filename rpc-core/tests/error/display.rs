//! What a log has of an error.

use std::error::Error as _;

use comity_core::error::{
    CallError, Delivery, FederationError, TransportError, TransportErrorKind,
};

use crate::http;

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
