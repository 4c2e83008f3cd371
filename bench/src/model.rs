//! What is compared, and what came of it: the report's data, as written to `results.json`.
//!
//! Times are in seconds unless a name says otherwise, sizes in bytes. One [`Sample`] is one repetition of one [`Cell`], with one seed; nothing is averaged here.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

/// One combination of what is varied.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cell {
    /// Name of the transport, as its subject says it: `gRPC, session`.
    pub transport: String,
    /// How calls follow one another.
    pub flow: Flow,
    /// What is done.
    pub scenario: Scenario,
    /// Name of the network between the two sides: [`Network::name`].
    pub network: String,
}

/// How calls to one destination follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flow {
    /// One transaction in flight to a destination, as the specification has it.
    OneInFlight,
    /// As many as the scenario says.
    Concurrent,
}

impl Flow {
    /// Every flow.
    pub const ALL: [Self; 2] = [Self::OneInFlight, Self::Concurrent];

    /// How it is called on the command line and in `results.json`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OneInFlight => "one-in-flight",
            Self::Concurrent => "concurrent",
        }
    }
}

/// What is done to a server, or to several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// A profile is asked for.
    SmallQuery,
    /// Transactions of 50 events, as fast as the flow allows: what a call costs when it carries much.
    Transaction,
    /// 100 events a second arrive at the sender, which sends what has come since its last transaction, at most 50 events in one.
    Steady,
    /// One event goes to 20 destinations at once.
    Burst,
    /// A join of a room of this many state events.
    Join1k,
    /// A join of a room of this many state events.
    Join20k,
    /// A join of a room of this many state events.
    Join200k,
    /// 100 events of a room's history.
    Backfill,
    /// A file of 10 MB, with small queries beside it whose latency is what is measured.
    Media,
    /// The first call to each of 100 servers: discovery aside, TCP, TLS, and the proof of origin.
    ColdStart,
}

impl Scenario {
    /// Every scenario.
    pub const ALL: [Self; 10] = [
        Self::SmallQuery,
        Self::Transaction,
        Self::Steady,
        Self::Burst,
        Self::Join1k,
        Self::Join20k,
        Self::Join200k,
        Self::Backfill,
        Self::Media,
        Self::ColdStart,
    ];

    /// How it is called on the command line and in `results.json`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SmallQuery => "small-query",
            Self::Transaction => "transaction",
            Self::Steady => "steady",
            Self::Burst => "burst",
            Self::Join1k => "join1k",
            Self::Join20k => "join20k",
            Self::Join200k => "join200k",
            Self::Backfill => "backfill",
            Self::Media => "media",
            Self::ColdStart => "cold-start",
        }
    }
}

/// A network between the two sides. Delays are one way; each direction has them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Network {
    /// How it is called in the report and on the command line.
    pub name: &'static str,
    /// One way, in seconds. Zero: loopback, nothing is emulated.
    pub delay: f64,
    /// Share of packets that are lost, each way.
    pub loss: f64,
    /// Bits a second, each way; none: not limited.
    pub rate: Option<f64>,
}

/// The networks that are compared.
pub const NETWORKS: [Network; 6] = [
    Network {
        name: "loopback",
        delay: 0.0,
        loss: 0.0,
        rate: None,
    },
    Network {
        name: "lan",
        delay: 0.000_2,
        loss: 0.0,
        rate: None,
    },
    Network {
        name: "45ms",
        delay: 0.045,
        loss: 0.0,
        rate: None,
    },
    Network {
        name: "25ms-2%",
        delay: 0.025,
        loss: 0.02,
        rate: None,
    },
    Network {
        name: "75ms-1%-5Mbit",
        delay: 0.075,
        loss: 0.01,
        rate: Some(5e6),
    },
    Network {
        name: "satellite",
        delay: 0.3,
        loss: 0.0,
        rate: None,
    },
];

/// How a network came about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Emulation {
    /// A loopback, the host's own or a private one.
    #[default]
    None,
    /// Two network namespaces with TUN devices between them; packets are delayed, dropped and paced.
    Tun,
    /// A delay of each call within the client: no packets, so neither loss nor rate.
    InProcess,
}

impl Emulation {
    /// How it is called in `results.json` and the tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Tun => "tun",
            Self::InProcess => "in-process",
        }
    }
}

