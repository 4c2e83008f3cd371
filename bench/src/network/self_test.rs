//! Whether a network is what it is called: measured with sockets on both sides.

use std::{error::Error, net::Ipv4Addr, thread, time::Duration};

use super::{
    Emulated, Loopback, NetworkError,
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
/// or over what a limited link takes in five seconds. The rate is that of IP bytes that arrived one way.
///
/// What was beyond the tolerance is measured up to twice more, and the note says so; the loss then counts all that were sent.
/// Where no network can be emulated the delay within the client is measured, and the note says why.
pub fn self_test(network: &Network, seed: u64) -> NetworkCheck {
    let (emulation, found) = if network.delay > 0.0 {
        (Emulation::Tun, emulated(network, seed))
    } else {
        (Emulation::None, loopback())
    };
    let (emulation, measured, note) = match found {
        Ok((measured, 1)) => (emulation, measured, None),
        Ok((measured, attempts)) => (
            emulation,
            measured,
            Some(format!(
                "measured {attempts} times, as something was beyond the tolerance before"
            )),
        ),
        // The host's own loopback is there in any case.
        Err(error) if network.delay == 0.0 => (Emulation::None, Vec::new(), Some(why(&error))),
        Err(error) => (
            Emulation::InProcess,
            vec![property("loss", network.loss, 0.0)],
            Some(why(&error)),
        ),
    };
    NetworkCheck {
        network: network.name.to_owned(),
        emulation,
        measured,
        note,
    }
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

fn loopback() -> Result<(Vec<Property>, u64), NetworkError> {
    let opened = Loopback::open()?;
    let echo = Echo::open(opened.client(), opened.server(), Ipv4Addr::LOCALHOST)?;
    let mut attempt = 1;
    loop {
        let way = echo.way(ECHOES, Duration::ZERO)?.as_secs_f64();
        let passed = way < LOOPBACK;
        if passed || attempt == ATTEMPTS {
            let delay = Property {
                passed,
                ..property("delay", 0.0, way)
            };
            return Ok((vec![delay], attempt));
        }
        attempt += 1;
    }
}

/// The measured properties, and how often it was measured.
fn emulated(network: &Network, seed: u64) -> Result<(Vec<Property>, u64), NetworkError> {
    let kept = |found: &Option<Property>| found.as_ref().is_some_and(|found| found.passed);
    let (mut delay, mut loss, mut rate) = (None, None, None);
    let (mut sent, mut received) = (0, 0);
    let mut attempt = 0;
    loop {
        let opened = Emulated::open(network, seed.wrapping_add(attempt))?;
        if !kept(&delay) {
            delay = Some(property("delay", network.delay, way(&opened, network)?));
        }
        if !kept(&loss) {
            for flooded in losses(&opened, network)? {
                sent += flooded.sent;
                received += flooded.received;
            }
            let share = (sent - received) as f64 / sent as f64;
            loss = Some(property("loss", network.loss, share));
        }
        if let Some(wanted) = network.rate
            && !kept(&rate)
        {
            rate = Some(property("rate", wanted, speed(&opened, network, wanted)?));
        }
        attempt += 1;
        let measured: Vec<Property> = [&delay, &loss, &rate]
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        if attempt == ATTEMPTS || measured.iter().all(|found| found.passed) {
            return Ok((measured, attempt));
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

/// What arrives of large datagrams, in bits a second.
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
    let bits = flooded.received.saturating_sub(1) * LARGE * 8;
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
