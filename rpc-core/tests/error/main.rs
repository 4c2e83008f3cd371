//! The error model: the mapping of every row, others' answers, our own errors, and the round trip over parts.

mod answers;
mod display;
mod gateways;
mod own;
mod retrying;
mod round_trip;
mod table;

use bytes::Bytes;
use comity_core::error::{ErrorParts, FederationError};

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
