//! Calls that follow one another: a query, a transaction, a backfill, a burst.

use std::time::Duration;

use comity_core::{
    ServerName,
    api::{Backfill, BackfillMembers, Calls, QueryProfile, SendTransaction},
    call::Call,
};
use futures_util::future::join_all;
use tokio::time::Instant;

use super::{
    Caller,
    arriving::Arriving,
    content::{Receipt, profile},
    phase::Phase,
    plan::HISTORY,
    tally::Done,
};

/// Events of a transaction: as many as the specification lets it have.
pub(super) const EVENTS: u64 = SendTransaction::MAX_PDUS as u64;

/// Events that are asked for at a time: as many as servers give.
const BACKFILLED: u64 = 100;

impl Caller<'_> {
    /// Asks for a profile, of another user each time.
    pub(super) async fn query(&self, phase: &Phase, server: &ServerName, number: u64) -> Done {
        let user_id = format!("@{}{number}:{server}", phase.name);
        let (name, picture) = profile(self.setting.seed, &user_id);
        let request = QueryProfile {
            user_id,
            ..QueryProfile::default()
        };
        let begun = Instant::now();
        let reply = phase.wait(self.client.query_profile(server, request)).await;
        let latency = begun.elapsed();
        match reply {
            Ok(reply) if reply.displayname.as_ref() != Some(&name) => {
                format!("a profile with another name: {:?}", reply.displayname).into()
            }
            Ok(reply) if reply.avatar_url.as_ref() != Some(&picture) => {
                format!("a profile with another picture: {:?}", reply.avatar_url).into()
            }
            Ok(_) => Done::one(latency, 0, (name.len() + picture.len()) as u64),
            Err(why) => why.into(),
        }
    }

    /// Sends `count` events of the pool from number `first` on, in one transaction.
    pub(super) async fn transaction(
        &self,
        phase: &Phase,
        server: &ServerName,
        number: u64,
        first: u64,
        count: u64,
    ) -> Done {
        let pool = &self.messages;
        let place = |number: u64| (number % pool.len() as u64) as usize;
        let pdus = (first..first + count).map(|number| pool[place(number)].clone());
        let begun = Instant::now();
        let request = SendTransaction::new(
            format!("{}{:x}_{number}", phase.name, self.setting.seed),
            &self.setting.client,
            1_763_000_000_000,
            pdus,
        );
        let reply = phase
            .wait(self.client.send_transaction(server, request))
            .await;
        let latency = begun.elapsed();
        let expected = self.expected.receipt(first, count);
        match reply {
            Ok(reply) => {
                let results = reply.pdus.value().as_text();
                if results == format!("{{\"{}\":{{}}}}", expected.to_event_id()) {
                    Done::one(latency, count, expected.bytes)
                } else {
                    format!("another receipt of the transaction: {results}").into()
                }
            }
            Err(why) => why.into(),
        }
    }

    /// Sends one event to every server at once; it is there when the last has it.
    pub(super) async fn burst(&self, phase: &Phase, number: u64) -> Done {
        let servers = &self.setting.servers;
        let begun = Instant::now();
        let one = |server| self.transaction(phase, server, number, number, 1);
        let each = join_all(servers.iter().map(one)).await;
        let latency = begun.elapsed();
        let mut all = Done::default();
        for one in each {
            all.calls += one.calls;
            all.events += one.events;
            all.content += one.content;
            all.failures.extend(one.failures);
        }
        all.latency = all.failures.is_empty().then_some(latency);
        all
    }

    /// Asks for events of a room's history, others each time.
    pub(super) async fn backfill(&self, phase: &Phase, server: &ServerName, number: u64) -> Done {
        let first = number * BACKFILLED % HISTORY as u64;
        let request = Backfill {
            room_id: "!history:destination.example.org".to_owned(),
            from: vec![format!("${first:0>43}")],
            limit: BACKFILLED as i64,
            ..Backfill::default()
        };
        let begun = Instant::now();
        let read = phase.wait(async {
            let call = Call::new(server.clone(), request);
            let reply = self.client.send(call).await;
            let reply = reply.map_err(|error| error.to_string())?;
            let mut reply = Arriving::<BackfillMembers>::of(reply)?;
            let mut receipt = Receipt::default();
            while let Some(event) = reply.next().await? {
                receipt.add(event.text());
            }
            reply.finish().await?;
            Ok::<_, String>(receipt)
        });
        let read = read.await;
        let latency: Duration = begun.elapsed();
        match read {
            Ok(receipt) if receipt == self.expected.receipt(first, BACKFILLED) => {
                Done::one(latency, receipt.events, receipt.bytes)
            }
            Ok(receipt) => format!("other events than were asked for: {receipt:?}").into(),
            Err(why) => why.into(),
        }
    }
}
