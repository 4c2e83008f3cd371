//! The client: a call over HTTPS to where its destination resolves.

use std::sync::Arc;

use async_trait::async_trait;
use comity_core::{
    call::{Call, Reply},
    error::CallError,
    transport::{Capabilities, Resolve, Transport, route_of},
};
use comity_net::Pool;

use crate::{
    BINDING,
    exchange::{HttpTransportOptions, read_response, write_request},
};

/// The HTTP binding's client.
///
/// A HEAD that a server received and hands on is answered 405, unless the reply is bytes: there is no body to read it from.
#[derive(Debug, Clone)]
pub struct HttpTransport {
    resolve: Arc<dyn Resolve>,
    pool: Pool,
    options: HttpTransportOptions,
}

impl HttpTransport {
    /// Sends over connections of `pool` to where `resolve` says.
    pub fn new(resolve: Arc<dyn Resolve>, pool: Pool) -> Self {
        Self::with_options(resolve, pool, HttpTransportOptions::default())
    }

    /// The same with options.
    pub fn with_options(
        resolve: Arc<dyn Resolve>,
        pool: Pool,
        options: HttpTransportOptions,
    ) -> Self {
        Self {
            resolve,
            pool,
            options,
        }
    }
}

#[async_trait]
impl Transport for HttpTransport {
    fn name(&self) -> &'static str {
        BINDING
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::NONE
            .streaming()
            .cancellation()
            .delivery_certainty()
    }

    async fn send(&self, mut call: Call) -> Result<Reply, CallError> {
        let operation = call.operation();
        let request = write_request(&mut call, &self.options)?;
        let route = route_of(&*self.resolve, call.context()).await?;
        let response = self.pool.send(&route, request).await?;
        read_response(operation, response).await
    }
}
