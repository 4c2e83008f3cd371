//! A homeserver on loopback, its certificate authority, and the program that calls it.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use comity_core::{
    Client, Operations, Router, ServerName,
    api::{self, GetEvent, GetEventReply, GetState, GetStateReply, GetVersion, GetVersionReply},
    auth::{
        Authenticator, KeyRing, KeyRingOptions, Notary, NotaryOptions, PublishedKeys,
        PublishedKeysOptions, ServerKeys, SessionAuthenticator, SigningKey, Verify,
        XMatrixAuthenticator, now_ms,
    },
    call::{Authenticated, Blob, BlobSource, Body, CallContext, EventReply, Part, Unregistered},
    error::{CallError, Delivery, FederationError, TransportError, TransportErrorKind},
    json::{Json, Members, Object, Value as JsonValue},
    transport::{FixedRoutes, Offer},
};
use comity_grpc::{Codecs, GrpcServer, GrpcServerOptions, is_grpc};
use comity_http::{HttpServer, HttpTransport};
use comity_net::{
    Connector, Dispatch, HttpService, Listener, ListenerOptions, Pool, PoolOptions, ServerTls, body,
};
use futures_util::{StreamExt, stream};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::Notify;

use crate::dns;

/// Who calls.
pub const CALLER: &str = "caller.example";

/// The file that the homeserver has.
pub const PICTURE: &[u8] = b"\x89PNG of a kind\0\xff";

/// What a test wants of its homeserver.
pub struct Wanted {
    /// Its name, if that is not its address.
    pub name: Option<&'static str>,
    /// What `.well-known/matrix/server` holds; `PORT` stands for its port.
    pub well_known: Option<&'static str>,
    /// The names that the certificate is for.
    pub certificate: Vec<&'static str>,
    /// How many days ago the certificate was for the last time good; none: it is good.
    pub expired: bool,
    /// The bindings that its key document offers.
    pub offers: Vec<Offer>,
    /// Whether gRPC is served.
    pub grpc: bool,
    /// Whether it accepts sessions.
    pub sessions: bool,
    /// Whether nobody is told its keys, nor that there are none.
    pub silent_keys: bool,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            name: None,
            well_known: None,
            certificate: vec!["127.0.0.1", "hs2.test", "two.test"],
            expired: false,
            offers: vec![],
            grpc: true,
            sessions: false,
            silent_keys: false,
        }
    }
}

/// A homeserver that runs, and a folder with the files that the program is given.
pub struct Peer {
    pub address: SocketAddr,
    pub published: PublishedKeys,
    /// Calls that came over gRPC.
    pub over_grpc: Arc<AtomicU64>,
    /// Lets the state of `$slow` go on.
    pub go_on: Arc<Notify>,
    folder: TempDir,
}

impl Peer {
    pub async fn start() -> Self {
        Self::with(Wanted::default()).await
    }

    pub async fn with(wanted: Wanted) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tls = certificate(folder.path(), &wanted);
        let options = ListenerOptions::with_tls(tls);
        let listener = Listener::bind("127.0.0.1:0", options).await.unwrap();
        let address = listener.local_addr();
        let own = address.to_string();
        let name: ServerName = wanted.name.unwrap_or(&own).parse().unwrap();

