//! What travels, and the text that is signed.

use super::{
    super::{KeyId, Signature, SigningKey, VerifyKey},
    EXPORTER_BYTES, MAX_SESSION_LIFETIME, MAX_SESSION_SKEW,
};
use crate::ServerName;

/// The scheme's name in an `Authorization` value (RFC 9110 §11.4).
pub const SESSION_SCHEME: &str = "Comity-Session";

/// Longest credential, in bytes. The longest names and key ID make about 990.
pub const MAX_SESSION_BYTES: usize = 1024;

/// What is signed begins so. No JSON text begins with a zero byte, so a signature over a session is one over no event, request or document, and the other way round.
const DOMAIN: &[u8] = b"\0dev.comity.session/1\0";

/// The greatest time, in milliseconds since the Unix epoch: as far as integers of canonical JSON go.
const MAX_TIME: u64 = (1 << 53) - 1;

/// One session credential: a claim, to be checked against the keying material of the connection that it came on.
///
/// It has one writing: `Comity-Session origin="a.example",destination="b.example",key="ed25519:1",created=1763000000000,expires=1763003600000,sig="…"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionCredential {
    /// The server that says it is at the other end.
    pub origin: ServerName,
    /// The server it says it meant.
    pub destination: ServerName,
    /// The key that signed.
    pub key: KeyId,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created: u64,
    /// From when on it counts no more, likewise.
    pub expires: u64,
    /// The signature.
    pub signature: Signature,
}

impl SessionCredential {
    /// Signs a session of `origin` with `destination` for the connection with this keying material.
    pub fn sign(
        origin: ServerName,
        destination: ServerName,
        key: &SigningKey,
        exporter: &[u8; EXPORTER_BYTES],
        created: u64,
        expires: u64,
    ) -> Self {
        let key_id = key.key_id().clone();
        let signature = with_slices(
            (&origin, &destination, &key_id),
            exporter,
            (created, expires),
            |slices| key.sign_slices(slices),
        );
        Self {
            origin,
            destination,
            key: key_id,
            created,
            expires,
            signature,
        }
    }

    /// Whether the key made this signature for the connection with this keying material.
    pub fn verify(&self, key: &VerifyKey, exporter: &[u8; EXPORTER_BYTES]) -> bool {
        self.with_slices(exporter, |slices| {
            key.verify_slices(slices, &self.signature)
        })
    }

    /// The signed text in one piece, for tests and for showing it.
    pub fn signed_text(&self, exporter: &[u8; EXPORTER_BYTES]) -> Vec<u8> {
        self.with_slices(exporter, |slices| slices.concat())
    }

    fn with_slices<R>(&self, exporter: &[u8; EXPORTER_BYTES], f: impl FnOnce(&[&[u8]]) -> R) -> R {
        let names = (&self.origin, &self.destination, &self.key);
        with_slices(names, exporter, (self.created, self.expires), f)
    }

    /// Whether an `Authorization` value is of this scheme, well formed or not.
    pub fn is_one(value: &str) -> bool {
        let scheme = value.split([' ', '\t']).next().unwrap_or_default();
        scheme.eq_ignore_ascii_case(SESSION_SCHEME)
    }

    /// Reads a value of this scheme. Whoever writes it writes it in one way, so there is nothing to be lenient about.
    ///
    /// # Errors
    /// [`SessionError`] if it is any other text.
    pub fn parse(value: &str) -> Result<Self, SessionError> {
        if value.len() > MAX_SESSION_BYTES {
            return Err(SessionError::TooLong);
        }
        let mut rest = value
            .strip_prefix(SESSION_SCHEME)
            .ok_or(SessionError::Syntax("the scheme"))?;
        let origin = quoted(&mut rest, " origin=\"", "origin")?;
        let destination = quoted(&mut rest, ",destination=\"", "destination")?;
        let key = quoted(&mut rest, ",key=\"", "key")?;
        let created = number(&mut rest, ",created=", "created")?;
        let expires = number(&mut rest, ",expires=", "expires")?;
        let signature = quoted(&mut rest, ",sig=\"", "sig")?;
        let credential = Self {
            origin: origin.parse().map_err(|_| SessionError::Value("origin"))?,
            destination: destination
                .parse()
                .map_err(|_| SessionError::Value("destination"))?,
            key: key.parse().map_err(|_| SessionError::Value("key"))?,
            created,
            expires,
            signature: Signature::from_base64(signature).map_err(|_| SessionError::Value("sig"))?,
        };
        // Base64 has several writings of some bytes, and something may follow.
        match credential.to_header() == value {
            true => Ok(credential),
            false => Err(SessionError::Syntax("the one writing of its values")),
        }
    }

