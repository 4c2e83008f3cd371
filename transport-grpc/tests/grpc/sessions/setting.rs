//! A homeserver that accepts sessions and notes what came, clients that make them, and a peer without manners.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicI64, Ordering},
};

use async_trait::async_trait;
use bytes::{Buf, Bytes};
use comity_core::{
    CallService, Client, ServerName,
    api::{GetEvent, GetMissingEvents},
    auth::{
        Authenticator, Channel, KeyFault, KeyId, KeySource, SESSION_EXPORTER_LABEL,
        SessionAuthenticator, SessionCredential, SessionOptions, SessionUse, Sign, SignedRequest,
        SigningKey, Verify, VerifyKey, XMatrixAuthenticator, now_ms,
    },
    call::{Blob, BlobSource, Call, EventStream, Message as Whole, Part, Reply, ReplyShape},
    error::{CallError, FederationError},
    transport::{FixedRoutes, Route},
};
use comity_grpc::{Codecs, GrpcTransport};
use comity_net::{ConnectionInfo, Pool};
use comity_proto as pb;
use futures_util::{StreamExt, stream};
use http::Request;
use http_body_util::BodyExt;
use prost::Message;
use tonic::Status;
use tower::{
    Layer,
    util::{BoxCloneSyncService, MapRequestLayer},
};

use crate::{
    setting::{Serving, destination, handler, object},
    wire::{detail, framed, target},
};

pub(crate) const HOUR: i64 = 3_600_000;

pub(crate) fn name(text: &str) -> ServerName {
    text.parse().unwrap()
}

pub(crate) fn key(seed: u8) -> Arc<SigningKey> {
    Arc::new(SigningKey::from_seed(&seed.to_string(), &[seed; 32]).unwrap())
}

/// `a.test` signs with key 1, `c.test` with key 3, and what else a test adds or takes away.
#[derive(Debug)]
pub(crate) struct Keys(Mutex<Vec<(ServerName, Arc<SigningKey>)>>);

impl Keys {
    pub(crate) fn add(&self, server: &str, seed: u8) {
        self.0.lock().unwrap().push((name(server), key(seed)));
    }

    pub(crate) fn withdraw(&self, server: &str) {
        self.0
            .lock()
            .unwrap()
            .retain(|(of, _)| of.as_str() != server);
    }
}

#[async_trait]
impl KeySource for Keys {
    async fn request_key(&self, server: &ServerName, id: &KeyId) -> Result<VerifyKey, KeyFault> {
        let keys = self.0.lock().unwrap();
        let key = keys
            .iter()
            .find(|(of, key)| of == server && key.key_id() == id);
        key.map(|(_, key)| key.verify_key())
            .ok_or(KeyFault::Unknown)
    }
}

/// A call that was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) operation: &'static str,
    pub(crate) origin: String,
    pub(crate) scheme: &'static str,
}

/// The service of `matrix.test`.
#[derive(Clone)]
pub(crate) struct Homeserver {
    pub(crate) keys: Arc<Keys>,
    /// Milliseconds by which its clock goes before ours.
    pub(crate) ahead: Arc<AtomicI64>,
    arrivals: Arc<Mutex<Vec<Arrival>>>,
    credentials: Arc<Mutex<Vec<Vec<String>>>>,
}

impl Homeserver {
    pub(crate) fn new() -> Self {
        let keys = Keys(Mutex::default());
        keys.add("a.test", 1);
        keys.add("c.test", 3);
        Self {
            keys: Arc::new(keys),
            ahead: Arc::default(),
            arrivals: Arc::default(),
            credentials: Arc::default(),
        }
    }

    pub(crate) fn x_matrix(&self) -> XMatrixAuthenticator {
        XMatrixAuthenticator::new(destination(), self.keys.clone())
    }

    pub(crate) fn sessions(&self) -> Arc<dyn Authenticator> {
        let ahead = self.ahead.clone();
        let now = move || now_ms() + ahead.load(Ordering::SeqCst);
        Arc::new(SessionAuthenticator::new(self.x_matrix()).with_now(Arc::new(now)))
    }

    /// Notes credentials, verifies, notes who was let in, answers.
    pub(crate) fn service(&self, authenticator: Arc<dyn Authenticator>) -> CallService {
        let arrivals = self.arrivals.clone();
        let answering = handler(move |call| {
            let proof = call.context().proof();
            arrivals.lock().unwrap().push(Arrival {
                operation: call.spec().name,
                origin: proof.map_or(String::new(), |it| it.server_name().to_string()),
                scheme: proof.map_or("none", |it| it.scheme()),
            });
            async move { Ok(answer(&call)) }
        });
        let credentials = self.credentials.clone();
        let noting = MapRequestLayer::new(move |call: Call| {
            let values = call.context().credentials.iter().map(str::to_owned);
            credentials.lock().unwrap().push(values.collect());
            call
        });
        let layers = (noting, Verify::layer(authenticator));
        BoxCloneSyncService::new(layers.layer(answering))
    }

