//! Signatures that no honest signer makes, for the tests of checks.

use curve25519_dalek::{
    EdwardsPoint, Scalar,
    constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION},
};
use proptest::prelude::*;
use sha2::{Digest, Sha512};

use super::{Signature, VerifyKey};

/// A signer that follows the equation and nothing else: whether its signatures are good depends on whether the cofactor is multiplied in, and on which bytes a
/// point and a scalar may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crafted {
    pub(crate) secret: u64,
    /// Of 0 R is of small order.
    pub(crate) nonce: u64,
    /// What is added to the key, and to R, of the points of small order.
    pub(crate) of_key: usize,
    pub(crate) of_r: usize,
    /// R in bytes that are not its own: those of the next number with the same rest where there is one, with the sign turned where there is none.
    pub(crate) other_r: bool,
    /// s in bytes that are not its own: with the order added.
    pub(crate) other_s: bool,
}

pub(crate) fn crafted() -> impl Strategy<Value = Crafted> {
    let (nonce, other) = (prop_oneof![Just(0), 1_u64..], prop::bool::weighted(0.25));
    (1_u64.., nonce, 0_usize..8, 0_usize..8, other, other).prop_map(
        |(secret, nonce, of_key, of_r, other_r, other_s)| Crafted {
            secret,
            nonce,
            of_key,
            of_r,
            other_r,
            other_s,
        },
    )
}

impl Crafted {
    /// R is the neutral element, in its own bytes.
    pub(crate) const GOOD: Self = Self {
        secret: 7,
        nonce: 0,
        of_key: 0,
        of_r: 0,
        other_r: false,
        other_s: false,
    };

    /// Like the good one but for one thing: with the cofactor it would be good, or R, or s, is not in its own bytes.
    pub(crate) const fn bad() -> [Self; 3] {
        let good = Self::GOOD;
        [
            Self { of_r: 1, ..good },
            Self {
                other_r: true,
                ..good
            },
            Self {
                other_s: true,
                ..good
            },
        ]
    }

    pub(crate) fn key(&self) -> VerifyKey {
        let key = point(self.secret, self.of_key).compress();
        VerifyKey::from_bytes(&key.to_bytes()).unwrap()
    }

    pub(crate) fn sign(&self, text: &[u8]) -> Signature {
        let mut r = point(self.nonce, self.of_r).compress().to_bytes();
        if self.other_r {
            r = other_bytes(r);
        }
        let hash = Sha512::new().chain_update(r);
        let hash = hash.chain_update(self.key().as_bytes()).chain_update(text);
        let k = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
        let mut s = (Scalar::from(self.nonce) + k * Scalar::from(self.secret)).to_bytes();
        if self.other_s {
            // 2^252 + 27742317777372353535851937790883648493: one more than the greatest that is reduced.
            s = sum(s, (-Scalar::ONE).to_bytes(), 1);
        }
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&r);
        bytes[32..].copy_from_slice(&s);
        Signature::from_bytes(bytes)
    }
}

fn point(times: u64, torsion: usize) -> EdwardsPoint {
    ED25519_BASEPOINT_POINT * Scalar::from(times) + EIGHT_TORSION[torsion]
}

/// 2^255 - 19
const FIELD: [u8; 32] = {
    let mut field = [0xff; 32];
    (field[0], field[31]) = (0xed, 0x7f);
    field
};

fn other_bytes(mut point: [u8; 32]) -> [u8; 32] {
    // All of small order but those of order 8 have 0, 1 or -1 here.
    if point[0] < 19 && point[1..31].iter().all(|byte| *byte == 0) && point[31] & 0x7f == 0 {
        return sum(point, FIELD, 0);
    }
    point[31] ^= 0x80;
    point
}

fn sum(one: [u8; 32], other: [u8; 32], mut carry: u16) -> [u8; 32] {
    std::array::from_fn(|at| {
        let sum = u16::from(one[at]) + u16::from(other[at]) + carry;
        carry = sum >> 8;
        (sum & 0xff) as u8
    })
}
