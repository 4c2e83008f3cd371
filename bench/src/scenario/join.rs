//! A join: a room's state, read as it arrives.

use std::time::Duration;

use bytes::Bytes;
use comity_core::{
    api::{Calls, SendJoin},
    call::Arrival,
    endpoint::Query,
    event::Pdu,
    json::Value,
};
use tokio::time::Instant;

use super::{
    Caller,
    content::{Kind, Receipt, event},
    phase::Phase,
    tally::Done,
};

/// Points of the plot of memory over events.
const POINTS: u64 = 100;

/// Numbers of the events that join: behind those of every pool.
const JOINS: u64 = 1_000_000;

impl Caller<'_> {
    /// Joins a room of `state` state events. With `resident`, its memory over what it has now is noted on the way.
    pub(super) async fn join(
        &self,
        phase: &Phase,
        state: u64,
        number: u64,
        resident: Option<&(dyn Fn() -> u64 + Sync)>,
    ) -> Done {
        let server = &self.setting.servers[0];
        let request = self.join_request(phase, state, number);
        let every = ((state + state / 10) / POINTS).max(1);
        let idle = resident.map_or(0, |resident| resident());
        let begun = Instant::now();
        let mut first = None;
        let read = phase.wait(async {
            let reply = self.client.send_join(server, request).await;
            let mut reply = reply.map_err(|error| error.to_string())?;
            let (mut chain, mut events) = (Receipt::default(), Receipt::default());
            while let Some(arrival) = reply.next().await {
                let (array, item) = match arrival.map_err(|error| error.to_string())? {
                    Arrival::Item { array, item } => (array, item),
                    Arrival::Bad { array, bad } => {
                        return Err(format!("{array}: no event: {bad:?}"));
                    }
                };
                first.get_or_insert_with(|| begun.elapsed());
                let receipt = if array == "state" {
                    &mut events
                } else {
                    &mut chain
                };
                receipt.add(item.value().as_bytes());
                let so_far = chain.events + events.events;
                if let Some(resident) = resident
                    && so_far.is_multiple_of(every)
                {
                    let over = resident().saturating_sub(idle);
                    phase.tally().memory(so_far, over);
                }
            }
            reply.finish().await.map_err(|error| error.to_string())?;
            Ok((chain, events))
        });
        let read = read.await;
        let auth = state / 10;
        let expected = (
            self.expected.receipt(0, auth),
            self.expected.receipt(auth, state),
        );
        match read {
            Ok(read) if read == expected => Done::one(
                first.unwrap_or(Duration::ZERO),
                read.0.events + read.1.events,
                read.0.bytes + read.1.bytes,
            ),
            Ok(read) => format!("another room than was asked for: {read:?}").into(),
            Err(why) => why.into(),
        }
    }

    fn join_request(&self, phase: &Phase, state: u64, number: u64) -> SendJoin {
        let text = event(self.setting.seed, Kind::Membership, JOINS + number);
        let value = Value::parse(Bytes::from(text), usize::MAX).expect("it is written as JSON");
        SendJoin {
            room_id: format!("!{state}:{}", self.setting.servers[0]),
            event_id: format!("${}{number:0>42}", phase.name),
            event: Pdu::judge(value).expect("it is written as an event"),
            omit_members: None,
            extra_query: Query::default(),
        }
    }
}
