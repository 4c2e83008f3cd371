//! SS "Content Repository": the file behind a `Location` is fetched over http and https alone, without credentials, once redirected at most, from addresses
//! that the guard permits, and within limits of size and time.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use comity_core::{
    ServerName,
    call::{Blob, BlobSource},
    error::{CallError, Delivery, ErrorOrigin, TransportError, TransportErrorKind},
    json::Object,
    transport::{Resolve, Route},
};
use comity_http::{LocationOptions, Locations};
use comity_net::{
    AddressGuard, Body, ClientTls, Dispatch, HttpService, Listener, ListenerOptions, ServerTls,
    body,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use http::{HeaderMap, Request, Response, StatusCode, header};
use tower::service_fn;

/// Every name is this host, under the port that the URL says; what was asked for is kept.
#[derive(Debug, Default)]
struct Lookup {
    asked: Mutex<Vec<String>>,
    address: Option<IpAddr>,
}

#[async_trait]
impl Resolve for Lookup {
    async fn resolve(&self, name: &ServerName) -> Result<Route, TransportError> {
        self.asked.lock().unwrap().push(name.to_string());
        let ip = self.address.unwrap_or(IpAddr::from([127, 0, 0, 1]));
        let port = name.port().expect("the port is always said");
        Ok(Route {
            addresses: vec![SocketAddr::new(ip, port)],
            host: name.to_string(),
            certificate_name: name.host().to_owned(),
        })
    }
}

/// A server of files, in the clear and over TLS, that keeps the heads of what it is asked.
struct Files {
    http: SocketAddr,
    https: SocketAddr,
    root: String,
    heads: Arc<Mutex<Vec<HeaderMap>>>,
}

impl Files {
    async fn start() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let names = vec!["cdn.test".to_owned()];
        let certificate = rcgen::CertificateParams::new(names)
            .unwrap()
            .self_signed(&key)
            .unwrap();
        let (root, key) = (certificate.pem(), key.serialize_pem());
        let tls = ServerTls::from_pem(root.as_bytes(), key.as_bytes()).unwrap();
        let heads = Arc::default();
        Self {
            http: serve(ListenerOptions::default(), &heads).await,
            https: serve(ListenerOptions::with_tls(tls), &heads).await,
            root,
            heads,
        }
    }

    fn locations(&self, guard: AddressGuard) -> (Locations, Arc<Lookup>) {
        let lookup = Arc::new(Lookup::default());
        let tls = ClientTls::from_pem(self.root.as_bytes()).unwrap();
        (Locations::new(lookup.clone(), tls, guard), lookup)
    }

    fn url(&self, path: &str) -> String {
        format!("https://cdn.test:{}{path}", self.https.port())
    }
}

async fn serve(options: ListenerOptions, heads: &Arc<Mutex<Vec<HeaderMap>>>) -> SocketAddr {
    let heads = heads.clone();
    let files = service_fn(move |request: Request<Body>| {
        heads.lock().unwrap().push(request.headers().clone());
        async move { Ok::<_, Infallible>(file(request.uri().path_and_query().unwrap().as_str())) }
    });
    let listener = Listener::bind("127.0.0.1:0", options).await.unwrap();
    let address = listener.local_addr();
    tokio::spawn(listener.serve(
        Dispatch::new(HttpService::new(files)),
        std::future::pending(),
    ));
    address
}

fn file(target: &str) -> Response<Body> {
    let builder = Response::builder();
    if let Some(to) = target.strip_prefix("/to?") {
        return builder
            .status(StatusCode::FOUND)
            .header(header::LOCATION, to)
            .body(body::empty())
            .unwrap();
    }
    let piece =
        || stream::once(async { Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 600])) });
    match target {
        "/file?a=b" | "/file" => builder
            .header(header::CONTENT_TYPE, "image/png")
            .header(header::CONTENT_DISPOSITION, "inline; filename=cat.png")
            .body(body::full("meow"))
            .unwrap(),
        "/long" => builder.body(body::full(vec![b'x'; 1200])).unwrap(),
        "/long-unsaid" => builder
            .body(body::from_stream(piece().chain(piece())))
            .unwrap(),
        "/pausing" => builder
            .body(body::from_stream(piece().chain(stream::pending())))
            .unwrap(),
        "/dripping" => {
            let drops = stream::unfold((), |()| async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Some((Ok::<_, std::io::Error>(Bytes::from_static(b"x")), ()))
            });
            builder.body(body::from_stream(drops)).unwrap()
        }
        "/encoded" => builder
            .header(header::CONTENT_ENCODING, "gzip")
            .body(body::full("meow"))
            .unwrap(),
        _ => builder
            .status(StatusCode::NOT_FOUND)
            .body(body::full("<h1>404</h1>"))
            .unwrap(),
    }
}

