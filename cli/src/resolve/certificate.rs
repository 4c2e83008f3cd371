//! What a person wants to know of a certificate: whose, from whom, from when to when (RFC 5280 §4.1).
//!
//! It may be one that was not accepted, so it is read here and not by what verifies. Nothing is decided by it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Serialize;

use crate::times::days_of;

/// Most names that are shown.
const MAX_NAMES: usize = 100;

const SUBJECT_ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANISATION: &[u8] = &[0x55, 0x04, 0x0a];

/// A certificate in short.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Certificate {
    /// The names that it is for.
    pub(super) names: Vec<String>,
    /// The common name, or else the organisation, of who signed it.
    pub(super) issuer: Option<String>,
    /// In milliseconds since 1970.
    pub(super) not_before: i64,
    /// In milliseconds since 1970.
    pub(super) not_after: i64,
}

impl Certificate {
    /// Reads DER; `None` if it is no certificate.
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        let (whole, _) = expect(der, 0x30)?;
        let (mut body, _) = expect(whole, 0x30)?;
        if let Some((_, rest)) = expect(body, 0xa0) {
            body = rest;
        }
        let (_serial, body) = expect(body, 0x02)?;
        let (_algorithm, body) = expect(body, 0x30)?;
        let (issuer, body) = expect(body, 0x30)?;
        let (validity, body) = expect(body, 0x30)?;
        let (not_before, validity) = time(validity)?;
        let (not_after, _) = time(validity)?;
        let mut certificate = Self {
            names: Vec::new(),
            issuer: attribute(issuer, COMMON_NAME).or_else(|| attribute(issuer, ORGANISATION)),
            not_before,
            not_after,
        };
        let extensions = each(body).find(|(tag, _)| *tag == 0xa3);
        if let Some((list, _)) = extensions.and_then(|(_, list)| expect(list, 0x30)) {
            certificate.names = alternative_names(list).unwrap_or_default();
        }
        Some(certificate)
    }
}

/// One element: its tag, its content, and what follows. Definite lengths alone, as DER has them.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = bytes
                .iter()
                .fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
            (length, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

fn expect(der: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = element(der)?;
    (tag == wanted).then_some((content, rest))
}

fn each(mut der: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (tag, content, rest) = element(der)?;
        der = rest;
        Some((tag, content))
    })
}

/// The first attribute of a name with this identifier, as text.
fn attribute(name: &[u8], wanted: &[u8]) -> Option<String> {
    let attributes = each(name).flat_map(|(_, set)| each(set));
    attributes
        .filter_map(|(_, pair)| {
            let (identifier, rest) = expect(pair, 0x06)?;
            let (_, value, _) = element(rest)?;
            (identifier == wanted).then(|| String::from_utf8_lossy(value).into_owned())
        })
        .next()
}

fn alternative_names(extensions: &[u8]) -> Option<Vec<String>> {
    let names = each(extensions).find_map(|(_, extension)| {
        let (identifier, rest) = expect(extension, 0x06)?;
        let rest = expect(rest, 0x01).map_or(rest, |(_critical, rest)| rest);
        let (value, _) = expect(rest, 0x04)?;
        (identifier == SUBJECT_ALTERNATIVE_NAME).then_some(value)
    })?;
    let (names, _) = expect(names, 0x30)?;
    let shown = each(names).filter_map(|(tag, value)| match tag {
        0x82 => Some(String::from_utf8_lossy(value).into_owned()),
        0x87 => address(value).map(|address| address.to_string()),
        _ => None,
    });
    Some(shown.take(MAX_NAMES).collect())
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|octets| IpAddr::V4(Ipv4Addr::from(octets)));
    let v6 = || <[u8; 16]>::try_from(bytes).map(|octets| IpAddr::V6(Ipv6Addr::from(octets)));
    v4.or_else(|_| v6()).ok()
}

/// A `UTCTime` or `GeneralizedTime`, both in UTC to the second (§4.1.2.5), in milliseconds since 1970.
fn time(der: &[u8]) -> Option<(i64, &[u8])> {
    let (tag, text, rest) = element(der)?;
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, text) = match tag {
        0x17 if text.len() == 12 => {
            let year: i64 = text[..2].parse().ok()?;
            (
                if year < 50 { 2000 + year } else { 1900 + year },
                &text[2..],
            )
        }
        0x18 if text.len() == 14 => (text[..4].parse().ok()?, &text[4..]),
        _ => return None,
    };
    let two = |at: usize| text[at..at + 2].parse::<i64>().ok();
    let days = days_of(year, two(0)?, two(2)?);
    let seconds = days * 86_400 + two(4)? * 3_600 + two(6)? * 60 + two(8)?;
    Some((seconds * 1000, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der() -> Vec<u8> {
        let names = [
            "matrix.example",
            "*.example.org",
            "127.0.0.1",
            "2001:db8::1",
        ];
        let mut params = rcgen::CertificateParams::new(names.map(str::to_owned)).unwrap();
        params.not_before = rcgen::date_time_ymd(2024, 2, 29);
        params.not_after = rcgen::date_time_ymd(2051, 12, 31);
        params.distinguished_name = rcgen::DistinguishedName::new();
        let name = "A Test \u{c9}diteur";
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn names_issuer_and_times_are_read() {
        let certificate = Certificate::read(&der()).unwrap();
        assert_eq!(
            certificate.names,
            [
                "matrix.example",
                "*.example.org",
                "127.0.0.1",
                "2001:db8::1"
            ]
        );
        assert_eq!(certificate.issuer.as_deref(), Some("A Test \u{c9}diteur"));
        // The one is written in UTCTime, the other, from 2050 on, in GeneralizedTime.
        assert_eq!(certificate.not_before, 1_709_164_800_000);
        assert_eq!(certificate.not_after, days_of(2051, 12, 31) * 86_400_000);
    }

    #[test]
    fn no_bytes_are_too_odd_to_be_read() {
        let good = der();
        for end in 0..good.len() {
            let _ = Certificate::read(&good[..end]);
        }
        for at in 0..good.len() {
            for byte in [0, 0x30, 0x7f, 0x80, 0x84, 0xa3, 0xff] {
                let mut bad = good.clone();
                bad[at] = byte;
                let _ = Certificate::read(&bad);
            }
        }
    }
}
