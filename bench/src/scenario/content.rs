//! What is sent: random, drawn from the seed, and the same on both sides without being sent there.
//!
//! Events are of the size and the kinds of members that rooms have, and canonical. Their IDs, hashes and signatures are random texts of the right length: what checks
//! them costs the same on every transport, and is not compared.

use std::sync::Arc;

use bytes::Bytes;
use comity_core::{event::Pdu, json::Value};

pub(crate) use super::event::Kind;
use super::event::{self, Numbers};

/// Bytes of the file that is downloaded.
pub(crate) const FILE: usize = 10_000_000;

/// Bytes of a piece of it.
const PIECE: usize = 64 << 10;

/// Bytes of an event: 1.07 KB on average of a membership, 1.5 KB of a message.
fn size(numbers: &mut Numbers, kind: Kind) -> usize {
    match kind {
        Kind::Membership => 870 + skewed(numbers, 600),
        Kind::Message => 780 + skewed(numbers, 2_100),
    }
}

/// Many small ones and few large ones, `most / 3` on average.
fn skewed(numbers: &mut Numbers, most: usize) -> usize {
    let share = (numbers.next() % (1 << 20)) as f64 / (1 << 20) as f64;
    (share * share * most as f64) as usize
}

/// Canonical text of the event with this number.
pub(crate) fn event(seed: u64, kind: Kind, number: u64) -> String {
    let mut numbers = Numbers(seed.rotate_left(24) ^ number ^ (kind as u64) << 60);
    let bytes = size(&mut numbers, kind);
    event::event(numbers.next(), kind, number, bytes)
}

/// Events that are ready before they are asked for: the first `count` of a kind.
pub(crate) fn events(seed: u64, kind: Kind, count: usize) -> Arc<[Pdu]> {
    let texts = (0..count as u64).map(|number| Bytes::from(event(seed, kind, number)));
    let pdu = |text| {
        let value = Value::parse(text, usize::MAX).expect("it is written as JSON");
        Pdu::judge(value).expect("it is written as an event")
    };
    texts.map(pdu).collect()
}

/// What an event's text comes to. Not a hash: a word in eight is looked at, and the last one, so that it costs next to nothing. Every length, every number and every
/// random text is of its own, so another event has another digest; one changed byte of an
/// event need not.
pub(crate) fn digest(text: &[u8]) -> u64 {
    let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("it is eight bytes"));
    let mut sum = text.len() as u64;
    for line in text.chunks_exact(64) {
        sum = (sum.rotate_left(5) ^ word(&line[..8])).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
    match text.len().checked_sub(8) {
        Some(last) => {
            (sum.rotate_left(5) ^ word(&text[last..])).wrapping_mul(0x517c_c1b7_2722_0a95)
        }
        None => sum,
    }
}

/// What somebody got: how many events, how many bytes, and their digests in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    sum: u64,
}

impl Receipt {
    pub(crate) fn of<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut receipt = Self::default();
        for text in texts {
            receipt.add(text);
        }
        receipt
    }

    pub(crate) fn add(&mut self, text: &[u8]) {
        self.add_digest(text.len() as u64, digest(text));
    }

    pub(crate) fn add_digest(&mut self, bytes: u64, digest: u64) {
        self.events += 1;
        self.bytes += bytes;
        self.sum = (self.sum.rotate_left(7) ^ digest).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    /// As an event ID, so that the reply to a transaction can say it.
    pub(crate) fn to_event_id(self) -> String {
        let Self { events, bytes, sum } = self;
        format!("${events}_{bytes}_{sum:016x}")
    }
}

/// Lengths and digests of a pool, for a side that expects its events and does not hold them.
#[derive(Clone, Debug)]
pub(crate) struct Expected(Vec<(u32, u64)>);

impl Expected {
    pub(crate) fn of(seed: u64, kind: Kind, count: usize) -> Self {
        let texts = (0..count as u64).map(|number| event(seed, kind, number));
        Self(
            texts
                .map(|text| (text.len() as u32, digest(text.as_bytes())))
                .collect(),
        )
    }