fn loopback() -> AddressGuard {
    AddressGuard::default().allow_loopback()
}

async fn content(blob: Blob) -> Result<Vec<u8>, CallError> {
    Ok(blob.bytes.try_collect::<Vec<_>>().await?.concat())
}

fn fault(result: Result<Blob, CallError>) -> TransportError {
    match result {
        Err(CallError::Transport(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_file_is_fetched_as_anybody_would_fetch_it() {
    let files = Files::start().await;
    let (locations, lookup) = files.locations(loopback());
    let plain = format!("http://cdn.test:{}/file", files.http.port());
    for url in [
        files.url("/file?a=b"),
        plain.clone(),
        files.url("/file#part"),
    ] {
        let there = Blob {
            metadata: Object::parse(r#"{"x":1}"#.into(), 100).unwrap(),
            source: BlobSource::Location(url.clone()),
            bytes: stream::empty().boxed(),
        };
        let blob = locations.follow(there).await.unwrap();
        assert_eq!(blob.metadata.text(), r#"{"x":1}"#);
        let expected = BlobSource::Here {
            content_type: Some("image/png".to_owned()),
            content_disposition: Some("inline; filename=cat.png".to_owned()),
        };
        assert_eq!(blob.source, expected);
        assert_eq!(content(blob).await.unwrap(), b"meow", "{url}");
    }
    let heads = files.heads.lock().unwrap();
    assert_eq!(heads.len(), 3);
    for head in &*heads {
        assert!(!head.contains_key(header::AUTHORIZATION), "{head:?}");
        assert!(!head.contains_key(header::REFERER), "{head:?}");
        assert!(
            head[header::USER_AGENT]
                .to_str()
                .unwrap()
                .starts_with("Comity/")
        );
    }
    assert_eq!(
        lookup.asked.lock().unwrap()[1],
        plain["http://".len()..plain.len() - "/file".len()]
    );
}

#[tokio::test]
async fn a_blob_that_brought_its_bytes_is_left_as_it_is() {
    let files = Files::start().await;
    let (locations, lookup) = files.locations(loopback());
    let here = Blob {
        metadata: Object::empty(),
        source: BlobSource::Here {
            content_type: None,
            content_disposition: None,
        },
        bytes: stream::once(async { Ok(Bytes::from_static(b"here")) }).boxed(),
    };
    assert_eq!(
        content(locations.follow(here).await.unwrap())
            .await
            .unwrap(),
        b"here"
    );
    assert!(lookup.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn one_redirection_is_followed_and_no_second_and_none_out_of_tls() {
    let files = Files::start().await;
    let (locations, _) = files.locations(loopback());
    for to in ["/file", &files.url("/file")] {
        let blob = locations
            .fetch(&files.url(&format!("/to?{to}")))
            .await
            .unwrap();
        assert_eq!(content(blob).await.unwrap(), b"meow", "{to}");
    }
    let plain = format!(
        "http://cdn.test:{}/to?{}",
        files.http.port(),
        files.url("/file")
    );
    assert_eq!(
        content(locations.fetch(&plain).await.unwrap())
            .await
            .unwrap(),
        b"meow"
    );
    files.heads.lock().unwrap().clear();
    for (to, kind, asked) in [
        ("/to?/file".to_owned(), TransportErrorKind::Refused, 2),
        (
            format!("http://cdn.test:{}/file", files.http.port()),
            TransportErrorKind::Refused,
            1,
        ),
        (
            "file:///etc/passwd".to_owned(),
            TransportErrorKind::Unsupported,
            1,
        ),
        (
            "gopher://cdn.test/".to_owned(),
            TransportErrorKind::Unsupported,
            1,
        ),
    ] {
        let error = fault(locations.fetch(&files.url(&format!("/to?{to}"))).await);
        assert_eq!(error.kind(), kind, "{to}: {error}");
        assert_eq!(
            std::mem::take(&mut *files.heads.lock().unwrap()).len(),
            asked,
            "{to}"
        );
    }
}

#[tokio::test]
async fn an_address_that_is_not_global_is_not_connected_to_behind_a_redirection_neither() {
    let files = Files::start().await;
    let (locations, _) = files.locations(AddressGuard::default());
    let error = fault(locations.fetch(&files.url("/file")).await);
    assert_eq!(
        (error.kind(), error.delivery()),
        (TransportErrorKind::Refused, Delivery::NotSent)
    );
    assert!(error.message().contains("AddressGuard::allow"), "{error}");
    assert!(files.heads.lock().unwrap().is_empty());

    // The first address is let through, and points at another.
    #[derive(Debug)]
    struct Inside;

    #[async_trait]
    impl Resolve for Inside {
        async fn resolve(&self, name: &ServerName) -> Result<Route, TransportError> {
            let last = if name.host() == "inside.test" { 2 } else { 1 };
            let port = name.port().unwrap();
            Ok(Route {
                addresses: vec![SocketAddr::from(([127, 0, 0, last], port))],
                host: name.to_string(),
                certificate_name: name.host().to_owned(),
            })
        }
    }
    let guard = AddressGuard::default().allow("127.0.0.1").unwrap();
    let tls = ClientTls::from_pem(files.root.as_bytes()).unwrap();
    let locations = Locations::new(Arc::new(Inside), tls, guard);
    let port = files.http.port();
    let url = format!("http://cdn.test:{port}/to?http://inside.test:{port}/file");
    let error = fault(locations.fetch(&url).await);
    assert_eq!(error.kind(), TransportErrorKind::Refused, "{error}");
    assert!(error.message().contains("127.0.0.2"), "{error}");
}

#[tokio::test]
async fn a_file_over_its_limit_or_slower_than_its_clock_is_given_up() {
    let files = Files::start().await;
    let (locations, _) = files.locations(loopback());
    let options = LocationOptions::default()
        .with_limit(1000)
        .with_times(Duration::from_secs(5), Duration::from_millis(200));
    let locations = locations.with_options(options);
    let error = fault(locations.fetch(&files.url("/long")).await);
    assert_eq!(error.kind(), TransportErrorKind::LimitExceeded);
    assert!(error.message().contains("1000 bytes"), "{error}");
    for (path, kind) in [
        ("/long-unsaid", TransportErrorKind::LimitExceeded),
        ("/pausing", TransportErrorKind::Timeout),
    ] {
        let blob = locations.fetch(&files.url(path)).await.unwrap();
        let CallError::Transport(error) = content(blob).await.unwrap_err() else {
            panic!("{path}")
        };
        assert_eq!(error.kind(), kind, "{path}: {error}");
    }
    // Never a pause, and no end.
    let options = LocationOptions::default().with_total(Duration::from_millis(300));
    let blob = locations.clone().with_options(options);
    let blob = blob.fetch(&files.url("/dripping")).await.unwrap();
    let read = tokio::time::timeout(Duration::from_secs(10), content(blob)).await;
    let Ok(Err(CallError::Transport(error))) = read else {
        panic!("{read:?}")
    };
    assert_eq!(error.kind(), TransportErrorKind::Timeout);
    assert!(error.message().contains("setting: total"), "{error}");

    let error = fault(locations.fetch(&files.url("/encoded")).await);
    assert_eq!(error.kind(), TransportErrorKind::Protocol);

    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://cdn.test:{}/", silent.local_addr().unwrap().port());
    let options =
        LocationOptions::default().with_times(Duration::from_millis(200), Duration::from_secs(5));
    let error = fault(locations.with_options(options).fetch(&url).await);
    assert_eq!(error.kind(), TransportErrorKind::Timeout, "{error}");
}

#[tokio::test]
async fn what_is_no_file_is_an_answer_of_something_on_the_way() {
    let files = Files::start().await;
    let (locations, _) = files.locations(loopback());
    let Err(CallError::Federation(error)) = locations.fetch(&files.url("/nothing")).await else {
        panic!("there is no file")
    };
    assert_eq!(
        (error.http_status(), &error.body()[..]),
        (404, b"<h1>404</h1>".as_slice())
    );
    assert_eq!(*error.origin(), ErrorOrigin::Intermediary);
}
