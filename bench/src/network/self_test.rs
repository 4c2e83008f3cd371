//! Whether a network is what it is called: measured with sockets on both sides.

use std::{error::Error, net::Ipv4Addr, thread, time::Duration};

use super::{
    Emulated, Loopback, NetworkError,
    delayed::way_of_a_call,
    echo::{Echo, Ends},
    flood::{Flood, Flooded},
    link::queue_bytes,
};
use crate::model::{Emulation, Network, NetworkCheck, Property};

/// Largest relative difference that is borne.
const TOLERANCE: f64 = 0.05;

/// A machine that is busy with something else gives a wrong delay once in a while: so often it is measured before the network is said to have failed.
const ATTEMPTS: u64 = 3;

/// Echoes for the delay.
const ECHOES: u32 = 101;

/// A loopback's way takes less than half of the shortest delay that is emulated.
const LOOPBACK: f64 = 0.000_1;

/// IP bytes of the smallest datagram that is sent.
const SMALL: u64 = 29;

/// IP bytes of a large one.
const LARGE: u64 = 1_428;

/// Packets that are sent where none is to be lost.
const LOSSLESS: u64 = 20_000;

/// Seconds that the loss of a limited link is measured for at most, in one attempt.
const LOSS_SECONDS: f64 = 5.0;

/// Measures `network` and says whether delay, loss and rate are within 5 % of what was asked for. It takes a few seconds.
///
/// The delay is half of an echo's median round trip. The loss is the share of datagrams that did not arrive: which are lost depends on the seed
/// alone, so that it is the same whenever it is measured. It is counted over so many that three standard deviations are less than the tolerance,
/// or over what a limited link takes in five seconds. The rate is that of IP bytes one way, with those
/// that were lost, as they have taken their time.
///
/// What was beyond the tolerance is measured up to twice more, and the note says so; the loss then counts all that were sent.
/// Where no network can be emulated the delay within the client is measured, and the note says why.
pub fn self_test(network: &Network, seed: u64) -> NetworkCheck {
    let found = if network.delay > 0.0 {
        emulated(network, seed)
    } else {
        loopback()
    };
    let (emulation, measured, note) = match found {
        Ok(found) => (found.emulation, found.measured, found.note),
        // The host's own loopback is there in any case.
        Err(error) if network.delay == 0.0 => (Emulation::None, Vec::new(), Some(why(&error))),
        // It has neither loss nor rate, so neither is measured.
        Err(error) => (
            Emulation::InProcess,
            vec![within_the_client(network)],
            Some(format!(
                "only the delay, within the client: {}",
                why(&error)
            )),
        ),
    };
    NetworkCheck {
        network: network.name.to_owned(),
        emulation,
        measured,
        note,
    }
}

/// What a delay within the client comes to.
fn within_the_client(network: &Network) -> Property {
    let way = way_of_a_call(network).unwrap_or_default();
    property("delay", network.delay, way)
}

/// The error with what caused it.
fn why(error: &NetworkError) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// A property, and whether it was kept. What is to be nothing has to be nothing.
fn property(name: &str, wanted: f64, measured: f64) -> Property {
    Property {
        name: name.to_owned(),
        wanted,
        measured,
        tolerance: TOLERANCE,
        passed: (measured - wanted).abs() <= TOLERANCE * wanted,
    }
}

/// What was found of a network that could be had.
struct Found {
    emulation: Emulation,
    measured: Vec<Property>,
    note: Option<String>,
}

fn loopback() -> Result<Found, NetworkError> {
    let opened = Loopback::open()?;
    let mut failures = Failures::default();
    let mut delay = None;
    while !kept(&delay) && failures.attempt() {
        let way = Echo::open(opened.client(), opened.server(), Ipv4Addr::LOCALHOST)
            .and_then(|echo| echo.way(ECHOES, Duration::ZERO));
        let found = failures.or_nothing(way.map(|way| way.as_secs_f64()));
        delay = Some(Property {
            passed: found.is_some_and(|way| way < LOOPBACK),
            ..property("delay", 0.0, found.unwrap_or_default())
        });
    }
    Ok(Found {
        emulation: Emulation::None,
        measured: delay.into_iter().collect(),
        note: failures.note(),
    })
}