    /// Over gRPC, accepting sessions.
    pub(crate) async fn start(&self) -> Serving {
        Serving::start(self.service(self.sessions())).await
    }

    /// Who was let in since this was asked last.
    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        std::mem::take(&mut self.arrivals.lock().unwrap())
    }

    /// What calls came with since this was asked last, let in or not.
    pub(crate) fn credentials(&self) -> Vec<Vec<String>> {
        std::mem::take(&mut self.credentials.lock().unwrap())
    }

    /// The schemes of those, one for each call.
    pub(crate) fn schemes(&self) -> Vec<String> {
        let all = self.credentials();
        let scheme = |values: &Vec<String>| {
            let schemes: Vec<_> = values
                .iter()
                .map(|it| it.split(' ').next().unwrap())
                .collect();
            schemes.join("+")
        };
        all.iter().map(scheme).collect()
    }
}

fn answer(call: &Call) -> Reply {
    match call.spec().reply {
        ReplyShape::Events { .. } => {
            let parts = vec![Ok(Part::Array("auth_chain")), Ok(Part::Array("state"))];
            Reply::Events(EventStream {
                parts: stream::iter(parts).boxed(),
            })
        }
        ReplyShape::Blob => Reply::Blob(Blob {
            metadata: object("{}"),
            source: BlobSource::Here {
                content_type: None,
                content_disposition: None,
            },
            bytes: stream::iter([Ok(Bytes::from_static(b"meow"))]).boxed(),
        }),
        _ => Reply::Message(Whole::from_content(object("{}"))),
    }
}

pub(crate) fn let_in(operation: &'static str, origin: &str, scheme: &'static str) -> Arrival {
    Arrival {
        operation,
        origin: origin.to_owned(),
        scheme,
    }
}

/// Always on a session, if it can be.
pub(crate) fn always() -> SessionOptions {
    SessionOptions::default().with_usually(SessionUse::On)
}

/// A client of a server, with connections of its own.
pub(crate) struct Caller {
    pub(crate) client: Client,
}

impl Caller {
    pub(crate) fn new(serving: &Serving, server: &str, seed: u8, options: SessionOptions) -> Self {
        Self::at(serving.pool(), serving.route(), server, seed, options)
    }

    pub(crate) fn at(
        pool: Pool,
        route: Route,
        server: &str,
        seed: u8,
        options: SessionOptions,
    ) -> Self {
        Self::with_codecs(pool, route, server, seed, options, Codecs::federation())
    }

    pub(crate) fn with_codecs(
        pool: Pool,
        route: Route,
        server: &str,
        seed: u8,
        options: SessionOptions,
        codecs: Codecs,
    ) -> Self {
        let routes = FixedRoutes::new().with(destination(), route);
        let transport = GrpcTransport::new(Arc::new(routes), pool)
            .with_codecs(codecs)
            .with_sessions(options);
        let sign = Sign::layer(name(server), key(seed));
        let client = Client::layered(Arc::new(transport), sign);
        Self { client }
    }

    /// A call with content.
    pub(crate) async fn ask(&self) -> Result<(), CallError> {
        self.client.send(asking()).await.map(drop)
    }
}

/// A call with content, not streamed.
pub(crate) fn asking() -> Call {
    let request = GetMissingEvents {
        room_id: "!r".to_owned(),
        ..Default::default()
    };
    Call::new(destination(), request)
}

/// A call without content.
pub(crate) fn getting() -> Call {
    let request = GetEvent {
        event_id: "$e".to_owned(),
        ..Default::default()
    };
    Call::new(destination(), request)
}

pub(crate) const GET_TARGET: &str = "/_matrix/federation/v1/event/%24e";

