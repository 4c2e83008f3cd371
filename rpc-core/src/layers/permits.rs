//! How many calls are in progress, each counted until its reply's stream has ended.

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Around, AroundLayer, Inner, Side, around, stream};
use crate::{
    call::{Call, Reply},
    error::{CallError, Delivery, FederationError, TransportError, TransportErrorKind},
};

/// Bounds the calls in progress. A call waits a bounded time for its turn, then it is refused.
#[derive(Debug)]
pub struct Permits {
    side: Side,
    limit: usize,
    wait: Duration,
    setting: &'static str,
    semaphore: Arc<Semaphore>,
}

impl Permits {
    /// At most `limit` calls at once; another waits up to `wait`.
    pub fn layer(side: Side, limit: usize, wait: Duration) -> AroundLayer<Self> {
        Self::named(side, limit, wait, "permits")
    }

    /// The same, where `limit` comes from a setting of this name: the error says so.
    pub fn named(
        side: Side,
        limit: usize,
        wait: Duration,
        setting: &'static str,
    ) -> AroundLayer<Self> {
        around(Self {
            side,
            limit,
            wait,
            setting,
            semaphore: Arc::new(Semaphore::new(limit)),
        })
    }

    fn refused(&self) -> CallError {
        let message = format!(
            "{} calls are in progress, the limit on this side (setting `{}`)",
            self.limit, self.setting
        );
        match self.side {
            Side::Client => {
                TransportError::new(TransportErrorKind::Busy, Delivery::NotSent, message).into()
            }
            Side::Server => FederationError::limit_exceeded(message, Some(self.wait)).into(),
        }
    }
}

impl Around for Permits {
    async fn around<S: Inner>(
        self: Arc<Self>,
        call: Call,
        mut inner: S,
    ) -> Result<Reply, CallError> {
        let permit = tokio::time::timeout(self.wait, self.semaphore.clone().acquire_owned())
            .await
            .map_err(|_| self.refused())?
            .expect("the semaphore is never closed");
        let reply = inner.call(call).await?;
        stream::watch(reply, Held { _permit: permit })
    }
}

/// The permit goes back when the stream is dropped, ended or not.
struct Held {
    _permit: OwnedSemaphorePermit,
}

impl stream::Watch for Held {}
