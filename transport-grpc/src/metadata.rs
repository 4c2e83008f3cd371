//! What travels beside a message: credentials, the target as signed, destination, deadline, trace, hops.

use std::time::Duration;

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use comity_core::{
    ServerName,
    auth::SessionCredential,
    call::{CallContext, Credentials, TraceContext, hops},
    endpoint::EndpointForm,
    error::{Delivery, FederationError, TransportError, TransportErrorKind},
};
use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};
use tokio::time::Instant;

use crate::BINDING;

const METHOD: HeaderName = HeaderName::from_static("x-matrix-method");
const TARGET: HeaderName = HeaderName::from_static("x-matrix-uri-bin");
const DESTINATION: HeaderName = HeaderName::from_static("x-matrix-destination");
/// A session's credential. It does not stand in `authorization`, because implementations of HPACK send that one's value in full each time.
pub(crate) const SESSION: HeaderName = HeaderName::from_static("x-matrix-session");
const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const VIA: HeaderName = http::header::VIA;
const FROM: HeaderName = http::header::FROM;

/// Binary metadata is written without padding and read with or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Writes the metadata of a call.
///
/// # Errors
/// Something cannot stand in a header: nothing was sent.
pub(crate) fn write(
    context: &CallContext,
    destination: &ServerName,
    form: &EndpointForm,
) -> Result<HeaderMap, TransportError> {
    let mut headers = HeaderMap::new();
    for credential in context.credentials.iter() {
        headers.append(AUTHORIZATION, secret(AUTHORIZATION.as_str(), credential)?);
    }
    headers.insert(METHOD, value("the method", form.method())?);
    // It can hold an access token.
    let target = secret("the target", &BASE64.encode(form.target()))?;
    headers.insert(TARGET, target);
    headers.insert(DESTINATION, value("the destination", destination.as_str())?);
    if let Some(from) = &context.from {
        headers.insert(FROM, value("`from`", from)?);
    }
    if let Some(deadline) = context.deadline {
        let left = deadline.saturating_duration_since(Instant::now());
        headers.insert(TIMEOUT, value("the deadline", &write_timeout(left))?);
    }
    if let Some(parent) = &context.trace.parent {
        headers.insert(TRACEPARENT, value("traceparent", parent)?);
    }
    if let Some(state) = &context.trace.state {
        headers.insert(TRACESTATE, value("tracestate", state)?);
    }
    for hop in &context.via {
        headers.append(VIA, value("via", hop)?);
    }
    Ok(headers)
}

fn value(what: &str, text: &str) -> Result<HeaderValue, TransportError> {
    HeaderValue::from_str(text).map_err(|error| {
        TransportError::new(
            TransportErrorKind::Unsupported,
            Delivery::NotSent,
            format!("{what} cannot stand in metadata"),
        )
        .with_source(error)
    })
}

/// A value that no intermediary's table may keep (RFC 7541 §7.1.3).
pub(crate) fn secret(what: &str, text: &str) -> Result<HeaderValue, TransportError> {
    let mut value = value(what, text)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Method and target as they were signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signed {
    pub(crate) method: String,
    pub(crate) target: String,
}

/// Reads the context of a call that arrived.
///
/// # Errors
/// 400: a value is malformed.
pub(crate) fn read(headers: &HeaderMap) -> Result<(CallContext, Option<Signed>), FederationError> {
    let mut context = CallContext::received(BINDING);
    if let Some(destination) = one(headers, &DESTINATION)? {
        let name = destination.parse().map_err(|_| {
            FederationError::invalid_param("metadata `x-matrix-destination` is no server name")
        })?;
        context.destination = Some(name);
    }
    context.credentials = Credentials::new(credentials(headers)?);
    context.from = one(headers, &FROM)?.map(str::to_owned);
    if let Some(timeout) = one(headers, &TIMEOUT)? {
        let timeout = read_timeout(timeout).ok_or_else(|| {
            FederationError::invalid_param("metadata `grpc-timeout` is malformed")
        })?;
        // A time so far away that no clock holds it is none.
        if let Some(deadline) = Instant::now().checked_add(timeout) {
            context.deadline = Some(deadline);
        }
    }
    context.trace = TraceContext {
        parent: one(headers, &TRACEPARENT)?.map(str::to_owned),
        state: one(headers, &TRACESTATE)?.map(str::to_owned),
    };
    for list in headers.get_all(VIA) {
        let list = list
            .to_str()
            .map_err(|_| FederationError::invalid_param("metadata `via` is malformed"))?;
        context.via.extend(hops(list).map(str::to_owned));
    }
    Ok((context, signed(headers)?))
}

/// A session under its own name, alone; or whatever stands in `authorization`. So nothing that is passed on as credentials can be a session that came as something else,
/// or stood beside a signature.
fn credentials(headers: &HeaderMap) -> Result<Vec<String>, FederationError> {
    let malformed = |why: &str| FederationError::malformed_credentials(why);
    let mut credentials = Vec::new();
    for credential in headers.get_all(AUTHORIZATION) {
        let credential = std::str::from_utf8(credential.as_bytes())
            .map_err(|_| malformed("metadata `authorization` is not UTF-8"))?;
        if SessionCredential::is_one(credential) {
            return Err(malformed(
                "a session stands in metadata `x-matrix-session`, not in `authorization`",
            ));
        }
        credentials.push(credential.to_owned());
    }
    let mut sessions = headers.get_all(SESSION).iter();
    match (sessions.next(), sessions.next()) {
        (None, _) => Ok(credentials),
        (Some(_), Some(_)) => Err(malformed("metadata `x-matrix-session` comes twice")),
        (Some(_), None) if !credentials.is_empty() => {
            Err(malformed("a session stands beside other credentials"))
        }
        (Some(session), None) => {
            let session = session.to_str().ok();
            let session = session.filter(|session| SessionCredential::is_one(session));
            let session =
                session.ok_or_else(|| malformed("metadata `x-matrix-session` holds no session"))?;
            Ok(vec![session.to_owned()])
        }
    }
}

fn signed(headers: &HeaderMap) -> Result<Option<Signed>, FederationError> {
    let (method, target) = match (one(headers, &METHOD)?, one(headers, &TARGET)?) {
        (None, None) => return Ok(None),
        (Some(method), Some(target)) => (method, target),
        _ => {
            return Err(FederationError::invalid_param(
                "metadata `x-matrix-method` and `x-matrix-uri-bin` belong together",
            ));
        }
    };
    let target = BASE64
        .decode(target)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| {
            FederationError::invalid_param("metadata `x-matrix-uri-bin` is malformed")
        })?;
    Ok(Some(Signed {
        method: method.to_owned(),
        target,
    }))
}

