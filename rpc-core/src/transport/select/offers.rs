//! What a destination offers, as its sources last said. Looked up beside the calls.

use std::{
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

use super::{SelectOptions, state::Destination};
use crate::{
    jitter,
    transport::{ConnectTo, MAX_OFFERS, Offer, Offered, Offers},
};

/// The least time between two look-ups of a destination, whatever a source says of its answer's life.
const LEAST_INTERVAL: Duration = Duration::from_secs(60);

/// The longest time between two look-ups that found nothing.
const LONGEST_INTERVAL: Duration = Duration::from_secs(3600);

/// What the sources said, and when they are asked again.
#[derive(Debug)]
pub(super) struct LookUp {
    known: Mutex<Known>,
    ended: Notify,
}

#[derive(Debug)]
struct Known {
    /// In the order of the sources.
    sources: Vec<Heard>,
    running: bool,
}

/// What one source said. Each has its own time to be asked again, so that one that failed once does not wait for the others.
#[derive(Debug, Default)]
struct Heard {
    said: Option<Said>,
    /// When it was last asked to the end.
    asked: Option<Instant>,
    /// When it is asked again.
    next: Option<Instant>,
    /// How often in a row it said nothing.
    in_vain: u32,
}

#[derive(Debug)]
struct Said {
    offers: Vec<Offer>,
    until: Instant,
}

impl Heard {
    /// Whether it is to be asked. Where a call cannot go on without an answer, one that said nothing is asked every minute.
    fn is_due(&self, needed: bool) -> bool {
        let now = Instant::now();
        let soon = self.asked.filter(|_| needed && self.in_vain > 0);
        self.next.is_none_or(|next| next <= now)
            || soon.is_some_and(|asked| asked + LEAST_INTERVAL <= now)
    }

    fn hear(&mut self, found: Option<Offered>, options: &SelectOptions) {
        let now = Instant::now();
        self.asked = Some(now);
        let Some(Offered { mut offers, until }) = found else {
            // What it said counts until it said, although it says nothing now.
            self.in_vain = self.in_vain.saturating_add(1);
            let doubled = LEAST_INTERVAL
                .saturating_mul(1 << self.in_vain.min(16))
                .min(LONGEST_INTERVAL);
            self.next = Some(now + doubled.mul_f64(jitter::factor(0.5, 1.0)));
            return;
        };
        let left = u64::try_from(until.saturating_sub((options.now)())).unwrap_or(0);
        let left = Duration::from_millis(left).min(options.longest_offer);
        offers.truncate(MAX_OFFERS);
        self.said = Some(Said {
            offers,
            until: now + left,
        });
        self.in_vain = 0;
        // Before it ends, so that a busy destination has no gap.
        self.next = Some(now + left.mul_f64(0.75).max(LEAST_INTERVAL));
    }
}

/// What a look-up is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Due,
    Settled,
}

/// A binding that a destination offers.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    pub(super) source: &'static str,
    pub(super) binding: String,
    pub(super) connect_to: Option<ConnectTo>,
    /// Whether it is signed that the destination takes sessions.
    pub(super) session: bool,
}

