//! One direction of a link: what becomes of each packet, and when. It knows no clock and no device, so that it is tested exactly.

use std::time::Duration;

use crate::{draw::next, model::Network};

/// Packets that the queue before a limited link holds at least, of full size: a link of little delay still takes a sender's burst.
const LEAST_QUEUE: u64 = 32 * 1_500;

/// Bytes that one direction delays at once, where no rate limits it. A connection over the longest link has a tenth of it under way.
pub(super) const MAX_DELAYED: u64 = 64 * 1024 * 1024;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It arrives at this instant, in nanoseconds of the link's clock.
    Arrives(u64),
    /// The seeded loss took it.
    Lost,
    /// The queue was full.
    Refused,
}

/// One direction of a link.
///
/// A packet waits in a queue until the one before it has left, leaves at the rate, is lost or not, and arrives after the delay: loss
/// is on the wire, so a lost packet has taken its time at the rate, and it is independent of the queue.
#[derive(Debug)]
pub(super) struct Link {
    delay: u64,
    loss: f64,
    rate: Option<Rate>,
    /// When the last packet has left.
    free: u64,
    /// Bytes that were let through and have not arrived.
    delayed: u64,
    draws: Draws,
}

#[derive(Clone, Copy, Debug)]
struct Rate {
    nanos_per_byte: f64,
    /// What waits at most, in nanoseconds of sending.
    queue: u64,
}

impl Link {
    /// A link like `network`'s, with a delay that is shorter by what the packets' way takes beside it.
    pub(super) fn new(network: &Network, taken_off: Duration, seed: u64) -> Self {
        Self {
            delay: nanos(network.delay).saturating_sub(nanos(taken_off.as_secs_f64())),
            loss: network.loss,
            rate: network.rate.map(|rate| Rate {
                nanos_per_byte: 8e9 / rate,
                queue: nanos(queue_bytes(network.delay, rate) as f64 * 8.0 / rate),
            }),
            free: 0,
            delayed: 0,
            draws: Draws(seed),
        }
    }

    /// In nanoseconds, one way.
    pub(super) fn delay(&self) -> u64 {
        self.delay
    }

    /// Judges a packet of `bytes` that comes at `now`. Instants do not go back.
    ///
    /// Each packet draws once, whatever becomes of it: the same packets meet the same draws, however fast they come.
    pub(super) fn take(&mut self, now: u64, bytes: u64) -> Fate {
        let lost = self.draws.next() < self.loss;
        let left = match self.rate {
            Some(rate) => {
                let takes = (bytes as f64 * rate.nanos_per_byte) as u64;
                let begins = self.free.max(now);
                if begins + takes - now > rate.queue {
                    return Fate::Refused;
                }
                begins + takes
            }
            None => now,
        };
        if self.delayed + bytes > MAX_DELAYED {
            return Fate::Refused;
        }
        self.free = left;
        if lost {
            return Fate::Lost;
        }
        self.delayed += bytes;
        Fate::Arrives(left + self.delay)
    }

    /// A packet of `bytes` that was let through has arrived.
    pub(super) fn arrived(&mut self, bytes: u64) {
        self.delayed -= bytes;
    }
}

/// What waits before a link of `rate` bits a second and `delay` seconds one way: one product of the rate and the round trip, as routers are
/// commonly sized, and no less than [`LEAST_QUEUE`]. In bytes.
pub(super) fn queue_bytes(delay: f64, rate: f64) -> u64 {
    ((rate / 8.0 * 2.0 * delay) as u64).max(LEAST_QUEUE)
}

/// Seconds as nanoseconds.
fn nanos(seconds: f64) -> u64 {
    (seconds * 1e9).round() as u64
}

