//! The secret that the homeserver shows.

use std::{fmt, hint::black_box, sync::Arc};

/// A shared secret. `Debug` shows nothing of it.
#[derive(Clone)]
pub struct Secret(Arc<[u8]>);

impl Secret {
    /// The secret in a file's content, without the line's end.
    ///
    /// # Errors
    /// It is empty, or has a byte that no header carries.
    pub fn from_file(content: &[u8]) -> Result<Self, &'static str> {
        let secret = content.trim_ascii_end();
        if secret.is_empty() {
            return Err("the file holds no secret");
        }
        if !secret.iter().all(u8::is_ascii_graphic) {
            return Err("a secret is one line of visible ASCII, as it stands in a header");
        }
        Ok(Self(secret.into()))
    }

    /// Whether `given` is the secret. The time that it takes says nothing of where they differ.
    pub fn is(&self, given: &[u8]) -> bool {
        let mut difference = usize::from(self.0.len() != given.len());
        for (at, own) in self.0.iter().enumerate() {
            let other = given.get(at).copied().unwrap_or_default();
            difference |= usize::from(black_box(own ^ other));
        }
        black_box(difference) == 0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.is(&other.0)
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_secret_is_the_secret() {
        let secret = Secret::from_file(b"abc \n").unwrap();
        assert!(secret.is(b"abc"));
        for other in [&b"ab"[..], b"abcd", b"abd", b"", b"ABC", b"abc\0"] {
            assert!(!secret.is(other), "{other:?}");
        }
        assert_eq!(format!("{secret:?}"), "Secret");
    }

    #[test]
    fn a_file_without_a_secret_is_refused() {
        for bad in [&b""[..], b"\n", b"a b", b"a\nb", b"\xff"] {
            assert!(Secret::from_file(bad).is_err(), "{bad:?}");
        }
    }
}
