//! A call with effects is not abandoned half-way because its caller went away.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::Poll,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Instrument;

use super::{Around, AroundLayer, Inner, around, stream};
use crate::{
    call::{Call, Idempotency, Reply},
    error::{CallError, FederationError},
};

/// Runs the handler of every call that is not safe on a task of its own, so that it ends even if the caller stops waiting,
/// and a retry finds the result. A handler that ends at its first poll needs no task. The handler of a safe call is dropped with its caller. The number of
/// such calls, and of replies that still stream, is bounded.
#[derive(Debug)]
pub struct RunToEnd {
    limit: usize,
    tasks: Arc<Semaphore>,
}

impl RunToEnd {
    /// At most `limit` such tasks at once.
    pub fn layer(limit: usize) -> AroundLayer<Self> {
        around(Self {
            limit,
            tasks: Arc::new(Semaphore::new(limit)),
        })
    }
}

impl Around for RunToEnd {
    async fn around<S: Inner>(
        self: Arc<Self>,
        call: Call,
        mut inner: S,
    ) -> Result<Reply, CallError> {
        if call.spec().idempotency == Idempotency::Safe {
            return inner.call(call).await;
        }
        let Ok(permit) = self.tasks.clone().try_acquire_owned() else {
            return Err(FederationError::limit_exceeded(
                format!(
                    "{} calls with effects are in progress, the receiver's limit (setting `run_to_end`)",
                    self.limit
                ),
                None,
            )
            .into());
        };
        let mut handling = Box::pin(async move {
            let reply = inner.call(call).await?;
            stream::watch(reply, Held { _permit: permit })
        });
        // Nobody goes away while it is polled; only what waits has to be kept from its caller. What was polled here is polled anew by its task, so that no
        // wake-up is lost.
        let first = poll_fn(|cx| {
            let polled = AssertUnwindSafe(|| handling.as_mut().poll(cx));
            Poll::Ready(catch_unwind(polled))
        });
        match first.await {
            Ok(Poll::Ready(reply)) => return reply,
            Ok(Poll::Pending) => {}
            Err(_) => return Err(panicked()),
        }
        let task = tokio::spawn(handling.in_current_span());
        task.await.unwrap_or_else(|_| Err(panicked()))
    }
}

/// The panic hook has told what and where.
fn panicked() -> CallError {
    tracing::error!("a handler panicked");
    FederationError::internal("the receiver failed while it handled the call").into()
}

/// A streamed reply counts until it has ended.
struct Held {
    _permit: OwnedSemaphorePermit,
}

impl stream::Watch for Held {}
