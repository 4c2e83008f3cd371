//! A join: a room's state, read as it arrives.

use std::time::Duration;

use bytes::Bytes;
use comity_core::{
    api::{SendJoin, SendJoinMembers},
    call::Call,
    endpoint::Query,
    event::Pdu,
    json::Value,
};
use tokio::time::Instant;

use super::{
    Caller,
    arriving::Arriving,
    content::{Kind, Receipt, event},
    phase::Phase,
    rooms::auth_chain,
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
        let auth = auth_chain(state);
        let begun = Instant::now();
        let mut first = None;
        let read = phase.wait(async {
            let call = Call::new(server.clone(), request);
            let reply = self.client.send(call).await;
            let reply = reply.map_err(|error| error.to_string())?;
            let mut reply = Arriving::<SendJoinMembers>::of(reply)?;
            let (mut chain, mut events) = (Receipt::default(), Receipt::default());
            while let Some(event) = reply.next().await? {
                first.get_or_insert_with(|| begun.elapsed());
                let is_state = event.is_of("state").unwrap_or(chain.events == auth);
                let receipt = match is_state {
                    true => &mut events,
                    false => &mut chain,
                };
                receipt.add(event.text());
                let so_far = chain.events + events.events;
                if let Some(resident) = resident
                    && so_far.is_multiple_of(every)
                {
                    let over = resident().saturating_sub(idle);
                    phase.tally().memory(so_far, over);
                }
            }
            reply.finish().await?;
            Ok::<_, String>((chain, events))
        });
        let read = read.await;
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
