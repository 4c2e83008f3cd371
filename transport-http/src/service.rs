//! The client without a network: calls as HTTP requests to a service in this process.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use comity_core::{
    call::{Call, Reply},
    error::{CallError, Delivery, TransportError, TransportErrorKind},
    transport::{Capabilities, Transport},
};
use comity_net::{Body, BoxError, delivery_of};
use http::{HeaderValue, Request, Response, header};
use http_body_util::BodyExt;
use tower::{Service, ServiceExt, util::BoxCloneSyncService};

use crate::{
    BINDING,
    exchange::{HttpTransportOptions, read_response, write_request},
};

/// Calls any tower service over [`http::Request`]: a router of axum, our own [`HttpServer`](crate::HttpServer), a test's function.
///
/// Behind another binding's server it lets an application that knows nothing of Comity answer over that binding too: the application gets
/// the request that an HTTP caller would have sent. Target, content and credentials are those of the call, byte for byte, so a
/// signature that the application checks still holds. A HEAD that is to be passed on is answered 405, unless the reply is bytes: there is no body to read it from. `Host` is the call's destination, and absent if that is not known.
///
/// ```
/// # use std::{convert::Infallible, sync::Arc};
/// # use comity_core::{CallService, Operations, transport::TransportService};
/// # use comity_http::ServiceTransport;
/// # use comity_net::{Body, body};
/// # use http::{Request, Response, header};
/// let app = tower::service_fn(async |_: Request<Body>| {
///     let mut response = Response::new(body::full(r#"{"server":{"name":"App"}}"#));
///     let json = "application/json".parse().expect("a media type");
///     response.headers_mut().insert(header::CONTENT_TYPE, json);
///     Ok::<_, Infallible>(response)
/// });
/// // What a binding's server takes.
/// let service = CallService::new(TransportService::new(Arc::new(ServiceTransport::new(app))));
/// ```
#[derive(Clone)]
pub struct ServiceTransport {
    service: BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>,
    options: HttpTransportOptions,
}

impl ServiceTransport {
    /// Sends every call to a clone of `service`.
    pub fn new<S, B>(service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let service = service
            .map_response(|response| response.map(|body| body.map_err(Into::into).boxed_unsync()))
            .map_err(Into::into);
        Self {
            service: BoxCloneSyncService::new(service),
            options: HttpTransportOptions::default(),
        }
    }

    /// The same with options.
    #[must_use]
    pub fn with_options(mut self, options: HttpTransportOptions) -> Self {
        self.options = options;
        self
    }
}

#[async_trait]
impl Transport for ServiceTransport {
    fn name(&self) -> &'static str {
        BINDING
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::NONE
            .streaming()
            .multiplexed()
            .cancellation()
            .delivery_certainty()
    }

    async fn send(&self, mut call: Call) -> Result<Reply, CallError> {
        let operation = call.operation();
        let mut request = write_request(&mut call, &self.options)?;
        if let Some(destination) = &call.context().destination
            && let Ok(host) = HeaderValue::from_str(destination.as_str())
        {
            request.headers_mut().insert(header::HOST, host);
        }
        let mut service = self.service.clone();
        let ready = service
            .ready()
            .await
            .map_err(|error| failed(Delivery::NotSent, "the service takes no request", error))?;
        let response = ready
            .call(request)
            .await
            .map_err(|error| failed(delivery_of(&*error), "the service gave no response", error))?;
        read_response(operation, response).await
    }
}

fn failed(delivery: Delivery, message: &str, cause: BoxError) -> TransportError {
    TransportError::new(TransportErrorKind::Closed, delivery, message).with_source(cause)
}

impl fmt::Debug for ServiceTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceTransport")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
