//! Keys that are used often, prepared: a check with one takes half of the curve's time.

use std::{
    fmt,
    sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError},
};

use curve25519_dalek::{
    EdwardsPoint, Scalar, constants::ED25519_BASEPOINT_POINT, traits::Identity,
};
use sha2::{Digest, Sha512};

use super::{Signature, VerifyKey, multiples::Multiples};

/// Good signatures until a key is worth its table: that takes 0.2 ms, as long as six or seven checks, and saves half of one.
const WORTH: u32 = 16;

/// The most that a key's uses count for, so that one that was busy once gives way.
const MOST: u32 = 4 * WORTH;

/// Most places there are: a key's first two bytes say which is its own.
const PLACES: usize = 1 << 16;

/// Bits of a digit for a key: 130 kB each.
const KEY_WIDTH: usize = 5;

/// The same for the curve's base point: 220 kB. A wider digit takes fewer additions, and more where a processor's caches are full of other things.
const BASE_WIDTH: usize = 6;

/// The base point is the same for all keys, so a process has it once.
static BASE: LazyLock<Multiples> =
    LazyLock::new(|| Multiples::of(ED25519_BASEPOINT_POINT, BASE_WIDTH));

/// The keys of the servers that sign most, each with a table of its multiples. A check with one of them gives the same verdict, for every signature, as
/// [`VerifyKey::verify`]: the equation is the same, and only how it is computed is not.
///
/// A key has a table once 16 signatures of it have been good. Which keys those are depends on traffic; how many there are is bounded, so a busy key gets none while
/// another sits at its place. Shared by those that verify for one server: signatures of requests and of events count alike. A
/// [`KeyRing`](super::KeyRing) has one, which every [`XMatrixAuthenticator`](super::XMatrixAuthenticator) and every set of event keys that is made of it uses.
///
/// It says what a key has signed, never whether the key counts: that is looked up each time.
pub struct PreparedKeys {
    limit: usize,
    places: OnceLock<Box<[Mutex<Place>]>>,
}

#[derive(Default)]
struct Place {
    key: [u8; 32],
    uses: u32,
    /// Of the key's negative.
    multiples: Option<Arc<Multiples>>,
}

impl PreparedKeys {
    /// How many keys have a table by default.
    pub const DEFAULT_LIMIT: usize = 64;

    /// At most `limit` keys have a table, and never more than 65,536: 130 kB each, and 220 kB for the process once there is one. Of 0 none is prepared.
    pub const fn new(limit: usize) -> Self {
        Self {
            limit: if limit < PLACES { limit } else { PLACES },
            places: OnceLock::new(),
        }
    }

    /// Whether `key` made the signature over the concatenation of the slices.
    pub fn verify_slices(&self, key: &VerifyKey, slices: &[&[u8]], signature: &Signature) -> bool {
        let Some(place) = self.place(key) else {
            return key.verify_slices(slices, signature);
        };
        let multiples = {
            let place = place.lock().unwrap_or_else(PoisonError::into_inner);
            let prepared = place.multiples.as_ref();
            prepared.filter(|_| place.key == *key.as_bytes()).cloned()
        };
        let good = match &multiples {
            Some(multiples) => Self::verify(multiples, key, slices, signature),
            None => key.verify_slices(slices, signature),
        };
        if good {
            // Whoever cannot show good signatures cannot have a table made, nor take one from another. Those of events are there to be copied, at 16 checks
            // that are plain anyhow for each table.
            self.count(place, key);
        }
        good
    }

    fn place(&self, key: &VerifyKey) -> Option<&Mutex<Place>> {
        let [low, high, ..] = *key.as_bytes();
        let at = usize::from(u16::from_le_bytes([low, high]));
        let at = at.checked_rem(self.limit)?;
        let made = || (0..self.limit).map(|_| Mutex::default()).collect();
        Some(&self.places.get_or_init(made)[at])
    }

    fn count(&self, place: &Mutex<Place>, key: &VerifyKey) {
        if !Self::is_worth_it_now(place, key) {
            return;
        }
        // 0.2 ms, once, in which nobody waits for the place.
        let multiples = Arc::new(Multiples::of(-key.point(), KEY_WIDTH));
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        if place.key == *key.as_bytes() {
            place.multiples = Some(multiples);
        }
    }

    /// Counts a use, and says whether it is the one that makes the key worth a table.
    fn is_worth_it_now(place: &Mutex<Place>, key: &VerifyKey) -> bool {
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        if place.key != *key.as_bytes() {
            place.uses = place.uses.saturating_sub(1);
            if place.uses == 0 {
                *place = Place {
                    key: *key.as_bytes(),
                    uses: 1,
                    multiples: None,
                };
            }
            return false;
        }
        place.uses = (place.uses + 1).min(MOST);
        place.uses == WORTH && place.multiples.is_none()
    }

    /// RFC 8032 §5.1.7 without the cofactor, as `ed25519-dalek` has it: R is computed anew, and has to be the signature's to the byte.
    fn verify(
        minus_key: &Multiples,
        key: &VerifyKey,
        slices: &[&[u8]],
        signature: &Signature,
    ) -> bool {
        let (r, s) = signature.halves();
        let Some(s) = Option::<Scalar>::from(Scalar::from_canonical_bytes(s)) else {
            return false;
        };
        let mut hash = Sha512::new();
        hash.update(r);
        hash.update(key.as_bytes());
        for slice in slices {
            hash.update(slice);
        }
        let k = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
        let sum = BASE.add_times(&s, EdwardsPoint::identity());
        minus_key.add_times(&k, sum).compress().to_bytes() == r
    }

