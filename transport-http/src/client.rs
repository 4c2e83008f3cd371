//! The client: a call over HTTPS to where its destination resolves.

use std::sync::Arc;

use async_trait::async_trait;
use comity_core::{
    call::{ByteStream, Call, Reply},
    endpoint::read_reply,
    error::{CallError, Delivery, TransportError, TransportErrorKind},
    transport::{Capabilities, Resolve, Transport},
};
use comity_net::{Body, Pool, body};
use futures_util::{StreamExt, TryStreamExt};
use http::{HeaderValue, header};
use http_body_util::BodyExt;

use crate::{
    BINDING, reply,
    request::{PeerHeaders, to_request},
};

/// How an [`HttpTransport`] behaves.
#[derive(Debug, Clone)]
pub struct HttpTransportOptions {
    /// Value of `User-Agent`; peers log it.
    pub user_agent: HeaderValue,
    /// What is sent beside the specification.
    pub peer: PeerHeaders,
}

impl Default for HttpTransportOptions {
    fn default() -> Self {
        Self {
            user_agent: HeaderValue::from_static(concat!("Comity/", env!("CARGO_PKG_VERSION"))),
            peer: PeerHeaders::default(),
        }
    }
}

/// The HTTP binding's client.
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
        let spec = call.spec();
        let mut request = to_request(&mut call, &self.options.peer)?.map(body::full);
        request
            .headers_mut()
            .insert(header::USER_AGENT, self.options.user_agent.clone());
        let destination = call.context().destination.as_ref().ok_or_else(|| {
            TransportError::new(
                TransportErrorKind::Resolve,
                Delivery::NotSent,
                "the call has no destination",
            )
        })?;
        let route = self.resolve.resolve(destination).await?;
        let response = self.pool.send(&route, request).await?;
        let head = reply::from_response(&response);
        read_reply(spec, head, bytes_of(response.into_body())).await
    }
}

/// A response's body. A body that breaks off leaves open what the peer did.
fn bytes_of(body: Body) -> ByteStream {
    body.into_data_stream()
        .map_err(|error| {
            TransportError::new(
                TransportErrorKind::Closed,
                Delivery::MaybeProcessed,
                "the reply broke off",
            )
            .with_source(error)
            .into()
        })
        .boxed()
}