/// The one value of a name. Two would leave open which one was meant.
fn one<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, FederationError> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(FederationError::invalid_param(format!(
            "metadata `{name}` comes twice"
        )));
    }
    first
        .map(|value| {
            value.to_str().map_err(|_| {
                FederationError::invalid_param(format!("metadata `{name}` is malformed"))
            })
        })
        .transpose()
}

/// At most eight digits and a unit; rounded down, because a deadline only shrinks.
fn write_timeout(left: Duration) -> String {
    const MAX: u128 = 99_999_999;
    let units: [(u128, char); 3] = [
        (left.as_micros(), 'u'),
        (left.as_millis(), 'm'),
        (left.as_secs().into(), 'S'),
    ];
    let (count, unit) = units
        .into_iter()
        .find(|(count, _)| *count <= MAX)
        .unwrap_or((MAX, 'S'));
    format!("{count}{unit}")
}

fn read_timeout(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let digits = text.strip_suffix(unit)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        'H' => Duration::from_secs(count * 3600),
        'M' => Duration::from_secs(count * 60),
        'S' => Duration::from_secs(count),
        'm' => Duration::from_millis(count),
        'u' => Duration::from_micros(count),
        'n' => Duration::from_nanos(count),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_stands_alone_and_under_its_own_name() {
        const SESSION: (&str, &str) = ("x-matrix-session", "Comity-Session x");
        const SIGNED: (&str, &str) = ("authorization", "X-Matrix x");
        let read = |metadata: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in metadata {
                headers.append(*name, HeaderValue::from_static(value));
            }
            let read = read(&headers).map(|(context, _)| context.credentials);
            read.map(|it| it.iter().map(str::to_owned).collect::<Vec<_>>())
        };
        assert_eq!(read(&[]).unwrap(), [""; 0]);
        assert_eq!(read(&[SESSION]).unwrap(), [SESSION.1]);
        assert_eq!(read(&[SIGNED, SIGNED]).unwrap(), [SIGNED.1; 2]);
        for bad in [
            &[SESSION, SESSION][..],
            &[SESSION, SIGNED],
            &[SIGNED, SESSION],
            &[SESSION, ("authorization", "Bearer x")],
            &[("x-matrix-session", SIGNED.1)],
            &[("x-matrix-session", "Bearer x")],
            &[("x-matrix-session", "")],
            &[("authorization", SESSION.1)],
            &[("authorization", "comity-session\tx")],
            &[SIGNED, ("authorization", SESSION.1)],
        ] {
            let error = read(bad).unwrap_err();
            let verdict = (error.http_status(), error.errcode());
            assert_eq!(verdict, (400, Some("M_UNAUTHORIZED")), "{bad:?}");
        }
    }

    #[test]
    fn a_timeout_survives_within_its_precision() {
        for (left, text) in [
            (Duration::from_micros(1), "1u"),
            (Duration::from_secs(60), "60000000u"),
            (Duration::from_secs(600), "600000m"),
            (Duration::from_secs(1_000_000), "1000000S"),
        ] {
            assert_eq!(write_timeout(left), text);
            assert_eq!(read_timeout(text), Some(left));
        }
        for bad in ["", "1", "S", "123456789S", "-1S", "1x", "1.5S", "1é"] {
            assert_eq!(read_timeout(bad), None, "{bad}");
        }
    }
}
