//! Unix sockets, and sockets that a service manager passes.

use std::{os::unix::net::UnixListener, path::Path};

use comity_gateway::Gateway;
use comity_net::InheritedSocket;
use tokio::net::UnixStream;

use crate::setting::{HS2, Outgoing, Pair, Settings, Side, exchange};

const EVENT: &str = "/_matrix/federation/v1/event/%24x";

#[tokio::test]
async fn the_homeserver_may_be_beside_unix_sockets_both_ways() {
    let folder = tempfile::tempdir().unwrap();
    let (own, beside) = (
        folder.path().join("gateway.sock"),
        folder.path().join("hs.sock"),
    );
    let one = Settings::default().without("egress").with(
        "egress",
        format!(
            "listen = \"unix:{}\"\nsecret_file = \"egress.secret\"",
            own.display()
        ),
    );
    let two = Settings::default()
        .without("homeserver")
        .with("homeserver", format!("url = \"unix:{}\"", beside.display()));
    let pair = Pair::with("grpc", one, two).await;
    pair.two.homeserver.also_at(&beside);
    let signed = pair.one.homeserver.sign(HS2, "GET", EVENT, None);
    let call = Outgoing::new(HS2, "GET", EVENT).signed(&signed);
    let got = exchange(UnixStream::connect(&own).await.unwrap(), call.request()).await;
    assert_eq!(got.status, 200, "{got:?}");
    assert_eq!(pair.two.homeserver.only().target, EVENT);
    // Nobody else of the machine's users.
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&own).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o660);
    drop(pair);
}

fn bound(path: &Path) -> InheritedSocket {
    InheritedSocket::Unix(UnixListener::bind(path).unwrap())
}

#[tokio::test]
async fn a_socket_that_was_passed_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.sock");
    let passed = bound(&path);
    // Somebody called before the gateway was there.
    let early = UnixStream::connect(&path).await.unwrap();
    let authority = crate::setting::Authority::new();
    let settings = Settings::default().without("egress").with(
        "egress",
        format!(
            "listen = \"unix:{}\"\nsecret_file = \"egress.secret\"",
            path.display()
        ),
    );
    let (homeserver, config, _files) =
        Side::configured(crate::setting::HS1, 1, &authority, settings).await;
    let gateway = Gateway::start(config, vec![passed], None).await.unwrap();
    let got = exchange(early, Outgoing::new(HS2, "GET", "/").request()).await;
    assert_eq!(got.status, 400);
    drop((gateway, homeserver));
}

#[tokio::test]
async fn a_socket_that_nobody_asked_for_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let passed = bound(&folder.path().join("other.sock"));
    let authority = crate::setting::Authority::new();
    let (_homeserver, config, _files) =
        Side::configured(crate::setting::HS1, 1, &authority, Settings::default()).await;
    let error = Gateway::start(config, vec![passed], None)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("does not name"), "{error}");
}

#[tokio::test]
async fn a_store_that_nobody_opened_is_missed() {
    let authority = crate::setting::Authority::new();
    let settings = Settings {
        more: "[keys]\nstore = \"keys.redb\"\n".to_owned(),
        ..Settings::default()
    };
    let (_homeserver, config, files) =
        Side::configured(crate::setting::HS1, 1, &authority, settings).await;
    assert_eq!(config.key_store, Some(files.path().join("keys.redb")));
    let error = Gateway::start(config, Vec::new(), None).await.unwrap_err();
    assert!(error.to_string().contains("nobody has opened"), "{error}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let authority = crate::setting::Authority::new();
    let address = taken.local_addr().unwrap();
    let settings = Settings::default().without("egress").with(
        "egress",
        format!("listen = \"{address}\"\nsecret_file = \"egress.secret\""),
    );
    let (_homeserver, config, _files) =
        Side::configured(crate::setting::HS1, 1, &authority, settings).await;
    let error = Gateway::start(config, Vec::new(), None).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on {address}"));
}
