//! Multiples of a point that are kept, so that multiplying it is some additions and no doubling.
//!
//! `ed25519-dalek` knows nothing of a key before it verifies with it, and so doubles 253 times for each signature. The points here are public, and so are the
//! numbers that they are multiplied by: nothing has to take the same time for all of them.

use curve25519_dalek::{EdwardsPoint, Scalar};

/// Bits of a scalar below the group's order (RFC 8032 §5.1: 2^252 and something). What it leaves of the last digit takes the carry.
const SCALAR_BITS: usize = 253;

/// One point's multiples: for each digit of a scalar, one row with 1, 2 … 2^(width-1) times the point at that digit's place.
pub(super) struct Multiples {
    width: usize,
    points: Vec<EdwardsPoint>,
}

impl Multiples {
    /// Those of `point` for digits of so many bits, 2 to 8. It takes 160 bytes for each of `253 / width * 2^(width-1)` points, and about as many additions.
    pub(super) fn of(point: EdwardsPoint, width: usize) -> Self {
        let (half, rows) = (1 << (width - 1), SCALAR_BITS.div_ceil(width));
        let mut points = Vec::with_capacity(half * rows);
        let mut place = point;
        for _ in 0..rows {
            let mut multiple = place;
            for _ in 1..half {
                points.push(multiple);
                multiple += place;
            }
            points.push(multiple);
            place = multiple + multiple;
        }
        Self { width, points }
    }

    /// `sum` and `scalar` times the point.
    pub(super) fn add_times(&self, scalar: &Scalar, mut sum: EdwardsPoint) -> EdwardsPoint {
        let (bytes, half) = (scalar.as_bytes(), 1 << (self.width - 1));
        let mut carry = 0;
        for (place, row) in self.points.chunks_exact(half).enumerate() {
            let bit = place * self.width;
            let byte = |at: usize| bytes.get(at).map_or(0, |byte| usize::from(*byte));
            let bits = (byte(bit / 8) | byte(bit / 8 + 1) << 8) >> (bit % 8);
            let digit = (bits & (2 * half - 1)) + carry;
            // A digit above the half is one more at the next place, less what is missing here: so half a row is enough.
            carry = usize::from(digit > half);
            match (digit, carry) {
                (0, _) => {}
                (_, 0) => sum += row[digit - 1],
                // Missing here is nothing, where a carry came upon a digit that was full.
                (_, _) if digit == 2 * half => {}
                _ => sum -= row[2 * half - digit - 1],
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use curve25519_dalek::{
        constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION},
        traits::Identity,
    };
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_multiple_is_what_the_curve_says(
            wide in prop::array::uniform32(any::<u8>()),
            width in 2_usize..=8,
            torsion in 0_usize..8,
        ) {
            let scalar = Scalar::from_bytes_mod_order(wide);
            let point = ED25519_BASEPOINT_POINT * Scalar::from(7_u8) + EIGHT_TORSION[torsion];
            let sum = Multiples::of(point, width).add_times(&scalar, EdwardsPoint::identity());
            prop_assert_eq!(sum, point * scalar);
        }
    }

    #[test]
    fn so_are_the_multiples_at_the_edges() {
        let point = ED25519_BASEPOINT_POINT + EIGHT_TORSION[1];
        let mut scalars = vec![Scalar::ZERO, Scalar::ONE, -Scalar::ONE];
        // Runs of ones carry from digit to digit.
        for bit in 0..252 {
            let power = (0..bit).fold(Scalar::ONE, |power, _| power + power);
            scalars.extend([power, power - Scalar::ONE, -power]);
        }
        for width in 2..=8 {
            let multiples = Multiples::of(point, width);
            for scalar in &scalars {
                let sum = multiples.add_times(scalar, point);
                assert_eq!(sum, point * scalar + point, "{width} {scalar:?}");
            }
        }
    }
}
