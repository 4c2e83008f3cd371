//! What a peer answered instead of a result.

use std::{error::Error, fmt, time::Duration};

use bytes::Bytes;
use serde_json::value::RawValue;

use super::{
    ErrorKind, Retry, TransportError, TransportErrorKind,
    body::{Made, Said, string, string_member},
    wait::{header_wait, wait, whole_milliseconds, whole_seconds},
};

/// The most bytes of an error's body that are kept: 64 KiB.
pub const BODY_LIMIT: usize = 64 * 1024;

/// The most bytes of a message in a body that we make. Escaping makes six bytes of one at worst, so
/// that the body stays within [`BODY_LIMIT`].
const MESSAGE_LIMIT: usize = 8 * 1024;

/// The most bytes of an errcode in a body that we make, as of every Matrix identifier.
const ERRCODE_LIMIT: usize = 255;

/// Who said it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorOrigin {
    /// The server that was called.
    Remote,
    /// A gateway on the way, by name.
    Gateway(String),
    /// Something on the way, or a server that does not speak Matrix: there was no errcode.
    Intermediary,
    /// This side.
    Local,
}

/// The facts of a [`FederationError`], for a binding that carries them one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorParts {
    /// The HTTP status, or what it would be on HTTP.
    pub http_status: u16,
    /// The Matrix errcode.
    pub errcode: Option<String>,
    /// The text for humans.
    pub message: String,
    /// The least time to wait.
    pub retry_after: Option<Duration>,
    /// The raw body, at most [`BODY_LIMIT`] bytes; empty if there was none or it was dropped.
    pub body: Bytes,
    /// Who said it.
    pub origin: ErrorOrigin,
}

/// What a peer answered instead of a result: a status and, of a well-behaved server, Matrix's
/// `{"errcode": "M_…", "error": "text"}` (Matrix spec, Client-Server API, "Standard error response").
///
/// One pointer wide. These hold for every value, however it was made:
///
/// - [`errcode`](Self::errcode) is what [`body`](Self::body) says;
/// - [`kind`](Self::kind) follows from errcode and status;
/// - writing it to HTTP and reading it back with [`from_http`](Self::from_http) keeps status,
///   errcode, body and wait;
/// - the status is no success: 300 to 999, or 202 without a body; 304 without a body too, as HTTP
///   sends none with it (RFC 9110 §15.4.5). Written to HTTP it cannot be
///   taken for a result.
#[derive(Clone)]
pub struct FederationError(Box<Inner>);

#[derive(Clone)]
struct Inner {
    parts: ErrorParts,
    kind: ErrorKind,
    /// The members of a body that we made; `None` for a body that came from elsewhere.
    made: Option<Made>,
}

impl FederationError {
    /// An error of this side, to be answered to a peer.
    ///
    /// The body is `{"errcode", "error"}` in canonical JSON. An errcode that is empty or over 255
    /// bytes becomes `M_UNKNOWN`, a message over 8 KiB is cut, a status that is no error becomes
    /// 500.
    pub fn new(http_status: u16, errcode: impl Into<String>, message: impl Into<String>) -> Self {
        let http_status = if is_error_status(http_status, false) {
            http_status
        } else {
            500
        };
        Self::made(
            http_status,
            errcode.into(),
            message.into(),
            ErrorOrigin::Local,
        )
    }

    fn made(
        http_status: u16,
        mut errcode: String,
        mut message: String,
        origin: ErrorOrigin,
    ) -> Self {
        if errcode.is_empty() || errcode.len() > ERRCODE_LIMIT {
            errcode = "M_UNKNOWN".to_owned();
        }
        if message.len() > MESSAGE_LIMIT {
            let cut = (0..=MESSAGE_LIMIT)
                .rev()
                .find(|&index| message.is_char_boundary(index));
            message.truncate(cut.unwrap_or(0));
        }
        let made = Made::new(&errcode, &message);
        let body = Bytes::from(made.write());
        let parts = ErrorParts {
            http_status,
            errcode: Some(errcode),
            message,
            retry_after: None,
            body,
            origin,
        };
        Self::build(parts, Some(made))
    }

    fn build(parts: ErrorParts, made: Option<Made>) -> Self {
        let kind = ErrorKind::of(parts.http_status, parts.errcode.as_deref());
        Self(Box::new(Inner { parts, kind, made }))
    }

