//! What is done to a server: the two sides of each scenario.
//!
//! Both sides stand on the typed API and know no wire. The content is random, drawn from the seed, and the same on both sides without being sent; a side that
//! gets something else counts that as a failure.
//!
//! | file | subject |
//! | --- | --- |
//! | `plan` | what is to be done, and for how long |
//! | `content`, `event` | events, profiles, the file |
//! | `answers`, `rooms` | the called side, and what it has |
//! | `phase`, `tally`, `arriving` | the calling side: when it ends, what came of it, events of a reply |
//! | `calls`, `steady`, `join`, `media`, `cold_start` | the calling side of each |

mod answers;
mod arriving;
mod calls;
mod cold_start;
pub(crate) mod content;
pub mod event;
mod join;
mod media;
mod phase;
mod plan;
pub(crate) mod rooms;
mod steady;
mod tally;

use std::{sync::Arc, time::Duration};

use comity_core::event::Pdu;

pub use answers::service;
pub use plan::Plan;

use crate::{
    model::{Flow, NETWORKS, Outcome, Scenario},
    subject::{Client, Setting},
};
use calls::EVENTS;
use content::{Expected, File, Kind};
use phase::Phase;
use plan::{HISTORY, pool_of, room_of};

/// Messages of the pool that transactions are taken from.
const MESSAGES: usize = 1_000;

/// State events of the room that a join's warm-up joins: a large one would leave memory behind that then looks like idle.
const WARM_ROOM: u64 = 20;

/// How many servers a scenario calls. A cold start calls one more than it measures: the first is its warm-up.
pub const fn servers(scenario: Scenario) -> usize {
    match scenario {
        Scenario::Burst => 20,
        Scenario::ColdStart => 101,
        _ => 1,
    }
}

/// Does what the plan says, warm-up first, and tells what came of it. `resident` gives the memory of this process, in bytes. Dropping the future ends it.
///
/// To read a clock or a counter between the two parts, use a [`Caller`].
pub async fn run(
    client: &Client,
    setting: &Setting,
    plan: &Plan,
    resident: &(dyn Fn() -> u64 + Sync),
) -> Outcome {
    let caller = Caller::new(client, setting, plan);
    caller.warm_up().await;
    caller.measure(resident).await
}

/// How long the first call of a client without connections takes, to the first server of its setting: TCP, TLS, the proof of origin, and the answer to a small query.
///
/// # Errors
/// What became of the call, if it was not answered as it should within `limit`.
pub async fn first_call(
    client: &Client,
    setting: &Setting,
    limit: Duration,
) -> Result<Duration, String> {
    let plan = Plan {
        deadline: limit,
        ..Plan::new(Scenario::SmallQuery, Flow::OneInFlight, NETWORKS[0])
    };
    let caller = Caller::new(client, setting, &plan);
    let phase = Phase::begin("f", limit, limit, "the first call");
    let mut done = caller.query(&phase, &setting.servers[0], 0).await;
    match done.failures.pop() {
        Some(why) => Err(why),
        None => Ok(done.latency.unwrap_or_default()),
    }
}

/// The calling side of a plan, with the content that it needs made.
#[derive(Debug)]
pub struct Caller<'a> {
    client: comity_core::Client,
    setting: &'a Setting,
    plan: &'a Plan,
    /// What transactions are made of.
    messages: Arc<[Pdu]>,
    /// What their receipts, or what arrives, has to be.
    expected: Expected,
    file: File,
}

impl<'a> Caller<'a> {
    /// Makes the content. Nothing is sent.
    pub fn new(client: &Client, setting: &'a Setting, plan: &'a Plan) -> Self {
        let seed = setting.seed;
        let (messages, kind, expected) = match plan.scenario {
            Scenario::Transaction | Scenario::Steady | Scenario::Burst => {
                (MESSAGES, Kind::Message, MESSAGES)
            }
            Scenario::Backfill => (0, Kind::Message, HISTORY),
            other => (0, Kind::Membership, room_of(other).map_or(0, pool_of)),
        };
        Self {
            client: comity_core::Client::new(client.transport.clone()),
            setting,
            plan,
            messages: content::events(seed, Kind::Message, messages),
            expected: Expected::of(seed, kind, expected),
            file: File::of(seed),
        }
    }