    /// One place, taken by this key.
    #[cfg(test)]
    pub(crate) fn with_table_of(key: &VerifyKey) -> Self {
        let keys = Self::new(1);
        (0..WORTH).for_each(|_| keys.count(keys.place(key).unwrap(), key));
        assert_eq!(keys.prepared(), 1);
        keys
    }

    /// How many keys have a table.
    #[cfg(test)]
    pub(crate) fn prepared(&self) -> usize {
        let has = |place: &&Mutex<Place>| place.lock().unwrap().multiples.is_some();
        self.places
            .get()
            .map_or(0, |all| all.iter().filter(has).count())
    }
}

impl Default for PreparedKeys {
    fn default() -> Self {
        Self::new(Self::DEFAULT_LIMIT)
    }
}

impl fmt::Debug for PreparedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedKeys")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{
        SigningKey,
        crafted::{Crafted, crafted},
    };
    use proptest::prelude::*;

    fn signing_key(seed: u8) -> SigningKey {
        SigningKey::from_seed("a", &[seed; 32]).unwrap()
    }

    #[test]
    fn a_key_is_prepared_once_it_has_signed_often() {
        let (signing, keys) = (signing_key(7), PreparedKeys::default());
        let (key, signature) = (signing.verify_key(), signing.sign(b"text"));
        for _ in 0..WORTH {
            assert_eq!(keys.prepared(), 0);
            assert!(!keys.verify_slices(&key, &[b"other"], &signature));
            assert!(keys.verify_slices(&key, &[b"te", b"xt"], &signature));
        }
        assert_eq!(keys.prepared(), 1);
        assert!(keys.verify_slices(&key, &[b"te", b"xt"], &signature));
        assert!(!keys.verify_slices(&key, &[b"other"], &signature));
    }

    #[test]
    fn a_place_goes_to_the_key_that_is_used_more() {
        let (one, other) = (signing_key(1), signing_key(2));
        let keys = PreparedKeys::with_table_of(&one.verify_key());
        let signature = other.sign(b"text");
        for _ in 0..2 * MOST {
            assert!(keys.verify_slices(&other.verify_key(), &[b"text"], &signature));
        }
        assert_eq!(keys.prepared(), 1);
        let place = keys.place(&one.verify_key()).unwrap().lock().unwrap();
        assert_eq!(place.key, *other.verify_key().as_bytes());
        drop(place);
        assert!(keys.verify_slices(&one.verify_key(), &[b"text"], &one.sign(b"text")));
    }

    #[test]
    fn none_is_prepared_where_none_may_be() {
        let (signing, keys) = (signing_key(7), PreparedKeys::new(0));
        let signature = signing.sign(b"text");
        for _ in 0..2 * WORTH {
            assert!(keys.verify_slices(&signing.verify_key(), &[b"text"], &signature));
        }
    }

    #[test]
    fn there_are_no_more_places_than_a_key_can_have() {
        let keys = PreparedKeys::new(usize::MAX);
        let signing = signing_key(7);
        let signature = signing.sign(b"text");
        assert!(keys.verify_slices(&signing.verify_key(), &[b"text"], &signature));
        assert_eq!(keys.places.get().unwrap().len(), PLACES);
    }

    /// What a bit is turned in.
    #[derive(Clone, Copy, Debug)]
    enum Part {
        Key,
        Text,
        Signature,
    }

    proptest! {
        /// With a bit of key, text or signature turned, or none.
        #[test]
        fn the_verdict_is_that_of_the_plain_check(
            seed in any::<u8>(),
            mut text in prop::collection::vec(any::<u8>(), 1..300),
            part in prop::sample::select(vec![Part::Key, Part::Text, Part::Signature]),
            turned in prop::option::weighted(0.8, (any::<prop::sample::Index>(), 0_u32..8)),
        ) {
            let signing = signing_key(seed);
            let mut key = *signing.verify_key().as_bytes();
            let mut signature = *signing.sign(&text).as_bytes();
            if let Some((at, bit)) = turned {
                let part = match part {
                    Part::Key => &mut key[..],
                    Part::Text => &mut text,
                    Part::Signature => &mut signature,
                };
                let at = at.index(part.len());
                part[at] ^= 1 << bit;
            }
            // Half of what a key is turned into is the number of no point.
            let key = VerifyKey::from_bytes(&key);
            prop_assume!(key.is_ok());
            let (key, signature) = (key.unwrap(), Signature::from_bytes(signature));
            let plain = key.verify(&text, &signature);
            prop_assert_eq!(plain, turned.is_none());
            let keys = PreparedKeys::with_table_of(&key);
            prop_assert_eq!(keys.verify_slices(&key, &[&text], &signature), plain);
        }

        #[test]
        fn so_it_is_of_signatures_that_nobody_honest_makes(by in crafted(), text in any::<[u8; 8]>()) {
            let (key, signature) = (by.key(), by.sign(&text));
            let plain = key.verify(&text, &signature);
            prop_assert!(!(plain && by.other_s));
            let keys = PreparedKeys::with_table_of(&key);
            prop_assert_eq!(keys.verify_slices(&key, &[&text], &signature), plain);
        }
    }

    /// So the property above is of good signatures and of bad ones, each for one reason.
    #[test]
    fn which_of_those_are_good() {
        let verdict = |by: Crafted| {
            let (key, signature) = (by.key(), by.sign(b"text"));
            let keys = PreparedKeys::with_table_of(&key);
            let verdict = keys.verify_slices(&key, &[b"text"], &signature);
            assert_eq!(verdict, key.verify(b"text", &signature), "{by:?}");
            verdict
        };
        assert!(verdict(Crafted::GOOD));
        let nonce = 5;
        assert!(verdict(Crafted {
            nonce,
            ..Crafted::GOOD
        }));
        for bad in Crafted::bad() {
            assert!(!verdict(bad));
        }
    }
}
