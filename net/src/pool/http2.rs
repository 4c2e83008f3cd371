//! An HTTP/2 connection, and how many exchanges the peer takes on it at once.

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError, Weak};
use std::task::{Poll, ready};
use std::time::Duration;

use hyper::client::conn::http2;
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::RequestBody;
use crate::gathered::Gathered;
use crate::{ConnectionInfo, Stream};

/// What stands for the limit of a peer that has not said it. hyper's own choice, 100, could as well be the peer's.
pub(super) const UNKNOWN: usize = (1 << 31) + 100;

/// What is assumed of a peer that does not say it in time: the least that RFC 9113 §6.5.2 recommends.
const ASSUMED: usize = 100;

/// A peer's SETTINGS are its first frame (RFC 9113 §3.4): this long is waited for them, by every exchange but the first.
const SETTLING: Duration = Duration::from_secs(1);

/// hyper's half of a connection, which runs in a task of its own; only that task keeps it alive.
type Driver = Mutex<http2::Connection<TokioIo<Gathered<Stream>>, RequestBody, Tasks>>;

/// An HTTP/2 connection.
pub(super) struct Http2 {
    pub(super) sender: http2::SendRequest<RequestBody>,
    pub(super) info: Arc<ConnectionInfo>,
    driver: Weak<Driver>,
    tasks: Tasks,
    /// What the driver said last.
    limit: AtomicUsize,
    streams: AtomicUsize,
    used: Mutex<Instant>,
    freed: Arc<Notify>,
}

impl Http2 {
    /// Runs the connection. `freed` hears of each exchange that ended.
    pub(super) fn start(
        sender: http2::SendRequest<RequestBody>,
        connection: http2::Connection<TokioIo<Gathered<Stream>>, RequestBody, Tasks>,
        tasks: Tasks,
        info: Arc<ConnectionInfo>,
        freed: Arc<Notify>,
    ) -> Arc<Self> {
        let driver = Arc::new(Mutex::new(connection));
        let weak = Arc::downgrade(&driver);
        tokio::spawn(async move {
            let ended = poll_fn(|cx| {
                let mut connection = driver.lock().unwrap_or_else(PoisonError::into_inner);
                Pin::new(&mut *connection).poll(cx)
            });
            if let Err(error) = ended.await {
                tracing::debug!(error = &error as &dyn Error, "a connection ended");
            }
        });
        Arc::new(Self {
            sender,
            info,
            driver: weak,
            tasks,
            limit: AtomicUsize::new(UNKNOWN),
            streams: AtomicUsize::new(0),
            used: Mutex::new(Instant::now()),
            freed,
        })
    }

    /// How many exchanges the peer takes at once, as it said last.
    fn limit(&self) -> usize {
        let Some(driver) = self.driver.upgrade() else {
            return self.limit.load(Ordering::Relaxed);
        };
        // Never waited for: the task may be asking a request's body for its bytes, and that body may be asking here.
        let limit = match driver.try_lock() {
            Ok(connection) => connection.current_max_send_streams(),
            Err(TryLockError::Poisoned(_) | TryLockError::WouldBlock) => {
                return self.limit.load(Ordering::Relaxed);
            }
        };
        self.limit.store(limit, Ordering::Relaxed);
        if limit != UNKNOWN {
            self.tasks.settled.store(true, Ordering::Relaxed);
        }
        limit
    }

    /// Takes a stream, if the peer has one left. To be called by one at a time.
    pub(super) fn stream(self: &Arc<Self>) -> Streams {
        let limit = match self.limit() {
            UNKNOWN if self.tasks.settled.load(Ordering::Relaxed) => ASSUMED,
            UNKNOWN if self.load() > 0 => return Streams::Unknown,
            limit => limit,
        };
        if self.load() < limit {
            Streams::One(self.queue())
        } else {
            Streams::None
        }
    }

    /// Takes a stream, whether or not the peer has one left: then the exchange waits for one.
    pub(super) fn queue(self: &Arc<Self>) -> SharedLease {
        self.streams.fetch_add(1, Ordering::Relaxed);
        SharedLease(Arc::clone(self))
    }

    /// Whether an exchange may hope for a stream.
    pub(super) fn has_room(&self) -> bool {
        self.load() < self.limit()
    }

    /// Exchanges that run or wait.
    pub(super) fn load(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }

    /// Waits until the peer has said how many streams it takes, or for long enough; whether it has.
    pub(super) async fn settled(&self) -> bool {
        let known = async {
            loop {
                let polled = self.tasks.polled.notified();
                tokio::pin!(polled);
                polled.as_mut().enable();
                if self.sender.is_closed() || self.limit() != UNKNOWN {
                    return;
                }
                // It may have been busy just now, so that it could not be asked.
                let _ = timeout(Duration::from_millis(10), polled).await;
            }
        };
        let in_time = timeout(SETTLING, known).await.is_ok();
        self.tasks.settled.store(true, Ordering::Relaxed);
        in_time && !self.sender.is_closed()
    }

    pub(super) fn idle_for(&self) -> Duration {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.elapsed()
    }
}

impl fmt::Debug for Http2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http2")
            .field("info", &self.info)
            .field("streams", &self.streams)
            .finish_non_exhaustive()
    }
}

/// Whether a connection has a stream for one more exchange.
pub(super) enum Streams {
    One(SharedLease),
    /// The peer has not said so far.
    Unknown,
    None,
}

/// A stream of an HTTP/2 connection, which is noted as used when it goes.
pub(super) struct SharedLease(Arc<Http2>);

impl SharedLease {
    pub(super) fn connection(&self) -> &Http2 {
        &self.0
    }
}

impl Drop for SharedLease {
    fn drop(&mut self) {
        let connection = &self.0;
        let mut used = connection
            .used
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *used = Instant::now();
        drop(used);
        connection.streams.fetch_sub(1, Ordering::Relaxed);
        connection.freed.notify_waiters();
    }
}

/// Runs what hyper spawns for a connection, and tells whenever it may have read the peer's SETTINGS: hyper itself tells nobody.
#[derive(Clone, Debug, Default)]
pub(super) struct Tasks {
    settled: Arc<AtomicBool>,
    polled: Arc<Notify>,
}

impl<F> Executor<F> for Tasks
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    fn execute(&self, future: F) {
        let Tasks { settled, polled } = self.clone();
        tokio::spawn(async move {
            let mut future = std::pin::pin!(future);
            let output = poll_fn(|cx| {
                let poll = future.as_mut().poll(cx);
                if !settled.load(Ordering::Relaxed) {
                    polled.notify_waiters();
                }
                Poll::Ready(ready!(poll))
            });
            output.await;
        });
    }
}
