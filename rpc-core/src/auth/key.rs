//! Key IDs, ed25519 keys and signatures (Matrix specification, Appendices, "Signing JSON" and "Unpadded Base64").

use std::{fmt, str::FromStr, sync::Arc};

use base64::{
    Engine as _, alphabet,
    engine::general_purpose::{GeneralPurpose, NO_PAD_INDIFFERENT},
};
use curve25519_dalek::EdwardsPoint;
use ed25519_dalek::ed25519::signature::MultipartSigner as _;

/// The only signature algorithm of the specification.
const ED25519: &str = "ed25519";

/// Longest key ID that is taken. The specification sets no limit; identifiers elsewhere in it stop at 255 bytes.
const MAX_KEY_ID: usize = 255;

/// Standard alphabet, emitted without padding, read with or without. Trailing bits that are not zero are accepted, as
/// other homeservers accept them; the URL-safe alphabet is not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    NO_PAD_INDIFFERENT.with_decode_allow_trailing_bits(true),
);

/// The name of a key: `algorithm:version`, such as `ed25519:a_1`. Cheap to clone.
///
/// Both parts are one or more of `A-Z a-z 0-9 _`, 255 bytes in all at most.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(Arc<str>);

impl KeyId {
    /// The ID of an ed25519 key.
    ///
    /// # Errors
    /// [`KeyIdError`] if the version is empty, too long or has other characters.
    pub fn ed25519(version: &str) -> Result<Self, KeyIdError> {
        format!("{ED25519}:{version}").parse()
    }

    /// The whole ID.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the colon.
    pub fn algorithm(&self) -> &str {
        self.parts().0
    }

    /// The part after the colon.
    pub fn version(&self) -> &str {
        self.parts().1
    }

    /// Whether the algorithm is ed25519, the only one that signs requests.
    pub fn is_ed25519(&self) -> bool {
        self.algorithm() == ED25519
    }

    fn parts(&self) -> (&str, &str) {
        self.0
            .split_once(':')
            .expect("a key ID was parsed, so it has a colon")
    }
}

impl FromStr for KeyId {
    type Err = KeyIdError;

    fn from_str(id: &str) -> Result<Self, Self::Err> {
        let word = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        match id.split_once(':') {
            Some((algorithm, version))
                if word(algorithm) && word(version) && id.len() <= MAX_KEY_ID =>
            {
                Ok(Self(id.into()))
            }
            _ => Err(KeyIdError),
        }
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// A text is no key ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a key ID is algorithm:version, each of letters, digits and '_', {MAX_KEY_ID} bytes at most"
)]
pub struct KeyIdError;

/// A secret ed25519 key and its ID. `Debug` shows the ID only.
#[derive(Clone)]
pub struct SigningKey {
    id: KeyId,
    key: ed25519_dalek::SigningKey,
}

