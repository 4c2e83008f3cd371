//! What a destination offers, as its sources last said. Looked up beside the calls.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, Semaphore},
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
    said: Vec<Option<Said>>,
    running: bool,
    next: Option<Instant>,
    in_vain: u32,
}

#[derive(Debug)]
struct Said {
    offers: Vec<Offer>,
    until: Instant,
}

/// A binding that a destination offers.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    pub(super) source: &'static str,
    pub(super) binding: String,
    pub(super) connect_to: Option<ConnectTo>,
}

impl LookUp {
    pub(super) fn new(sources: usize) -> Self {
        Self {
            known: Mutex::new(Known {
                said: (0..sources).map(|_| None).collect(),
                running: false,
                next: None,
                in_vain: 0,
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
        for (source, said) in sources.iter().zip(&known.said) {
            let said = said.as_ref().filter(|said| said.until > now);
            for offer in said.map_or(&[][..], |said| &said.offers) {
                if choices.iter().all(|had| had.binding != offer.binding) {
                    choices.push(Choice {
                        source: source.source(),
                        binding: offer.binding.clone(),
                        connect_to: offer.connect_to.clone(),
                    });
                }
            }
        }
        choices
    }

    /// Whether the sources were ever asked to the end.
    pub(super) fn has_ended(&self) -> bool {
        self.known().next.is_some()
    }

    /// Waits for the look-up that is under way, if any.
    pub(super) async fn wait(&self) {
        let ended = self.ended.notified();
        if self.known().running {
            ended.await;
        }
    }

    /// Asks again later, sooner if something was found.
    fn end(&self, found: Vec<Option<Offered>>, options: &SelectOptions) {
        let (now, now_ms) = (Instant::now(), (options.now)());
        let mut known = self.known();
        let mut next = None;
        for (said, found) in known.said.iter_mut().zip(found) {
            let Some(Offered { mut offers, until }) = found else {
                // What a source said counts until it said, although it says nothing now.
                continue;
            };
            let left = u64::try_from(until.saturating_sub(now_ms)).unwrap_or(0);
            let left = Duration::from_millis(left).min(options.longest_offer);
            offers.truncate(MAX_OFFERS);
            *said = Some(Said {
                offers,
                until: now + left,
            });
            // Before it ends, so that a busy destination has no gap.
            let again = left.mul_f64(0.75).max(LEAST_INTERVAL);
            next = Some(next.map_or(again, |next: Duration| next.min(again)));
        }
        known.in_vain = match next {
            Some(_) => 0,
            None => known.in_vain.saturating_add(1),
        };
        let doubled = LEAST_INTERVAL
            .saturating_mul(1 << known.in_vain.min(16))
            .min(LONGEST_INTERVAL);
        let next = next.unwrap_or_else(|| doubled.mul_f64(jitter::factor(0.5, 1.0)));
        known.next = Some(now + next);
        known.running = false;
        drop(known);
        self.ended.notify_waiters();
    }
}

/// Begins a look-up if one is due and there is room for it. One at a time for each destination.
pub(super) fn refresh(
    destination: &Arc<Destination>,
    sources: &Arc<[Arc<dyn Offers>]>,
    turns: &Arc<Semaphore>,
    options: &Arc<SelectOptions>,
) {
    let mut known = destination.look_up.known();
    let is_due = known.next.is_none_or(|next| next <= Instant::now());
    if known.running || !is_due || sources.is_empty() {
        return;
    }
    let Ok(turn) = turns.clone().try_acquire_owned() else {
        return;
    };
    known.running = true;
    drop(known);
    let mut running = Running {
        destination: destination.clone(),
        options: options.clone(),
        found: Vec::new(),
    };
    let sources = sources.clone();
    tokio::spawn(async move {
        let _turn = turn;
        let limit = running.options.look_up;
        let name = running.destination.name.clone();
        let asked = sources.iter().map(|source| {
            let name = &name;
            async move { timeout(limit, source.offered(name)).await.ok().flatten() }
        });
        running.found = futures_util::future::join_all(asked).await;
        drop(running);
    });
}

/// Ends the look-up however its task does, a source that panics included.
struct Running {
    destination: Arc<Destination>,
    options: Arc<SelectOptions>,
    found: Vec<Option<Offered>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let found = std::mem::take(&mut self.found);
        self.destination.look_up.end(found, &self.options);
    }
}