    /// An error that came over HTTP. Never fails: a body that is no Matrix error (HTML, a JSON
    /// string, an object without `errcode`, nothing) gives an error without errcode, whose
    /// [origin](Self::origin) is an intermediary. A member `via` is the name of the gateway that
    /// spoke.
    ///
    /// - `retry_after` is the `Retry-After` header: seconds or an HTTP date (RFC 9110 §10.2.3);
    ///   anything else is ignored. The body's `retry_after_ms` is taken for its precision where
    ///   both agree to the second; where they do not, the longer one counts.
    /// - A body over [`BODY_LIMIT`] is cut, and so mostly no JSON any more.
    /// - A status that is no error (any success but a 202 without body) becomes 502.
    pub fn from_http(http_status: u16, retry_after: Option<&str>, body: Bytes) -> Self {
        let body = cut(body);
        let said = Said::read(&body);
        let http_status = if is_error_status(http_status, body.is_empty()) {
            http_status
        } else {
            502
        };
        let origin = match (&said.errcode, said.via) {
            (Some(_), Some(gateway)) => ErrorOrigin::Gateway(gateway),
            (Some(_), None) => ErrorOrigin::Remote,
            (None, _) => ErrorOrigin::Intermediary,
        };
        let retry_after = wait(retry_after.and_then(header_wait), said.retry_after);
        let message = said.message.unwrap_or_default();
        Self::build(
            ErrorParts {
                http_status,
                errcode: said.errcode,
                message,
                retry_after,
                body,
                origin,
            },
            None,
        )
    }

    /// An error that another binding carried as [parts](Self::parts). Never fails.
    ///
    /// A body that is present is authoritative for errcode and message; where the binding dropped
    /// it, it is made again from those. A status that is no error becomes 502.
    pub fn from_parts(parts: ErrorParts) -> Self {
        let ErrorParts {
            http_status,
            errcode,
            message,
            retry_after,
            body,
            origin,
        } = parts;
        let body = cut(body);
        let errcode = errcode.filter(|errcode| !errcode.is_empty());
        let bodiless = body.is_empty() && errcode.is_none();
        let http_status = if is_error_status(http_status, bodiless) {
            http_status
        } else {
            502
        };
        if let (Some(errcode), true) = (errcode, body.is_empty()) {
            let error = Self::made(http_status, errcode, message, origin);
            return match retry_after {
                Some(wait) => error.with_retry_after(wait),
                None => error,
            };
        }
        let said = Said::read(&body);
        // Without a body there is nobody else's word on the message.
        let message = if bodiless {
            message
        } else {
            said.message.unwrap_or_default()
        };
        let retry_after = wait(retry_after, said.retry_after);
        Self::build(
            ErrorParts {
                http_status,
                errcode: said.errcode,
                message,
                retry_after,
                body,
                origin,
            },
            None,
        )
    }

    /// The facts, for a binding that carries them one by one. The body is shared, not copied.
    pub fn parts(&self) -> ErrorParts {
        self.0.parts.clone()
    }

    /// What a gateway answers when its own call to the next server got no answer: 504 if the time
    /// ran out, else 502, `M_UNKNOWN`, with the gateway's name as origin and as member `via`.
    pub fn from_transport(error: &TransportError, gateway: &str) -> Self {
        let http_status = match error.kind() {
            TransportErrorKind::Timeout => 504,
            _ => 502,
        };
        Self::new(http_status, "M_UNKNOWN", error.to_string()).spoken_by(gateway)
    }

    /// With the name of the gateway that this side is, as origin and as member `via`: so that its word is not taken for that of the server behind it. Only of an error
    /// that this side made itself; what another said stays as it is.
    #[must_use]
    pub fn spoken_by(self, gateway: &str) -> Self {
        match self.origin() {
            ErrorOrigin::Local => self
                .with_origin(ErrorOrigin::Gateway(gateway.to_owned()))
                .with_string("via", gateway),
            _ => self,
        }
    }

    /// With a wait, at most [`MAX_RETRY_AFTER`](super::MAX_RETRY_AFTER), rounded up to milliseconds.
    ///
    /// A body that we made gets `retry_after_ms`. A peer's body stays as it is: the wait is rounded
    /// up to seconds, and is not less than what that body says.
    #[must_use]
    pub fn with_retry_after(mut self, retry_after: Duration) -> Self {
        let milliseconds = whole_milliseconds(retry_after);
        self.0.parts.retry_after =
            if self.set("retry_after_ms", milliseconds.as_millis().to_string()) {
                Some(milliseconds)
            } else {
                wait(Some(retry_after), Said::read(self.body()).retry_after)
            };
        self
    }

    /// With another string member, such as `room_version`, in a body that we made; a peer's body
    /// stays as it is. `errcode`, `error` and `retry_after_ms` are not for this method, and a
    /// member with which the body would not fit [`BODY_LIMIT`] is left out.
    #[must_use]
    pub fn with_string(self, name: &str, value: &str) -> Self {
        self.with_member_text(name, &string(value))
    }

    /// With another member, given as canonical JSON text, under the rules of
    /// [`with_string`](Self::with_string). A text that is no JSON at all is left out.
    #[must_use]
    pub fn with_member_text(mut self, name: &str, canonical: &str) -> Self {
        let ours = matches!(name, "errcode" | "error" | "retry_after_ms");
        if !ours && serde_json::from_str::<&RawValue>(canonical).is_ok() {
            self.set(name, canonical.to_owned());
        }
        self
    }

