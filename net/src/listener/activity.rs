//! Whether a connection has requests in flight, and since when not.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, Sleep};

/// The clock of one accepted connection. Times are microseconds since `start`.
///
/// hyper's own header timeout also runs while a connection waits for its next request; this one tells the two apart.
#[derive(Debug)]
pub(crate) struct Activity {
    start: Instant,
    in_flight: AtomicUsize,
    /// When the last request ended.
    idle_since: AtomicU64,
    /// When the head of the next request began to arrive; zero if it did not.
    head_since: AtomicU64,
    /// Since when the peer takes none of the bytes that are there for it; zero if it does.
    stalled_since: AtomicU64,
    /// Whether it was asked to make room for another connection, and word of that.
    dismissed: AtomicBool,
    dismissal: Notify,
    limits: Limits,
}

/// How long a connection may do what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) header: Duration,
    pub(super) idle: Duration,
    pub(super) write: Duration,
}

impl Activity {
    /// For a connection that is being established.
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            start: Instant::now(),
            in_flight: AtomicUsize::new(0),
            idle_since: AtomicU64::new(0),
            head_since: AtomicU64::new(1),
            stalled_since: AtomicU64::new(0),
            dismissed: AtomicBool::new(false),
            dismissal: Notify::new(),
            limits,
        }
    }

    /// The connection is established; the head of its first request is due.
    pub(super) fn ready(&self) {
        self.head_since.store(self.now(), Ordering::Relaxed);
        self.idle_since.store(self.now(), Ordering::Relaxed);
    }

    /// Bytes came from the peer.
    pub(crate) fn bytes_arrived(&self) {
        let waiting = self.in_flight.load(Ordering::Relaxed) == 0;
        if waiting && self.head_since.load(Ordering::Relaxed) == 0 {
            self.head_since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// The peer took bytes.
    pub(crate) fn bytes_left(&self) {
        if self.stalled_since.load(Ordering::Relaxed) > 0 {
            self.stalled_since.store(0, Ordering::Relaxed);
            // Whoever reads a long reply slowly is not idle, although its request is done with.
            self.idle_since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// Bytes are there for the peer, and it takes none.
    pub(crate) fn bytes_wait(&self) {
        if self.stalled_since.load(Ordering::Relaxed) == 0 {
            self.stalled_since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// A request's head is complete.
    pub(super) fn request(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    pub(super) fn is_busy(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) > 0
    }

    /// Since when it has no request; not of one that has, that is still sending the end of a reply, or that goes already.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let sending = self.stalled_since.load(Ordering::Relaxed) > 0;
        if self.is_busy() || sending || self.dismissed.load(Ordering::Relaxed) {
            return None;
        }
        let since = Duration::from_micros(self.idle_since.load(Ordering::Relaxed));
        Some(self.start + since)
    }

    /// Asks it to make room.
    pub(super) fn dismiss(&self) {
        self.dismissed.store(true, Ordering::Relaxed);
        self.dismissal.notify_one();
    }

    /// Waits until it is asked to make room.
    pub(super) async fn dismissed(&self) {
        self.dismissal.notified().await;
    }

    /// Polls the connection until it ends or has waited for too long. The alarm is kept between calls, and moved rarely: not with each request.
    pub(super) async fn watch<C: Future>(
        &self,
        http2: bool,
        mut connection: Pin<&mut C>,
        mut alarm: Pin<&mut Sleep>,
    ) -> Watched<C::Output> {
        poll_fn(|cx| {
            if let Poll::Ready(output) = connection.as_mut().poll(cx) {
                return Poll::Ready(Watched::Ended(output));
            }
            loop {
                let deadline = self.deadline(http2);
                if let Some((at, _)) = deadline
                    && at < alarm.deadline()
                {
                    alarm.as_mut().reset(at);
                }
                ready!(alarm.as_mut().poll(cx));
                let now = Instant::now();
                match deadline {
                    Some((at, waiting)) if at <= now => {
                        return Poll::Ready(Watched::Expired(waiting));
                    }
                    Some((at, _)) => alarm.as_mut().reset(at),
                    None => alarm.as_mut().reset(now + self.limits.idle),
                }
            }
        })
        .await
    }

    /// When the connection has waited for long enough, if it waits.
    fn deadline(&self, http2: bool) -> Option<(Instant, Waiting)> {
        let stalled_since = self.stalled_since.load(Ordering::Relaxed);
        if stalled_since > 0 {
            let began = self.start + Duration::from_micros(stalled_since);
            return Some((began + self.limits.write, Waiting::Reader));
        }
        if self.is_busy() {
            return None;
        }
        let head_since = self.head_since.load(Ordering::Relaxed);
        // On HTTP/2 the bytes between requests may be pings.
        if !http2 && head_since > 0 {
            let began = self.start + Duration::from_micros(head_since);
            return Some((began + self.limits.header, Waiting::Head));
        }
        let since = self.start + Duration::from_micros(self.idle_since.load(Ordering::Relaxed));
        Some((since + self.limits.idle, Waiting::Request))
    }

    fn now(&self) -> u64 {
        (self.start.elapsed().as_micros() as u64).max(1)
    }
}

/// How watching a connection ended.
#[derive(Debug)]
pub(super) enum Watched<T> {
    Ended(T),
    Expired(Waiting),
    /// It is to make room for another connection.
    Dismissed,
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    Head,
    Request,
    Reader,
}

/// A request that is in flight until this is dropped.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Activity>);

impl Drop for InFlight {
    fn drop(&mut self) {
        let activity = &self.0;
        activity.head_since.store(0, Ordering::Relaxed);
        activity.idle_since.store(activity.now(), Ordering::Relaxed);
        activity.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
