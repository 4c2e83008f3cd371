//! How long to wait: `Retry-After` and `retry_after_ms` made one.

use std::time::{Duration, SystemTime};

/// The longest wait that is believed: a year. It keeps sums of times from overflowing.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Seconds or an HTTP date; a date that has passed is no wait.
pub(super) fn header_wait(header: &str) -> Option<Duration> {
    let header = header.trim();
    if !header.is_empty() && header.bytes().all(|byte| byte.is_ascii_digit()) {
        // All digits and no u64: too many of them.
        return Some(header.parse().map_or(MAX_RETRY_AFTER, Duration::from_secs));
    }
    let date = httpdate::parse_http_date(header).ok()?;
    Some(
        date.duration_since(SystemTime::now())
            .unwrap_or(Duration::ZERO),
    )
}

/// The one wait of an answer that may name two: `named` is a header's or a binding's, `in_body` is
/// `retry_after_ms`.
///
/// A header has whole seconds, so the body is more precise where both mean the same. Otherwise one
/// of them is somebody else's (a proxy's header before a server's body) and the longer one satisfies
/// both. The result, rounded up to a header again and read with the same body, is itself.
pub(super) fn wait(named: Option<Duration>, in_body: Option<Duration>) -> Option<Duration> {
    let named = named.map(whole_seconds);
    let in_body = in_body.map(whole_milliseconds);
    match (named, in_body) {
        (Some(named), Some(in_body))
            if named > in_body && named - in_body >= Duration::from_secs(1) =>
        {
            Some(named)
        }
        (_, Some(in_body)) => Some(in_body),
        (named, None) => named,
    }
}

/// Rounded up, within [`MAX_RETRY_AFTER`].
pub(super) fn whole_seconds(wait: Duration) -> Duration {
    let wait = wait.min(MAX_RETRY_AFTER);
    Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
}

/// Rounded up, within [`MAX_RETRY_AFTER`].
pub(super) fn whole_milliseconds(wait: Duration) -> Duration {
    let wait = wait.min(MAX_RETRY_AFTER);
    let milliseconds = wait.subsec_nanos().div_ceil(1_000_000);
    Duration::from_secs(wait.as_secs()) + Duration::from_millis(u64::from(milliseconds))
}
