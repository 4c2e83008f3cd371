//! What is to be done, and for how long.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::content::FILE;
use crate::model::{Flow, Network, Scenario};

/// Events of the pool that a room's are taken from, at most.
pub(super) const POOL: usize = 4_096;

/// Events of the history that is backfilled.
pub(crate) const HISTORY: usize = 1_000;

/// What a client does to the servers, and for how long.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// What is done.
    pub scenario: Scenario,
    /// How calls follow one another.
    pub flow: Flow,
    /// Over which network: it makes nothing of it, but knows how long things take.
    #[serde(with = "by_name")]
    pub network: Network,
    /// How long it is done before anything counts. Zero: not at all.
    pub warm_up: Duration,
    /// How long calls are begun that count. At least one is.
    pub measure: Duration,
    /// How long the measured part may take in all, and the warm-up as well. What is under way then is given up and counts as failed.
    pub deadline: Duration,
}

impl Plan {
    /// Two seconds of warm-up and ten that count, or as long as one call takes; for the end of what is under way, four times that and a minute.
    pub fn new(scenario: Scenario, flow: Flow, network: Network) -> Self {
        let mut plan = Self {
            scenario,
            flow,
            network,
            warm_up: Duration::from_secs(2),
            measure: Duration::from_secs(10),
            deadline: Duration::ZERO,
        };
        plan.deadline = plan.measure + plan.estimate() * 4 + Duration::from_secs(60);
        plan
    }

    /// About how long one call takes (one round of a burst, one file, one join, a cold start of all servers), when as many are under way as there will be: three round trips, and its bytes at the
    /// network's rate, or at what one TCP connection has of it under loss (Mathis et al. 1997: segment / round trip · 1.22 / √loss). Good for leaving out what would
    /// take an hour, and for nothing else.
    pub fn estimate(&self) -> Duration {
        let Network { delay, .. } = self.network;
        let rounds = match self.scenario {
            // All of them: TCP, TLS and the call, of each.
            Scenario::ColdStart => 99_usize.div_ceil(self.in_flight()) as f64,
            _ => 1.0,
        };
        Duration::from_secs_f64(rounds * 6.0 * delay) + self.transfer()
    }

    /// How long the bytes of all that share the network at a time take, about.
    pub(crate) fn transfer(&self) -> Duration {
        let Network {
            delay, loss, rate, ..
        } = self.network;
        let trip = 2.0 * delay;
        let under_loss = (loss > 0.0).then(|| 1448.0 * 8.0 / trip * 1.22 / loss.sqrt());
        let rate = [rate, under_loss].into_iter().flatten().reduce(f64::min);
        let bits = 8.0 * self.bytes() as f64;
        let transfer = rate.map_or(bits / 2e9, |rate| bits / rate);
        Duration::from_secs_f64(transfer)
    }

    /// Bytes of content in one call, about; of all that share the network at a time.
    fn bytes(&self) -> u64 {
        let each = match self.scenario {
            Scenario::SmallQuery => 1_000,
            // With a certificate.
            Scenario::ColdStart => 5_000,
            Scenario::Transaction => 75_000,
            // Of several lanes each takes an event as it comes.
            Scenario::Steady => match self.flow {
                Flow::OneInFlight => 75_000,
                Flow::Concurrent => 1_500,
            },
            Scenario::Burst => 20 * 2_000,
            Scenario::Backfill => 150_000,
            Scenario::Media => FILE as u64,
            Scenario::Join1k | Scenario::Join20k | Scenario::Join200k => {
                let state = room_of(self.scenario).unwrap_or_default();
                (state + state / 10) * 1_067
            }
        };
        each * self.in_flight() as u64
    }

    /// Calls under way at a time: rounds of a burst, files of [`Scenario::Media`].
    pub fn in_flight(&self) -> usize {
        match (self.flow, self.scenario) {
            (Flow::OneInFlight, _) => 1,
            (_, Scenario::SmallQuery | Scenario::Transaction | Scenario::Backfill) => 16,
            (_, Scenario::Steady) => 64,
            (_, Scenario::Burst | Scenario::Join1k) => 4,
            (_, Scenario::Join20k | Scenario::Join200k | Scenario::Media) => 2,
            (_, Scenario::ColdStart) => 20,
        }
    }
}

/// State events of the room that a scenario joins.
pub(crate) fn room_of(scenario: Scenario) -> Option<u64> {
    match scenario {
        Scenario::Join1k => Some(1_000),
        Scenario::Join20k => Some(20_000),
        Scenario::Join200k => Some(200_000),
        _ => None,
    }
}

/// Different events in a room of so many state events.
pub(crate) fn pool_of(state: u64) -> usize {
    POOL.min((state + state / 10) as usize)
}

/// A network by its name: it is one of a list.
mod by_name {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::model::{NETWORKS, Network};

    pub(super) fn serialize<S: Serializer>(network: &Network, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(network.name)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Network, D::Error> {
        let name = String::deserialize(from)?;
        let known = NETWORKS.into_iter().find(|network| network.name == name);
        known.ok_or_else(|| Error::custom(format_args!("there is no network {name:?}")))
    }
}
