//! Another certificate while a listener serves.

use std::sync::Arc;

use comity_core::error::TransportErrorKind;
use comity_net::{
    AddressGuard, ClientTls, Connector, ListenerOptions, Pool, PoolOptions, Protocol,
};

use crate::setting::{Authority, Serving, ask, echo};

/// Dials anew for each request.
async fn ask_anew(tls: &ClientTls, serving: &Serving) -> Result<String, TransportErrorKind> {
    let connector =
        Connector::new(tls.clone()).with_guard(AddressGuard::default().allow_loopback());
    let pool = Pool::new(connector, PoolOptions::default());
    let asked = ask(&pool, &serving.route(), "/").await;
    asked.map_err(|error| error.kind())
}

#[tokio::test]
async fn new_handshakes_get_the_new_certificate_and_open_connections_go_on() {
    let (before, after) = (Authority::new(), Authority::new());
    let tls = before.server();
    let serving = Serving::start(ListenerOptions::with_tls(tls.clone()), echo()).await;
    let open: Vec<_> = [Protocol::Http1, Protocol::Http2]
        .map(|protocol| before.pool(protocol))
        .into();
    for pool in &open {
        ask(pool, &serving.route(), "/").await.unwrap();
    }
    assert!(ask_anew(&after.client(), &serving).await.is_err());

    tls.reload(after.chain(), after.key()).unwrap();

    ask_anew(&after.client(), &serving).await.unwrap();
    assert_eq!(
        ask_anew(&before.client(), &serving).await.unwrap_err(),
        TransportErrorKind::Tls
    );
    for pool in &open {
        assert_eq!(ask(pool, &serving.route(), "/on").await.unwrap(), "/on");
    }
}

#[tokio::test]
async fn a_session_of_the_certificate_before_is_not_resumed() {
    let (before, after) = (Authority::new(), Authority::new());
    let client = before.client();
    let tls = before.server();
    let serving = Serving::start(ListenerOptions::with_tls(tls.clone()), echo()).await;
    for _ in 0..2 {
        ask_anew(&client, &serving).await.unwrap();
    }
    tls.reload(after.chain(), after.key()).unwrap();
    // With its ticket honoured, this client would never see that the certificate is another.
    assert_eq!(
        ask_anew(&client, &serving).await.unwrap_err(),
        TransportErrorKind::Tls
    );
}

#[tokio::test]
async fn what_cannot_serve_leaves_the_certificate_in_use() {
    let (ours, other) = (Authority::new(), Authority::new());
    let tls = ours.server();
    let serving = Serving::start(ListenerOptions::with_tls(tls.clone()), echo()).await;
    let torn = &other.chain()[..other.chain().len() / 2];
    for (chain, key) in [
        (&b""[..], other.key()),
        (other.chain(), &b""[..]),
        (b"-----BEGIN CERTIFICATE-----\n", other.key()),
        (torn, other.key()),
        // Each is good by itself.
        (other.chain(), ours.key()),
        (other.key(), other.chain()),
    ] {
        assert!(tls.reload(chain, key).is_err());
        ask_anew(&ours.client(), &serving).await.unwrap();
    }
}

#[tokio::test]
async fn clients_are_asked_for_certificates_as_before() {
    let (ours, after, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let tls = ours.server_asking(&ours);
    let serving = Serving::start(ListenerOptions::with_tls(tls.clone()), echo()).await;
    tls.reload(after.chain(), after.key()).unwrap();
    let shows = |whose: &Authority| {
        let (root, chain) = (after.root(), whose.chain());
        ClientTls::from_pem_with_certificate(root, chain, whose.key()).unwrap()
    };
    ask_anew(&shows(&ours), &serving).await.unwrap();
    assert!(ask_anew(&shows(&strangers), &serving).await.is_err());
}

#[tokio::test]
async fn a_certificate_changes_under_load_without_a_failed_call() {
    let (one, two) = (Authority::new(), Authority::new());
    let tls = one.server();
    let serving = Arc::new(Serving::start(ListenerOptions::with_tls(tls.clone()), echo()).await);
    let both = [one.root(), two.root()].concat();
    let client = ClientTls::from_pem(&both).unwrap();
    let asking: Vec<_> = (0..4)
        .map(|_| {
            let (client, serving) = (client.clone(), Arc::clone(&serving));
            tokio::spawn(async move {
                for _ in 0..25 {
                    ask_anew(&client, &serving).await.unwrap();
                }
            })
        })
        .collect();
    for round in 0..20 {
        let shown = if round % 2 == 0 { &two } else { &one };
        tls.reload(shown.chain(), shown.key()).unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    for task in asking {
        task.await.unwrap();
    }
}
