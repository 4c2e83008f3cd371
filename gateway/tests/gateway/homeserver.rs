//! The homeservers of the tests: they keep what they are sent and answer what they are told.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use comity_core::{
    ServerName,
    auth::{KeyDocument, SignedRequest, SigningKey, now_ms},
};
use comity_net::{Body, Dispatch, HttpService, Listener, ListenerOptions, Protocol, body};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::BodyExt;
use tokio::net::TcpStream;

/// What a homeserver was sent.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Seen {
    /// Every value of a header.
    pub fn all(&self, name: &str) -> Vec<String> {
        let values = self.headers.get_all(name).iter();
        values
            .map(|value| value.to_str().unwrap().to_owned())
            .collect()
    }
}

type Handler = Arc<dyn Fn(Seen) -> Answered + Send + Sync>;
type Answered = std::pin::Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// A homeserver: plain HTTP/1.1 on loopback.
pub struct Homeserver {
    pub name: ServerName,
    pub key: Arc<SigningKey>,
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    handler: Arc<Mutex<Handler>>,
    publishes: Arc<AtomicBool>,
    service: HttpService,
    task: tokio::task::JoinHandle<()>,
}

impl Homeserver {
    pub async fn start(name: &str, seed: u8) -> Self {
        let name: ServerName = name.parse().unwrap();
        let key = Arc::new(SigningKey::from_seed("1", &[seed; 32]).unwrap());
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let empty: Handler = Arc::new(|_| Box::pin(async { json(200, "{}") }));
        let handler = Arc::new(Mutex::new(empty));
        let document = KeyDocument::new(name.clone(), now_ms() + 24 * 3600 * 1000);
        let document = document.sign(&[&key]).unwrap();
        let publishes = Arc::new(AtomicBool::new(true));
        let (seen_too, handler_too, publishes_too) =
            (seen.clone(), handler.clone(), publishes.clone());
        let service = tower::service_fn(move |request: Request<Body>| {
            let (seen, handler, document) =
                (seen_too.clone(), handler_too.clone(), document.clone());
            let publishes = publishes_too.load(Ordering::Relaxed);
            async move {
                let (head, content) = request.into_parts();
                let body = content.collect().await.unwrap().to_bytes();
                let one = Seen {
                    method: head.method.to_string(),
                    target: head.uri.to_string(),
                    headers: head.headers,
                    body,
                };
                if publishes && one.target == "/_matrix/key/v2/server" && one.method == "GET" {
                    return Ok::<_, Infallible>(json(200, document));
                }
                seen.lock().unwrap().push(one.clone());
                let handler = handler.lock().unwrap().clone();
                Ok(handler(one).await)
            }
        });
        let options = ListenerOptions {
            protocol: Protocol::Http1,
            ..ListenerOptions::default()
        };
        let listener = Listener::bind("127.0.0.1:0", options).await.unwrap();
        let address = listener.local_addr();
        let service = HttpService::new(service);
        let dispatch = Dispatch::new(service.clone());
        let task = tokio::spawn(async move {
            listener.serve(dispatch, std::future::pending()).await;
        });
        Self {
            service,
            name,
            key,
            address,
            seen,
            handler,
            publishes,
            task,
        }
    }

    /// Answers on a Unix socket as well.
    pub fn also_at(&self, path: &std::path::Path) {
        let options = ListenerOptions {
            protocol: Protocol::Http1,
            ..ListenerOptions::default()
        };
        let listener = Listener::bind_unix(path, options).unwrap();
        let dispatch = Dispatch::new(self.service.clone());
        tokio::spawn(async move {
            listener.serve(dispatch, std::future::pending()).await;
        });
    }

    /// Dies.
    pub async fn stop(&self) {
        self.task.abort();
        while TcpStream::connect(self.address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Has its keys asked for like anything else: it publishes none by itself any more.
    pub fn publishes_nothing(&self) {
        self.publishes.store(false, Ordering::Relaxed);
    }

    /// Answers every call so from now on.
    pub fn answers<F, R>(&self, handler: F)
    where
        F: Fn(Seen) -> R + Send + Sync + 'static,
        R: Future<Output = Response<Body>> + Send + 'static,
    {
        *self.handler.lock().unwrap() = Arc::new(move |seen| Box::pin(handler(seen)));
    }

    /// What it was sent since it was last asked, key fetches aside.
    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }

    /// The one call that it was sent since.
    pub fn only(&self) -> Seen {
        let mut seen = self.take_seen();
        assert_eq!(seen.len(), 1, "{seen:#?}");
        seen.remove(0)
    }

    /// The credential that this homeserver makes.
    pub fn sign(&self, to: &str, method: &str, target: &str, content: Option<&[u8]>) -> String {
        let signed = SignedRequest {
            method,
            uri: target,
            origin: &self.name,
            destination: to,
            content,
        };
        signed.sign(&self.key).to_header()
    }
}

impl Drop for Homeserver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub fn json(status: u16, content: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(body::full(content.into()));
    *response.status_mut() = status.try_into().unwrap();
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
