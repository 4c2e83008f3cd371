//! What the tests share: gateways beside homeservers, and a homeserver's way of calling.

use std::{fmt::Write as _, time::Duration};

use bytes::Bytes;
use comity_core::ServerName;
use comity_gateway::{Config, ConfigError, Gateway, StartError};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

pub use crate::{
    homeserver::{Homeserver, json},
    stranger::Stranger,
};

pub const HS1: &str = "hs1.example";
pub const HS2: &str = "hs2.example";
pub const SECRET: &str = "between-the-two-of-us";

/// A certificate authority.
pub struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    pub root: String,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: rcgen::Issuer::new(params, key),
            root,
        }
    }

    /// Chain and key, PEM.
    pub fn certificate(&self, name: &str) -> (String, String) {
        let name: ServerName = name.parse().unwrap();
        let host = name.host();
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![host.to_owned()]).unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        (leaf.pem(), key.serialize_pem())
    }
}

/// What of a gateway's configuration a test sets.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Lines at the top of tables: `("homeserver", "paths = [..]")`.
    pub lines: Vec<(&'static str, String)>,
    /// Tables of which nothing is set unless here.
    pub replaced: Vec<&'static str>,
    /// Whole tables behind the others.
    pub more: String,
}

impl Settings {
    pub fn with(mut self, table: &'static str, line: impl Into<String>) -> Self {
        self.lines.push((table, line.into()));
        self
    }

    pub fn without(mut self, table: &'static str) -> Self {
        self.replaced.push(table);
        self
    }
}

/// A homeserver with a gateway beside it.
pub struct Side {
    pub homeserver: Homeserver,
    pub gateway: Gateway,
    settings: Settings,
    files: TempDir,
}

impl Side {
    pub async fn start(name: &str, seed: u8, authority: &Authority, settings: Settings) -> Self {
        let side = Self::try_start(name, seed, authority, settings).await;
        side.unwrap()
    }

    /// Starts one, if the addresses that it is to listen on are free.
    pub async fn try_start(
        name: &str,
        seed: u8,
        authority: &Authority,
        settings: Settings,
    ) -> Result<Self, StartError> {
        let (homeserver, config, files) =
            Self::configured(name, seed, authority, settings.clone()).await;
        let gateway = Gateway::start(config, Vec::new(), None).await?;
        Ok(Self {
            homeserver,
            gateway,
            settings,
            files,
        })
    }

    /// A homeserver, and what a gateway beside it is told.
    pub async fn configured(
        name: &str,
        seed: u8,
        authority: &Authority,
        settings: Settings,
    ) -> (Homeserver, Config, TempDir) {
        let (homeserver, files) = Self::prepared(name, seed, authority).await;
        let config = configured(&homeserver, &files, &settings, &[]);
        (homeserver, config, files)
    }

    /// A homeserver, and the files that a gateway beside it needs, but for its configuration.
    pub async fn prepared(name: &str, seed: u8, authority: &Authority) -> (Homeserver, TempDir) {
        let homeserver = Homeserver::start(name, seed).await;
        let files = tempfile::tempdir().unwrap();
        let (chain, key) = authority.certificate(name);
        let write = |file: &str, content: &str| std::fs::write(files.path().join(file), content);
        write("tls.crt", &chain).unwrap();
        write("tls.key", &key).unwrap();
        write("ca.crt", &authority.root).unwrap();
        write("egress.secret", &format!("{SECRET}\n")).unwrap();
        (homeserver, files)
    }

    /// Tells the gateway of a peer: lines of its table.
    pub fn knows(&self, peers: &[(&str, String)]) {
        let config = configured(&self.homeserver, &self.files, &self.settings, peers);
        assert_eq!(self.gateway.reload(config).unwrap(), [""; 0]);
    }

    /// What Prometheus reads.
    pub async fn metrics(&self) -> String {
        let got = self.asks("/metrics").await;
        String::from_utf8(got.body.to_vec()).unwrap()
    }

    /// One of the operator's pages.
    pub async fn asks(&self, path: &str) -> Got {
        let address = self.gateway.admin_addr().unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let call = Outgoing {
            method: "GET".to_owned(),
            uri: path.to_owned(),
            headers: vec![("host".to_owned(), address.to_string())],
            content: None,
        };
        exchange(stream, call.request()).await
    }

    /// Has another certificate of its own.
    pub fn renews(&self, authority: &Authority, peers: &[(&str, String)]) {
        let (chain, key) = authority.certificate(self.homeserver.name.as_str());
        self.files_of_certificate(&chain, &key);
        self.knows(peers);
    }

    fn files_of_certificate(&self, chain: &str, key: &str) {
        std::fs::write(self.files.path().join("tls.crt"), chain).unwrap();
        std::fs::write(self.files.path().join("tls.key"), key).unwrap();
    }

    /// Whether this certificate is taken over.
    pub fn try_certificate(&self, chain: &str, key: &str) -> Result<(), ConfigError> {
        self.files_of_certificate(chain, key);
        let config = configuration(&self.homeserver, &self.files, &self.settings, &[])?;
        self.gateway.reload(config).unwrap();
        Ok(())
    }

