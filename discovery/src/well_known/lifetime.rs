//! How long a document is kept (RFC 9111 §5.2.2, §5.3), within bounds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, header};

use crate::DiscoveryOptions;

/// For how long the headers of a response let it be kept; `None` if they do not say.
pub(super) fn said(headers: &HeaderMap, now: i64) -> Option<Duration> {
    let mut max_age = None;
    for directive in directives(headers) {
        let (name, value) = match directive.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim().trim_matches('"'))),
            None => (directive, None),
        };
        if name.eq_ignore_ascii_case("no-store") || name.eq_ignore_ascii_case("no-cache") {
            return Some(Duration::ZERO);
        }
        // The first of several counts (RFC 9111 §4.2.1).
        if name.eq_ignore_ascii_case("max-age") && max_age.is_none() {
            max_age = value.and_then(seconds);
        }
    }
    max_age.or_else(|| expires(headers, now))
}

fn directives(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(header::CACHE_CONTROL).into_iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(str::trim))
}

/// Digits; more than fit are as long as can be (RFC 9111 §1.2.2).
fn seconds(digits: &str) -> Option<Duration> {
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| Duration::from_secs(digits.parse().unwrap_or(u64::from(u32::MAX))))
}

/// `Expires`, counted from the sender's own clock where it is told. A value that is no date has expired.
fn expires(headers: &HeaderMap, now: i64) -> Option<Duration> {
    let date = |name| {
        let value = headers.get(name)?.to_str().ok()?;
        httpdate::parse_http_date(value).ok()
    };
    headers.get(header::EXPIRES)?;
    let Some(expires) = date(header::EXPIRES) else {
        return Some(Duration::ZERO);
    };
    let now = u64::try_from(now).unwrap_or(0);
    let from = date(header::DATE).unwrap_or(UNIX_EPOCH + Duration::from_millis(now));
    Some(since(expires, from))
}

fn since(later: SystemTime, earlier: SystemTime) -> Duration {
    later.duration_since(earlier).unwrap_or_default()
}

/// For how long a document is kept.
pub(super) fn age(said: Option<Duration>, options: &DiscoveryOptions) -> Duration {
    let age = said.unwrap_or_else(|| jittered(options.well_known_age));
    // Not `clamp`, which panics if an operator turns the bounds round.
    age.max(options.well_known_min_age)
        .min(options.well_known_max_age)
}

/// First time until a document that could not be had is asked for again; and that if there was one just before.
const ERROR_AGE: Duration = Duration::from_secs(5 * 60);
const DOWN_AGE: Duration = Duration::from_secs(2 * 60);

/// For how long a document that could not be had is not asked for again, after so many failures before this one.
pub(super) fn error_age(failures: u32, was_valid: bool, options: &DiscoveryOptions) -> Duration {
    let age = match was_valid {
        true => DOWN_AGE,
        false => ERROR_AGE * 2_u32.pow(failures.min(8)),
    };
    jittered(age).min(options.well_known_max_error_age)
}

/// Give or take a tenth, so that what was learned at once is not asked for again at once.
fn jittered(age: Duration) -> Duration {
    let per_mille = 900 + crate::dns::random(200);
    age * per_mille / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mon, 01 Jan 2024 00:00:00 GMT.
    const NOW: i64 = 1_704_067_200_000;

    fn of(headers: &[(&'static str, &'static str)]) -> Option<u64> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        said(&map, NOW).map(|age| age.as_secs())
    }

    #[test]
    fn headers_say_how_long() {
        let cc = "cache-control";
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[(cc, "max-age=600")]), Some(600));
        assert_eq!(of(&[(cc, "public, Max-Age=\"7\"")]), Some(7));
        assert_eq!(of(&[(cc, "public"), (cc, "max-age=8")]), Some(8));
        assert_eq!(of(&[(cc, "max-age=600, no-store")]), Some(0));
        assert_eq!(of(&[(cc, "No-Store")]), Some(0));
        assert_eq!(of(&[(cc, "no-cache")]), Some(0));
        assert_eq!(of(&[(cc, "max-age=1, max-age=2")]), Some(1));
        assert_eq!(of(&[(cc, "s-maxage=5")]), None);
        for odd in ["max-age", "max-age=", "max-age=-1", "max-age=1h", ",,=,"] {
            assert_eq!(of(&[(cc, odd)]), None, "{odd}");
        }
        let huge = "max-age=99999999999999999999999999";
        assert_eq!(of(&[(cc, huge)]), Some(u64::from(u32::MAX)));
    }

    #[test]
    fn expires_counts_where_max_age_is_silent() {
        let hour = ("expires", "Mon, 01 Jan 2024 01:00:00 GMT");
        assert_eq!(of(&[hour]), Some(3600));
        assert_eq!(of(&[hour, ("cache-control", "max-age=60")]), Some(60));
        // By the sender's clock, which is half an hour ahead.
        let date = ("date", "Mon, 01 Jan 2024 00:30:00 GMT");
        assert_eq!(of(&[hour, date]), Some(1800));
        let past = ("expires", "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(of(&[past]), Some(0));
        for odd in ["0", "-1", "never", ""] {
            assert_eq!(of(&[("expires", odd)]), Some(0), "{odd}");
        }
    }

    #[test]
    fn every_age_is_within_its_bounds() {
        let options = DiscoveryOptions::default();
        let secs = |said: Option<u64>| age(said.map(Duration::from_secs), &options).as_secs();
        assert_eq!(secs(Some(0)), 300);
        assert_eq!(secs(Some(301)), 301);
        assert_eq!(secs(Some(u64::MAX)), 48 * 3600);
        for _ in 0..100 {
            let day = secs(None);
            assert!((77_760..=95_040).contains(&day), "{day}");
            let first = error_age(0, false, &options).as_secs();
            assert!((270..=330).contains(&first), "{first}");
            let second = error_age(1, false, &options).as_secs();
            assert!((540..=660).contains(&second), "{second}");
            assert!(error_age(u32::MAX, false, &options).as_secs() <= 3600);
            let down = error_age(7, true, &options).as_secs();
            assert!((108..=132).contains(&down), "{down}");
        }
    }
}