    /// Of `count` events from number `first` on, round and round.
    pub(crate) fn receipt(&self, first: u64, count: u64) -> Receipt {
        let mut receipt = Receipt::default();
        for number in first..first + count {
            let (bytes, digest) = self.0[(number % self.0.len() as u64) as usize];
            receipt.add_digest(bytes.into(), digest);
        }
        receipt
    }
}

/// A user's name and picture.
pub(crate) fn profile(seed: u64, user_id: &str) -> (String, String) {
    let mut numbers = Numbers(seed ^ digest(user_id.as_bytes()));
    let name = numbers.base64(16);
    let picture = format!("mxc://media.example.org/{}", numbers.base64(24));
    (name, picture)
}

/// The file: one piece of random bytes, again and again. No part of it is like another near it, so nothing on the way can compress it.
#[derive(Clone, Debug)]
pub(crate) struct File(Bytes);

impl File {
    pub(crate) fn of(seed: u64) -> Self {
        let mut numbers = Numbers(seed);
        let words = (0..PIECE / 8).flat_map(|_| numbers.next().to_le_bytes());
        Self(words.collect())
    }

    pub(crate) fn pieces(&self) -> impl Iterator<Item = Bytes> + use<> {
        let piece = self.0.clone();
        let begins = (0..FILE).step_by(PIECE);
        begins.map(move |begin| piece.slice(..PIECE.min(FILE - begin)))
    }

    /// Whether these bytes stand at this place of it.
    pub(crate) fn has(&self, place: usize, mut bytes: &[u8]) -> bool {
        if place + bytes.len() > FILE {
            return false;
        }
        let mut place = place % PIECE;
        while !bytes.is_empty() {
            let here = bytes.len().min(PIECE - place);
            if bytes[..here] != self.0[place..place + here] {
                return false;
            }
            bytes = &bytes[here..];
            place = 0;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_canonical_and_as_large_as_those_of_rooms() {
        for (kind, mean) in [(Kind::Membership, 1_067), (Kind::Message, 1_480)] {
            let mut bytes = 0;
            for number in 0..500 {
                let text = Bytes::from(event(7, kind, number));
                bytes += text.len();
                let value = Value::parse(text.clone(), usize::MAX).unwrap();
                assert_eq!(value.text().as_ptr(), text.as_ptr(), "kept without a copy");
                serde_json::from_slice::<serde_json::Value>(&text).unwrap();
            }
            let off = (bytes / 500).abs_diff(mean);
            assert!(off < mean / 20, "{kind:?}: {} on average", bytes / 500);
        }
    }

    #[test]
    fn another_seed_or_number_is_another_event() {
        let one = event(1, Kind::Message, 5);
        assert_eq!(one, event(1, Kind::Message, 5));
        assert_ne!(one, event(2, Kind::Message, 5));
        assert_ne!(one, event(1, Kind::Message, 6));
    }

    #[test]
    fn a_receipt_tells_what_is_missing_changed_or_out_of_order() {
        let text: Vec<_> = (0..3).map(|n| event(1, Kind::Message, n)).collect();
        let of = |order: &[usize]| Receipt::of(order.iter().map(|n| text[*n].as_bytes()));
        let whole = of(&[0, 1, 2]);
        let expected = Expected::of(1, Kind::Message, 3);
        assert_eq!(whole, expected.receipt(0, 3));
        assert_eq!(of(&[1, 2, 0, 1]), expected.receipt(1, 4), "round and round");
        assert_ne!(whole, of(&[0, 1]));
        assert_ne!(whole, of(&[0, 2, 1]));
        // In the last word; most others are not looked at.
        let changed = text[2].replace("}}", "}]");
        assert_eq!(changed.len(), text[2].len());
        let texts = [&text[0], &text[1], &changed];
        let changed = Receipt::of(texts.map(|text| text.as_bytes()));
        assert_ne!(whole, changed);
    }

    #[test]
    fn a_file_knows_its_bytes_wherever_they_are_cut() {
        let file = File::of(3);
        let whole: Vec<u8> = file.pieces().flatten().collect();
        assert_eq!(whole.len(), FILE);
        assert!(file.has(0, &whole));
        assert!(file.has(PIECE - 3, &whole[PIECE - 3..3 * PIECE + 1]));
        assert!(!file.has(1, &whole[..PIECE]));
        assert!(!file.has(1, &whole), "longer than the file");
    }
}
