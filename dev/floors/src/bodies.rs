//! Bodies like those that servers send: the same in every run and in every process, so none has to be sent between them.

use bytes::Bytes;
use comity_bench::scenario::event::{self, Kind};
use comity_core::json::Value;

/// Bytes of a transaction of one PDU.
pub const ONE_PDU: usize = 1_675;
/// Bytes of a transaction of fifty PDUs, about.
pub const FIFTY_PDUS: usize = 74_035;
/// Bytes of one of fifty PDUs, about.
pub const PDU: usize = 1_480;
/// Bytes of one event of a `send_join` reply: 22,000 of them are 23.5 MB.
pub const STATE_EVENT: usize = 1_067;

/// One message of `bytes` bytes (or as few as one can have) as canonical text, all members of a signed event included.
pub fn event(number: u64, bytes: usize) -> String {
    event::event(number, Kind::Message, number, bytes)
}

/// An event of the size of one of a room's state; its text is a message's.
pub fn state_event(number: u64) -> Value {
    let text = Bytes::from(event(number, STATE_EVENT));
    Value::parse(text, usize::MAX).expect("it is canonical")
}

/// A transaction of `pdus` events, `bytes` bytes in all (less than one byte per event off), canonical.
pub fn transaction(pdus: usize, bytes: usize) -> String {
    let head = "{\"origin\":\"origin.example.org\",\"origin_server_ts\":1763000000000,\"pdus\":[";
    let around = head.len() + 2 + pdus.saturating_sub(1);
    let each = bytes.saturating_sub(around) / pdus.max(1);
    let events: Vec<_> = (0..pdus as u64).map(|n| event(n, each)).collect();
    format!("{head}{}]}}", events.join(","))
}

/// The transaction of one PDU, or the one of fifty.
///
/// # Panics
/// Another number of PDUs has no size of its own.
pub fn usual(pdus: usize) -> Bytes {
    let bytes = match pdus {
        1 => ONE_PDU,
        50 => FIFTY_PDUS,
        other => panic!("no size is known of a transaction of {other} PDUs"),
    };
    Bytes::from(transaction(pdus, bytes))
}

#[cfg(test)]
mod tests {
    use comity_core::json::Object;

    use super::*;

    /// What `RESULTS.md` says of them: with other bodies the rows of before would be rows of something else.
    #[test]
    fn transactions_are_canonical_and_as_large_as_the_rows_say() {
        for (pdus, bytes) in [(1, 1_675), (50, 74_023)] {
            let text = usual(pdus);
            assert_eq!(text.len(), bytes);
            let object = Object::parse(text.clone(), usize::MAX).unwrap();
            assert_eq!(object.text().as_ptr(), text.as_ptr(), "kept without a copy");
            assert_eq!(object.array("pdus").unwrap().len(), pdus);
            serde_json::from_slice::<serde_json::Value>(&text).unwrap();
        }
        assert_eq!(state_event(0).as_bytes().len(), STATE_EVENT);
    }
}