    /// Takes over other settings: which of them wait for a restart.
    pub fn reloads_with(&self, settings: Settings) -> Vec<&'static str> {
        let config = configured(&self.homeserver, &self.files, &settings, &[]);
        self.gateway.reload(config).unwrap()
    }

    /// A call as Synapse makes it, signed.
    pub async fn calls(&self, to: &str, method: &str, target: &str, content: Option<&str>) -> Got {
        let signed = self
            .homeserver
            .sign(to, method, target, content.map(str::as_bytes));
        let mut call = Outgoing::new(to, method, target).signed(&signed);
        call.content = content.map(|content| Bytes::copy_from_slice(content.as_bytes()));
        self.send(call).await
    }

    /// Sends a request to the egress.
    pub async fn send(&self, call: Outgoing) -> Got {
        let stream = TcpStream::connect(self.gateway.egress_addr().unwrap())
            .await
            .unwrap();
        exchange(stream, call.request()).await
    }
}

fn configuration(
    homeserver: &Homeserver,
    files: &TempDir,
    settings: &Settings,
    peers: &[(&str, String)],
) -> Result<Config, ConfigError> {
    let text = configuration_text(homeserver, settings, peers);
    let file = files.path().join("gateway.toml");
    Config::read(file.to_str().unwrap(), &text)
}

/// What stands in a gateway's file.
pub fn configuration_text(
    homeserver: &Homeserver,
    settings: &Settings,
    peers: &[(&str, String)],
) -> String {
    let tables = [
        (
            "homeserver",
            format!("url = \"http://{}\"", homeserver.address),
        ),
        (
            "egress",
            "listen = \"127.0.0.1:0\"\nsecret_file = \"egress.secret\"".to_owned(),
        ),
        (
            "listen",
            "address = \"127.0.0.1:0\"\ncertificate = \"tls.crt\"\nkey = \"tls.key\"".to_owned(),
        ),
        (
            "trust",
            "ca = [\"ca.crt\"]\nallow_addresses = [\"127.0.0.0/8\"]".to_owned(),
        ),
        ("bindings", String::new()),
        // Nobody answers there, at once.
        ("discovery", "dns = [\"127.0.0.1:9\"]".to_owned()),
        ("admin", "listen = \"127.0.0.1:0\"".to_owned()),
        ("limits", "drain_seconds = 5".to_owned()),
    ];
    let mut text = format!("server_name = \"{}\"\n", homeserver.name);
    for (table, own) in tables {
        let own = if settings.replaced.contains(&table) {
            ""
        } else {
            &*own
        };
        writeln!(text, "[{table}]\n{own}").unwrap();
        for (_, line) in settings.lines.iter().filter(|(of, _)| *of == table) {
            writeln!(text, "{line}").unwrap();
        }
    }
    for (peer, lines) in peers {
        writeln!(text, "[peers.\"{peer}\"]\n{lines}").unwrap();
    }
    text.push_str(&settings.more);
    text
}

fn configured(
    homeserver: &Homeserver,
    files: &TempDir,
    settings: &Settings,
    peers: &[(&str, String)],
) -> Config {
    configuration(homeserver, files, settings, peers).unwrap()
}

/// A request to an egress.
#[derive(Clone, Debug)]
pub struct Outgoing {
    pub method: String,
    pub uri: String,
    pub headers: Vec<(String, String)>,
    pub content: Option<Bytes>,
}

impl Outgoing {
    /// With the secret, and the `Host` that Synapse sends.
    pub fn new(to: &str, method: &str, target: &str) -> Self {
        let call = Self {
            method: method.to_owned(),
            uri: format!("matrix-federation://{to}{target}"),
            headers: Vec::new(),
            content: None,
        };
        call.with("proxy-authorization", &format!("Bearer {SECRET}"))
            .with("host", &format!("{to}:80"))
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(other, _)| other != name);
        self
    }

    pub fn signed(self, credential: &str) -> Self {
        self.with("authorization", credential)
    }

    pub fn request(self) -> Request<Full<Bytes>> {
        let mut request = Request::builder().method(&*self.method).uri(self.uri);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if self.content.is_some() {
            request = request.header("content-type", "application/json");
        }
        let content = self.content.unwrap_or_default();
        request.body(Full::new(content)).unwrap()
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Got {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Got {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Status and errcode of an error that names a gateway, and which it names.
    pub fn via(&self) -> (u16, String, String) {
        let json = self.json();
        let member = |name: &str| json[name].as_str().unwrap_or("(none)").to_owned();
        (self.status, member("errcode"), member("via"))
    }
}

/// One HTTP/1.1 exchange over a connection of its own.
pub async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Got
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let io = TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    let connection = tokio::spawn(connection);
    let response = tokio::time::timeout(Duration::from_secs(30), sender.send_request(request));
    let (head, content) = response.await.unwrap().unwrap().into_parts();
    let body = content.collect().await.unwrap().to_bytes();
    connection.abort();
    Got {
        status: head.status.as_u16(),
        headers: head.headers,
        body,
    }
}

/// Two of them that know each other, over this binding.
pub struct Pair {
    pub one: Side,
    pub two: Side,
    pub authority: Authority,
}

impl Pair {
    pub async fn start(binding: &str) -> Self {
        Self::with(binding, Settings::default(), Settings::default()).await
    }

    pub async fn with(binding: &str, one: Settings, two: Settings) -> Self {
        let authority = Authority::new();
        let one = Side::start(HS1, 1, &authority, one).await;
        let two = Side::start(HS2, 2, &authority, two).await;
        let pair = Self {
            one,
            two,
            authority,
        };
        pair.one.knows(&[(HS2, peer(binding, &pair.two))]);
        pair.two.knows(&[(HS1, peer(binding, &pair.one))]);
        pair
    }
}

/// The lines for a peer that is called directly.
pub fn peer(binding: &str, side: &Side) -> String {
    let target = side.gateway.inbound_addr().unwrap();
    format!("binding = \"{binding}\"\ntarget = \"{target}\"")
}
