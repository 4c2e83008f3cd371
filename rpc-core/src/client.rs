//! Typed calls over any transport.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt, util::BoxCloneSyncService};

use crate::{
    CallService, ServerName,
    call::{AnyRequest, Call, Operation, Reply},
    error::CallError,
    transport::{Transport, TransportService},
};

/// Calls other servers. Cheap to clone; the wire is whatever transport it was made with.
///
/// The typed methods come from the table: bring [`Calls`](crate::api::Calls) into scope.
#[derive(Clone, Debug)]
pub struct Client {
    service: CallService,
    deadline: Option<Duration>,
}

impl Client {
    /// A client over `transport`, without layers: nothing is signed.
    pub fn new(transport: Arc<dyn Transport>) -> Self {
        Self::from_service(BoxCloneSyncService::new(TransportService::new(transport)))
    }

    /// A client over `transport` behind a layer or a stack of layers: clocks, signing, and what else there is.
    pub fn layered<L>(transport: Arc<dyn Transport>, layer: L) -> Self
    where
        L: Layer<TransportService>,
        L::Service:
            Service<Call, Response = Reply, Error = CallError> + Clone + Send + Sync + 'static,
        <L::Service as Service<Call>>::Future: Send + 'static,
    {
        Self::from_service(BoxCloneSyncService::new(
            layer.layer(TransportService::new(transport)),
        ))
    }

    /// A client over any service.
    pub fn from_service(service: CallService) -> Self {
        Self {
            service,
            deadline: None,
        }
    }

    /// The same client with a deadline for each whole call, replies read to their end included.
    #[must_use]
    pub fn with_deadline(mut self, after: Duration) -> Self {
        self.deadline = Some(after);
        self
    }

    /// Calls `destination`. Dropping the future, or the streamed reply, cancels the call.
    ///
    /// # Errors
    /// The peer's answer if it is an error, or what happened on the way.
    pub async fn call<O: Operation + AnyRequest>(
        &self,
        destination: &ServerName,
        request: O,
    ) -> Result<O::Reply, CallError> {
        self.send(Call::new(destination.clone(), request))
            .await?
            .typed::<O>()
    }

    /// Sends a call of any operation.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn send(&self, mut call: Call) -> Result<Reply, CallError> {
        if let Some(after) = self.deadline {
            call.context_mut().limit_deadline(Instant::now() + after);
        }
        self.service.clone().oneshot(call).await
    }
}
