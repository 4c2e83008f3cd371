//! Absolute-form targets, as a homeserver sends them to the proxy of its federation sender: what was signed stays byte for byte.

use std::{convert::Infallible, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use comity_core::{
    CallService, Operations, ServerName,
    auth::{KeyFault, KeyId, KeySource, Verify, VerifyKey, XMatrixAuthenticator},
    call::{Body as CallBody, Call, Message, Reply, ReplyShape},
    json::Object,
};
use comity_http::{Addressed, HttpServer, reply};
use comity_net::{Body, Dispatch, HttpService, Listener, ListenerOptions, body};
use http::Request;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    sync::mpsc,
    task::JoinHandle,
};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::setting::handler;

const KEY_DOCUMENT: &[u8] = include_bytes!("fixtures/key-document.request");
const MAKE_JOIN: &[u8] = include_bytes!("fixtures/make-join.request");
const SEND_JOIN: &[u8] = include_bytes!("fixtures/send-join.request");

/// The key of `hs2.test` at the time of the recording.
#[derive(Debug)]
struct Recorded;

#[async_trait]
impl KeySource for Recorded {
    async fn request_key(&self, server: &ServerName, id: &KeyId) -> Result<VerifyKey, KeyFault> {
        assert_eq!(
            (server.as_str(), id.as_str()),
            ("hs2.test", "ed25519:a_hs2")
        );
        let key = "iSkb0ISoSiG7hSHbiRlofEKLjI7V+aCWdTGaC6NGMFc";
        Ok(VerifyKey::from_base64(key).unwrap())
    }
}

/// What arrived at the service.
#[derive(Debug)]
struct Seen {
    destination: Option<ServerName>,
    method: String,
    target: String,
}

/// Reads the destination from the target, as the proxy of a homeserver does.
fn addressing(server: HttpServer) -> HttpService {
    HttpService::new(service_fn(move |mut request: Request<Body>| {
        let answering = match Addressed::from_target(request.uri()) {
            Ok(addressed) => {
                request.extensions_mut().insert(addressed);
                Ok(server.clone().call(request))
            }
            Err(error) => Err(reply::error_response(&error)),
        };
        async move {
            match answering {
                Ok(answering) => answering.await,
                Err(refused) => Ok(refused),
            }
        }
    }))
}

/// Proxies on a TCP port and a Unix socket at once, and what came through.
struct Proxy {
    address: std::net::SocketAddr,
    socket: PathBuf,
    seen: mpsc::Receiver<Seen>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        let _ = std::fs::remove_file(&self.socket);
    }
}

impl Proxy {
    async fn start(test: &str, verified: bool) -> Self {
        let (seen, receiver) = mpsc::channel(64);
        let handler: CallService = handler(move |mut call: Call| {
            let seen = seen.clone();
            async move {
                call.make_form().unwrap();
                let form = call.form().unwrap();
                seen.try_send(Seen {
                    destination: call.context().destination.clone(),
                    method: form.method().to_owned(),
                    target: form.target().to_owned(),
                })
                .unwrap();
                Ok(match call.spec().reply {
                    ReplyShape::Body => Reply::Body(CallBody::new(None, "{}".into())),
                    _ => Reply::Message(Message::from_content(Object::empty())),
                })
            }
        });
        let authenticator =
            XMatrixAuthenticator::new("hs1.test".parse().unwrap(), Arc::new(Recorded));
        let service = match verified {
            true => CallService::new(Verify::layer(Arc::new(authenticator)).layer(handler)),
            false => handler,
        };
        let operations = Operations::federation().with_unregistered();
        let service = addressing(HttpServer::new(operations, service));
        let socket =
            std::env::temp_dir().join(format!("comity-{test}-{}.sock", std::process::id()));
        let options = ListenerOptions::default;
        let tcp = Listener::bind(("127.0.0.1", 0), options()).await.unwrap();
        let unix = Listener::bind_unix(&socket, options()).unwrap();
        let address = tcp.local_addr();
        let tasks = [tcp, unix].map(|listener| {
            let dispatch = Dispatch::new(service.clone());
            tokio::spawn(async move {
                listener.serve(dispatch, std::future::pending()).await;
            })
        });
        Self {
            address,
            socket,
            seen: receiver,
            tasks: tasks.into(),
        }
    }