    /// Does for [`Plan::warm_up`] what will be measured, and tells what came of it, which does not count. Nothing is done if that is zero. A join's warm-up joins a
    /// small room, a cold start's calls a server of its own, that of transactions where packets are lost sends one event in each. Dropping the future ends it.
    pub async fn warm_up(&self) -> Outcome {
        let lasting = self.plan.warm_up;
        let phase = self.begin("w", lasting);
        if !lasting.is_zero() {
            match (self.plan.scenario, room_of(self.plan.scenario)) {
                (Scenario::ColdStart, _) => self.warm_up_cold(&phase).await,
                // Where packets are lost a connection learns nothing from a long warm-up: it is opened.
                (Scenario::Transaction, _) if self.plan.network.loss > 0.0 => {
                    let server = &self.setting.servers[0];
                    let one = |number| self.transaction(&phase, server, number, number, 1);
                    phase.each(self.plan.in_flight(), one).await;
                }
                (_, Some(_)) => {
                    let join = |number| self.join(&phase, WARM_ROOM, number, None);
                    phase.each(self.plan.in_flight(), join).await;
                }
                _ => self.act(&phase, &|| 0).await,
            }
        }
        phase.end()
    }

    /// Does what is measured, for [`Plan::measure`] and until the last call of it has ended, and tells what came of it. Dropping the future ends it.
    pub async fn measure(&self, resident: &(dyn Fn() -> u64 + Sync)) -> Outcome {
        let phase = self.begin("m", self.plan.measure);
        self.act(&phase, resident).await;
        phase.end()
    }

    fn begin(&self, name: &'static str, lasting: Duration) -> Phase {
        let latency_of = match self.plan.scenario {
            Scenario::SmallQuery => "a query",
            Scenario::Transaction => "a transaction",
            Scenario::Steady => "an event, from its arrival",
            Scenario::Burst => "an event, until the last destination has it",
            Scenario::Join1k | Scenario::Join20k | Scenario::Join200k => "the first event",
            Scenario::Backfill => "a backfill, to its last event",
            Scenario::Media => "a query beside the file",
            Scenario::ColdStart => "the first call to a server",
        };
        Phase::begin(name, lasting, self.plan.deadline, latency_of)
    }

    async fn act(&self, phase: &Phase, resident: &(dyn Fn() -> u64 + Sync)) {
        let lanes = self.plan.in_flight();
        let server = &self.setting.servers[0];
        match self.plan.scenario {
            Scenario::SmallQuery => {
                let query = |number| self.query(phase, server, number);
                phase.each(lanes, query).await;
            }
            Scenario::Transaction => {
                let transaction =
                    |number| self.transaction(phase, server, number, number * EVENTS, EVENTS);
                phase.each(lanes, transaction).await;
            }
            Scenario::Steady => self.steady(phase, lanes).await,
            Scenario::Burst => phase.each(lanes, |number| self.burst(phase, number)).await,
            Scenario::Join1k | Scenario::Join20k | Scenario::Join200k => {
                let state = room_of(self.plan.scenario).unwrap_or_default();
                let join = |number| {
                    // One curve is enough, and memory is that of the whole process.
                    let resident = (number == 0).then_some(resident);
                    self.join(phase, state, number, resident)
                };
                phase.each(lanes, join).await;
            }
            Scenario::Backfill => {
                let backfill = |number| self.backfill(phase, server, number);
                phase.each(lanes, backfill).await;
            }
            Scenario::Media => self.media(phase, lanes).await,
            Scenario::ColdStart => self.cold(phase, lanes).await,
        }
    }
}
