//! The `Authorization: X-Matrix` header (Server-Server API, "Request Authentication"; RFC 9110 §11.4).
//!
//! The parser is our own, because what is sent in practice is wider than what the usual parsers take: values without
//! quotes that hold colons, slashes and brackets, spaces around `=`, empty list elements. The printer is narrower
//! than the grammar for the same reason: some receivers split at commas and know neither escapes nor spaces.

use std::borrow::Cow;

use super::{KeyId, KeyIdError, Signature, SignatureError};
use crate::{ServerName, ServerNameError};

/// Most X-Matrix credentials of one request. One is usual; more appear while keys are being replaced.
pub const MAX_CREDENTIALS: usize = 16;

/// Longest X-Matrix header value, in bytes. The longest sensible one (two names, a key ID, a signature) is about 900.
pub const MAX_HEADER_BYTES: usize = 4096;

const SCHEME: &str = "X-Matrix";

/// One X-Matrix credential: a claim, to be checked against a [`SignedRequest`](super::SignedRequest).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XMatrix {
    /// The server that says it sent the request.
    pub origin: ServerName,
    /// The server it says it meant. Absent from senders before v1.3. Kept as text: one that is no server name is not
    /// malformed, it is just not ours (401, not 400).
    pub destination: Option<String>,
    /// The key that signed.
    pub key: KeyId,
    /// The signature.
    pub signature: Signature,
}

/// What an `Authorization` header value held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// An X-Matrix credential.
    XMatrix(XMatrix),
    /// Another scheme, such as `Bearer`: none of our business.
    OtherScheme,
}

impl XMatrix {
    /// Reads one `Authorization` header value.
    ///
    /// # Errors
    /// [`XMatrixError`] if the scheme is X-Matrix and the rest is malformed; never [`XMatrixError::Missing`].
    pub fn parse(header: &str) -> Result<Parsed, XMatrixError> {
        let Some(start) = after_scheme(header.as_bytes())? else {
            return Ok(Parsed::OtherScheme);
        };
        Parameters::read(header, start)?
            .into_credential()
            .map(Parsed::XMatrix)
    }

    /// The header value to send: all values quoted, lower-case names, and no spaces, in Synapse's order.
    ///
    /// Sendable as a header if the destination is visible ASCII, as a server name is. A control character, which no
    /// header can carry, becomes `?`, which no server name has.
    pub fn to_header(&self) -> String {
        let mut header = format!(
            "{SCHEME} origin=\"{}\",key=\"{}\",sig=\"{}\"",
            self.origin,
            self.key,
            self.signature.to_base64()
        );
        if let Some(destination) = &self.destination {
            header.push_str(",destination=\"");
            for c in destination.chars() {
                match c {
                    '"' | '\\' => header.extend(['\\', c]),
                    c if c != '\t' && c.is_ascii_control() => header.push('?'),
                    c => header.push(c),
                }
            }
            header.push('"');
        }
        header
    }
}

/// All X-Matrix credentials of one request: at least one, all of one origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XMatrixCredentials(Vec<XMatrix>);

impl XMatrixCredentials {
    /// Reads all `Authorization` header values of a request. Other schemes are ignored.
    ///
    /// # Errors
    /// [`XMatrixError::Missing`] (401) if no value is X-Matrix; any other variant is malformed (400): a value that does
    /// not parse, two origins, or over [`MAX_CREDENTIALS`].
    pub fn from_headers<'a>(
        values: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Self, XMatrixError> {
        let mut credentials: Vec<XMatrix> = Vec::new();
        for value in values {
            let credential = match parse_bytes(value)? {
                Parsed::XMatrix(credential) => credential,
                Parsed::OtherScheme => continue,
            };
            if credentials.len() == MAX_CREDENTIALS {
                return Err(XMatrixError::TooMany);
            }
            if credentials
                .first()
                .is_some_and(|first| first.origin != credential.origin)
            {
                return Err(XMatrixError::DifferentOrigins);
            }
            credentials.push(credential);
        }
        if credentials.is_empty() {
            return Err(XMatrixError::Missing);
        }
        Ok(Self(credentials))
    }

    /// The one origin that all credentials name.
    pub fn origin(&self) -> &ServerName {
        &self
            .0
            .first()
            .expect("there is at least one credential")
            .origin
    }

    /// The credentials in the order of the headers.
    pub fn as_slice(&self) -> &[XMatrix] {
        &self.0
    }
}

