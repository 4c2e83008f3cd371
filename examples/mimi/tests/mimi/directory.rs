//! The directory: one's own, another provider's, and what is none.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use comity_core::{
    Client, Operations, Router,
    auth::Verify,
    call::{Body, operation},
    error::{CallError, Delivery, FederationError},
    json::Object,
};
use futures_util::TryStreamExt;
use mimi::{
    BadDirectory, ByDirectory, Calls, Directory, DirectoryDocument, GetDirectory, MutualTls,
    Notify, ProxyDownload, SayFrom, Update, UrlTemplate,
};

use crate::setting::{Provider, Serving, name};

fn document(text: &str) -> DirectoryDocument {
    DirectoryDocument(Object::parse(Bytes::copy_from_slice(text.as_bytes()), 1 << 16).unwrap())
}

#[tokio::test]
async fn a_directory_names_every_endpoint_and_anyone_may_ask_for_it() {
    let serving = Serving::start().await;
    let anyone = serving.authority.client(&serving.authority, &[]);
    for transport in serving.transports(&anyone) {
        let client = Client::new(transport);
        let found = client
            .get_directory(&name("b.example"), GetDirectory)
            .await
            .unwrap();
        let names: Vec<_> = found
            .0
            .members()
            .map(|(name, _)| name.into_owned())
            .collect();
        assert_eq!(
            names,
            [
                "groupInfo",
                "identifierQuery",
                "keyMaterial",
                "notify",
                "proxyDownload",
                "reportAbuse",
                "requestConsent",
                "submitMessage",
                "update",
                "updateConsent"
            ]
        );
        let update = found.0.get("update").unwrap();
        assert_eq!(
            update.as_str().unwrap(),
            "https://mimi.b.example/v1/update/{roomId}"
        );
        let directory = Directory::read(&found).unwrap();
        assert_eq!(directory.authority(), Some("mimi.b.example"));
        let url = directory.get(operation::<Update>()).unwrap();
        assert_eq!(
            url.target("mimi://b.example/r/ü"),
            "/v1/update/mimi%3A%2F%2Fb.example%2Fr%2F%C3%BC"
        );
    }
}

/// A provider that has other URLs than this crate's rows is called at its own, over each binding.
#[tokio::test]
async fn a_call_goes_to_the_url_of_the_providers_directory() {
    let targets: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = targets.clone();
    let router = Router::new().with_unregistered(move |_, request| {
        let log = log.clone();
        async move {
            log.lock()
                .unwrap()
                .push(format!("{} {}", request.method(), request.target()));
            Ok::<_, FederationError>(Body::new(None, Bytes::from_static(b"\x00\xff")))
        }
    });
    let service = router.layered(Verify::layer(Arc::new(MutualTls::new(name("b.example")))));
    let operations = Operations::none().with_unregistered();
    let serving = Serving::of(Arc::new(Provider::default()), operations, service).await;
    let theirs = document(
        r#"{"proxyDownload":"https://mimi.b.example:8443/x/{url}/dl?v=2","org.example.more":7}"#,
    );
    let directory = Directory::read(&theirs).unwrap();
    let tls = serving.authority.client(&serving.authority, &["a.example"]);
    let request = ProxyDownload {
        download_url: "https://c.example/a b".to_owned(),
    };
    for transport in serving.transports(&tls) {
        let known = [(name("b.example"), directory.clone())];
        let layers = (
            SayFrom::layer(&name("a.example")),
            ByDirectory::layer(known),
        );
        let client = Client::layered(transport, layers);
        let file = client
            .proxy_download(&name("b.example"), request.clone())
            .await
            .unwrap();
        let bytes: Vec<Bytes> = file.bytes.try_collect().await.unwrap();
        assert_eq!(bytes.concat(), b"\x00\xff");
        let target = targets.lock().unwrap().pop();
        assert_eq!(
            target.as_deref(),
            Some("GET /x/https%3A%2F%2Fc.example%2Fa%20b/dl?v=2")
        );
        let missing = client.notify(&name("b.example"), Notify::default()).await;
        let Err(CallError::Transport(error)) = missing else {
            panic!("it was sent")
        };
        assert_eq!(error.delivery(), Delivery::NotSent);
        assert!(error.to_string().contains("no notify"), "{error}");
    }
}

#[test]
fn what_is_no_directory_is_refused_by_name() {
    let bad = |text: &str| Directory::read(&document(text)).unwrap_err();
    for url in [
        "http://b.example/{x}",
        "https://b.example/x",
        "https://b.example{x}",
        "https:///{x}",
        "https://b.example/{x}/{y}",
        "https://b.example/{}",
        "https://b.example/{+x}",
        "https://b.example/ /{x}",
        "https://user@b.example/{x}",
        "https://b.example/{x}#part",
        "/v1/{x}",
    ] {
        assert_eq!(
            bad(&format!(r#"{{"notify":"{url}"}}"#)),
            BadDirectory::Url("notify".to_owned()),
            "{url}"
        );
        assert_eq!(UrlTemplate::parse(url), None);
    }
    assert_eq!(
        bad(r#"{"notify":7}"#),
        BadDirectory::Url("notify".to_owned())
    );
    let long = format!("https://b.example/{}{{x}}", "a".repeat(4_096));
    assert_eq!(
        bad(&format!(r#"{{"notify":"{long}"}}"#)),
        BadDirectory::Url("notify".to_owned())
    );
    let two = r#"{"notify":"https://b.example/{x}","update":"https://c.example/{x}"}"#;
    assert_eq!(bad(two), BadDirectory::Host("notify".to_owned()));
    assert_eq!(Directory::read(&document("{}")).unwrap().authority(), None);
}