/// A network as it was found by its self-test.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NetworkCheck {
    /// [`Network::name`].
    pub network: String,
    /// How it came about.
    pub emulation: Emulation,
    /// Each property that was asked for and what was measured.
    pub measured: Vec<Property>,
    /// Why it could not be had as it should, if so.
    pub note: Option<String>,
}

/// A property of a network: what was asked for and what was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Property {
    /// `delay` (s, one way), `loss` (share) or `rate` (bit/s).
    pub name: String,
    /// Asked for.
    #[serde(deserialize_with = "null_is_nan")]
    pub wanted: f64,
    /// Measured.
    #[serde(deserialize_with = "null_is_nan")]
    pub measured: f64,
    /// Largest relative difference that is borne: 0.05.
    #[serde(deserialize_with = "null_is_nan")]
    pub tolerance: f64,
    /// Whether it was kept.
    pub passed: bool,
}

/// One repetition of a cell.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sample {
    /// Of which combination.
    pub cell: Cell,
    /// What drew its randomness: content, loss.
    pub seed: u64,
    /// The command that makes this cell again.
    pub command: String,
    /// How the network between its two sides came about.
    #[serde(default)]
    pub emulation: Emulation,
    /// What became of the first attempt, if this is the second: there is one more for each repetition.
    #[serde(default)]
    pub retried: Option<String>,
    /// What the client saw.
    pub outcome: Outcome,
    /// The client's process.
    pub client: Process,
    /// The server's process; none if both are one.
    pub server: Option<Process>,
    /// What went over the wire while it was measured; none if there is no wire.
    pub wire: Option<Wire>,
    /// Packets that the emulator did not deliver while it was measured; none if nothing was emulated.
    #[serde(default)]
    pub drops: Option<Drops>,
    /// What was sent again while it was measured; none if there is no wire, or if nobody counted.
    #[serde(default)]
    pub resent: Option<Resent>,
    /// What setting up the connection took, measured apart; none if there is no connection.
    pub handshake: Option<Handshake>,
}

/// What the client saw, after the warm-up.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// How long it took.
    #[serde(deserialize_with = "null_is_nan")]
    pub seconds: f64,
    /// Calls that were answered as they should. Of [`Scenario::Media`]: files; the queries beside them, one each 10 ms, stand in the latencies alone.
    pub calls: u64,
    /// Calls that were not, with the words of the first.
    pub failures: u64,
    /// The first failure.
    pub first_failure: Option<String>,
    /// Events delivered.
    pub events: u64,
    /// Bytes of JSON or of files that were delivered, whatever they took on the wire.
    pub content: u64,
    /// Latencies: `(microseconds, how many)`, in order, to two digits.
    pub latencies: Vec<(u64, u64)>,
    /// What the latency is of: `a transaction`, `the first event`, `an event, from its arrival`.
    pub latency_of: String,
    /// Memory over what was resident before it, of the client while a room arrived: `(events so far, bytes)`.
    pub memory: Vec<(u64, u64)>,
    /// What a reader of the figures has to know, if anything: that events came faster than they were delivered.
    #[serde(default)]
    pub note: Option<String>,
}

/// What a process used while it was measured.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Process {
    /// CPU, user and system.
    #[serde(deserialize_with = "null_is_nan")]
    pub cpu: f64,
    /// Resident memory before the warm-up, when the process is set up: what buffers grow to in the warm-up is no idle memory. (CPU is counted from the end of the warm-up.)
    pub idle: u64,
    /// Peak of resident memory since then, warm-up included.
    pub peak: u64,
    /// Whether the peak is that of the process's whole life, as it could not be begun anew (`/proc/self/clear_refs`): then it says little.
    #[serde(default)]
    pub peak_of_life: bool,
}

/// What went over the wire, both ways, below TCP where a network is emulated, and above it (`packets` is none) where not.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Wire {
    /// From the client.
    pub sent: u64,
    /// To the client.
    pub received: u64,
    /// Packets from the client.
    pub packets_sent: Option<u64>,
    /// Packets to the client.
    pub packets_received: Option<u64>,
}

/// Packets that an emulated network did not deliver, both ways together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drops {
    /// Lost by a draw, as the network's loss has it.
    pub lost: u64,
    /// Refused by the link's full queue.
    pub refused: u64,
    /// Refused by the devices, which the emulator did not empty in time: a shortcoming of the measurement. It should be 0.
    pub overrun: u64,
}