/// Why a request has no usable X-Matrix credentials.
///
/// [`Missing`](Self::Missing) is answered 401 `M_UNAUTHORIZED`, everything else 400 `M_UNAUTHORIZED`, as the
/// test suites of the homeservers ask.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum XMatrixError {
    /// No `Authorization` header of the scheme X-Matrix.
    #[error("no X-Matrix authorization")]
    Missing,
    /// The header breaks the grammar.
    #[error("malformed X-Matrix header: expected {expected} at byte {offset}")]
    Syntax {
        /// Where in the header value, in bytes.
        offset: usize,
        /// What should have stood there.
        expected: &'static str,
    },
    /// Over [`MAX_HEADER_BYTES`].
    #[error("malformed X-Matrix header: longer than {MAX_HEADER_BYTES} bytes")]
    TooLong,
    /// A parameter stands twice.
    #[error("malformed X-Matrix header: {0} stands twice")]
    DuplicateParameter(&'static str),
    /// A parameter that must be there is not.
    #[error("malformed X-Matrix header: {0} is missing")]
    MissingParameter(&'static str),
    /// `origin` is no server name.
    #[error("malformed X-Matrix header: origin is no server name")]
    Origin(#[source] ServerNameError),
    /// `key` is no key ID.
    #[error("malformed X-Matrix header: key is no key ID")]
    Key(#[source] KeyIdError),
    /// `sig` is no signature.
    #[error("malformed X-Matrix header: sig is no signature")]
    Signature(#[source] SignatureError),
    /// Two headers name different origins.
    #[error("the X-Matrix headers name different origins")]
    DifferentOrigins,
    /// Over [`MAX_CREDENTIALS`] headers.
    #[error("more than {MAX_CREDENTIALS} X-Matrix headers")]
    TooMany,
}

impl XMatrixError {
    /// Whether the request had no X-Matrix header at all, as opposed to a malformed one.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing)
    }
}

fn parse_bytes(value: &[u8]) -> Result<Parsed, XMatrixError> {
    match std::str::from_utf8(value) {
        Ok(value) => XMatrix::parse(value),
        // Not text, but perhaps not ours either.
        Err(error) => match after_scheme(value)? {
            None => Ok(Parsed::OtherScheme),
            Some(_) => Err(XMatrixError::Syntax {
                offset: error.valid_up_to(),
                expected: "UTF-8",
            }),
        },
    }
}

/// Where the parameters start, or `None` if the scheme is another.
fn after_scheme(header: &[u8]) -> Result<Option<usize>, XMatrixError> {
    let is_space = |b: &u8| *b == b' ' || *b == b'\t';
    let start = header.iter().take_while(|b| is_space(b)).count();
    let length = header[start..].iter().take_while(|b| is_token(**b)).count();
    let end = start + length;
    if !header[start..end].eq_ignore_ascii_case(SCHEME.as_bytes()) {
        return Ok(None);
    }
    if header.len() > MAX_HEADER_BYTES {
        return Err(XMatrixError::TooLong);
    }
    // RFC 9110 has spaces here, no tabs.
    if header.get(end) != Some(&b' ') {
        return Err(XMatrixError::Syntax {
            offset: end,
            expected: "a space after the scheme",
        });
    }
    Ok(Some(end))
}

/// The four parameters that have a meaning, as they stood in the header.
#[derive(Default)]
struct Parameters<'a> {
    origin: Option<Cow<'a, str>>,
    destination: Option<Cow<'a, str>>,
    key: Option<Cow<'a, str>>,
    sig: Option<Cow<'a, str>>,
}

impl<'a> Parameters<'a> {
    fn read(header: &'a str, start: usize) -> Result<Self, XMatrixError> {
        let mut parameters = Self::default();
        let mut cursor = Cursor {
            text: header,
            at: start,
        };
        loop {
            cursor.skip_space();
            match cursor.peek() {
                None => return Ok(parameters),
                // An empty list element is legal (RFC 9110 §5.6.1.2).
                Some(b',') => cursor.at += 1,
                Some(_) => {
                    let name = cursor.token()?;
                    cursor.skip_space();
                    // A parameter without a value says nothing to us.
                    if cursor.peek() == Some(b'=') {
                        cursor.at += 1;
                        cursor.skip_space();
                        let value = cursor.value()?;
                        parameters.set(name, value)?;
                        cursor.skip_space();
                    }
                    if !matches!(cursor.peek(), None | Some(b',')) {
                        return Err(cursor.expected("a comma"));
                    }
                }
            }
        }
    }

    fn set(&mut self, name: &str, value: Cow<'a, str>) -> Result<(), XMatrixError> {
        let known = [
            ("origin", &mut self.origin),
            ("destination", &mut self.destination),
            ("key", &mut self.key),
            ("sig", &mut self.sig),
        ];
        for (known, slot) in known {
            if name.eq_ignore_ascii_case(known) {
                return match slot.replace(value) {
                    Some(_) => Err(XMatrixError::DuplicateParameter(known)),
                    None => Ok(()),
                };
            }
        }
        Ok(())
    }

    fn into_credential(self) -> Result<XMatrix, XMatrixError> {
        let required =
            |value: Option<Cow<'a, str>>, name| value.ok_or(XMatrixError::MissingParameter(name));
        Ok(XMatrix {
            origin: required(self.origin, "origin")?
                .parse()
                .map_err(XMatrixError::Origin)?,
            destination: self.destination.map(Cow::into_owned),
            key: required(self.key, "key")?
                .parse()
                .map_err(XMatrixError::Key)?,
            signature: Signature::from_base64(&required(self.sig, "sig")?)
                .map_err(XMatrixError::Signature)?,
        })
    }
}

/// A place in the header. `at` is always a character boundary: only ASCII is stepped over byte by byte.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn expected(&self, expected: &'static str) -> XMatrixError {
        XMatrixError::Syntax {
            offset: self.at,
            expected,
        }
    }

    fn skip_space(&mut self) {
        self.take_while(|b| b == b' ' || b == b'\t');
    }

    /// Takes the longest run of bytes that fit; `fits` takes ASCII only.
    fn take_while(&mut self, fits: impl Fn(u8) -> bool) -> &'a str {
        let rest = &self.text[self.at..];
        let length = rest.bytes().take_while(|b| fits(*b)).count();
        self.at += length;
        &rest[..length]
    }

    fn token(&mut self) -> Result<&'a str, XMatrixError> {
        match self.take_while(is_token) {
            "" => Err(self.expected("a parameter name")),
            token => Ok(token),
        }
    }

    /// A quoted string, or anything visible up to the next comma: wider than a token, for the colons of key IDs and
    /// ports, the `+`, `/` and `=` of base64, and the brackets of IPv6 literals.
    fn value(&mut self) -> Result<Cow<'a, str>, XMatrixError> {
        if self.peek() == Some(b'"') {
            self.at += 1;
            return self.quoted();
        }
        Ok(Cow::Borrowed(self.take_while(|b| {
            b.is_ascii_graphic() && !matches!(b, b',' | b'"' | b'\\')
        })))
    }

    /// The rest of a quoted string (RFC 9110 §5.6.4), after its opening quote.
    fn quoted(&mut self) -> Result<Cow<'a, str>, XMatrixError> {
        let mut unescaped: Option<String> = None;
        let mut start = self.at;
        loop {
            // Bytes beyond ASCII pass, so that it stops at a character's boundary.
            let rest = &self.text.as_bytes()[self.at..];
            let plain = rest.iter().take_while(|b| PLAIN[usize::from(**b)]);
            self.at += plain.count();
            let run = &self.text[start..self.at];
            match self.peek() {
                None => return Err(self.expected("a closing quote")),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(match unescaped {
                        None => Cow::Borrowed(run),
                        Some(text) => Cow::Owned(text + run),
                    });
                }
                Some(b'\\') => {
                    unescaped.get_or_insert_default().push_str(run);
                    // The next character belongs to the next run, whatever it is.
                    start = self.at + 1;
                    match self.text[start..].chars().next() {
                        Some(c) if !c.is_ascii() || is_visible(c as u8) => {
                            self.at = start + c.len_utf8();
                        }
                        _ => {
                            self.at = start;
                            return Err(self.expected("a visible character"));
                        }
                    }
                }
                Some(_) => return Err(self.expected("a visible character")),
            }
        }
    }
}

/// Whether a byte may stand in a quoted string, perhaps escaped.
const fn is_visible(b: u8) -> bool {
    b == b'\t' || !b.is_ascii_control()
}

/// Which bytes stand for themselves in a quoted string: all that are visible but the quote and the backslash.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut b = 0;
    while b < 256 {
        plain[b] = is_visible(b as u8) && b != b'"' as usize && b != b'\\' as usize;
        b += 1;
    }
    plain
};

/// `tchar` of RFC 9110 §5.6.2.
const TOKEN: [bool; 256] = {
    let mut token = [false; 256];
    let mut b = 0;
    while b < 256 {
        token[b] = (b as u8).is_ascii_alphanumeric();
        b += 1;
    }
    let others = b"!#$%&'*+-.^_`|~";
    let mut at = 0;
    while at < others.len() {
        token[others[at] as usize] = true;
        at += 1;
    }
    token
};

fn is_token(b: u8) -> bool {
    TOKEN[usize::from(b)]
}
