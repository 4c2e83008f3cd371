//! What carries packets from one device to the other: one thread for each direction.
//!
//! A thread waits for the first of three things: a packet, the instant at which the next one is due, the order to stop. It sleeps by
//! `ppoll(2)` with a timer slack of a nanosecond, as a thread's ordinary slack of 50 µs is a quarter of a LAN's delay. Waking up takes a few
//! dozen microseconds on a virtual machine, and more or less of them; where that matters it wakes up [`NEAR`] before and looks until the packet is due.

use std::{
    collections::VecDeque,
    fs, io,
    num::NonZeroU64,
    os::fd::{AsFd, OwnedFd},
    process::{Command, Stdio},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll},
    thread::{gettid, set_current_timer_slack},
};
use tun_rs::SyncDevice;

use super::{
    NetworkError,
    link::{Fate, Link},
};

/// Largest packet, as on Ethernet.
pub(super) const MTU: usize = 1_500;

/// A packet that is due within this is waited for without sleeping, where the delay is short: a little more than a sleep is late by. In nanoseconds.
const NEAR: u64 = 30_000;

/// A delay shorter than this is short. In nanoseconds.
const SHORT: u64 = 5_000_000;

/// Packets that are read before those that are due are written.
const BATCH: usize = 64;

/// Buffers that are kept for packets to come.
const MAX_SPARE: usize = 1_024;

/// What went through one direction.
#[derive(Debug, Default)]
pub(super) struct Counted {
    /// IP packets that its sender sent, lost and refused ones included.
    pub(super) packets: AtomicU64,
    /// Their bytes.
    pub(super) bytes: AtomicU64,
    /// Packets that the seeded loss took.
    pub(super) lost: AtomicU64,
    /// Packets that a full queue refused.
    pub(super) refused: AtomicU64,
    /// Packets that were handed to the receiver.
    pub(super) arrived: AtomicU64,
    /// Why it has ended, if not by its drop.
    pub(super) ended: OnceLock<String>,
}

/// A running direction. Dropping it stops it; packets under way are gone.
#[derive(Debug)]
pub(super) struct Pump {
    pub(super) counted: Arc<Counted>,
    thread: Option<JoinHandle<()>>,
    thread_id: i32,
    stop: Arc<Stop>,
}

#[derive(Debug)]
struct Stop {
    ordered: AtomicBool,
    wake: OwnedFd,
}