/// What was sent more than once. What came of it is in the latencies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resent {
    /// TCP segments, of both sides, by the kernel's count (`RetransSegs` of RFC 4022); none where the two sides have no namespace of their own.
    pub segments: Option<u64>,
    /// Requests that the client sent once more, as a kept connection gave them back unsent.
    pub requests: u64,
}

/// Setting up one connection, first call included.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Handshake {
    /// Until the first call was answered.
    #[serde(deserialize_with = "null_is_nan")]
    pub seconds: f64,
    /// CPU of the client.
    #[serde(deserialize_with = "null_is_nan")]
    pub client_cpu: f64,
    /// CPU of the server; none if both are one process.
    pub server_cpu: Option<f64>,
    /// Bytes both ways.
    pub bytes: Option<u64>,
}

/// What the conformance kit said of a transport.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Conformance {
    /// Name of the transport.
    pub transport: String,
    /// Why it is not asked for: a peer that is no binding.
    pub exempt: Option<String>,
    /// Cases passed.
    pub passed: u64,
    /// Cases that it does not support.
    pub unsupported: u64,
    /// Names of those that it failed, at most 20. Any: the transport is refused.
    pub failed: Vec<String>,
    /// How many it failed.
    #[serde(default)]
    pub failures: u64,
    /// Calls of the kit that proved their origin, by how they did: `X-Matrix`, `session`. Empty of transports within one process.
    #[serde(default)]
    pub proven: BTreeMap<String, u64>,
}

/// A cell that was not measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Skipped {
    /// Which.
    pub cell: Cell,
    /// Why.
    pub why: String,
}

/// A repetition that was tried and gave no sample: a process that died or hung, a server that did not come up.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failed {
    /// Of which combination.
    pub cell: Cell,
    /// With which seed.
    pub seed: u64,
    /// The command that makes this cell again.
    pub command: String,
    /// What happened, with the last lines of whoever died.
    pub why: String,
}

/// Where it was measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// Memory in bytes.
    pub memory: u64,
    /// Kernel.
    pub kernel: String,
    /// Compiler of the program that measured.
    pub compiler: String,
    /// Load average of the last minute, before and after.
    #[serde(deserialize_with = "nulls_are_nan")]
    pub load: (f64, f64),
}

/// Everything of one run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Results {
    /// The command.
    pub command: String,
    /// When it began, in seconds since the Unix epoch.
    pub began: u64,
    /// How long it took.
    #[serde(deserialize_with = "null_is_nan")]
    pub seconds: f64,
    /// The commit that was built, `-dirty` behind it if something was changed.
    pub commit: String,
    /// Where.
    pub machine: Machine,
    /// Whether it was `--quick`.
    pub quick: bool,
    /// How far the run was, if it had not ended when this was written.
    #[serde(default)]
    pub unfinished: Option<Unfinished>,
    /// Seeds of the repetitions.
    pub seeds: Vec<u64>,
    /// Who is admitted.
    pub conformance: Vec<Conformance>,
    /// What the networks were really like.
    pub networks: Vec<NetworkCheck>,
    /// What was measured.
    pub samples: Vec<Sample>,
    /// What was tried and failed.
    #[serde(default)]
    pub failed: Vec<Failed>,
    /// What was not tried.
    pub skipped: Vec<Skipped>,
}

/// A run that goes on, or that was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfinished {
    /// Cells of which every repetition was done or given up.
    pub cells: u64,
    /// Cells that there are to be.
    pub of_cells: u64,
    /// Repetitions that were done or given up.
    pub repetitions: u64,
    /// Repetitions that there are to be.
    pub of_repetitions: u64,
}

impl std::fmt::Display for Unfinished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            cells,
            of_cells,
            repetitions,
            of_repetitions,
        } = self;
        write!(
            f,
            "unfinished: {cells} of {of_cells} cells ({repetitions} of {of_repetitions} repetitions)"
        )
    }
}

/// JSON has no NaN and no infinity: they are written as `null`. A report with one odd figure is still read again.
fn null_is_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

fn nulls_are_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(f64, f64), D::Error> {
    let (before, after) = <(Option<f64>, Option<f64>)>::deserialize(deserializer)?;
    Ok((before.unwrap_or(f64::NAN), after.unwrap_or(f64::NAN)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_file() {
        for scenario in Scenario::ALL {
            assert_eq!(serde_json::json!(scenario), scenario.name());
        }
        for flow in Flow::ALL {
            assert_eq!(serde_json::json!(flow), flow.name());
        }
    }
}
