//! Bodies like those that servers send: the same in every run and in every process, so none has to be sent between them.

use std::fmt::Write;

/// Bytes of a transaction of one PDU.
pub const ONE_PDU: usize = 1_675;
/// Bytes of a transaction of fifty PDUs, about.
pub const FIFTY_PDUS: usize = 74_035;
/// Bytes of one event of a `send_join` reply: 22,000 of them are 23.5 MB.
pub const STATE_EVENT: usize = 1_067;

const WORDS: [&str; 12] = [
    "room",
    "state",
    "with",
    "the",
    "server",
    "and",
    "of",
    "event",
    "at",
    "a",
    "federation",
    "I",
];

/// What a word in twenty is: letters beyond ASCII, an escape, an emoji.
const RARE_WORDS: [&str; 5] = ["über", "naïve", "\\n", "\\\"quoted\\\"", "🙂"];

/// A sequence of numbers that look random (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Characters of unpadded base64, of its URL-safe kind: what IDs, hashes and signatures are made of.
    fn base64(&mut self, length: usize) -> String {
        const DIGITS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        (0..length)
            .map(|_| char::from(DIGITS[(self.next() % 64) as usize]))
            .collect()
    }

    /// Words that take exactly `bytes` bytes as the inside of a canonical string.
    fn words(&mut self, bytes: usize) -> String {
        let mut text = String::with_capacity(bytes);
        loop {
            let words: &[&str] = if self.next().is_multiple_of(20) {
                &RARE_WORDS
            } else {
                &WORDS
            };
            let word = words[(self.next() % words.len() as u64) as usize];
            if text.len() + word.len() + 1 > bytes {
                break;
            }
            text.push_str(word);
            text.push(' ');
        }
        while text.len() < bytes {
            text.push('.');
        }
        text
    }

    fn event_ids(&mut self, count: usize) -> String {
        let ids: Vec<_> = (0..count)
            .map(|_| format!("\"${}\"", self.base64(43)))
            .collect();
        ids.join(",")
    }
}

/// One event of `bytes` bytes (or as few as one can have) as canonical text, all members of a signed event included.
pub fn event(number: u64, bytes: usize) -> String {
    let short = write_event(number, 0);
    write_event(number, bytes.saturating_sub(short.len()))
}

fn write_event(number: u64, fill: usize) -> String {
    let mut numbers = Numbers(number);
    let server = "matrix.example.org";
    let mut event = format!("{{\"auth_events\":[{}]", numbers.event_ids(3));
    // Both spellings of the text, as clients send them.
    let (body, formatted) = (numbers.words(fill / 2), numbers.words(fill - fill / 2));
    let depth = 100_000 + number;
    let stamp = 1_763_000_000_000 + number;
    write!(
        event,
        ",\"content\":{{\"body\":\"{body}\",\"format\":\"org.matrix.custom.html\",\"formatted_body\":\"{formatted}\",\
         \"m.mentions\":{{\"user_ids\":[]}},\"msgtype\":\"m.text\"}},\"depth\":{depth},\
         \"hashes\":{{\"sha256\":\"{}\"}},\"origin\":\"{server}\",\"origin_server_ts\":{stamp},\
         \"prev_events\":[{}],\"room_id\":\"!{}:{server}\",\"sender\":\"@alice{:03}:{server}\",\
         \"signatures\":{{\"{server}\":{{\"ed25519:a_key\":\"{}\"}}}},\"type\":\"m.room.message\",\
         \"unsigned\":{{\"age\":{}}}}}",
        numbers.base64(43),
        numbers.event_ids(1),
        numbers.base64(18),
        number % 1000,
        numbers.base64(86),
        1000 + number % 9000,
    )
    .expect("a string takes what is written");
    event
}

/// A transaction of `pdus` events, `bytes` bytes in all (less than one byte per event off), canonical.
pub fn transaction(pdus: usize, bytes: usize) -> String {
    let head = "{\"origin\":\"origin.example.org\",\"origin_server_ts\":1763000000000,\"pdus\":[";
    let around = head.len() + 2 + pdus.saturating_sub(1);
    let each = bytes.saturating_sub(around) / pdus.max(1);
    let events: Vec<_> = (0..pdus as u64).map(|n| event(n, each)).collect();
    format!("{head}{}]}}", events.join(","))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use comity_core::json::Object;

    use super::*;

    #[test]
    fn transactions_are_canonical_and_as_large_as_they_say() {
        for (pdus, bytes) in [(1, ONE_PDU), (50, FIFTY_PDUS)] {
            let text = Bytes::from(transaction(pdus, bytes));
            assert!(
                (bytes - pdus..=bytes).contains(&text.len()),
                "{}",
                text.len()
            );
            let object = Object::parse(text.clone(), usize::MAX).unwrap();
            assert_eq!(object.text().as_ptr(), text.as_ptr(), "kept without a copy");
            assert_eq!(object.array("pdus").unwrap().len(), pdus);
            serde_json::from_slice::<serde_json::Value>(&text).unwrap();
        }
    }
}
