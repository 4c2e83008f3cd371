//! The object that a request signs (Server-Server API, "Request Authentication").

use super::{PreparedKeys, Signature, SigningKey, VerifyKey, XMatrix};
use crate::{ServerName, json::write_string};

/// What a request's signature covers.
///
/// The signed text is the canonical JSON of
/// `{"content": …, "destination": …, "method": …, "origin": …, "uri": …}`. It is hashed piece by piece and not built:
/// a transaction's content is by far the largest piece, and it is there already.
#[derive(Clone, Copy, Debug)]
pub struct SignedRequest<'a> {
    /// The method as sent: upper case, and `HEAD` for a HEAD request even if it is routed as GET.
    pub method: &'a str,
    /// The request target exactly as sent: path, and `?` and query if there is a `?`; no scheme, host or fragment,
    /// percent-encoding untouched.
    pub uri: &'a str,
    /// Who sends.
    pub origin: &'a ServerName,
    /// Who is addressed. A receiver puts the name it was addressed by here even if the header has no `destination`,
    /// because senders from before v1.3 of the specification signed it all the same.
    pub destination: &'a str,
    /// The body's canonical JSON, whole (`signatures` and `unsigned` inside it stay), or `None` if no body is sent.
    pub content: Option<&'a [u8]>,
}

impl SignedRequest<'_> {
    /// Signs, and gives the credential to send.
    pub fn sign(&self, key: &SigningKey) -> XMatrix {
        XMatrix {
            origin: self.origin.clone(),
            destination: Some(self.destination.to_owned()),
            key: key.key_id().clone(),
            signature: self.with_slices(|slices| key.sign_slices(slices)),
        }
    }

    /// Whether the key made this signature over this request.
    ///
    /// That the signature holds says nothing about the content's form: the caller has checked that it is canonical.
    pub fn verify(&self, key: &VerifyKey, signature: &Signature) -> bool {
        self.with_slices(|slices| key.verify_slices(slices, signature))
    }

    /// The same with keys that may be prepared.
    pub fn verify_by(&self, keys: &PreparedKeys, key: &VerifyKey, signature: &Signature) -> bool {
        self.with_slices(|slices| keys.verify_slices(key, slices, signature))
    }

    /// As [`verify`](Self::verify), for a request that came with an empty body.
    ///
    /// Synapse sends no body and signs no content where the content would be `{}`, others sign `{}` and may lose it
    /// on the way: so the request counts as signed without content or, if that fails, with `{}`. The value of
    /// `content` is not looked at.
    pub fn verify_empty_body(&self, key: &VerifyKey, signature: &Signature) -> bool {
        self.empty_bodies()
            .any(|request| request.verify(key, signature))
    }

    /// The same with keys that may be prepared.
    pub fn verify_empty_body_by(
        &self,
        keys: &PreparedKeys,
        key: &VerifyKey,
        signature: &Signature,
    ) -> bool {
        self.empty_bodies()
            .any(|request| request.verify_by(keys, key, signature))
    }

    /// The requests that one with an empty body may stand for.
    fn empty_bodies(&self) -> impl Iterator<Item = Self> {
        let contents = [None, Some(&b"{}"[..])].into_iter();
        contents.map(|content| Self { content, ..*self })
    }

    /// The signed text in one piece, for tests and for showing it.
    pub fn to_vec(&self) -> Vec<u8> {
        self.with_slices(|slices| slices.concat())
    }

    /// Calls `f` with the pieces of the signed text, in order.
    pub fn with_slices<R>(&self, f: impl FnOnce(&[&[u8]]) -> R) -> R {
        let (start, content, next): (&[u8], &[u8], &[u8]) = match self.content {
            Some(content) => (b"{\"content\":", content, b",\"destination\":"),
            None => (b"{", b"", b"\"destination\":"),
        };
        // What stands behind the content is short: one buffer for all of it, so that nothing is hashed in crumbs.
        let names = self.destination.len() + self.method.len() + self.origin.as_str().len();
        let mut rest = Vec::with_capacity(names + self.uri.len() + 80);
        rest.extend_from_slice(next);
        write_string(&mut rest, self.destination);
        rest.extend_from_slice(b",\"method\":");
        write_string(&mut rest, self.method);
        rest.extend_from_slice(b",\"origin\":");
        write_string(&mut rest, self.origin.as_str());
        rest.extend_from_slice(b",\"uri\":");
        write_string(&mut rest, self.uri);
        rest.push(b'}');
        f(&[start, content, &rest])
    }
}
