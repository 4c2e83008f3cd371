//! How a peer reads its replies: a reply that nobody reads must not hold its stream, and what stands behind it, for ever.
//!
//! Over HTTP/1.1 it is the connection that stalls, and [`Activity`](super::Activity) sees it. Over HTTP/2 a peer can shut the window of one stream and go on with the
//! others. hyper then waits in the task of that stream; so the task is watched.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::rt::Executor;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};

use super::activity::InFlight;
use crate::Body;
use crate::body::{BodyAborted, Outgoing};

/// Most bytes that hyper is given at a time over HTTP/2. It asks for more once the first byte of a piece has found room in the window, and ends the task of the stream
/// with the last piece: so this is what a peer that shuts its window can leave with us. Large enough that the chunks of streamed replies, up to 64 KiB with their frame, go out whole.
const PIECE: usize = 64 << 10;

tokio::task_local! {
    /// That of the HTTP/2 stream whose task runs.
    static READER: Arc<Reader>;
}

/// Since when a stream's peer has had bytes to take. Microseconds since `start`, [`NONE`] or [`JUST_NOW`].
#[derive(Debug)]
struct Reader {
    start: Instant,
    waiting_since: AtomicU64,
}

/// It is we who have no bytes.
const NONE: u64 = 0;

/// Since the stream's task last ran. Most replies are sent by the time it ends: no clock is read for them.
const JUST_NOW: u64 = u64::MAX;

impl Reader {
    fn new(start: Instant) -> Self {
        Self {
            start,
            waiting_since: AtomicU64::new(NONE),
        }
    }

    fn has_bytes(&self, so: bool) {
        let since = if so { JUST_NOW } else { NONE };
        self.waiting_since.store(since, Ordering::Relaxed);
    }

    /// Asked by the stream's task when it has run.
    fn waiting_since(&self) -> Option<Instant> {
        let mut since = self.waiting_since.load(Ordering::Relaxed);
        if since == NONE {
            return None;
        }
        if since == JUST_NOW {
            since = (self.start.elapsed().as_micros() as u64).clamp(NONE + 1, JUST_NOW - 1);
            self.waiting_since.store(since, Ordering::Relaxed);
        }
        Some(self.start + Duration::from_micros(since))
    }
}

pin_project! {
    /// The body of a reply. Its request is in flight until it is dropped.
    pub(super) struct Reply {
        #[pin]
        body: Outgoing<Arc<InFlight>>,
        reader: Option<Arc<Reader>>,
        // What is left of the chunk that is being sent.
        rest: Bytes,
    }
}

impl Reply {
    /// To be made in the task that answers the request.
    pub(super) fn new(body: Body, in_flight: Arc<InFlight>) -> Self {
        Self {
            body: Outgoing::new(body, in_flight),
            reader: READER.try_with(Arc::clone).ok(),
            rest: Bytes::new(),
        }
    }
}

impl HttpBody for Reply {
    type Data = Bytes;
    type Error = BodyAborted;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyAborted>>> {
        let this = self.project();
        let Some(reader) = this.reader else {
            return this.body.poll_frame(cx);
        };
        // hyper asks for more once the last piece has found room: the clock begins anew.
        if this.rest.is_empty() {
            reader.has_bytes(false);
            let frame = ready!(this.body.poll_frame(cx));
            reader.has_bytes(matches!(frame, Some(Ok(_))));
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(chunk))) => *this.rest = chunk,
                Some(Ok(Err(other))) => return Poll::Ready(Some(Ok(other))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        } else {
            reader.has_bytes(true);
        }
        let piece = this.rest.split_to(this.rest.len().min(PIECE));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, body) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

/// Runs hyper's HTTP/2 streams, each as long as its peer reads.
#[derive(Clone, Debug)]
pub(super) struct Supervised {
    limit: Duration,
    /// What the times of all streams are counted from.
    start: Instant,
}

impl Supervised {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            start: Instant::now(),
        }
    }
}

impl<F> Executor<F> for Supervised
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, stream: F) {
        let reader = Arc::new(Reader::new(self.start));
        let supervised = Supervision {
            stream: READER.scope(Arc::clone(&reader), stream),
            reader,
            limit: self.limit,
            alarm: None,
        };
        tokio::spawn(supervised);
    }
}

pin_project! {
    /// A stream under its clock. Dropped before its end it is reset.
    struct Supervision<F> {
        #[pin]
        stream: F,
        reader: Arc<Reader>,
        limit: Duration,
        // Moved when it rings, and not with each piece of a reply.
        alarm: Option<Pin<Box<Sleep>>>,
    }
}

impl<F: Future> Future for Supervision<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if this.stream.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        while let Some(since) = this.reader.waiting_since() {
            let deadline = since + *this.limit;
            if deadline <= Instant::now() {
                tracing::debug!("nothing of a reply was read for too long; its stream is reset");
                return Poll::Ready(());
            }
            let limit = *this.limit;
            let alarm = this.alarm.get_or_insert_with(|| Box::pin(sleep(limit)));
            ready!(alarm.as_mut().poll(cx));
            alarm.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}
