//! Who may be talked to, and what is known of the connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use comity_core::error::{Delivery, TransportErrorKind};
use comity_net::{
    ClientTls, ConnectionInfo, Connector, Counters, ListenerOptions, Pool, PoolOptions, Protocol,
    body,
};
use http::Response;
use tokio::io::AsyncReadExt;

use crate::setting::{Authority, Peer, Serving, ask, echo, get, put, route, service, text};

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_before_any_byte_of_the_request() {
    let authority = Authority::new();
    let bytes = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&bytes);
    let peer = Peer::tls(&authority, &[b"h2", b"http/1.1"], move |mut tls, _| {
        let counter = Arc::clone(&counter);
        async move {
            let mut all = Vec::new();
            let _ = tls.read_to_end(&mut all).await;
            counter.fetch_add(all.len(), Ordering::SeqCst);
        }
    })
    .await;
    let mut route = route(peer.address);
    route.certificate_name = "other.test".to_owned();
    let error = ask(&authority.pool(Protocol::Http1), &route, "/secret")
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.delivery()),
        (TransportErrorKind::Tls, Delivery::NotSent)
    );
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert_eq!(bytes.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_authority_that_is_not_ours_is_refused_unless_danger_is_asked_for() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let serving = Serving::start(ListenerOptions::with_tls(theirs.server()), echo()).await;
    let error = ask(&ours.pool(Protocol::Http2), &serving.route(), "/")
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.delivery()),
        (TransportErrorKind::Tls, Delivery::NotSent)
    );
    let guard = comity_net::AddressGuard::default().allow_loopback();
    let connector = Connector::new(ClientTls::danger_accept_any_certificate()).with_guard(guard);
    ask(
        &Pool::new(connector, PoolOptions::default()),
        &serving.route(),
        "/",
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn an_ip_literal_is_verified_without_sni() {
    let authority = Authority::new();
    let serving = Serving::start(
        ListenerOptions::with_tls(authority.server()),
        service(|request| async move {
            let info = request.extensions().get::<Arc<ConnectionInfo>>().unwrap();
            Response::new(body::full(format!("{:?}", info.tls().unwrap().sni)))
        }),
    )
    .await;
    let pool = authority.pool(Protocol::Http1);
    assert_eq!(
        ask(&pool, &serving.route(), "/").await.unwrap(),
        "Some(\"matrix.test\")"
    );
    let mut route = serving.route();
    for name in ["127.0.0.1", "::1"] {
        route.certificate_name = name.to_owned();
        assert_eq!(ask(&pool, &route, "/").await.unwrap(), "None");
    }
}

#[tokio::test]
async fn the_guard_refuses_loopback_and_names_its_setting() {
    let authority = Authority::new();
    let peer = Peer::tcp(|_, _| async {}).await;
    let pool = Pool::new(Connector::new(authority.client()), PoolOptions::default());
    let error = ask(&pool, &route(peer.address), "/").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.delivery()),
        (TransportErrorKind::Refused, Delivery::NotSent)
    );
    assert!(error.message().contains("127.0.0.1"), "{error}");
    assert!(error.message().contains("AddressGuard::allow"), "{error}");
    assert_eq!(peer.accepted(), 0);
}

#[tokio::test]
async fn a_peer_without_http2_is_told_apart() {
    let authority = Authority::new();
    let peer = Peer::tls(&authority, &[], |_, _| async {}).await;
    let error = ask(&authority.pool(Protocol::Http2), &route(peer.address), "/")
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.delivery()),
        (TransportErrorKind::Unsupported, Delivery::NotSent)
    );
}

#[tokio::test]
async fn sessions_are_resumed() {
    let authority = Authority::new();
    let serving = Serving::start(ListenerOptions::with_tls(authority.server()), echo()).await;
    let options = PoolOptions {
        max_idle: 0,
        protocol: Protocol::Http1,
        ..PoolOptions::default()
    };
    let pool = Pool::new(authority.connector(), options);
    let mut resumed = Vec::new();
    for _ in 0..2 {
        let response = pool.send(&serving.route(), get("/")).await.unwrap();
        let info = Arc::clone(response.extensions().get::<Arc<ConnectionInfo>>().unwrap());
        text(response).await;
        resumed.push(info.tls().unwrap().resumed);
    }
    assert_eq!(resumed, [false, true]);
}

