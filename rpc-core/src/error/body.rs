//! Reading and making the body of an error: `{"errcode": "M_…", "error": "text", …}`.

use std::{collections::BTreeMap, time::Duration};

use serde_json::value::RawValue;

/// What the body of an answer says. Every field is absent where the body does not say it, or not in
/// the right type.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// A non-empty string `errcode`.
    pub(super) errcode: Option<String>,
    /// The string `error`; else the string `message` (gomatrixserverlib's authentication errors).
    pub(super) message: Option<String>,
    /// The non-empty string `via`: the gateway that answered in place of the server behind it.
    pub(super) via: Option<String>,
    /// `retry_after_ms`, rounded up to milliseconds.
    pub(super) retry_after: Option<Duration>,
}

impl Said {
    /// Reads any bytes; what is not a JSON object says nothing.
    ///
    /// Members are taken as raw text first: serde_json skips those without recursion, so that a
    /// deeply nested member neither overflows the stack nor hides the errcode next to it.
    pub(super) fn read(body: &[u8]) -> Self {
        let Some(members) = members(body) else {
            return Self::default();
        };
        let string = |name: &str| string_of(members.get(name)?);
        Self {
            errcode: string("errcode").filter(|errcode| !errcode.is_empty()),
            via: string("via").filter(|gateway| !gateway.is_empty()),
            message: string("error").or_else(|| string("message")),
            retry_after: members
                .get("retry_after_ms")
                .and_then(|raw| milliseconds(raw.get())),
        }
    }
}

/// A string member of a body; `None` if it has none, or is no object.
pub(super) fn string_member(body: &[u8], name: &str) -> Option<String> {
    string_of(members(body)?.get(name)?)
}

fn members(body: &[u8]) -> Option<BTreeMap<String, &RawValue>> {
    serde_json::from_slice(body).ok()
}

fn string_of(raw: &RawValue) -> Option<String> {
    let raw = raw.get();
    raw.starts_with('"')
        .then(|| serde_json::from_str(raw).ok())?
}

/// A number of milliseconds; fractions are rounded up, negative numbers and other types ignored.
fn milliseconds(raw: &str) -> Option<Duration> {
    if let Ok(whole) = raw.parse::<u64>() {
        return Some(Duration::from_millis(whole));
    }
    if !raw.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let number = raw.parse::<f64>().ok()?;
    // A cast from float to integer saturates.
    Some(Duration::from_millis(number.ceil() as u64))
}

/// The members of a body that we make: canonical JSON texts by decoded name. A `BTreeMap<String, _>`
/// is in the order of canonical JSON: by code point, which is the order of UTF-8 bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Made(BTreeMap<String, String>);

impl Made {
    pub(super) fn new(errcode: &str, message: &str) -> Self {
        let mut made = Self::default();
        made.set("errcode", string(errcode));
        made.set("error", string(message));
        made
    }

    /// Sets one member to a canonical JSON text.
    pub(super) fn set(&mut self, name: &str, canonical: String) {
        self.0.insert(name.to_owned(), canonical);
    }

    /// The canonical text.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut out = String::from("{");
        for (name, value) in &self.0 {
            if out.len() > 1 {
                out.push(',');
            }
            out.push_str(&string(name));
            out.push(':');
            out.push_str(value);
        }
        out.push('}');
        out.into_bytes()
    }
}

/// One canonical JSON string: serde_json escapes what canonical JSON escapes, and in its form.
pub(super) fn string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(body: &str) -> (Option<String>, Option<String>, Option<u128>) {
        let said = Said::read(body.as_bytes());
        (
            said.errcode,
            said.message,
            said.retry_after.map(|wait| wait.as_millis()),
        )
    }

    #[test]
    fn wrong_types_say_nothing() {
        assert_eq!(
            said(r#"{"errcode":1,"error":["x"],"retry_after_ms":"5"}"#),
            (None, None, None)
        );
        assert_eq!(
            said(r#"{"errcode":null,"error":"x","retry_after_ms":-1}"#),
            (None, Some("x".into()), None)
        );
        assert_eq!(said(r#"{"errcode":""}"#), (None, None, None));
    }

    #[test]
    fn milliseconds_round_up_and_saturate() {
        assert_eq!(milliseconds("1500"), Some(Duration::from_millis(1500)));
        assert_eq!(milliseconds("1500.2"), Some(Duration::from_millis(1501)));
        assert_eq!(milliseconds("1e3"), Some(Duration::from_secs(1)));
        assert_eq!(milliseconds("1e300"), Some(Duration::from_millis(u64::MAX)));
        assert_eq!(milliseconds("-0.5"), None);
        assert_eq!(milliseconds("null"), None);
    }

    #[test]
    fn made_bodies_are_canonical() {
        let mut made = Made::new("M_X", "a\u{7}\"\u{7f}é\n");
        made.set("a", "1".into());
        assert_eq!(
            String::from_utf8(made.write()).unwrap(),
            "{\"a\":1,\"errcode\":\"M_X\",\"error\":\"a\\u0007\\\"\u{7f}é\\n\"}"
        );
    }
}
