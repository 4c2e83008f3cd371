//! A call that has ended, as it is counted.

use std::time::Duration;

use comity_core::layers::{Observed, Side};

use super::labels::outcome;

/// Which way a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the homeserver beside the gateway to another server.
    Outbound,
    /// From another server to the homeserver beside the gateway.
    Inbound,
}

impl Direction {
    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Outbound => "outbound",
            Self::Inbound => "inbound",
        }
    }
}

/// A call that has ended.
#[derive(Clone, Copy, Debug)]
pub struct EndedCall<'a> {
    /// Which way it went.
    pub direction: Direction,
    /// The operation's name.
    pub operation: &'a str,
    /// The binding that carried it between the servers; empty if none did.
    pub binding: &'a str,
    /// What came of it: `ok`, `not_found`, `transport_timeout`, `abandoned`.
    pub outcome: &'static str,
    /// From its start to the head of its reply, or to its error.
    pub to_head: Duration,
    /// Bytes of its request's content.
    pub request_bytes: u64,
    /// Bytes of its reply's content.
    pub reply_bytes: u64,
}

impl<'a> From<&'a Observed> for EndedCall<'a> {
    fn from(call: &'a Observed) -> Self {
        Self {
            direction: match call.side {
                Side::Client => Direction::Outbound,
                Side::Server => Direction::Inbound,
            },
            operation: call.operation,
            binding: call.binding,
            outcome: outcome(call.outcome),
            to_head: call.to_head.unwrap_or(call.total),
            request_bytes: call.request_bytes,
            reply_bytes: call.reply_bytes,
        }
    }
}