    /// Whether the body is ours and has room.
    fn set(&mut self, name: &str, canonical: String) -> bool {
        let Some(made) = &mut self.0.made else {
            return false;
        };
        let mut larger = made.clone();
        larger.set(name, canonical);
        let body = larger.write();
        if body.len() > BODY_LIMIT {
            return false;
        }
        *made = larger;
        self.0.parts.body = Bytes::from(body);
        true
    }

    /// With another origin.
    #[must_use]
    pub fn with_origin(mut self, origin: ErrorOrigin) -> Self {
        self.0.parts.origin = origin;
        self
    }

    /// The closed kind, which drives retries.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The Matrix errcode, of any namespace; `None` if the answer has none.
    pub fn errcode(&self) -> Option<&str> {
        self.0.parts.errcode.as_deref()
    }

    /// The HTTP status, also where the answer came another way.
    pub fn http_status(&self) -> u16 {
        self.0.parts.http_status
    }

    /// The text for humans, from anyone: it may hold control characters. Empty if there is none.
    pub fn message(&self) -> &str {
        &self.0.parts.message
    }

    /// The least time to wait before anything is sent again.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.parts.retry_after
    }

    /// The raw body, at most [`BODY_LIMIT`] bytes. Anything, if it came from an intermediary.
    pub fn body(&self) -> &Bytes {
        &self.0.parts.body
    }

    /// Who said it.
    pub fn origin(&self) -> &ErrorOrigin {
        &self.0.parts.origin
    }

    /// What a caller may do about it.
    pub fn retry(&self) -> Retry {
        Retry::of(
            self.kind(),
            self.http_status(),
            self.errcode(),
            self.retry_after(),
        )
    }

    /// The value of the `Retry-After` header: whole seconds, rounded up.
    pub fn retry_after_header(&self) -> Option<String> {
        let wait = whole_seconds(self.0.parts.retry_after?);
        Some(wait.as_secs().to_string())
    }

    /// The room's version, where the answer is `M_INCOMPATIBLE_ROOM_VERSION` and says it: an opaque identifier, of any length and from
    /// anyone.
    pub fn room_version(&self) -> Option<String> {
        match self.errcode() {
            Some("M_INCOMPATIBLE_ROOM_VERSION") => string_member(self.body(), "room_version"),
            _ => None,
        }
    }

    /// Whether the peer does not know the endpoint, so that a named fallback (an older version of
    /// it) may be tried. Wider than [`ErrorKind::Unimplemented`]: old servers and proxies say it
    /// with a bare 404 or 405, and so Synapse's `404 ""` of a missing event counts as well. Ask only
    /// where a fallback exists.
    pub fn is_unknown_endpoint(&self) -> bool {
        let unrecognised = self.errcode() == Some("M_UNRECOGNIZED");
        match self.http_status() {
            404 | 405 => unrecognised || self.body().first() != Some(&b'{'),
            400 => unrecognised,
            _ => false,
        }
    }
}

impl PartialEq for FederationError {
    // Whether the body was made here is no property of the answer.
    fn eq(&self, other: &Self) -> bool {
        self.0.parts == other.0.parts
    }
}

impl Eq for FederationError {}

impl fmt::Debug for FederationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ErrorParts {
            http_status,
            errcode,
            message,
            retry_after,
            body,
            origin,
        } = &self.0.parts;
        f.debug_struct("FederationError")
            .field("kind", &self.0.kind)
            .field("http_status", http_status)
            .field("errcode", errcode)
            .field("message", message)
            .field("retry_after", retry_after)
            .field("body_bytes", &body.len())
            .field("origin", origin)
            .finish()
    }
}

impl fmt::Display for FederationError {
    /// One line, whatever the peer wrote: control characters are escaped, and the end is cut.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.http_status())?;
        match self.errcode() {
            Some(errcode) => write_line(f, errcode, 255)?,
            None => write!(f, "without errcode ({})", self.kind())?,
        }
        if !self.message().is_empty() {
            f.write_str(": ")?;
            write_line(f, self.message(), 512)?;
        }
        Ok(())
    }
}

impl Error for FederationError {}

fn write_line(f: &mut fmt::Formatter<'_>, text: &str, most: usize) -> fmt::Result {
    let mut characters = text.chars();
    for character in characters.by_ref().take(most) {
        if character.is_control() {
            write!(f, "{}", character.escape_default())?;
        } else {
            fmt::Write::write_char(f, character)?;
        }
    }
    if characters.next().is_some() {
        f.write_str("…")
    } else {
        Ok(())
    }
}

fn is_error_status(http_status: u16, bodiless: bool) -> bool {
    match http_status {
        202 | 304 => bodiless,
        _ => (300..=999).contains(&http_status),
    }
}

/// At most [`BODY_LIMIT`] bytes; a copy if it is cut, lest it keep the rest in memory.
fn cut(body: Bytes) -> Bytes {
    if body.len() <= BODY_LIMIT {
        body
    } else {
        Bytes::copy_from_slice(&body[..BODY_LIMIT])
    }
}