/// Numbers from 0 to 1.
#[derive(Debug)]
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> f64 {
        // The upper 53 bits are what a double holds.
        (next(&mut self.0) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Seeds of the two directions, unlike each other.
pub(super) fn seeds(seed: u64) -> [u64; 2] {
    let mut state = seed;
    [next(&mut state), next(&mut state)]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const NONE: Duration = Duration::ZERO;

    fn network(delay: f64, loss: f64, rate: Option<f64>) -> Network {
        Network {
            name: "test",
            delay,
            loss,
            rate,
        }
    }

    fn fates(link: &mut Link, packets: u64) -> Vec<Fate> {
        (0..packets).map(|packet| link.take(packet, 100)).collect()
    }

    #[test]
    fn a_packet_arrives_after_the_delay() {
        let mut link = Link::new(&network(0.045, 0.0, None), NONE, 1);
        assert_eq!(link.take(7, 1_500), Fate::Arrives(45_000_007));
        let mut link = Link::new(&network(0.000_2, 0.0, None), Duration::from_micros(50), 1);
        assert_eq!(link.take(7, 1_500), Fate::Arrives(150_007));
        let mut link = Link::new(&network(0.000_2, 0.0, None), Duration::from_micros(250), 1);
        assert_eq!(link.take(7, 1_500), Fate::Arrives(7));
    }

    #[test]
    fn the_same_seed_loses_the_same_packets_however_fast_they_come() {
        let lossy = network(0.001, 0.1, None);
        let lost = |fates: Vec<Fate>| -> Vec<bool> {
            fates.into_iter().map(|fate| fate == Fate::Lost).collect()
        };
        let first = lost(fates(&mut Link::new(&lossy, NONE, 5), 10_000));
        let slower = lost(
            (0..10_000)
                .scan(Link::new(&lossy, NONE, 5), |link, packet| {
                    Some(link.take(packet * 1_000_000, 1_500))
                })
                .collect(),
        );
        assert_eq!(first, slower);
        assert_ne!(first, lost(fates(&mut Link::new(&lossy, NONE, 6), 10_000)));
    }

    #[test]
    fn the_share_that_is_lost_is_the_one_asked_for() {
        for loss in [0.01, 0.02, 0.5] {
            let mut link = Link::new(&network(0.0, loss, None), NONE, 42);
            let lost = fates(&mut link, 600_000)
                .into_iter()
                .filter(|fate| *fate == Fate::Lost)
                .count();
            let share = lost as f64 / 600_000.0;
            assert!(
                (share / loss - 1.0).abs() < 0.05,
                "{share} instead of {loss}"
            );
        }
        let mut none = Link::new(&network(0.0, 0.0, None), NONE, 42);
        assert!(
            fates(&mut none, 100_000)
                .iter()
                .all(|fate| matches!(fate, Fate::Arrives(_)))
        );
    }

    #[test]
    fn the_directions_draw_apart() {
        let [there, back] = seeds(9);
        assert_ne!(there, back);
        assert_eq!(seeds(9), [there, back]);
    }

    #[test]
    fn packets_leave_one_after_another_at_the_rate() {
        // 8 Mbit/s: a byte takes a microsecond.
        let mut link = Link::new(&network(0.05, 0.0, Some(8e6)), NONE, 1);
        assert_eq!(link.take(0, 1_000), Fate::Arrives(51_000_000));
        assert_eq!(link.take(0, 500), Fate::Arrives(51_500_000));
        // The link was idle for long: nothing is saved up.
        assert_eq!(link.take(900_000_000, 1_000), Fate::Arrives(951_000_000));
    }

    #[test]
    fn a_full_queue_refuses_the_newest_and_takes_again_when_it_has_drained() {
        let limited = network(0.05, 0.0, Some(8e6));
        assert_eq!(queue_bytes(limited.delay, 8e6), 100_000);
        let mut link = Link::new(&limited, NONE, 1);
        let taken = fates(&mut link, 5_000);
        // Packets come within 5 µs, so none but the first few have left: 100,000 bytes are 1,000 packets.
        let first_refused = taken.iter().position(|fate| *fate == Fate::Refused);
        assert_eq!(first_refused, Some(1_000));
        assert!(taken[1_000..].iter().all(|fate| *fate == Fate::Refused));
        assert_eq!(link.take(10_000_000, 100), Fate::Arrives(150_100_000));
    }

    #[test]
    fn a_lost_packet_takes_its_time_and_a_refused_one_does_not() {
        let mut link = Link::new(&network(0.0, 1.0, Some(8e6)), NONE, 1);
        let lost = fates(&mut link, 480);
        assert!(lost.iter().all(|fate| *fate == Fate::Lost));
        assert_eq!(link.take(480, 100), Fate::Refused);
        assert_eq!(link.free, 48_000_000);
    }

    #[test]
    fn what_is_delayed_is_bounded() {
        let mut link = Link::new(&network(10.0, 0.0, None), NONE, 1);
        let fits = MAX_DELAYED / 1_500;
        for _ in 0..fits {
            assert!(matches!(link.take(0, 1_500), Fate::Arrives(_)));
        }
        assert_eq!(link.take(0, 1_500), Fate::Refused);
        link.arrived(1_500);
        assert!(matches!(link.take(0, 1_500), Fate::Arrives(_)));
    }
}