#[track_caller]
pub(crate) fn answered(result: Result<(), CallError>) -> FederationError {
    match result {
        Err(CallError::Federation(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// Sends what no client of ours would, over connections of its own. It can read what TLS exports for them.
pub(crate) struct Peer {
    pub(crate) pool: Pool,
    pub(crate) route: Route,
}

/// Errcode and HTTP status; none if the call was let in.
pub(crate) type Answer = Option<(String, u32)>;

impl Peer {
    pub(crate) fn new(serving: &Serving) -> Self {
        Self {
            pool: serving.pool(),
            route: serving.route(),
        }
    }

    /// Sends a message by this rpc with these keys of metadata, and those that depend on the connection.
    pub(crate) async fn send(
        &self,
        rpc: &str,
        metadata: &[(&'static str, String)],
        body: Bytes,
        own: impl Fn(&ConnectionInfo) -> Vec<(&'static str, String)>,
    ) -> Answer {
        let mut request = Request::post(format!("/comity.federation.v1.{rpc}"))
            .header("content-type", "application/grpc");
        for (name, value) in metadata {
            request = request.header(*name, value);
        }
        let request = request.body(comity_net::body::full(body)).unwrap();
        let prepared = self.pool.send_with(&self.route, request, |info, head| {
            for (name, value) in own(info) {
                head.headers.append(name, value.parse().unwrap());
            }
            Ok(())
        });
        let (head, body) = prepared.await.unwrap().into_parts();
        let (status, frames) = match Status::from_header_map(&head.headers) {
            Some(status) => (status, Bytes::new()),
            None => {
                let whole = body.collect().await.unwrap();
                let status = Status::from_header_map(whole.trailers().unwrap()).unwrap();
                (status, whole.to_bytes())
            }
        };
        match status.code() {
            tonic::Code::Ok if rpc.ends_with("/Invoke") => invoked(frames),
            tonic::Code::Ok => None,
            _ => Some(detail(&status).unwrap_or((format!("{:?}", status.code()), 0))),
        }
    }

    /// Asks for an event with these credentials.
    pub(crate) async fn get(
        &self,
        own: impl Fn(&ConnectionInfo) -> Vec<(&'static str, String)>,
    ) -> Answer {
        let message = pb::GetEventRequest {
            event_id: "$e".to_owned(),
            ..Default::default()
        };
        let metadata = metadata("GET", GET_TARGET);
        let body = framed(&[message.encode_to_vec().into()]);
        self.send("Events/GetEvent", &metadata, body, own).await
    }
}

/// The answer in a reply of `Invoke`, which is HTTP's.
fn invoked(mut frames: Bytes) -> Answer {
    let (mut status, mut text) = (0, Vec::new());
    while !frames.is_empty() {
        let length = u32::from_be_bytes(frames[1..5].try_into().unwrap()) as usize;
        let reply = pb::InvokeReply::decode(frames.slice(5..5 + length)).unwrap();
        frames.advance(5 + length);
        match reply.frame {
            Some(pb::invoke_reply::Frame::Head(head)) => status = head.status,
            Some(pb::invoke_reply::Frame::Data(data)) => text.extend_from_slice(&data),
            _ => {}
        }
    }
    if status == 200 {
        return None;
    }
    let body: serde_json::Value = serde_json::from_slice(&text).unwrap();
    Some((body["errcode"].as_str().unwrap().to_owned(), status))
}

/// Metadata with this credential, of whichever scheme.
pub(crate) fn credential(value: &str) -> Vec<(&'static str, String)> {
    let name = match SessionCredential::is_one(value) {
        true => "x-matrix-session",
        false => "authorization",
    };
    vec![(name, value.to_owned())]
}

/// A session that is good on this connection.
pub(crate) fn session_on(info: &ConnectionInfo, origin: &str, seed: u8) -> String {
    session_with(info, origin, seed, destination().as_str(), 0, HOUR)
}

pub(crate) fn session_with(
    info: &ConnectionInfo,
    origin: &str,
    seed: u8,
    destination: &str,
    from: i64,
    to: i64,
) -> String {
    let exporter = info.exporter(SESSION_EXPORTER_LABEL).unwrap();
    let now = now_ms();
    SessionCredential::sign(
        name(origin),
        name(destination),
        &key(seed),
        &exporter,
        u64::try_from(now + from).unwrap(),
        u64::try_from(now + to).unwrap(),
    )
    .to_header()
}

/// What says which request a call is.
pub(crate) fn metadata(method: &str, uri: &str) -> [(&'static str, String); 3] {
    [
        ("x-matrix-method", method.to_owned()),
        ("x-matrix-uri-bin", target(uri)),
        ("x-matrix-destination", destination().to_string()),
    ]
}

/// The X-Matrix header of a request.
pub(crate) fn signed(
    (origin, seed): (&str, u8),
    method: &str,
    uri: &str,
    content: Option<&str>,
) -> String {
    SignedRequest {
        method,
        uri,
        origin: &name(origin),
        destination: destination().as_str(),
        content: content.map(str::as_bytes),
    }
    .sign(&key(seed))
    .to_header()
}

/// The X-Matrix header of a GET.
pub(crate) fn signed_get(origin: &str, seed: u8) -> String {
    signed((origin, seed), "GET", GET_TARGET, None)
}

pub(crate) fn refused() -> Answer {
    Some(("DEV.COMITY.SESSION_REFUSED".to_owned(), 401))
}