fn emulated(network: &Network, seed: u64) -> Result<Found, NetworkError> {
    let (mut delay, mut loss, mut rate) = (None, None, None);
    let mut all = Flooded::default();
    let mut failures = Failures::default();
    while !(kept(&delay) && kept(&loss) && (network.rate.is_none() || kept(&rate)))
        && failures.attempt()
    {
        let opened = Emulated::open(network, seed.wrapping_add(failures.attempts - 1))?;
        if !kept(&delay) {
            let way = failures.or_nothing(way(&opened, network));
            delay = Some(property("delay", network.delay, way.unwrap_or_default()));
        }
        if !kept(&loss) {
            // Where nothing may be lost, more packets do not make up for one.
            if network.loss == 0.0 {
                all = Flooded::default();
            }
            for flooded in failures
                .or_nothing(losses(&opened, network))
                .into_iter()
                .flatten()
            {
                all.sent += flooded.sent;
                all.received += flooded.received;
            }
            let found = property("loss", network.loss, all.missing());
            loss = Some(Property {
                passed: found.passed && all.sent > 0,
                ..found
            });
        }
        if let Some(wanted) = network.rate
            && !kept(&rate)
        {
            let speed = failures.or_nothing(speed(&opened, network, wanted));
            rate = Some(property("rate", wanted, speed.unwrap_or_default()));
        }
        if let Some(why) = opened.broken() {
            failures.said(why);
        }
        let overrun = opened.drops().overrun;
        if overrun > 0 {
            failures.said(format!(
                "{overrun} packets were lost that the link did not lose"
            ));
        }
    }
    Ok(Found {
        emulation: Emulation::Tun,
        measured: [delay, loss, rate].into_iter().flatten().collect(),
        note: failures.note(),
    })
}

fn kept(found: &Option<Property>) -> bool {
    found.as_ref().is_some_and(|found| found.passed)
}

/// How often it was measured, and what went wrong.
#[derive(Default)]
struct Failures {
    attempts: u64,
    last: Option<String>,
}

impl Failures {
    /// Whether there is one more attempt.
    fn attempt(&mut self) -> bool {
        let more = self.attempts < ATTEMPTS;
        self.attempts += u64::from(more);
        more
    }

    fn or_nothing<T>(&mut self, measured: Result<T, NetworkError>) -> Option<T> {
        measured.map_err(|error| self.said(why(&error))).ok()
    }

    fn said(&mut self, words: String) {
        self.last = Some(words);
    }

    fn note(self) -> Option<String> {
        let again = (self.attempts > 1).then(|| {
            format!(
                "measured {} times, as something was beyond the tolerance at first",
                self.attempts
            )
        });
        match (again, self.last) {
            (Some(again), Some(last)) => Some(format!("{again}; {last}")),
            (again, last) => again.or(last),
        }
    }
}

/// The delay, one way, in seconds: the middle of three, each with threads of its own, as it matters on which processor they run.
fn way(opened: &Emulated, network: &Network) -> Result<f64, NetworkError> {
    let expected = Duration::from_secs_f64(network.delay);
    let mut ways = [0.0; 3];
    for way in &mut ways {
        let echo = Echo::open(opened.client(), opened.server(), opened.server_address())?;
        *way = echo.way(ECHOES, expected)?.as_secs_f64();
    }
    ways.sort_unstable_by(f64::total_cmp);
    Ok(ways[1])
}

