//! Where a repetition takes place: the network between its two processes.

use std::net::{IpAddr, Ipv4Addr};

use crate::{
    model::{Drops, Emulation, Network, NetworkCheck, Wire},
    network::{Emulated, Loopback, Namespace, NetworkError, self_test},
};

/// A network that stands. Dropping it ends it.
#[derive(Debug)]
pub(crate) enum Place {
    /// Two namespaces and an emulated network between them.
    Emulated(Box<Emulated>),
    /// A namespace with a loopback of its own.
    Loopback(Loopback),
    /// The host's loopback.
    Host,
}

impl Place {
    /// Opens a network like this one.
    ///
    /// # Errors
    /// What is missing for it.
    pub(crate) fn open(network: &Network, seed: u64) -> Result<Self, NetworkError> {
        Ok(match network.delay > 0.0 {
            true => Self::Emulated(Box::new(Emulated::open(network, seed)?)),
            false => Self::Loopback(Loopback::open()?),
        })
    }

    pub(crate) fn client(&self) -> Option<&Namespace> {
        match self {
            Self::Emulated(emulated) => Some(emulated.client()),
            Self::Loopback(loopback) => Some(loopback.client()),
            Self::Host => None,
        }
    }

    pub(crate) fn server(&self) -> Option<&Namespace> {
        match self {
            Self::Emulated(emulated) => Some(emulated.server()),
            Self::Loopback(loopback) => Some(loopback.server()),
            Self::Host => None,
        }
    }

    pub(crate) fn server_address(&self) -> IpAddr {
        match self {
            Self::Emulated(emulated) => emulated.server_address(),
            Self::Loopback(loopback) => loopback.server_address(),
            Self::Host => Ipv4Addr::LOCALHOST.into(),
        }
    }

    /// What has gone over the wire so far. None: nobody counts here.
    pub(crate) fn counters(&self) -> Option<Wire> {
        match self {
            Self::Emulated(emulated) => Some(emulated.counters()),
            Self::Loopback(loopback) => loopback.counters(),
            Self::Host => None,
        }
    }

    /// What was not delivered so far. None: nothing is emulated.
    pub(crate) fn drops(&self) -> Option<Drops> {
        let Self::Emulated(emulated) = self else {
            return None;
        };
        let drops = emulated.drops();
        Some(Drops {
            lost: drops.lost_sent + drops.lost_received,
            refused: drops.refused_sent + drops.refused_received,
            overrun: drops.overrun,
        })
    }

    /// TCP segments that either side has sent again so far. None: they are the host's, and others' among them.
    pub(crate) fn resent_segments(&self) -> Option<u64> {
        match self {
            Self::Emulated(emulated) => {
                let [client, server] =
                    [emulated.client(), emulated.server()].map(Namespace::resent_segments);
                Some(client? + server?)
            }
            Self::Loopback(loopback) => loopback.client().resent_segments(),
            Self::Host => None,
        }
    }

    /// Why nothing goes over the network any more, if so.
    pub(crate) fn broken(&self) -> Option<String> {
        match self {
            Self::Emulated(emulated) => emulated.broken(),
            Self::Loopback(_) | Self::Host => None,
        }
    }
}

/// What went over the wire between two readings.
pub(crate) fn between(before: Wire, after: Wire) -> Wire {
    let packets = |before: Option<u64>, after: Option<u64>| Some(after?.saturating_sub(before?));
    Wire {
        sent: after.sent.saturating_sub(before.sent),
        received: after.received.saturating_sub(before.received),
        packets_sent: packets(before.packets_sent, after.packets_sent),
        packets_received: packets(before.packets_received, after.packets_received),
    }
}

/// How a network comes about here, and what it is really like. It takes a few seconds.
pub(crate) fn check(network: &Network, emulate: bool, seed: u64) -> NetworkCheck {
    if emulate {
        return self_test(network, seed);
    }
    let (emulation, note) = match network.delay > 0.0 {
        true => (
            Emulation::InProcess,
            "--no-emulation: each call is delayed within the client, with neither loss nor rate",
        ),
        false => (
            Emulation::None,
            "--no-emulation: the host's own; bytes are counted by the client, above TCP",
        ),
    };
    NetworkCheck {
        network: network.name.to_owned(),
        emulation,
        measured: Vec::new(),
        note: Some(note.to_owned()),
    }
}

/// Whether each repetition has a network of its own here, by its check: where none can be opened, nothing of it was measured but the delay within the client.
pub(crate) fn opens(check: &NetworkCheck) -> bool {
    match check.emulation {
        Emulation::Tun => true,
        Emulation::InProcess => false,
        Emulation::None => !check.measured.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::NETWORKS;

    #[test]
    fn what_the_check_could_not_open_no_repetition_opens() {
        for network in &NETWORKS[..3] {
            assert!(!opens(&check(network, false, 1)), "{network:?}");
        }
        let found = check(&NETWORKS[0], true, 1);
        assert_eq!(opens(&found), Place::open(&NETWORKS[0], 1).is_ok());
    }
}
