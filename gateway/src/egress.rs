//! Where the homeserver hands over its calls: HTTP/1.1 with targets in absolute form, as Synapse sends them to `outbound_federation_restricted_to`.

use std::{convert::Infallible, sync::Arc, task::Poll};

use comity_core::{
    Boxed, ServerName,
    auth::XMatrixCredentials,
    call::{Authentication, Call, Reply},
    error::{CallError, FederationError},
    layers::{Around, AroundLayer, Inner, around},
};
use comity_http::{Addressed, HttpServer};
use comity_net::{Body, HttpService};
use http::{
    HeaderName, HeaderValue, Method, Request, Response, Uri,
    header::{CONNECTION, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION},
    uri::PathAndQuery,
};
use tower::Service;

use crate::{
    Secret,
    admin::{Direction, Metrics},
};

/// What a proxy does not pass on (RFC 9110 §7.6.1), besides what `Connection` names.
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Takes the homeserver's requests, and nobody else's: whoever has not the secret is told so and nothing more.
#[derive(Clone, Debug)]
pub(crate) struct Egress {
    own_name: ServerName,
    secret: Secret,
    server: HttpServer,
    metrics: Metrics,
}

impl Egress {
    /// Hands requests on to `server`, with the destination that their target names.
    pub(crate) fn new(
        own_name: ServerName,
        secret: Secret,
        server: HttpServer,
        metrics: Metrics,
    ) -> Self {
        Self {
            own_name,
            secret,
            server,
            metrics,
        }
    }

    pub(crate) fn boxed(self) -> HttpService {
        HttpService::new(self)
    }

    /// The request as the server takes it: the secret taken off, the destination beside it, the target in origin form, byte for byte.
    fn admit(&self, mut request: Request<Body>) -> Result<Request<Body>, FederationError> {
        let mut shown = request.headers().get_all(PROXY_AUTHORIZATION).iter();
        let proven = match (shown.next(), shown.next()) {
            (Some(shown), None) => bearer(shown).is_some_and(|token| self.secret.is(token)),
            _ => false,
        };
        if !proven {
            let message = "Proxy-Authorization does not show the secret of this gateway (setting `egress.secret_file`)";
            return Err(FederationError::new(407, "M_UNAUTHORIZED", message));
        }
        if request.method() == Method::CONNECT {
            // To look into a tunnel, the gateway would have to forge its peers' certificates.
            let message = "CONNECT is not served: have the homeserver send its calls with targets of the scheme `matrix-federation`";
            return Err(FederationError::new(501, "M_UNKNOWN", message));
        }
        let (addressed, target) = self.read_target(request.uri())?;
        *request.uri_mut() = Uri::from(target);
        let headers = request.headers_mut();
        // It names port 80, whatever the destination is.
        headers.remove(HOST);
        headers.remove(PROXY_AUTHORIZATION);
        headers.remove(PROXY_CONNECTION);
        headers.remove(CONNECTION);
        request.extensions_mut().insert(addressed);
        Ok(request)
    }

    fn read_target(&self, uri: &Uri) -> Result<(Addressed, PathAndQuery), FederationError> {
        let addressed = Addressed::from_target(uri)?;
        if addressed.0 == self.own_name {
            let message = format!(
                "{} is the server that this gateway stands beside",
                addressed.0
            );
            return Err(FederationError::invalid_param(message));
        }
        match uri.path_and_query() {
            Some(target) if target.as_str().starts_with("/_matrix/") => {
                Ok((addressed, target.clone()))
            }
            _ => Err(FederationError::invalid_param(
                "the target's path is not one of Matrix, which begin with /_matrix/",
            )),
        }
    }

    async fn respond(mut self, request: Request<Body>) -> Response<Body> {
        match self.admit(request) {
            Ok(request) => {
                let response = self.server.call(request).await;
                response.unwrap_or_else(|never| match never {})
            }
            Err(error) => {
                let reason = match error.http_status() {
                    407 => "egress_secret",
                    _ => "malformed",
                };
                self.metrics.refused(Direction::Outbound, reason);
                tracing::warn!(reason = %error, "refused at the egress");
                refusal(&error.spoken_by(self.own_name.as_str()))
            }
        }
    }
}

/// The token of a header value `Bearer token` (RFC 6750 §2.1; the scheme's case does not count).
fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = value.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}

fn refusal(error: &FederationError) -> Response<Body> {
    let mut response = comity_http::reply::error_response(error);
    if response.status() == http::StatusCode::PROXY_AUTHENTICATION_REQUIRED {
        let scheme = HeaderValue::from_static("Bearer");
        response.headers_mut().insert(PROXY_AUTHENTICATE, scheme);
    }
    // What is left of the request is not read.
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, close);
    response
}

impl Service<Request<Body>> for Egress {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Boxed<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let egress = self.clone();
        Box::pin(async move { Ok(egress.respond(request).await) })
    }
}

/// Passes on what the homeserver says in its own name, to whom it says it is for.
#[derive(Debug)]
pub(crate) struct OwnOrigin {
    own_name: ServerName,
    metrics: Metrics,
}

impl OwnOrigin {
    pub(crate) fn layer(own_name: ServerName, metrics: Metrics) -> AroundLayer<Self> {
        around(Self { own_name, metrics })
    }

    fn check(&self, call: &Call) -> Result<(), FederationError> {
        let context = call.context();
        let headers = context.credentials.iter().map(str::as_bytes);
        let credentials = match XMatrixCredentials::from_headers(headers) {
            Ok(credentials) => credentials,
            Err(error) if error.is_missing() => {
                return match call.spec().authentication {
                    Authentication::Server => Err(FederationError::unauthorized(error.to_string())),
                    Authentication::None | Authentication::AccessToken => Ok(()),
                };
            }
            Err(error) => return Err(FederationError::malformed_credentials(error.to_string())),
        };
        if *credentials.origin() != self.own_name {
            let message = format!(
                "this gateway passes on calls of {}, not of {}",
                self.own_name,
                credentials.origin()
            );
            return Err(FederationError::forbidden(message));
        }
        let destination = context.destination.as_ref().map(ServerName::as_str);
        let mut named = credentials.as_slice().iter();
        let elsewhere = |name: Option<&str>| name.is_some() && name != destination;
        if named.any(|one| elsewhere(one.destination.as_deref())) {
            let message = "the request is signed for another destination than its target names";
            return Err(FederationError::unauthorized(message));
        }
        Ok(())
    }
}

impl Around for OwnOrigin {
    async fn around<S: Inner>(
        self: Arc<Self>,
        call: Call,
        mut inner: S,
    ) -> Result<Reply, CallError> {
        if let Err(error) = self.check(&call) {
            self.metrics.refused(Direction::Outbound, "origin");
            tracing::warn!(operation = call.spec().name, reason = %error, "refused at the egress");
            return Err(error.into());
        }
        inner.call(call).await
    }
}
