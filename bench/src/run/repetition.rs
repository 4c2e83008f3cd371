//! One repetition: both processes, their marks, and what came of it.

use std::net::SocketAddr;

use comity_core::ServerName;

use super::PATIENCE;
use crate::{
    child::order::{Answer, Order, Site, Used},
    model::{Cell, Drops, Emulation, Handshake, Resent, Sample, Wire},
    place::{Place, between},
    process::{ChildError, Handle},
    scenario,
    subject::{Subject, Tls},
};

/// A cell, a seed, and where it is measured. Its processes are new, so that no memory and no cache is another one's.
pub(super) struct Repetition<'a> {
    pub(super) subject: &'a Subject,
    pub(super) cell: &'a Cell,
    pub(super) work: &'a scenario::Plan,
    pub(super) place: &'a Place,
    /// Whether the network is a delay within the client.
    pub(super) delayed: bool,
    pub(super) seed: u64,
    /// Whether setting up a connection is measured too.
    pub(super) handshake: bool,
}

/// The processes of a repetition: the server's, if it has one of its own, and the client's.
struct Parts {
    server: Option<Handle>,
    client: Handle,
    connect: Order,
}

impl Repetition<'_> {
    /// Measures it.
    pub(super) fn measure(&self, command: String) -> Result<Sample, Error> {
        let mut parts = self.start()?;
        let handshake = match self.handshake && parts.server.is_some() {
            true => Some(self.shake_hands(&mut parts)?),
            false => None,
        };
        parts.client.ask(&parts.connect, PATIENCE)?;
        let patience = self.work.deadline + PATIENCE;
        if let Some(server) = &mut parts.server {
            server.ask(&Order::Idle, PATIENCE)?;
        }
        let warm_up = Order::WarmUp(self.work.clone());
        parts.client.ask(&warm_up, patience)?;
        let (outcome, marks) = self.between_marks(&mut parts, |client| {
            match client.ask(&Order::Measure, patience)? {
                Answer::Outcome(outcome) => Ok(outcome),
                other => Err(client.astray(&other)),
            }
        })?;
        Ok(Sample {
            cell: self.cell.clone(),
            seed: self.seed,
            command,
            emulation: match (self.place, self.delayed) {
                (Place::Emulated(_), _) => Emulation::Tun,
                (_, true) => Emulation::InProcess,
                (_, false) => Emulation::None,
            },
            retried: None,
            outcome,
            client: marks.client.process,
            server: marks.server.map(|used| used.process),
            wire: marks.wire,
            drops: marks.drops,
            resent: marks.resent,
            handshake,
        })
    }

    fn start(&self) -> Result<Parts, Error> {
        let site = self.site()?;
        let network = self.work.network.name.to_owned();
        let delayed = self.delayed.then_some(network);
        let name = &self.cell.transport;
        let Subject::Apart(_) = self.subject else {
            return Ok(Parts {
                server: None,
                client: Handle::start("process", name, None)?,
                connect: Order::Join { site, delayed },
            });
        };
        let mut server = Handle::start("server", name, self.place.server())?;
        let client = Handle::start("client", name, self.place.client())?;
        let addresses: Vec<SocketAddr> = match server.ask(&Order::Serve(site.clone()), PATIENCE)? {
            Answer::Serving { addresses } => addresses,
            other => return Err(server.astray(&other).into()),
        };
        Ok(Parts {
            server: Some(server),
            client,
            connect: Order::Connect {
                site,
                addresses,
                delayed,
            },
        })
    }

    fn site(&self) -> Result<Site, Error> {
        let name = |text: String| text.parse::<ServerName>().expect("it is a host name");
        let servers = 0..scenario::servers(self.cell.scenario);
        let servers: Vec<ServerName> = servers
            .map(|number| name(format!("s{number}.bench.example")))
            .collect();
        Ok(Site {
            client: name("client.bench.example".to_owned()),
            listen: self.place.server_address(),
            seed: self.seed,
            tls: Tls::drawn(&servers).map_err(Error::Tls)?,
            servers,
            scenario: self.cell.scenario,
        })
    }

    /// The first call of a client that has no connection. One before it does not count: it is the first of both processes, which load and set up what is used for the first time.
    fn shake_hands(&self, parts: &mut Parts) -> Result<Handshake, Error> {
        let call = |client: &mut Handle| {
            let limit = self.work.deadline;
            match client.ask(&Order::FirstCall { limit }, limit + PATIENCE)? {
                Answer::Called { seconds } => Ok(seconds),
                other => Err(client.astray(&other)),
            }
        };
        parts.client.ask(&parts.connect, PATIENCE)?;
        call(&mut parts.client)?;
        parts.client.ask(&parts.connect, PATIENCE)?;
        let (seconds, marks) = self.between_marks(parts, call)?;
        Ok(Handshake {
            seconds,
            client_cpu: marks.client.process.cpu,
            server_cpu: marks.server.map(|used| used.process.cpu),
            bytes: marks.wire.map(|wire| wire.sent + wire.received),
        })
    }

    /// Has the client do something, and reads before and after what both processes and the network have used.
    fn between_marks<T>(
        &self,
        parts: &mut Parts,
        act: impl FnOnce(&mut Handle) -> Result<T, ChildError>,
    ) -> Result<(T, Marks), Error> {
        if let Some(server) = &mut parts.server {
            server.ask(&Order::Begin, PATIENCE)?;
        }
        parts.client.ask(&Order::Begin, PATIENCE)?;
        let before = self.place.counters();
        let dropped = self.place.drops();
        let segments = self.place.resent_segments();
        let result = act(&mut parts.client);
        let result = match (result, &mut parts.server) {
            (Ok(result), _) => result,
            // A server that died is why the client waits.
            (Err(error), Some(server)) => {
                if let Some(why) = self.place.broken() {
                    return Err(Error::Network(format!("{why}; {error}")));
                }
                server.ask(&Order::End, PATIENCE)?;
                return Err(error.into());
            }
            (Err(error), None) => return Err(error.into()),
        };
        let after = self.place.counters();
        if let Some(why) = self.place.broken() {
            return Err(Error::Network(why));
        }
        let drops = self.place.drops().zip(dropped);
        let drops = drops.map(|(after, before)| Drops {
            lost: after.lost.saturating_sub(before.lost),
            refused: after.refused.saturating_sub(before.refused),
            overrun: after.overrun.saturating_sub(before.overrun),
        });
        let segments = self.place.resent_segments().zip(segments);
        let client = used(&mut parts.client)?;
        let server = parts.server.as_mut().map(used).transpose()?;
        let counted = parts.server.as_ref().map(|_| Wire {
            sent: client.counted.0,
            received: client.counted.1,
            packets_sent: None,
            packets_received: None,
        });
        let resent = parts.server.as_ref().map(|_| Resent {
            segments: segments.map(|(after, before)| after.saturating_sub(before)),
            requests: client.resent,
        });
        let wire = match before.zip(after) {
            Some((before, after)) => Some(between(before, after)),
            None => counted,
        };
        Ok((
            result,
            Marks {
                client,
                server,
                wire,
                drops,
                resent,
            },
        ))
    }
}

struct Marks {
    client: Used,
    server: Option<Used>,
    wire: Option<Wire>,
    drops: Option<Drops>,
    resent: Option<Resent>,
}

fn used(part: &mut Handle) -> Result<Used, ChildError> {
    match part.ask(&Order::End, PATIENCE)? {
        Answer::Used(used) => Ok(used),
        other => Err(part.astray(&other)),
    }
}

/// Why there is no sample.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Child(#[from] ChildError),
    #[error("the emulated network broke down: {0}")]
    Network(String),
    #[error("no certificate can be made: {0}")]
    Tls(rcgen::Error),
}