    /// The value to send. No part of it needs an escape.
    pub fn to_header(&self) -> String {
        let Self {
            origin,
            destination,
            key,
            created,
            expires,
            signature,
        } = self;
        let signature = signature.to_base64();
        format!(
            "{SESSION_SCHEME} origin=\"{origin}\",destination=\"{destination}\",key=\"{key}\",created={created},expires={expires},sig=\"{signature}\""
        )
    }

    /// Whether its times are those of a session, seen at `now`.
    ///
    /// # Errors
    /// [`SessionError`]: which is not.
    pub fn check_times(&self, now: i64) -> Result<(), SessionError> {
        let now = u64::try_from(now).unwrap_or(0);
        let most = milliseconds(MAX_SESSION_LIFETIME);
        if self.expires <= self.created || self.expires - self.created > most {
            return Err(SessionError::Lifetime);
        }
        if self.created > now.saturating_add(milliseconds(MAX_SESSION_SKEW)) {
            return Err(SessionError::NotYet);
        }
        self.check_expiry(now)
    }

    pub(super) fn check_expiry(&self, now: u64) -> Result<(), SessionError> {
        match now < self.expires {
            true => Ok(()),
            false => Err(SessionError::Expired),
        }
    }
}

pub(super) fn milliseconds(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Calls `f` with the pieces of the signed text, in order. Each name stands behind its length, so that no two sessions have one text.
fn with_slices<R>(
    (origin, destination, key): (&ServerName, &ServerName, &KeyId),
    exporter: &[u8; EXPORTER_BYTES],
    (created, expires): (u64, u64),
    f: impl FnOnce(&[&[u8]]) -> R,
) -> R {
    let length = |text: &str| {
        let length = u16::try_from(text.len());
        length
            .expect("names and key IDs have at most 261 bytes")
            .to_be_bytes()
    };
    f(&[
        DOMAIN,
        &length(origin.as_str()),
        origin.as_str().as_bytes(),
        &length(destination.as_str()),
        destination.as_str().as_bytes(),
        &length(key.as_str()),
        key.as_str().as_bytes(),
        exporter,
        &created.to_be_bytes(),
        &expires.to_be_bytes(),
    ])
}

fn quoted<'a>(
    rest: &mut &'a str,
    before: &str,
    name: &'static str,
) -> Result<&'a str, SessionError> {
    let text = rest
        .strip_prefix(before)
        .ok_or(SessionError::Syntax(name))?;
    let (value, after) = text.split_once('"').ok_or(SessionError::Syntax(name))?;
    *rest = after;
    Ok(value)
}

fn number(rest: &mut &str, before: &str, name: &'static str) -> Result<u64, SessionError> {
    let text = rest
        .strip_prefix(before)
        .ok_or(SessionError::Syntax(name))?;
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (value, after) = text.split_at(digits);
    *rest = after;
    let value = value.parse().ok().filter(|value| *value <= MAX_TIME);
    value.ok_or(SessionError::Value(name))
}

/// Why a session credential is none, or counts for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// Over [`MAX_SESSION_BYTES`].
    #[error("malformed session credential: longer than {MAX_SESSION_BYTES} bytes")]
    TooLong,
    /// It is not written in the one way.
    #[error("malformed session credential: expected {0}")]
    Syntax(&'static str),
    /// A value is not of its kind.
    #[error("malformed session credential: {0} is not of its kind")]
    Value(&'static str),
    /// It expires before it was made, or too long after.
    #[error("a session lives at most {MAX_SESSION_LIFETIME:?}, and longer than not at all")]
    Lifetime,
    /// It was made in the future.
    #[error(
        "the session was made more than {MAX_SESSION_SKEW:?} in the future of this server's clock"
    )]
    NotYet,
    /// It has expired.
    #[error("the session has expired")]
    Expired,
}