        let key = Arc::new(SigningKey::generate("peer").unwrap());
        let published =
            PublishedKeys::new(name.clone(), key, PublishedKeysOptions::default()).unwrap();
        published.offer(&wanted.offers).unwrap();
        let caller = SigningKey::generate("caller").unwrap();
        write_key(folder.path(), &caller);
        let go_on = Arc::new(Notify::new());
        let house = Arc::new(House(go_on.clone()));
        let ring = keys_of(&caller).with_own(published.clone());
        let x_matrix = XMatrixAuthenticator::new(name, Arc::new(ring.clone()));
        let authenticator: Arc<dyn Authenticator> = match wanted.sessions {
            true => Arc::new(SessionAuthenticator::new(x_matrix)),
            false => Arc::new(x_matrix),
        };
        let notary = Notary::new(published.clone(), ring, NotaryOptions::default());
        let service = Router::new()
            .with(api::server(house.clone()))
            .with(api::keys(Arc::new(notary)))
            .with(api::events(house.clone()))
            .with(api::media(house))
            .with_unregistered(anything)
            .layered(Verify::layer(authenticator));
        let operations = || Operations::federation().with_unregistered();
        let over_grpc = Arc::new(AtomicU64::new(0));
        let mut dispatch = Dispatch::new(HttpServer::new(operations(), service.clone()).boxed());
        if wanted.grpc {
            let options = GrpcServerOptions::default();
            let grpc = GrpcServer::new(operations(), Codecs::federation(), service, options);
            let counted = over_grpc.clone();
            let claims = move |head: &_| {
                let claimed = is_grpc(head);
                counted.fetch_add(u64::from(claimed), Ordering::SeqCst);
                claimed
            };
            dispatch = dispatch.with(claims, grpc.into_service());
        }
        if let Some(document) = wanted.well_known {
            let document = document.replace("PORT", &address.port().to_string());
            let claims =
                |head: &http::request::Parts| head.uri.path() == "/.well-known/matrix/server";
            dispatch = dispatch.with(claims, document_service(document));
        }
        if wanted.silent_keys {
            let claims = |head: &http::request::Parts| head.uri.path() == "/_matrix/key/v2/server";
            dispatch = dispatch.with(claims, silent_service());
        }
        tokio::spawn(listener.serve(dispatch, std::future::pending()));
        Self {
            address,
            published,
            over_grpc,
            go_on,
            folder,
        }
    }

    /// The server's name: its address.
    pub fn name(&self) -> String {
        self.address.to_string()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub fn key_file(&self) -> String {
        self.path("signing.key").to_str().unwrap().to_owned()
    }

    /// Runs `comity` with these words, trusting the homeserver's authority.
    pub async fn run(&self, words: &[&str]) -> Ran {
        let words = self.words(words).await;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        run(&words).await
    }

    /// These words, and those that make the program find and trust the homeserver.
    pub async fn words(&self, words: &[&str]) -> Vec<String> {
        let ca = self.path("ca.crt");
        let mut all: Vec<&str> = words.to_vec();
        all.extend([
            "--ca",
            ca.to_str().unwrap(),
            "--allow-address",
            "127.0.0.0/8",
        ]);
        if !words.contains(&"--timeout") {
            all.extend(["--timeout", "20"]);
        }
        let dns = dns::start().await.to_string();
        all.extend(["--dns", &dns]);
        all.into_iter().map(str::to_owned).collect()
    }

    /// Runs `comity call` with these words, signed.
    pub async fn call(&self, words: &[&str]) -> Ran {
        let (name, key) = (self.name(), self.key_file());
        let mut all = vec!["call", "--origin", CALLER, "--key", &key, &name];
        all.extend(words);
        self.run(&all).await
    }
}

/// What a run gave.
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }

    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        self
    }
}

/// Runs `comity` while servers in this process answer it.
pub async fn run(words: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_comity"));
    command.args(words);
    let ran = tokio::task::spawn_blocking(move || command.output());
    let Output {
        status,
        stdout,
        stderr,
    } = ran.await.unwrap().unwrap();
    Ran {
        code: status.code(),
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    }
}

fn certificate(folder: &Path, wanted: &Wanted) -> ServerTls {
    let mut root = rcgen::CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    root.distinguished_name
        .push(rcgen::DnType::CommonName, "The Test's Authority");
    let root_key = rcgen::KeyPair::generate().unwrap();
    fs::write(
        folder.join("ca.crt"),
        root.self_signed(&root_key).unwrap().pem(),
    )
    .unwrap();
    let names: Vec<String> = wanted
        .certificate
        .iter()
        .map(|name| (*name).to_owned())
        .collect();
    let mut leaf = rcgen::CertificateParams::new(names).unwrap();
    if wanted.expired {
        leaf.not_before = rcgen::date_time_ymd(2020, 1, 1);
        leaf.not_after = rcgen::date_time_ymd(2020, 6, 1);
    }
    let key = rcgen::KeyPair::generate().unwrap();
    let issuer = rcgen::Issuer::from_params(&root, &root_key);
    let chain = leaf.signed_by(&key, &issuer).unwrap().pem();
    ServerTls::from_pem(chain.as_bytes(), key.serialize_pem().as_bytes()).unwrap()
}

