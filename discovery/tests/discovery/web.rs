//! An HTTPS server for any number of names, which answers as a test wants it to.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use comity_net::{
    Body, ClientTls, ConnectionInfo, Dispatch, HttpService, Listener, ListenerOptions, ServerTls,
    body,
};
use http::{Request, Response};

/// A certificate authority with one certificate for all names that a test plays.
pub struct Authority {
    root: String,
    chain: String,
    key: String,
}

impl Authority {
    pub fn new(names: &[&str]) -> Self {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let root_key = rcgen::KeyPair::generate().unwrap();
        let root = params.self_signed(&root_key).unwrap();
        let issuer = rcgen::Issuer::from_params(&params, &root_key);
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = rcgen::KeyPair::generate().unwrap();
        let leaf = rcgen::CertificateParams::new(names)
            .unwrap()
            .signed_by(&key, &issuer)
            .unwrap();
        Self {
            root: root.pem(),
            chain: leaf.pem(),
            key: key.serialize_pem(),
        }
    }

    pub fn client(&self) -> ClientTls {
        ClientTls::from_pem(self.root.as_bytes()).unwrap()
    }

    pub fn server(&self) -> ServerTls {
        ServerTls::from_pem(self.chain.as_bytes(), self.key.as_bytes()).unwrap()
    }
}

type Page = Arc<dyn Fn() -> Response<Body> + Send + Sync>;

/// One request as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    pub host: String,
    pub target: String,
    pub sni: Option<String>,
}

#[derive(Default)]
struct Site {
    pages: HashMap<(String, String), Page>,
    pause: Duration,
    arrived: Vec<Arrived>,
}

/// The server, until it is dropped.
pub struct Web {
    pub address: SocketAddr,
    site: Arc<Mutex<Site>>,
    task: tokio::task::JoinHandle<()>,
}

impl Web {
    pub async fn start(authority: &Authority) -> Self {
        Self::start_at(authority, "127.0.0.1:0".parse().unwrap()).await
    }

    pub async fn start_at(authority: &Authority, address: SocketAddr) -> Self {
        let site = Arc::<Mutex<Site>>::default();
        let shared = Arc::clone(&site);
        let service = HttpService::new(tower::service_fn(move |request: Request<Body>| {
            let site = Arc::clone(&shared);
            async move { Ok::<_, Infallible>(answer(&site, request).await) }
        }));
        let options = ListenerOptions::with_tls(authority.server());
        let listener = Listener::bind(address, options).await.unwrap();
        let address = listener.local_addr();
        let task = tokio::spawn(async move {
            listener
                .serve(Dispatch::new(service), std::future::pending())
                .await;
        });
        Self {
            address,
            site,
            task,
        }
    }

    /// What `https://host/target` answers with. `host` as it stands in `Host`.
    pub fn page(
        &self,
        host: &str,
        target: &str,
        page: impl Fn() -> Response<Body> + Send + Sync + 'static,
    ) {
        let mut site = self.site.lock().unwrap();
        let key = (host.to_owned(), target.to_owned());
        site.pages.insert(key, Arc::new(page));
    }

    pub fn well_known(
        &self,
        host: &str,
        page: impl Fn() -> Response<Body> + Send + Sync + 'static,
    ) {
        self.page(host, "/.well-known/matrix/server", page);
    }

    /// A document that delegates, with these headers.
    pub fn delegates(&self, host: &str, to: &str, headers: &[(&'static str, &str)]) {
        let text = format!(r#"{{"m.server":"{to}"}}"#);
        self.document(host, &text, headers);
    }

    pub fn document(&self, host: &str, text: &str, headers: &[(&'static str, &str)]) {
        let text = text.to_owned();
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
        self.well_known(host, move || {
            let mut response = Response::builder();
            for (name, value) in &headers {
                response = response.header(*name, value);
            }
            response.body(body::full(text.clone())).unwrap()
        });
    }

    pub fn status(&self, host: &str, status: u16) {
        self.well_known(host, move || {
            let response = Response::builder().status(status);
            response
                .body(body::full(r#"{"m.server":"wrong.test"}"#))
                .unwrap()
        });
    }

    /// Every answer takes this long.
    pub fn pause(&self, pause: Duration) {
        self.site.lock().unwrap().pause = pause;
    }

    pub fn arrived(&self) -> Vec<Arrived> {
        self.site.lock().unwrap().arrived.clone()
    }

    /// How many requests came for this host.
    pub fn asked(&self, host: &str) -> usize {
        let arrived = self.arrived();
        arrived.iter().filter(|one| one.host == host).count()
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub fn redirect(status: u16, location: &str) -> Response<Body> {
    let response = Response::builder()
        .status(status)
        .header("location", location);
    response.body(body::empty()).unwrap()
}

async fn answer(site: &Mutex<Site>, request: Request<Body>) -> Response<Body> {
    // HTTP/2 has it in the URI.
    let host = match request.headers().get("host") {
        Some(host) => host.to_str().unwrap().to_owned(),
        None => request.uri().authority().unwrap().to_string(),
    };
    let target = request.uri().path_and_query().unwrap().as_str().to_owned();
    let info = request.extensions().get::<Arc<ConnectionInfo>>().unwrap();
    let (page, pause) = {
        let mut site = site.lock().unwrap();
        let page = site.pages.get(&(host.clone(), target.clone())).cloned();
        let sni = info.tls().and_then(|tls| tls.sni.clone());
        let sni = sni.map(|sni| sni.to_string());
        site.arrived.push(Arrived { host, target, sni });
        (page, site.pause)
    };
    tokio::time::sleep(pause).await;
    match page {
        Some(page) => page(),
        None => Response::builder().status(404).body(body::empty()).unwrap(),
    }
}
