//! Time: to the reply's head, between its parts, and for the whole.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

use super::{Around, AroundLayer, Inner, Side, around, stream};
use crate::{
    call::{Call, OperationSpec, Reply},
    error::{CallError, Delivery, FederationError, TransportError, TransportErrorKind},
};

/// Bounds a call's time by the clocks of its row and by the deadline in its context, reply stream included.
#[derive(Debug, Clone)]
pub struct Clocks {
    side: Side,
    scale: f64,
}

impl Clocks {
    /// The clocks of the rows, for one side.
    pub fn layer(side: Side) -> AroundLayer<Self> {
        Self::scaled(side, 1.0)
    }

    /// The clocks of the rows, each multiplied by `scale` (a slow network, a fast test).
    pub fn scaled(side: Side, scale: f64) -> AroundLayer<Self> {
        around(Self { side, scale })
    }

    fn exceeded(&self, clock: Clock, spec: &OperationSpec, after: Duration) -> CallError {
        let message = format!(
            "{} took longer than {after:?} {}",
            spec.name,
            clock.describe()
        );
        match self.side {
            Side::Client => TransportError::new(
                TransportErrorKind::Timeout,
                Delivery::MaybeProcessed,
                message,
            )
            .into(),
            Side::Server => FederationError::deadline_exceeded(message).into(),
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Clock {
    Head,
    Idle,
    Total,
}

impl Clock {
    fn describe(self) -> &'static str {
        match self {
            Self::Head => "to the reply's head (clock `head`)",
            Self::Idle => "between two parts of the reply (clock `idle`)",
            Self::Total => "in all (clock `total`, or the caller's deadline)",
        }
    }
}

impl Around for Clocks {
    async fn around<S: Inner>(
        self: Arc<Self>,
        mut call: Call,
        mut inner: S,
    ) -> Result<Reply, CallError> {
        let spec = call.spec();
        let begun = Instant::now();
        let scaled = |clock: Duration| clock.mul_f64(self.scale);
        if let Some(total) = spec.clocks.total {
            call.context_mut().limit_deadline(begun + scaled(total));
        }
        let deadline = call.context().deadline;
        if deadline.is_some_and(|deadline| deadline <= begun) {
            // Nothing was done yet, so the caller may be told that nothing will be.
            return Err(match self.side {
                Side::Client => TransportError::new(
                    TransportErrorKind::Timeout,
                    Delivery::NotSent,
                    format!(
                        "the deadline of {} had passed before it was sent",
                        spec.name
                    ),
                )
                .into(),
                Side::Server => FederationError::deadline_exceeded(format!(
                    "the deadline of {} had passed before it was begun",
                    spec.name
                ))
                .into(),
            });
        }
        let head = begun + scaled(spec.clocks.head);
        let (first, clock) = match deadline {
            Some(deadline) if deadline < head => (deadline, Clock::Total),
            _ => (head, Clock::Head),
        };
        let by = call.context().head_by.map_or(first, |by| by.min(first));
        call.context_mut().head_by = Some(by);
        let reply = timeout_at(first, inner.call(call))
            .await
            .map_err(|_| self.exceeded(clock, spec, first - begun))??;
        stream::watch(
            reply,
            Watcher {
                idle: scaled(spec.clocks.idle),
                begun,
                deadline,
                timer: None,
                spec,
                clocks: self,
            },
        )
    }
}

/// Runs only while the stream waits for its producer: a slow consumer is not the peer's fault.
struct Watcher {
    idle: Duration,
    begun: Instant,
    deadline: Option<Instant>,
    timer: Option<(Pin<Box<Sleep>>, Clock)>,
    spec: &'static OperationSpec,
    clocks: Arc<Clocks>,
}

impl stream::Watch for Watcher {
    fn waiting(&mut self, cx: &mut Context<'_>) -> Result<(), CallError> {
        let (idle, deadline) = (self.idle, self.deadline);
        let (timer, clock) = self.timer.get_or_insert_with(|| {
            let idle = Instant::now() + idle;
            match deadline {
                Some(deadline) if deadline < idle => {
                    (Box::pin(sleep_until(deadline)), Clock::Total)
                }
                _ => (Box::pin(sleep_until(idle)), Clock::Idle),
            }
        });
        match timer.as_mut().poll(cx) {
            Poll::Pending => Ok(()),
            Poll::Ready(()) => {
                let after = match clock {
                    Clock::Idle => self.idle,
                    _ => self.begun.elapsed(),
                };
                Err(self.clocks.exceeded(*clock, self.spec, after))
            }
        }
    }

    fn arrived(&mut self, _: usize) -> Result<(), CallError> {
        self.timer = None;
        // A producer that is always ready never waits; the deadline holds for it all the same.
        match self.deadline {
            Some(deadline) if deadline <= Instant::now() => {
                Err(self
                    .clocks
                    .exceeded(Clock::Total, self.spec, self.begun.elapsed()))
            }
            _ => Ok(()),
        }
    }
}
