//! What parent and child say to each other: a line of JSON each way, an order and its answer.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use comity_core::ServerName;
use serde::{Deserialize, Serialize};

use crate::{
    model::{NETWORKS, Network, Outcome, Process, Scenario},
    scenario::Plan,
    subject::{Proof, Setting, SetupError, Tls},
};

/// The longest line. An outcome has some thousand points of memory at most.
pub(crate) const MAX_LINE: usize = 4 << 20;

/// What a child is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Serve the servers of the setting. Answer: [`Answer::Serving`].
    Serve(Site),
    /// Be the client of these, with no connection yet. Answer: [`Answer::Done`].
    Connect {
        site: Site,
        addresses: Vec<SocketAddr>,
        /// The network whose delay each call has, where nothing else delays it.
        delayed: Option<String>,
    },
    /// Serve and be the client, in one process. Answer: [`Answer::Done`].
    Join { site: Site, delayed: Option<String> },
    /// Make one call on a connection that is not there yet. Answer: [`Answer::Called`].
    FirstCall { limit: Duration },
    /// Begin the peak of memory anew, and note what is resident. Answer: [`Answer::Done`].
    Idle,
    /// Make the content, do as [`Order::Idle`] has it, and warm up. Answer: [`Answer::Done`]. What follows is [`Order::Begin`], [`Order::Measure`] and [`Order::End`].
    WarmUp(Plan),
    /// Do what is measured. Answer: [`Answer::Outcome`].
    Measure,
    /// Note what CPU and bytes this process has used so far. Answer: [`Answer::Done`].
    Begin,
    /// Say what was used since, and the peak of memory since [`Order::Idle`]. Answer: [`Answer::Used`].
    End,
    /// Run the conformance kit over the subject. Answers: [`Answer::Judging`], then [`Answer::Judged`].
    Judge,
}

/// [`Setting`] in words.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Site {
    pub(crate) client: ServerName,
    pub(crate) servers: Vec<ServerName>,
    pub(crate) listen: std::net::IpAddr,
    pub(crate) seed: u64,
    pub(crate) tls: Tls,
    pub(crate) scenario: Scenario,
}

impl Site {
    pub(crate) fn setting(self) -> Setting {
        Setting {
            client: self.client,
            servers: self.servers,
            listen: self.listen,
            seed: self.seed,
            tls: self.tls,
            proof: Proof::Seeded,
        }
    }
}

/// What a child answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Serving {
        addresses: Vec<SocketAddr>,
    },
    Done,
    Called {
        seconds: f64,
    },
    Outcome(Outcome),
    Used(Used),
    Judging(Judging),
    Judged(Judged),
    /// It could not be done.
    Failed(String),
}

/// What a process used between two marks.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Used {
    pub(crate) process: Process,
    /// Bytes that its client counted on its sockets, sent and received. Zero for a server.
    pub(crate) counted: (u64, u64),
    /// Requests that it sent once more. Zero for a server.
    pub(crate) resent: u64,
}

/// How far the kit is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Judging {
    pub(crate) done: u64,
    pub(crate) total: u64,
    /// Cases that are being tried.
    pub(crate) under_way: Vec<String>,
}

/// What the kit said.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Judged {
    pub(crate) passed: u64,
    pub(crate) unsupported: u64,
    /// Names of the failed, with what they said.
    pub(crate) failed: Vec<(String, String)>,
    /// Calls that proved their origin, by how they did.
    pub(crate) proven: BTreeMap<String, u64>,
}

/// A network by its name.
pub(crate) fn network(name: &str) -> Result<&'static Network, SetupError> {
    let mut known = NETWORKS.iter();
    let found = known.find(|network| network.name == name);
    found.ok_or_else(|| format!("there is no network {name:?}").into())
}
