//! How long the gateway waits for a call's answer, for each operation.
//!
//! A homeserver gives up by itself, and only it knows what to do then: so each of these times lies above that of Synapse 1.163, and is here only so that nothing is held for
//! ever. What a dead connection costs is bounded by HTTP/2's PING and by TCP, never by these.

use std::{fmt::Debug, sync::Arc, time::Duration};

use comity_core::{
    call::{Blob, Body, Call, OperationSpec, Reply, ReplyShape},
    error::{CallError, Delivery, TransportError, TransportErrorKind},
    layers::{Around, AroundLayer, Inner, around},
};
use futures_util::{Stream, StreamExt, stream};
use tokio::time::{Instant, timeout, timeout_at};

/// What the operations that are not listed have: Synapse waits for 60 s.
const DEFAULT: Duration = Duration::from_secs(75);

/// Longest pause between two parts of a streamed reply. Synapse waits for 60 s.
const IDLE: Duration = Duration::from_secs(75);

/// Operation, Synapse's time to the reply's head, ours; in seconds.
const TABLE: &[(&str, u64, u64)] = &[
    ("GetServerKeys", 10, 15),
    ("GetServerKeysById", 10, 15),
    ("QueryServerKeys", 10, 15),
    ("QueryServerKeysById", 10, 15),
    ("GetState", 600, 660),
    ("MakeJoin", 20, 30),
    ("MakeLeave", 20, 30),
    ("MakeKnock", 20, 30),
    // The receiver resolves a room's state before it answers, which takes minutes in large rooms.
    ("SendJoin", 600, 660),
    ("SendJoinV1", 600, 660),
    // 10 s where a user waits, 60 s elsewhere.
    ("QueryProfile", 60, 75),
    ("QueryDirectory", 60, 75),
    ("GetOpenIdUserInfo", 60, 75),
    ("GetUserDevices", 30, 45),
    ("QueryKeys", 10, 75),
    // Keys that are claimed and not handed on are lost: the answer is worth waiting for.
    ("ClaimKeys", 10, 75),
    ("PolicySign", 30, 45),
];

/// The time to an operation's head; for a message, to its end.
fn limit(spec: &OperationSpec) -> Duration {
    let row = TABLE.iter().find(|(name, ..)| *name == spec.name);
    row.map_or(DEFAULT, |(_, _, ours)| Duration::from_secs(*ours))
}

/// The layer that waits no longer.
#[derive(Debug)]
pub(crate) struct Deadlines;

impl Deadlines {
    pub(crate) fn layer() -> AroundLayer<Self> {
        around(Self)
    }
}

impl Around for Deadlines {
    async fn around<S: Inner>(
        self: Arc<Self>,
        mut call: Call,
        mut inner: S,
    ) -> Result<Reply, CallError> {
        let spec = call.spec();
        let after = limit(spec);
        let deadline = Instant::now() + after;
        if spec.reply == ReplyShape::Message {
            // The peer learns of it. A reply that streams takes as long as parts arrive.
            call.context_mut().limit_deadline(deadline);
        }
        let reply = timeout_at(deadline, inner.call(call))
            .await
            .unwrap_or_else(|_| Err(late(spec, "for the reply's head", after)))?;
        Ok(watched(reply, spec))
    }
}

fn watched(reply: Reply, spec: &'static OperationSpec) -> Reply {
    match reply {
        Reply::Message(message) => Reply::Message(message),
        Reply::Events(mut events) => {
            events.parts = idle(events.parts, spec).boxed();
            Reply::Events(events)
        }
        Reply::Blob(blob) => Reply::Blob(Blob {
            bytes: idle(blob.bytes, spec).boxed(),
            ..blob
        }),
        Reply::Body(body) => Reply::Body(Body {
            bytes: idle(body.bytes, spec).boxed(),
            ..body
        }),
    }
}

/// The same parts, none of which is waited for longer than [`IDLE`]. Time in which nobody asks for one does not count.
fn idle<T>(
    parts: impl Stream<Item = Result<T, CallError>> + Send + Unpin,
    spec: &'static OperationSpec,
) -> impl Stream<Item = Result<T, CallError>> + Send {
    stream::unfold(Some(parts), move |parts| async move {
        let mut parts = parts?;
        match timeout(IDLE, parts.next()).await {
            Ok(None) => None,
            Ok(Some(Ok(part))) => Some((Ok(part), Some(parts))),
            Ok(Some(Err(error))) => Some((Err(error), None)),
            Err(_) => Some((
                Err(late(spec, "for the next part of the reply", IDLE)),
                None,
            )),
        }
    })
}

fn late(spec: &OperationSpec, what: &str, after: Duration) -> CallError {
    TransportError::new(
        TransportErrorKind::Timeout,
        Delivery::MaybeProcessed,
        format!("{}: waited {after:?} {what}", spec.name),
    )
    .into()
}

#[cfg(test)]
mod tests {
    use comity_core::{Operations, call::Clocks};

    use super::*;

    #[test]
    fn every_time_lies_above_synapses() {
        for (name, synapse, ours) in TABLE {
            assert!(ours > synapse, "{name}");
            let known = Operations::federation().by_name(name);
            assert!(known.is_some(), "there is no operation {name}");
        }
    }

    #[test]
    fn every_time_lies_above_the_rows() {
        for operation in Operations::federation().iter() {
            let Clocks { head, total, .. } = operation.spec().clocks;
            let ours = limit(operation.spec());
            assert!(ours > head, "{operation:?}");
            assert!(total.is_none_or(|total| ours > total), "{operation:?}");
        }
    }
}