impl SessionError {
    /// Whether the value is no credential at all, as opposed to one that does not count.
    pub fn is_malformed(&self) -> bool {
        matches!(self, Self::TooLong | Self::Syntax(_) | Self::Value(_))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json::Value;

    const EXPORTER: [u8; EXPORTER_BYTES] = [7; EXPORTER_BYTES];

    fn key() -> SigningKey {
        SigningKey::from_seed("1", &[1; 32]).unwrap()
    }

    fn credential() -> SessionCredential {
        let name = |name: &str| name.parse().unwrap();
        SessionCredential::sign(
            name("a.example"),
            name("b.example:8448"),
            &key(),
            &EXPORTER,
            1_763_000_000_000,
            1_763_003_600_000,
        )
    }

    #[test]
    fn a_credential_is_read_as_it_is_written() {
        let header = credential().to_header();
        assert!(header.starts_with(
            r#"Comity-Session origin="a.example",destination="b.example:8448",key="ed25519:1",created=1763000000000,expires=1763003600000,sig=""#
        ));
        assert_eq!(SessionCredential::parse(&header), Ok(credential()));
        assert!(credential().verify(&key().verify_key(), &EXPORTER));
    }

    #[test]
    fn what_is_signed_is_written_down_to_the_byte() {
        let mut text = b"\0dev.comity.session/1\0".to_vec();
        text.extend(b"\0\x09a.example\0\x0eb.example:8448\0\x09ed25519:1");
        text.extend(EXPORTER);
        text.extend(1_763_000_000_000_u64.to_be_bytes());
        text.extend(1_763_003_600_000_u64.to_be_bytes());
        assert_eq!(credential().signed_text(&EXPORTER), text);
    }

    /// A signature over a session can be shown for no event, request or key document.
    #[test]
    fn what_is_signed_is_never_json() {
        let text = credential().signed_text(&EXPORTER);
        assert_eq!(text[0], 0);
        assert!(Value::parse(text.clone().into(), 1 << 20).is_err());
        assert!(serde_json::from_slice::<serde_json::Value>(&text).is_err());
    }

    #[test]
    fn every_part_is_signed() {
        let (good, public) = (credential(), key().verify_key());
        let name = |name: &str| -> ServerName { name.parse().unwrap() };
        let other = |change: &dyn Fn(&mut SessionCredential)| {
            let mut other = good.clone();
            change(&mut other);
            other.verify(&public, &EXPORTER)
        };
        assert!(other(&|_| ()));
        assert!(!other(&|it| it.origin = name("c.example")));
        assert!(!other(&|it| it.destination = name("b.example")));
        assert!(!other(&|it| it.key = KeyId::ed25519("2").unwrap()));
        assert!(!other(&|it| it.created += 1));
        assert!(!other(&|it| it.expires += 1));
        // A byte that moves from one name to the next.
        assert!(!other(&|it| {
            (it.origin, it.destination) = (name("a.exampleb"), name(".example:8448"));
        }));
        for at in 0..EXPORTER_BYTES {
            let mut exporter = EXPORTER;
            exporter[at] ^= 1;
            assert!(!good.verify(&public, &exporter), "byte {at}");
        }
    }

    #[test]
    fn another_writing_is_none() {
        let good = credential().to_header();
        for (from, to) in [
            ("Comity-Session ", "comity-session "),
            ("Comity-Session ", "Comity-Session  "),
            ("Comity-Session ", "Comity-Session\t"),
            (",destination", ", destination"),
            ("origin=\"a.example\"", "origin=a.example"),
            ("origin=\"a.example\"", "origin=\"a\\.example\""),
            ("origin=\"a.example\"", "origin=\"\""),
            ("origin=\"a.example\"", "origin=\"a example\""),
            ("ed25519:1", "ed25519"),
            ("created=1763", "created=01763"),
            ("created=1763", "created=+1763"),
            ("created=1763000000000", "created="),
            ("created=1763000000000", "created=9007199254740992"),
            ("created=1763000000000", "created=18446744073709551616"),
            ("created=1763000000000", "created=1.5"),
            (",created", ",x=1,created"),
            (",key=\"ed25519:1\"", ""),
            (",key", ",key=\"ed25519:1\",key"),
            ("sig=\"", "sig=\"="),
        ] {
            assert!(good.contains(from), "{from}");
            let bad = good.replacen(from, to, 1);
            assert!(SessionCredential::parse(&bad).is_err(), "{bad}");
        }
        for tail in [" ", ",", ",x=1", "\"", "=", "\n", "é"] {
            assert!(SessionCredential::parse(&format!("{good}{tail}")).is_err());
        }
        // The same bytes in another writing of base64.
        let padded = good.trim_end_matches('"').to_owned() + "==\"";
        assert!(SessionCredential::parse(&padded).is_err());
        for end in 0..good.len() {
            assert!(SessionCredential::parse(&good[..end]).is_err(), "{end}");
        }
        let long = good.replace("a.example", &"a".repeat(MAX_SESSION_BYTES));
        assert_eq!(SessionCredential::parse(&long), Err(SessionError::TooLong));
    }

    #[test]
    fn the_longest_names_fit() {
        let longest: ServerName = format!("{}:65535", "a".repeat(255)).parse().unwrap();
        let key = SigningKey::from_seed(&"k".repeat(247), &[1; 32]).unwrap();
        let made = SessionCredential::sign(
            longest.clone(),
            longest,
            &key,
            &EXPORTER,
            MAX_TIME - 1,
            MAX_TIME,
        );
        let header = made.to_header();
        assert!(header.len() <= MAX_SESSION_BYTES, "{}", header.len());
        assert_eq!(SessionCredential::parse(&header), Ok(made));
    }

    #[test]
    fn a_session_lives_an_hour_at_most() {
        let created = 1_763_000_000_000_u64;
        let times = |from: i64, to: i64, now: i64| {
            let mut it = credential();
            it.created = created.saturating_add_signed(from);
            it.expires = created.saturating_add_signed(to);
            it.check_times(created as i64 + now)
        };
        let hour = 3_600_000;
        assert_eq!(times(0, hour, 0), Ok(()));
        assert_eq!(times(0, hour, hour - 1), Ok(()));
        assert_eq!(times(0, hour, hour), Err(SessionError::Expired));
        assert_eq!(times(0, hour + 1, 0), Err(SessionError::Lifetime));
        assert_eq!(times(0, 0, -1), Err(SessionError::Lifetime));
        assert_eq!(times(0, -1, -2), Err(SessionError::Lifetime));
        assert_eq!(times(60_000, hour, 0), Ok(()));
        assert_eq!(times(60_001, hour, 0), Err(SessionError::NotYet));
        assert_eq!(credential().check_times(-1), Err(SessionError::NotYet));
        assert_eq!(
            credential().check_times(i64::MIN),
            Err(SessionError::NotYet)
        );
    }

    proptest! {
        /// Whatever comes: it is refused, or it is the one writing of what was read.
        #[test]
        fn a_value_is_refused_or_is_the_one_writing(value in "\\PC{0,200}") {
            if let Ok(read) = SessionCredential::parse(&value) {
                prop_assert_eq!(read.to_header(), value);
            }
        }

        /// The same near a good one: one byte changed, left out or added.
        #[test]
        fn a_changed_value_is_refused_or_another_session(at: prop::sample::Index, byte in 0_u8..128, what in 0..3) {
            let good = credential().to_header();
            let at = at.index(good.len());
            let mut bytes = good.clone().into_bytes();
            match what {
                0 => bytes[at] = byte,
                1 => { bytes.remove(at); }
                _ => bytes.insert(at, byte),
            }
            let value = String::from_utf8(bytes).unwrap();
            if let Ok(read) = SessionCredential::parse(&value) {
                prop_assert_eq!(read.to_header(), value.clone());
                prop_assert!(value == good || !read.verify(&key().verify_key(), &EXPORTER));
            }
        }
    }
}