#[tokio::test]
async fn both_ends_export_the_same_keying_material() {
    let authority = Authority::new();
    let serving = Serving::start(
        ListenerOptions::with_tls(authority.server()),
        service(|request| async move {
            let info = request.extensions().get::<Arc<ConnectionInfo>>().unwrap();
            let mut material = [0; 32];
            info.export_keying_material(b"EXPORTER-test", Some(b"c"), &mut material)
                .unwrap();
            Response::new(body::full(material.to_vec()))
        }),
    )
    .await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let response = authority
            .pool(protocol)
            .send(&serving.route(), get("/"))
            .await
            .unwrap();
        let info = Arc::clone(response.extensions().get::<Arc<ConnectionInfo>>().unwrap());
        let mut material = [0; 32];
        info.export_keying_material(b"EXPORTER-test", Some(b"c"), &mut material)
            .unwrap();
        let theirs = http_body_util::BodyExt::collect(response.into_body())
            .await
            .unwrap();
        assert_eq!(theirs.to_bytes(), material.as_slice());
    }
}

#[tokio::test]
async fn bytes_of_the_wire_are_counted_the_same_on_both_sides() {
    let authority = Authority::new();
    let (ours, theirs) = (Counters::new(), Counters::new());
    let options = ListenerOptions {
        counters: Some(theirs.clone()),
        ..ListenerOptions::with_tls(authority.server())
    };
    let serving = Serving::start(options, echo()).await;
    let connector = authority.connector().with_counters(ours.clone());
    let pool = Pool::new(
        connector,
        PoolOptions::default().with_protocol(Protocol::Http1),
    );
    let response = pool
        .send(&serving.route(), put("/", vec![b'x'; 100_000]))
        .await
        .unwrap();
    text(response).await;
    assert!(ours.sent() > 100_000 && ours.sent() < 110_000, "{ours:?}");
    assert_eq!(
        (ours.sent(), ours.received()),
        (theirs.received(), theirs.sent())
    );
}

/// Whether the client's certificate is for `matrix.test`, and for another name; and how many it showed.
async fn shown(
    server: ListenerOptions,
    client: ClientTls,
) -> Result<String, comity_core::error::TransportError> {
    let tell = service(|request| async move {
        let info = request.extensions().get::<Arc<ConnectionInfo>>().unwrap();
        let tls = info.tls().unwrap();
        let names =
            ["matrix.test", "127.0.0.1", "other.test", "no name"].map(|name| tls.peer_is(name));
        Response::new(body::full(format!(
            "{} {names:?}",
            tls.peer_certificates.len()
        )))
    });
    let serving = Serving::start(server, tell).await;
    let guard = comity_net::AddressGuard::default().allow_loopback();
    let connector = Connector::new(client).with_guard(guard);
    ask(
        &Pool::new(connector, PoolOptions::default()),
        &serving.route(),
        "/",
    )
    .await
}

