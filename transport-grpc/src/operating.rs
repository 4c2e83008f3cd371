//! Services for operators and their tools, off unless they are mounted: health and reflection.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use comity_core::Boxed;
use comity_net::{Body, BoxError, HttpService, body};
use futures_util::{FutureExt, StreamExt, stream};
use http::{Request, Response, StatusCode, request::Parts};
use http_body::{Body as HttpBody, Frame};
use http_body_util::{BodyExt, StreamBody};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tokio::time::{Instant, timeout, timeout_at};
use tonic_health::{ServingStatus, pb::health_server::HealthServer, server::HealthReporter};
use tonic_reflection::pb::v1::server_reflection_server::{
    ServerReflection, ServerReflectionServer,
};
use tower::{Service, service_fn};

use crate::server::is_grpc;

/// Most bytes of a request's message: a name and little more.
const MAX_REQUEST: usize = 4 << 10;

/// How long a request's message may take to arrive.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// How long somebody may watch the health: then the stream is reset, and the watcher asks anew.
const WATCH_LIMIT: Duration = Duration::from_secs(60 * 60);

/// How long a conversation with the reflection service may take. Tools ask their few questions at once.
const REFLECTION_LIMIT: Duration = Duration::from_secs(60);

/// The health of a server, by gRPC's own protocol (`grpc.health.v1`), for probes of load balancers and orchestrators. Clones speak of the same.
///
/// It knows the name `""`, the whole server, and each service of the schema, and says the same of all. Who may ask is for the [`Dispatch`](comity_net::Dispatch) that
/// mounts it to decide: everybody who reaches the listener, unless its claim says otherwise. A request takes at most 4 KiB and 10 s, watching one hour: a port that
/// strangers reach takes the questions that are answered at once, and no others ([`claims_check`](Self::claims_check)).
#[derive(Clone, Debug)]
pub struct Health {
    reporter: HealthReporter,
    services: Vec<String>,
}

impl Health {
    /// Of a server that serves.
    pub fn new() -> Self {
        let health = Self {
            reporter: HealthReporter::new(),
            services: services(),
        };
        health
            .set_serving(true)
            .now_or_never()
            .expect("nobody else holds the lock");
        health
    }

    /// Says whether the server serves; whoever watches is told. A server that drains says no first. Dropping the future may leave it said of some services only.
    pub async fn set_serving(&self, serving: bool) {
        let status = match serving {
            true => ServingStatus::Serving,
            false => ServingStatus::NotServing,
        };
        for service in self.services.iter().map(String::as_str).chain([""]) {
            self.reporter.set_service_status(service, status).await;
        }
    }

    /// The service, for a dispatch: `.with(Health::claims, health.service())`, before gRPC's own.
    pub fn service(&self) -> HttpService {
        let health =
            tonic_health::server::HealthService::from_health_reporter(self.reporter.clone());
        let server = HealthServer::new(health).max_decoding_message_size(MAX_REQUEST);
        boxed(server, WATCH_LIMIT)
    }

    /// Whether a request is for this service.
    pub fn claims(head: &Parts) -> bool {
        is_grpc(head) && head.uri.path().starts_with("/grpc.health.v1.Health/")
    }

    /// Whether a request asks this service once (`Check`). For a port that strangers reach: whoever watches holds a connection for an hour, and up its draining. There
    /// `Watch` is gRPC's own to answer, as unimplemented.
    pub fn claims_check(head: &Parts) -> bool {
        is_grpc(head) && head.uri.path() == "/grpc.health.v1.Health/Check"
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

/// The schema of the binding by gRPC's reflection protocol (`grpc.reflection.v1`), so that generic clients such as grpcurl can call it without files. It tells what is
/// published anyway, and nothing of the server. A request takes at most 4 KiB, a conversation one minute.
///
/// For a dispatch: `.with(is_reflection, reflection())`, before gRPC's own.
pub fn reflection() -> HttpService {
    let service = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(comity_proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .expect("the descriptors are generated, and checked in CI");
    boxed(bounded(service), REFLECTION_LIMIT)
}

fn bounded<T: ServerReflection>(service: ServerReflectionServer<T>) -> ServerReflectionServer<T> {
    service.max_decoding_message_size(MAX_REQUEST)
}

/// Whether a request is for the [reflection] service.
pub fn is_reflection(head: &Parts) -> bool {
    is_grpc(head)
        && head
            .uri
            .path()
            .starts_with("/grpc.reflection.v1.ServerReflection/")
}

/// The services of the schema.
fn services() -> Vec<String> {
    let files = FileDescriptorSet::decode(comity_proto::DESCRIPTORS)
        .expect("the descriptors are generated, and checked in CI");
    let mut names = Vec::new();
    for file in &files.file {
        let services = file.service.iter();
        names.extend(services.map(|service| format!("{}.{}", file.package(), service.name())));
    }
    names
}

/// A service of tonic's for our listener, whose streams end in time.
fn boxed<S>(server: S, limit: Duration) -> HttpService
where
    S: Service<
            Request<Body>,
            Response = Response<tonic::body::Body>,
            Error = Infallible,
            Future = Boxed<'static, Result<Response<tonic::body::Body>, Infallible>>,
        > + Clone
        + Send
        + Sync
        + 'static,
{
    HttpService::new(service_fn(move |request: Request<Body>| {
        let answering = server.clone().call(request);
        async move {
            Ok(match timeout(REQUEST_TIMEOUT, answering).await {
                Ok(Ok(response)) => response.map(|body| ending(body, limit)),
                Ok(Err(never)) => match never {},
                Err(_) => late(),
            })
        }
    }))
}

fn late() -> Response<Body> {
    let message = format!("the request took longer than {REQUEST_TIMEOUT:?}");
    let status = tonic::Status::deadline_exceeded(message);
    let mut response = Response::new(body::empty());
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/grpc"),
    );
    // Fails only for metadata that is no header; a status of ours has none.
    let _ = status.add_header(headers);
    response
}

/// The frames of a body until its time is up; the stream is reset then.
fn ending(inner: tonic::body::Body, limit: Duration) -> Body {
    let end = Instant::now() + limit;
    let frames = stream::unfold(Some(inner), move |inner| async move {
        let mut inner = inner?;
        let frame: Result<Frame<Bytes>, BoxError> = match timeout_at(end, inner.frame()).await {
            Ok(frame) => frame?.map_err(Into::into),
            Err(_) => Err(format!("the stream took longer than {limit:?}").into()),
        };
        let rest = (frame.is_ok() && !inner.is_end_stream()).then_some(inner);
        Some((frame, rest))
    });
    StreamBody::new(frames.boxed()).boxed_unsync()
}