impl SigningKey {
    /// A new key from the system's random source.
    ///
    /// # Errors
    /// [`SigningKeyError`] if the version is no key version, or the random source fails.
    pub fn generate(version: &str) -> Result<Self, SigningKeyError> {
        let id = KeyId::ed25519(version)?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| SigningKeyError::Random(error.to_string()))?;
        let key = ed25519_dalek::SigningKey::from_bytes(&seed);
        Ok(Self { id, key })
    }

    /// The key with this 32-byte seed.
    ///
    /// # Errors
    /// [`KeyIdError`] if the version is no key version.
    pub fn from_seed(version: &str, seed: &[u8; 32]) -> Result<Self, KeyIdError> {
        Ok(Self {
            id: KeyId::ed25519(version)?,
            key: ed25519_dalek::SigningKey::from_bytes(seed),
        })
    }

    /// The key with this seed in standard base64, as homeservers keep it in their key files.
    ///
    /// # Errors
    /// [`SigningKeyError`] if the version is no key version, or the text is not 32 bytes in base64.
    pub fn from_base64_seed(version: &str, seed: &str) -> Result<Self, SigningKeyError> {
        let seed = decode(seed).map_err(|_| SigningKeyError::Seed)?;
        Ok(Self::from_seed(version, &seed)?)
    }

    /// The secret seed, for writing the key to a file. Do not log it.
    pub fn expose_seed(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// The key's ID.
    pub fn key_id(&self) -> &KeyId {
        &self.id
    }

    /// The public half.
    pub fn verify_key(&self) -> VerifyKey {
        VerifyKey(self.key.verifying_key())
    }

    /// Signs a message.
    pub fn sign(&self, message: &[u8]) -> Signature {
        self.sign_slices(&[message])
    }

    /// Signs the concatenation of the slices without building it.
    pub fn sign_slices(&self, slices: &[&[u8]]) -> Signature {
        Signature(self.key.multipart_sign(slices).to_bytes())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// A key could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SigningKeyError {
    /// The version is no key version.
    #[error(transparent)]
    KeyId(#[from] KeyIdError),
    /// The seed is not 32 bytes in standard base64.
    #[error("the key's seed is not 32 bytes in standard base64")]
    Seed,
    /// The system's random source failed.
    #[error("the system's random source failed: {0}")]
    Random(String),
}

/// A public ed25519 key, decompressed once so that every check is cheap.
///
/// Keys of small order are refused when the key is made, as such a key has signatures that fit any message. That is why
/// a check can use the plain verification equation, as ruma does. libsodium, by which Synapse checks, also refuses an R of small order. Whoever signs with such
/// an R gives the key away.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyKey(ed25519_dalek::VerifyingKey);

impl VerifyKey {
    /// Reads a key's 32 bytes.
    ///
    /// # Errors
    /// [`VerifyKeyError::NotAPoint`] or [`VerifyKeyError::Weak`].
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, VerifyKeyError> {
        #[cfg(test)]
        DECOMPRESSED.set(DECOMPRESSED.get() + 1);
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes)
            .map_err(|_| VerifyKeyError::NotAPoint)?;
        if key.is_weak() {
            return Err(VerifyKeyError::Weak);
        }
        Ok(Self(key))
    }

    /// Reads a key in standard base64, with or without padding.
    ///
    /// # Errors
    /// [`VerifyKeyError`].
    pub fn from_base64(text: &str) -> Result<Self, VerifyKeyError> {
        let bytes = decode(text).map_err(|error| match error {
            DecodeError::Base64 => VerifyKeyError::Base64,
            DecodeError::Length => VerifyKeyError::Length,
        })?;
        Self::from_bytes(&bytes)
    }

    /// The key's 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The point that it is.
    pub(super) fn point(&self) -> EdwardsPoint {
        self.0.to_edwards()
    }

    /// The key in unpadded base64.
    pub fn to_base64(&self) -> String {
        BASE64.encode(self.0.as_bytes())
    }

    /// Whether this key made the signature over the message.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> bool {
        self.verify_slices(&[message], signature)
    }

    /// Whether this key made the signature over the concatenation of the slices, which is hashed but never built.
    pub fn verify_slices(&self, slices: &[&[u8]], signature: &Signature) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        // Fails at once if the signature's scalar is not reduced: such a signature is never valid (RFC 8032 §5.1.7).
        let Ok(mut stream) = self.0.verify_stream(&signature) else {
            return false;
        };
        for slice in slices {
            stream.update(slice);
        }
        stream.finalize_and_verify().is_ok()
    }
}

impl fmt::Debug for VerifyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyKey({})", self.to_base64())
    }
}

#[cfg(test)]
thread_local! {
    /// How many keys were decompressed on this thread.
    pub(super) static DECOMPRESSED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// A text or some bytes are no key to verify with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyKeyError {
    /// Not standard base64.
    #[error("the key is not standard base64")]
    Base64,
    /// Not 32 bytes.
    #[error("the key is not 32 bytes")]
    Length,
    /// The bytes encode no point of the curve.
    #[error("the key is no point of the curve")]
    NotAPoint,
    /// A key of small order: there are signatures that it verifies for any message.
    #[error("the key is weak")]
    Weak,
}

/// An ed25519 signature: any 64 bytes, whether they verify or not.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signature([u8; 64]);

impl Signature {
    /// Takes a signature's 64 bytes.
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// Reads a signature in standard base64, with or without padding.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn from_base64(text: &str) -> Result<Self, SignatureError> {
        decode(text).map(Self).map_err(|error| match error {
            DecodeError::Base64 => SignatureError::Base64,
            DecodeError::Length => SignatureError::Length,
        })
    }

    /// The 64 bytes.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }

    /// R and s (RFC 8032 §5.1.6).
    pub(super) fn halves(&self) -> ([u8; 32], [u8; 32]) {
        let (r, s) = self.0.split_at(32);
        let half = |bytes: &[u8]| bytes.try_into().expect("half of 64 bytes");
        (half(r), half(s))
    }

    /// The signature in unpadded base64.
    pub fn to_base64(&self) -> String {
        BASE64.encode(self.0)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({})", self.to_base64())
    }
}

/// A text is no signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// Not standard base64.
    #[error("the signature is not standard base64")]
    Base64,
    /// Not 64 bytes.
    #[error("the signature is not 64 bytes")]
    Length,
}

enum DecodeError {
    Base64,
    Length,
}

/// Decodes exactly `N` bytes, of at most 64.
fn decode<const N: usize>(text: &str) -> Result<[u8; N], DecodeError> {
    // The decoder asks for room for whole groups of four characters, so the buffer is a little larger.
    let mut buffer = [0; 96];
    if text.len() > 4 * N.div_ceil(3) {
        return Err(DecodeError::Length);
    }
    let length = BASE64
        .decode_slice(text, &mut buffer)
        .map_err(|_| DecodeError::Base64)?;
    buffer[..length].try_into().map_err(|_| DecodeError::Length)
}