#[tokio::test]
async fn a_client_is_known_by_its_certificate_where_it_is_asked_for_one() {
    let authority = Authority::new();
    let none = "0 [false, false, false, false]";
    let asking = || ListenerOptions::with_tls(authority.server_asking(&authority));
    assert_eq!(
        shown(asking(), authority.client_with_certificate())
            .await
            .unwrap(),
        "1 [true, true, false, false]"
    );
    // One that has none is served: what it may do is for an authenticator.
    assert_eq!(shown(asking(), authority.client()).await.unwrap(), none);
    let not_asking = ListenerOptions::with_tls(authority.server());
    assert_eq!(
        shown(not_asking, authority.client_with_certificate())
            .await
            .unwrap(),
        none
    );
    // One of a stranger's authority is not.
    let strict = ListenerOptions::with_tls(authority.server_asking(&Authority::new()));
    assert!(
        shown(strict, authority.client_with_certificate())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn exceptions_hold_for_their_names_alone() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let tls = || {
        ours.client()
            .danger_accept_any_certificate_for(["Matrix.TEST", "0:0::1"])
    };
    let serving = Serving::start(ListenerOptions::with_tls(theirs.server()), echo()).await;
    let guard = comity_net::AddressGuard::default().allow_loopback();
    for protocol in [Protocol::Http1, Protocol::Http2, Protocol::Http1Or2] {
        let connector = Connector::new(tls()).with_guard(guard.clone());
        let pool = Pool::new(connector, PoolOptions::default().with_protocol(protocol));
        let mut route = serving.route();
        for (name, accepted) in [
            ("matrix.test", true),
            ("MATRIX.test", true),
            ("::1", true),
            ("127.0.0.1", false),
            ("sub.matrix.test", false),
            ("test", false),
        ] {
            route.certificate_name = name.to_owned();
            let answer = ask(&pool, &route, "/").await;
            assert_eq!(answer.is_ok(), accepted, "{name}");
            if let Err(error) = answer {
                assert_eq!(error.kind(), TransportErrorKind::Tls);
            }
        }
    }
}

#[tokio::test]
async fn a_session_that_an_exception_began_is_not_resumed_without_it() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let strict = ours.client();
    let lax = strict
        .clone()
        .danger_accept_any_certificate_for(["matrix.test"]);
    let serving = Serving::start(ListenerOptions::with_tls(theirs.server()), echo()).await;
    let guard = comity_net::AddressGuard::default().allow_loopback();
    let pool = |tls: ClientTls| {
        let options = PoolOptions {
            max_idle: 0,
            protocol: Protocol::Http1,
            ..PoolOptions::default()
        };
        Pool::new(Connector::new(tls).with_guard(guard.clone()), options)
    };
    for _ in 0..2 {
        ask(&pool(lax.clone()), &serving.route(), "/")
            .await
            .unwrap();
        assert!(
            ask(&pool(strict.clone()), &serving.route(), "/")
                .await
                .is_err()
        );
    }
}

#[tokio::test]
async fn an_authority_is_trusted_beside_the_systems() {
    let authority = Authority::new();
    let serving = Serving::start(ListenerOptions::with_tls(authority.server()), echo()).await;
    let guard = comity_net::AddressGuard::default().allow_loopback();
    let connect = |tls| {
        let connector = Connector::new(tls).with_guard(guard.clone());
        Pool::new(connector, PoolOptions::default())
    };
    let tls = ClientTls::system_with(authority.root()).unwrap();
    ask(&connect(tls), &serving.route(), "/").await.unwrap();
    let tls = ClientTls::system_with(Authority::new().root()).unwrap();
    let error = ask(&connect(tls), &serving.route(), "/").await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Tls);
    assert!(ClientTls::system_with(b"no PEM").is_err());
}

/// This test again, in a process where the system's authorities are those of a file.
const CHILD: &str = "COMITY_TEST_SYSTEM_ROOTS";

#[test]
fn the_systems_authorities_are_read() {
    if let Ok(roots) = std::env::var(CHILD) {
        match (roots.as_str(), ClientTls::system()) {
            ("one", Ok(_)) => return,
            ("none", Err(error)) => {
                assert!(error.to_string().contains("SSL_CERT_FILE"), "{error}");
                return;
            }
            (_, outcome) => panic!("{roots}: {outcome:?}"),
        }
    }
    let folder = std::env::temp_dir().join(format!("comity-roots-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for (roots, text) in [
        ("one", Authority::new().root().to_vec()),
        ("none", Vec::new()),
    ] {
        let file = folder.join(roots);
        std::fs::write(&file, text).unwrap();
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tls::the_systems_authorities_are_read"])
            .env(CHILD, roots)
            .env("SSL_CERT_FILE", &file)
            .env("SSL_CERT_DIR", folder.join("no folder"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stdout);
        assert!(
            child.status.success() && said.contains("1 passed"),
            "{said}"
        );
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
