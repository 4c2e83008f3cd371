//! One transaction at a time to each destination.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Around, AroundLayer, Inner, around, stream};
use crate::{
    ServerName,
    call::{Call, Flow as FlowKind, Reply},
    error::{CallError, Delivery, TransportError, TransportErrorKind},
};

/// Keeps calls whose row says one per destination in line. The next one waits a bounded time, then it is refused unsent.
#[derive(Debug)]
pub struct Flow {
    wait: Duration,
    lanes: Mutex<HashMap<(ServerName, &'static str), Weak<Semaphore>>>,
}

impl Flow {
    /// A call waits up to `wait` for the one before it.
    pub fn layer(wait: Duration) -> AroundLayer<Self> {
        around(Self {
            wait,
            lanes: Mutex::default(),
        })
    }

    fn lane(&self, destination: &ServerName, operation: &'static str) -> Arc<Semaphore> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (destination.clone(), operation);
        if let Some(lane) = lanes.get(&key).and_then(Weak::upgrade) {
            return lane;
        }
        // Lanes that nobody holds are forgotten, so the map is as large as the number of busy destinations.
        lanes.retain(|_, lane| lane.strong_count() > 0);
        let lane = Arc::new(Semaphore::new(1));
        lanes.insert(key, Arc::downgrade(&lane));
        lane
    }
}

impl Around for Flow {
    async fn around<S: Inner>(
        self: Arc<Self>,
        call: Call,
        mut inner: S,
    ) -> Result<Reply, CallError> {
        let spec = call.spec();
        let destination = call.context().destination.clone();
        let (FlowKind::OnePerDestination, Some(destination)) = (spec.flow, destination) else {
            return inner.call(call).await;
        };
        let lane = self.lane(&destination, spec.name);
        let permit = tokio::time::timeout(self.wait, lane.acquire_owned())
            .await
            .map_err(|_| {
                TransportError::new(
                    TransportErrorKind::Busy,
                    Delivery::NotSent,
                    format!(
                        "another {} to {destination} is in flight for more than {:?} (setting `flow.wait`)",
                        spec.name, self.wait
                    ),
                )
            })?
            .expect("the semaphore is never closed");
        let reply = inner.call(call).await?;
        stream::watch(reply, Held { _permit: permit })
    }
}

/// The permit keeps its lane alive.
struct Held {
    _permit: OwnedSemaphorePermit,
}

impl stream::Watch for Held {}
