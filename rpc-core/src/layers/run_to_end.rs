//! A call with effects is not abandoned half-way because its caller went away.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Instrument;

use super::{Around, AroundLayer, Inner, around, stream};
use crate::{
    call::{Call, Idempotency, Reply},
    error::{CallError, FederationError},
};

/// Runs the handler of every call that is not safe on a task of its own, so that it ends even if the caller stops waiting,
/// and a retry finds the result. The handler of a safe call is dropped with its caller. The number of
/// tasks, and of replies that still stream, is bounded.
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
        let task = async move {
            let reply = inner.call(call).await?;
            stream::watch(reply, Held { _permit: permit })
        };
        let task = tokio::spawn(task.in_current_span());
        task.await.unwrap_or_else(|panic| {
            tracing::error!(%panic, "a handler panicked");
            Err(FederationError::internal("the receiver failed while it handled the call").into())
        })
    }
}

/// A streamed reply counts until it has ended.
struct Held {
    _permit: OwnedSemaphorePermit,
}

impl stream::Watch for Held {}