/// Small datagrams, both ways at once.
fn losses(opened: &Emulated, network: &Network) -> Result<[Flooded; 2], NetworkError> {
    // Three standard deviations of a share p among n are 3 √(p (1 - p) / n).
    let enough = if network.loss > 0.0 {
        (3.0 / TOLERANCE).powi(2) * (1.0 - network.loss) / network.loss / 2.0
    } else {
        LOSSLESS as f64
    };
    let passes = network.rate.map_or(f64::INFINITY, |rate| {
        LOSS_SECONDS * rate / 8.0 / SMALL as f64
    });
    let flood = Flood {
        count: enough.min(passes) as u64,
        packet: SMALL,
        on_the_link: on_the_link(network, SMALL),
        delay: Duration::from_secs_f64(network.delay),
    };
    let ends = Ends::open(opened.client(), opened.server(), opened.server_address())?;
    let [there, back] = opened.counted();
    let [there, back] = thread::scope(|scope| {
        let back = scope.spawn(|| flood.run(&ends.server, &ends.client, back));
        let there = flood.run(&ends.client, &ends.server, there);
        [there, back.join().expect("a flood does not panic")]
    });
    Ok([there?, back?])
}

/// How fast large datagrams leave the link, by what arrives and what is lost behind it, in bits a second.
fn speed(opened: &Emulated, network: &Network, rate: f64) -> Result<f64, NetworkError> {
    let flood = Flood {
        count: (rate / 8.0 / LARGE as f64).ceil() as u64,
        packet: LARGE,
        on_the_link: on_the_link(network, LARGE),
        delay: Duration::from_secs_f64(network.delay),
    };
    let ends = Ends::open(opened.client(), opened.server(), opened.server_address())?;
    let [there, _] = opened.counted();
    let flooded = flood.run(&ends.client, &ends.server, there)?;
    // The first marks the beginning.
    let left = (flooded.received + flooded.lost).saturating_sub(1);
    let bits = left * LARGE * 8;
    Ok(bits as f64 / flooded.took.as_secs_f64())
}

/// Packets that keep a link busy: what is under way, and half of its queue.
fn on_the_link(network: &Network, packet: u64) -> u64 {
    let Some(rate) = network.rate else {
        return u64::MAX / 2;
    };
    let under_way = (rate / 8.0 * network.delay) as u64;
    (under_way + queue_bytes(network.delay, rate) / 2) / packet
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn network(delay: f64, loss: f64, rate: Option<f64>) -> Network {
        Network {
            name: "test",
            delay,
            loss,
            rate,
        }
    }

    #[test]
    fn a_property_is_kept_within_its_tolerance() {
        assert!(property("delay", 0.1, 0.104).passed);
        assert!(property("delay", 0.1, 0.096).passed);
        assert!(!property("delay", 0.1, 0.106).passed);
        assert!(!property("delay", 0.1, 0.0).passed);
        assert!(property("loss", 0.0, 0.0).passed);
        assert!(!property("loss", 0.0, 0.000_1).passed);
    }

    #[test]
    fn a_network_that_is_another_is_told() {
        let real = network(0.03, 0.02, Some(4e6));
        let opened = match Emulated::open(&real, 1) {
            Ok(opened) => opened,
            Err(error) => return println!("skipped: {}", why(&error)),
        };
        let claimed = network(0.01, 0.1, Some(2e6));
        let way = way(&opened, &claimed).unwrap();
        assert!(way >= 0.03 && !property("delay", claimed.delay, way).passed);
        let [there, back] = losses(&opened, &claimed).unwrap();
        for flooded in [there, back] {
            assert!(flooded.missing() < 0.04, "{flooded:?}");
            assert!(!property("loss", claimed.loss, flooded.missing()).passed);
        }
    }

    #[test]
    fn what_went_wrong_is_noted() {
        let mut failures = Failures::default();
        while failures.attempt() {
            failures.or_nothing::<()>(Err(NetworkError::Namespace {
                words: "refused".to_owned(),
            }));
        }
        let note = failures.note().unwrap();
        assert!(
            note.contains("3 times") && note.contains("refused"),
            "{note}"
        );
        assert_eq!(Failures::default().note(), None);
    }
}
