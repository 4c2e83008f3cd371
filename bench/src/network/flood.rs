//! Many datagrams one way, as fast as the way takes them and no faster: how many arrive, and how fast.
//!
//! The sender never overfills anything but the link itself: it looks at what the pump has taken, what has arrived and what was read. So what is
//! missing at the end is what the link dropped.

use std::{
    io::{self, ErrorKind},
    net::UdpSocket,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use super::{NetworkError, pump::Counted};

/// Bytes of the headers of IPv4 and UDP.
const HEADERS: u64 = 28;

/// Datagrams that a device or a socket is to hold at most: far less than either has room for.
const AHEAD: u64 = 2_000;

/// How long the receiver waits for the next datagram when all were sent, beyond the link's delay.
const SILENCE: Duration = Duration::from_millis(300);

/// How long nothing may move before the sender gives up.
const STANDSTILL: Duration = Duration::from_secs(5);

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flood {
    /// Datagrams.
    pub(super) count: u64,
    /// Bytes of an IP packet, with its headers.
    pub(super) packet: u64,
    /// Packets on the link at most, those that wait for it included.
    pub(super) on_the_link: u64,
    /// The link's delay.
    pub(super) delay: Duration,
}

/// What became of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flooded {
    pub(super) sent: u64,
    pub(super) received: u64,
    /// Packets that were lost after they had taken their time on the link.
    pub(super) lost: u64,
    /// From the first that was received to the last.
    pub(super) took: Duration,
}

impl Flooded {
    /// The share that did not arrive.
    pub(super) fn missing(&self) -> f64 {
        self.sent.saturating_sub(self.received) as f64 / self.sent.max(1) as f64
    }
}

impl Flood {
    /// Sends it from one socket to the other, over the direction that `counted` counts.
    pub(super) fn run(
        self,
        from: &UdpSocket,
        to: &UdpSocket,
        counted: &Counted,
    ) -> Result<Flooded, NetworkError> {
        let (received, done) = (AtomicU64::new(0), AtomicBool::new(false));
        let before = counted.lost.load(Relaxed);
        let run = || -> io::Result<Flooded> {
            to.set_read_timeout(Some(self.delay + SILENCE))?;
            thread::scope(|scope| {
                let receiver = thread::Builder::new()
                    .name("comity-net-flood".to_owned())
                    .spawn_scoped(scope, || receive(to, &received, &done))?;
                let sent = self.send(from, counted, &received);
                done.store(true, Relaxed);
                let took = receiver.join().expect("the receiver does not panic")?;
                Ok(Flooded {
                    sent: sent?,
                    received: received.load(Relaxed),
                    lost: counted.lost.load(Relaxed) - before,
                    took,
                })
            })
        };
        run().map_err(NetworkError::socket)
    }

    fn send(&self, from: &UdpSocket, counted: &Counted, received: &AtomicU64) -> io::Result<u64> {
        let content = vec![0; usize::try_from(self.packet - HEADERS).unwrap_or_default()];
        let gone = || counted.lost.load(Relaxed) + counted.refused.load(Relaxed);
        // Other packets may have gone before.
        let before = (
            counted.packets.load(Relaxed),
            gone(),
            counted.arrived.load(Relaxed),
        );
        let mut moved = (Instant::now(), 0);
        for sent in 0..self.count {
            loop {
                let taken = counted.packets.load(Relaxed) - before.0;
                let arrived = counted.arrived.load(Relaxed) - before.2;
                let ended = arrived + gone() - before.1;
                let read = received.load(Relaxed);
                if sent < taken + AHEAD && sent < ended + self.on_the_link && arrived < read + AHEAD
                {
                    break;
                }
                if moved.1 != taken + ended + read {
                    moved = (Instant::now(), taken + ended + read);
                } else if moved.0.elapsed() > STANDSTILL {
                    return Ok(sent);
                }
                thread::sleep(Duration::from_micros(200));
            }
            from.send(&content)?;
        }
        Ok(self.count)
    }
}

fn receive(to: &UdpSocket, received: &AtomicU64, done: &AtomicBool) -> io::Result<Duration> {
    let mut content = [0; 2_048];
    let mut span: Option<(Instant, Instant)> = None;
    loop {
        match to.recv(&mut content) {
            Ok(_) => {
                received.fetch_add(1, Relaxed);
                let now = Instant::now();
                span = Some((span.map_or(now, |(first, _)| first), now));
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if done.load(Relaxed) {
                    return Ok(span.map_or(Duration::ZERO, |(first, last)| last - first));
                }
            }
            Err(error) => return Err(error),
        }
    }
}