impl LookUp {
    pub(super) fn new(sources: usize) -> Self {
        Self {
            known: Mutex::new(Known {
                sources: (0..sources).map(|_| Heard::default()).collect(),
                running: false,
            }),
            ended: Notify::new(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What counts now, best first. Of one binding the first source's word counts, so that a hint adds and never replaces.
    pub(super) fn choices(&self, sources: &[Arc<dyn Offers>]) -> Vec<Choice> {
        let now = Instant::now();
        let known = self.known();
        let mut choices: Vec<Choice> = Vec::new();
        for (source, heard) in sources.iter().zip(&known.sources) {
            let said = heard.said.as_ref().filter(|said| said.until > now);
            for offer in said.map_or(&[][..], |said| &said.offers) {
                if choices.iter().all(|had| had.binding != offer.binding) {
                    choices.push(Choice {
                        source: source.source(),
                        binding: offer.binding.clone(),
                        connect_to: offer.connect_to.clone(),
                        session: offer.session && source.is_signed(),
                    });
                }
            }
        }
        choices
    }

    /// Whether the sources were ever asked to the end.
    pub(super) fn has_ended(&self) -> bool {
        let known = self.known();
        known.sources.iter().all(|heard| heard.asked.is_some())
    }

    /// `needed`: a call cannot go on without.
    fn state(&self, needed: bool) -> State {
        let known = self.known();
        if known.running {
            State::Running
        } else if known.sources.iter().any(|heard| heard.is_due(needed)) {
            State::Due
        } else {
            State::Settled
        }
    }
    /// Whether a look-up is under way.
    pub(super) fn is_running(&self) -> bool {
        self.known().running
    }
}

/// Begins a look-up if one is due and there is room for it. One at a time for each destination.
pub(super) fn refresh(
    destination: &Arc<Destination>,
    sources: &Arc<[Arc<dyn Offers>]>,
    turns: &Arc<Semaphore>,
    options: &Arc<SelectOptions>,
) {
    if destination.look_up.state(false) == State::Due
        && let Ok(turn) = turns.clone().try_acquire_owned()
    {
        begin(destination, sources, turn, options, false);
    }
}

/// Waits until the destination is looked up, if that is under way or due: for room first, then for the end. Dropping it gives up the place in line; what has begun
/// goes on.
pub(super) async fn needed(
    destination: &Arc<Destination>,
    sources: &Arc<[Arc<dyn Offers>]>,
    turns: &Arc<Semaphore>,
    options: &Arc<SelectOptions>,
) {
    let look_up = &destination.look_up;
    loop {
        let mut ended = pin!(look_up.ended.notified());
        // From here on no end is missed.
        ended.as_mut().enable();
        match look_up.state(true) {
            State::Settled => return,
            State::Running => return ended.await,
            State::Due => tokio::select! {
                // Another call's turn came first.
                () = ended => return,
                turn = turns.clone().acquire_owned() => {
                    let turn = turn.expect("never closed");
                    begin(destination, sources, turn, options, true);
                }
            },
        }
    }
}

/// Asks the sources that are due, if no other look-up of the destination began meanwhile.
fn begin(
    destination: &Arc<Destination>,
    sources: &Arc<[Arc<dyn Offers>]>,
    turn: OwnedSemaphorePermit,
    options: &Arc<SelectOptions>,
    needed: bool,
) {
    let mut known = destination.look_up.known();
    let heard = known.sources.iter().enumerate();
    let due: Vec<usize> = heard
        .filter(|(_, heard)| heard.is_due(needed))
        .map(|(at, _)| at)
        .collect();
    if known.running || due.is_empty() {
        return;
    }
    known.running = true;
    drop(known);
    let mut running = Running {
        destination: destination.clone(),
        options: options.clone(),
        found: Vec::new(),
        due,
    };
    let sources = sources.clone();
    tokio::spawn(async move {
        let _turn = turn;
        let limit = running.options.look_up;
        let name = running.destination.name.clone();
        let asked = running.due.iter().map(|&at| {
            let (source, name) = (&sources[at], &name);
            async move { timeout(limit, source.offered(name)).await.ok().flatten() }
        });
        let found = futures_util::future::join_all(asked).await;
        running.found = found;
        drop(running);
    });
}

/// Ends the look-up however its task does, a source that panics included.
struct Running {
    destination: Arc<Destination>,
    options: Arc<SelectOptions>,
    /// Which sources were asked, and what each said.
    due: Vec<usize>,
    found: Vec<Option<Offered>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let look_up = &self.destination.look_up;
        let mut known = look_up.known();
        let found = self.found.drain(..).chain(std::iter::repeat(None));
        for (&at, found) in self.due.iter().zip(found) {
            known.sources[at].hear(found, &self.options);
        }
        known.running = false;
        drop(known);
        look_up.ended.notify_waiters();
    }
}