    /// Sends bytes and reads until the server closes, over each socket; both say the same.
    async fn ask(&mut self, bytes: &[u8]) -> String {
        let over_tcp = exchange(TcpStream::connect(self.address).await.unwrap(), bytes).await;
        let over_unix = exchange(UnixStream::connect(&self.socket).await.unwrap(), bytes).await;
        assert_eq!(status(&over_tcp), status(&over_unix));
        over_unix
    }

    /// What came of the last request, the same over each socket; nothing if none did.
    fn seen(&mut self) -> Option<Seen> {
        let (first, second) = (self.seen.try_recv().ok()?, self.seen.try_recv().unwrap());
        assert_eq!(format!("{first:?}"), format!("{second:?}"));
        Some(first)
    }

    /// What arrived of a GET for this absolute-form target.
    async fn get(&mut self, target: &str) -> (String, Option<Seen>) {
        let head = format!("GET {target} HTTP/1.1\r\nHost: wrong:80\r\nConnection: close\r\n\r\n");
        let answer = self.ask(head.as_bytes()).await;
        (answer, self.seen())
    }
}

async fn exchange(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin, bytes: &[u8]) -> String {
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

fn status(answer: &str) -> &str {
    answer.get(9..12).expect("an answer with a status")
}

/// Method, authority, and path with query of a recorded request.
fn parts(request: &[u8]) -> (String, String, String) {
    let text = String::from_utf8(request.to_vec()).unwrap();
    let line = text.lines().next().unwrap();
    let (method, rest) = line.split_once(" matrix-federation://").unwrap();
    let (authority, path) = rest
        .strip_suffix(" HTTP/1.1")
        .unwrap()
        .split_once('/')
        .unwrap();
    (method.to_owned(), authority.to_owned(), format!("/{path}"))
}

#[tokio::test]
async fn a_homeservers_own_bytes_arrive_as_they_were_signed() {
    let mut proxy = Proxy::start("own-bytes", true).await;
    for request in [KEY_DOCUMENT, MAKE_JOIN, SEND_JOIN] {
        let (method, authority, target) = parts(request);
        let answer = proxy.ask(request).await;
        // The authenticator has hashed the target as it arrived, and the content: one byte more or less is 401.
        assert_eq!(status(&answer), "200", "{method} {target}: {answer}");
        let seen = proxy.seen().unwrap();
        assert_eq!((seen.method, seen.target), (method, target));
        assert_eq!(seen.destination.unwrap().as_str(), authority);
    }
}

#[tokio::test]
async fn a_byte_that_was_not_signed_is_noticed() {
    let mut proxy = Proxy::start("one-byte", true).await;
    let text = String::from_utf8(MAKE_JOIN.to_vec()).unwrap();
    for (from, to) in [
        ("%40", "@"),
        ("%3A", "%3a"),
        ("ver=1&", ""),
        ("hs1.test/", "hs3.test/"),
    ] {
        assert!(text.contains(from));
        let answer = proxy.ask(text.replacen(from, to, 1).as_bytes()).await;
        assert_eq!(status(&answer), "401", "{from} as {to}: {answer}");
        assert!(
            answer.contains("M_UNAUTHORIZED") || answer.contains("M_FORBIDDEN"),
            "{answer}"
        );
        assert!(proxy.seen().is_none());
    }
}

#[tokio::test]
async fn the_destination_is_the_authority_as_it_was_written() {
    let mut proxy = Proxy::start("authorities", false).await;
    for name in [
        "hs1.example",
        "HS1.Example",
        "hs1.example:8448",
        "hs1.example:08448",
        "a-b.example:1",
        "192.0.2.1",
        "192.0.2.1:8448",
        "[2001:db8::1]",
        "[2001:db8::1]:8448",
        "[::ffff:192.0.2.1]:443",
        "localhost:18448",
    ] {
        let target = format!("matrix-federation://{name}/_matrix/federation/v1/version?a=%40");
        let (answer, seen) = proxy.get(&target).await;
        assert_eq!(status(&answer), "200", "{name}: {answer}");
        let seen = seen.unwrap();
        assert_eq!(seen.destination.unwrap(), name);
        assert_eq!(seen.target, "/_matrix/federation/v1/version?a=%40");
    }
}

#[tokio::test]
async fn path_and_query_stay_whatever_they_are() {
    let mut proxy = Proxy::start("paths", false).await;
    for path in [
        "/_matrix/federation/v1/x/%21a%3Ab/'(){}*~!$&,;=:@",
        "/_matrix/federation/v1/./x/../y//z/",
        "/_matrix/federation/v1/%2e%2E/%2f%5c%00",
        "/_matrix/federation/v1/x?",
        "/_matrix/federation/v1/x?a=b&a=b&&=&%3f?/",
        "/_matrix/federation/v1/x?u=https://other.example/%20",
        "/_synapse/admin",
        "/",
    ] {
        let (_, seen) = proxy
            .get(&format!("matrix-federation://hs1.example:8448{path}"))
            .await;
        assert_eq!(seen.unwrap().target, path);
    }
}

#[tokio::test]
async fn a_target_without_a_server_name_is_refused() {
    let mut proxy = Proxy::start("refused", false).await;
    for target in [
        "/_matrix/federation/v1/version",
        "http://hs1.example/_matrix/federation/v1/version",
        "https://hs1.example/_matrix/federation/v1/version",
        "matrix-federations://hs1.example/_matrix/federation/v1/version",
        "matrix://hs1.example/_matrix/federation/v1/version",
        "matrix-federation://user@hs1.example/_matrix/federation/v1/version",
        "matrix-federation://user:password@hs1.example/_matrix/federation/v1/version",
        "matrix-federation://hs_1.example/_matrix/federation/v1/version",
        "matrix-federation://hs1.example:/_matrix/federation/v1/version",
        "matrix-federation://hs1.example:port/_matrix/federation/v1/version",
        "matrix-federation://hs1.example:123456/_matrix/federation/v1/version",
        "matrix-federation:///_matrix/federation/v1/version",
        "matrix-federation://[::1/_matrix/federation/v1/version",
        "matrix-federation:/_matrix/federation/v1/version",
        "hs1.example:8448",
        "*",
    ] {
        let (answer, seen) = proxy.get(target).await;
        assert_eq!(status(&answer), "400", "{target}: {answer}");
        assert!(seen.is_none(), "{target}");
    }
}

#[tokio::test]
async fn a_tunnel_is_not_opened() {
    let mut proxy = Proxy::start("tunnel", false).await;
    let answer = proxy
        .ask(b"CONNECT hs1.example:8448 HTTP/1.1\r\nHost: hs1.example\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!(status(&answer), "400");
    assert!(answer.contains("M_INVALID_PARAM"), "{answer}");
}

/// Nobody reads a destination from an absolute-form target unasked: a server that listens for the world would else be told whom to impersonate.
#[tokio::test]
async fn without_the_extension_the_target_names_no_destination() {
    let (seen, mut receiver) = mpsc::channel(1);
    let handler = handler(move |call: Call| {
        seen.try_send(call.context().destination.clone()).unwrap();
        async { Ok(Reply::Message(Message::from_content(Object::empty()))) }
    });
    let server = HttpServer::new(Operations::federation(), handler);
    let request = Request::get("matrix-federation://hs1.example/_matrix/federation/v1/version")
        .body(body::empty())
        .unwrap();
    let response: Result<_, Infallible> = server.boxed().oneshot(request).await;
    assert_eq!(response.unwrap().status(), 200);
    assert_eq!(receiver.recv().await.unwrap(), None);
}
