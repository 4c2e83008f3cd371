//! Events like those that servers send: canonical, with all members of a signed event, and the same for the same numbers for good.

use std::fmt::Write;

use crate::draw::next;

const SERVER: &str = "matrix.example.org";

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
pub(super) struct Numbers(pub(super) u64);

impl Numbers {
    pub(super) fn next(&mut self) -> u64 {
        next(&mut self.0)
    }

    /// Unpadded base64 of the URL-safe kind: what IDs, hashes and signatures are made of.
    pub(super) fn base64(&mut self, length: usize) -> String {
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

/// What an event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Who is in the room: what most of a large room's state is.
    Membership,
    /// A message with its formatted text.
    Message,
}

/// Text of the event with this number, of `bytes` bytes or of as few as one of its kind can have. What is random in it is drawn from `drawn`.
pub fn event(drawn: u64, kind: Kind, number: u64, bytes: usize) -> String {
    let short = write_event(drawn, kind, number, 0);
    write_event(drawn, kind, number, bytes.saturating_sub(short.len()))
}

fn write_event(drawn: u64, kind: Kind, number: u64, fill: usize) -> String {
    let mut numbers = Numbers(drawn);
    let mut event = format!("{{\"auth_events\":[{}]", numbers.event_ids(3));
    let written = write_content(&mut event, &mut numbers, kind, fill)
        .and_then(|()| write_rest(&mut event, &mut numbers, kind, number));
    written.expect("a string takes what is written");
    event
}

fn write_content(
    event: &mut String,
    numbers: &mut Numbers,
    kind: Kind,
    fill: usize,
) -> std::fmt::Result {
    match kind {
        Kind::Membership => write!(
            event,
            ",\"content\":{{\"avatar_url\":\"mxc://{SERVER}/{}\",\"displayname\":\"{}\",\"membership\":\"join\",\"reason\":\"{}\"}}",
            numbers.base64(24),
            numbers.base64(12),
            numbers.words(fill),
        ),
        // Both spellings of the text, as clients send them.
        Kind::Message => write!(
            event,
            ",\"content\":{{\"body\":\"{}\",\"format\":\"org.matrix.custom.html\",\"formatted_body\":\"{}\",\
             \"m.mentions\":{{\"user_ids\":[]}},\"msgtype\":\"m.text\"}}",
            numbers.words(fill / 2),
            numbers.words(fill - fill / 2),
        ),
    }
}

fn write_rest(
    event: &mut String,
    numbers: &mut Numbers,
    kind: Kind,
    number: u64,
) -> std::fmt::Result {
    let user = number % 1000;
    write!(
        event,
        ",\"depth\":{},\"hashes\":{{\"sha256\":\"{}\"}},\"origin\":\"{SERVER}\",\"origin_server_ts\":{},\
         \"prev_events\":[{}],\"room_id\":\"!{}:{SERVER}\",\"sender\":\"@alice{user:03}:{SERVER}\",\
         \"signatures\":{{\"{SERVER}\":{{\"ed25519:a_key\":\"{}\"}}}}",
        100_000 + number,
        numbers.base64(43),
        1_763_000_000_000 + number,
        numbers.event_ids(1),
        numbers.base64(18),
        numbers.base64(86),
    )?;
    match kind {
        Kind::Membership => write!(
            event,
            ",\"state_key\":\"@alice{user:03}:{SERVER}\",\"type\":\"m.room.member\""
        )?,
        Kind::Message => event.push_str(",\"type\":\"m.room.message\""),
    }
    let age = 1000 + number % 9000;
    write!(event, ",\"unsigned\":{{\"age\":{age}}}}}")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use comity_core::json::Value;

    use super::*;

    #[test]
    fn events_are_canonical_and_of_the_size_that_is_asked_for() {
        for kind in [Kind::Membership, Kind::Message] {
            let least = event(0, kind, 0, 0).len();
            assert!((700..900).contains(&least), "{kind:?}: {least}");
            for (number, bytes) in (0..).zip(least..least + 500) {
                let text = Bytes::from(event(7 + number, kind, number, bytes));
                assert_eq!(text.len(), bytes, "{kind:?}");
                let value = Value::parse(text.clone(), usize::MAX).unwrap();
                assert_eq!(value.text().as_ptr(), text.as_ptr(), "kept without a copy");
                serde_json::from_slice::<serde_json::Value>(&text).unwrap();
            }
        }
    }
}