impl Pump {
    /// Carries packets from `from` to `to` over `link`.
    pub(super) fn start(
        name: &str,
        from: Arc<SyncDevice>,
        to: Arc<SyncDevice>,
        link: Link,
    ) -> Result<Self, NetworkError> {
        let failed = |source| NetworkError::System {
            what: "a pump could not be started",
            source,
        };
        let stop = Arc::new(Stop {
            ordered: AtomicBool::new(false),
            wake: eventfd(0, EventfdFlags::CLOEXEC).map_err(|error| failed(error.into()))?,
        });
        let counted = Arc::<Counted>::default();
        let (said, thread_id) = {
            let cell = Arc::new(OnceLock::new());
            (cell.clone(), cell)
        };
        let thread = {
            let (counted, stop) = (counted.clone(), stop.clone());
            thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || {
                    // Without it a sleep is up to 50 µs late, which the self-test would tell.
                    let _ = set_current_timer_slack(NonZeroU64::new(1));
                    let _ = said.set(gettid().as_raw_nonzero().get());
                    Direction {
                        near: if link.delay() < SHORT { NEAR } else { 0 },
                        from: &from,
                        to: &to,
                        link,
                        counted: &counted,
                        began: Instant::now(),
                        line: VecDeque::new(),
                        spare: Vec::new(),
                    }
                    .run(&stop);
                })
                .map_err(failed)?
        };
        let thread_id = *thread_id.wait();
        prefer(thread_id);
        Ok(Self {
            counted,
            thread: Some(thread),
            thread_id,
            stop,
        })
    }

    /// CPU that it has used so far: its own, and the kernel's for what the receiver's side does with a packet on arrival.
    pub(super) fn cpu(&self) -> Duration {
        let path = format!("/proc/self/task/{}/schedstat", self.thread_id);
        let nanos = fs::read_to_string(path)
            .ok()
            .and_then(|line| line.split(' ').next()?.parse().ok());
        Duration::from_nanos(nanos.unwrap_or_default())
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.stop.ordered.store(true, Relaxed);
        // An eventfd at zero takes one.
        let _ = rustix::io::write(&self.stop.wake, &1_u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Lets the thread run before those that are measured, as a network's hardware does not wait for a processor either. There is no safe call
/// for it; without the program the pump waits its turn, which the self-test tells.
fn prefer(thread: i32) {
    let _ = Command::new("chrt")
        .args(["--fifo", "--pid", "10", &thread.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}

struct Direction<'a> {
    from: &'a SyncDevice,
    to: &'a SyncDevice,
    link: Link,
    counted: &'a Counted,
    near: u64,
    began: Instant,
    /// What is under way, in the order of arrival.
    line: VecDeque<Packet>,
    spare: Vec<Vec<u8>>,
}

struct Packet {
    due: u64,
    bytes: usize,
    content: Vec<u8>,
}

impl Direction<'_> {
    fn run(mut self, stop: &Stop) {
        while !stop.ordered.load(Relaxed) {
            let more = match self.read() {
                Ok(more) => more,
                Err(error) => {
                    // The device is gone. It is said once.
                    let _ = self.counted.ended.set(format!("reading a device: {error}"));
                    return;
                }
            };
            self.write();
            if more {
                continue;
            }
            let wait = self
                .line
                .front()
                .map(|packet| packet.due.saturating_sub(self.now()));
            if wait.is_none_or(|wait| wait > self.near) {
                self.sleep(wait.map(|wait| wait - self.near), stop);
            }
        }
    }

    /// Takes what has come, at most a batch. Gives whether there may be more.
    fn read(&mut self) -> io::Result<bool> {
        for _ in 0..BATCH {
            let mut content = self.spare.pop().unwrap_or_else(|| vec![0; MTU]);
            let bytes = match self.from.recv(&mut content) {
                Ok(bytes) => bytes,
                Err(error) => {
                    self.spare.push(content);
                    return match error.kind() {
                        io::ErrorKind::WouldBlock => Ok(false),
                        io::ErrorKind::Interrupted => Ok(true),
                        _ => Err(error),
                    };
                }
            };
            // A device also announces itself over IPv6, which nobody uses here; it would disturb the draws.
            if content[0] >> 4 != 4 {
                self.spare.push(content);
                continue;
            }
            self.counted.packets.fetch_add(1, Relaxed);
            self.counted.bytes.fetch_add(bytes as u64, Relaxed);
            match self.link.take(self.now(), bytes as u64) {
                Fate::Arrives(due) => {
                    self.line.push_back(Packet {
                        due,
                        bytes,
                        content,
                    });
                    continue;
                }
                Fate::Lost => self.counted.lost.fetch_add(1, Relaxed),
                Fate::Refused => self.counted.refused.fetch_add(1, Relaxed),
            };
            self.spare.push(content);
        }
        Ok(true)
    }

    /// Hands over what is due.
    fn write(&mut self) {
        let mut now = self.now();
        for written in 0..BATCH {
            if written % 8 == 7 {
                now = self.now();
            }
            if self.line.front().is_none_or(|packet| packet.due > now) {
                return;
            }
            let packet = self.line.pop_front().expect("its front is there");
            // A receiver that cannot take it, for want of memory, has lost it: no wire would keep it either.
            let handed = self.to.send(&packet.content[..packet.bytes]);
            self.link.arrived(packet.bytes as u64);
            match handed {
                Ok(_) => self.counted.arrived.fetch_add(1, Relaxed),
                Err(_) => self.counted.refused.fetch_add(1, Relaxed),
            };
            if self.spare.len() < MAX_SPARE {
                self.spare.push(packet.content);
            }
        }
    }

    /// Sleeps until a packet comes, `nanos` have passed or it is to stop.
    fn sleep(&self, nanos: Option<u64>, stop: &Stop) {
        let timeout = nanos.map(|nanos| {
            Timespec::try_from(Duration::from_nanos(nanos)).expect("a delay is a short time")
        });
        let mut awaited = [
            PollFd::from_borrowed_fd(self.from.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(stop.wake.as_fd(), PollFlags::IN),
        ];
        // A signal only wakes it early.
        let _ = poll(&mut awaited, timeout.as_ref());
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).expect("it runs for less than 500 years")
    }
}