/// As Synapse writes it.
fn write_key(folder: &Path, key: &SigningKey) {
    use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
    let seed = STANDARD_NO_PAD.encode(key.expose_seed());
    let line = format!("ed25519 {} {seed}\n", key.key_id().version());
    let path = folder.join("signing.key");
    fs::write(&path, line).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

/// Knows the caller's key, and asks nobody.
fn keys_of(caller: &SigningKey) -> KeyRing {
    let name: ServerName = CALLER.parse().unwrap();
    let until = now_ms() + 3_600_000;
    let document = ServerKeys::sign_document(caller, &name, until, &Default::default()).unwrap();
    let pool = Pool::new(Connector::danger_without_tls(), PoolOptions::default());
    let nobody = HttpTransport::new(Arc::new(FixedRoutes::new()), pool);
    KeyRing::new(Client::new(Arc::new(nobody)), KeyRingOptions::default())
        .with_pinned(ServerKeys::parse(document).unwrap())
}

struct House(Arc<Notify>);

fn event(number: u64) -> JsonValue {
    let text = format!(r#"{{"depth":{number},"room_id":"!r:x","type":"m.\u202e"}}"#);
    JsonValue::parse(Bytes::from(text), 4096).unwrap()
}

#[async_trait]
impl api::Server for House {
    async fn get_version(
        &self,
        _: &CallContext,
        _: GetVersion,
    ) -> Result<GetVersionReply, FederationError> {
        let text = Bytes::from_static(br#"{"name":"Test\u001b[31m","version":"1.2\nwrong: all"}"#);
        Ok(GetVersionReply {
            server: Some(Json::from_value(JsonValue::parse(text, 4096).unwrap())),
            extra: Members::new(),
        })
    }
}

#[async_trait]
impl api::Events for House {
    async fn get_event(
        &self,
        cx: &Authenticated,
        request: GetEvent,
    ) -> Result<GetEventReply, FederationError> {
        assert_eq!(cx.origin().as_str(), CALLER);
        match &request.event_id[..] {
            "$there/is" => Ok(GetEventReply {
                origin: Some("hs2".to_owned()),
                origin_server_ts: Some(1),
                pdus: Vec::new(),
                extra: Members::new(),
            }),
            _ => Err(FederationError::new(
                404,
                "M_NOT_FOUND",
                "no such event\u{1b}[2J",
            )),
        }
    }

    async fn get_state(
        &self,
        _: &Authenticated,
        request: GetState,
    ) -> Result<GetStateReply, FederationError> {
        let item = |array, index| {
            let value = event(index);
            Ok(Part::Item {
                array,
                index,
                value,
            })
        };
        let mut parts = vec![
            Ok(Part::Array("auth_chain")),
            Ok(Part::Array("pdus")),
            item("pdus", 0),
            item("pdus", 1),
        ];
        if request.event_id == "$breaks" {
            let message = "it broke off";
            let (kind, delivery) = (TransportErrorKind::Closed, Delivery::MaybeProcessed);
            let error = TransportError::new(kind, delivery, message);
            parts.push(Err(CallError::from(error)));
        }
        let parts = stream::iter(parts);
        if request.event_id == "$slow" {
            let go_on = self.0.clone();
            let last = stream::once(async move {
                go_on.notified().await;
                item("pdus", 2)
            });
            return Ok(EventReply::from_parts(parts.chain(last).boxed()));
        }
        Ok(EventReply::from_parts(parts.boxed()))
    }
}

#[async_trait]
impl api::Media for House {
    async fn download_media(
        &self,
        _: &Authenticated,
        _: api::DownloadMedia,
    ) -> Result<Blob, FederationError> {
        let halves = PICTURE.chunks(7).map(|half| Ok(Bytes::from_static(half)));
        Ok(Blob {
            metadata: Object::empty(),
            source: BlobSource::Here {
                content_type: Some("image/png".to_owned()),
                content_disposition: None,
            },
            bytes: stream::iter(halves).boxed(),
        })
    }
}

fn document_service(document: String) -> HttpService {
    HttpService::new(tower::service_fn(move |_: http::Request<_>| {
        let response = http::Response::new(body::full(document.clone()));
        async move { Ok(response) }
    }))
}

/// Never answers.
fn silent_service() -> HttpService {
    HttpService::new(tower::service_fn(|_: http::Request<_>| {
        std::future::pending::<Result<http::Response<body::Body>, _>>()
    }))
}

/// Answers any call with what it was asked.
async fn anything(_: Authenticated, call: Unregistered) -> Result<Body, FederationError> {
    if call.target().ends_with("/bytes") {
        return Ok(Body::new(Some("image/png".to_owned()), PICTURE.into()));
    }
    let content = String::from_utf8(call.content().bytes().to_vec()).unwrap();
    let text =
        serde_json::json!({ "method": call.method(), "target": call.target(), "content": content });
    let kind = Some("application/json".to_owned());
    Ok(Body::new(kind, text.to_string().into()))
}
