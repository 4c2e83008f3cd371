//! SS "Transactions" from the sender's side: what counts as success, and that nothing is sent a second time that may have arrived.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use std::time::Duration;

use comity_core::{
    Client,
    api::*,
    call::{Endpoint, Message, Reply, operation},
    endpoint::{EndpointParts, read_content},
    error::{CallError, Delivery},
    json::Object,
    layers::Flow,
    transport::{FixedRoutes, Route},
};
use comity_http::HttpTransport;
use comity_net::{AddressGuard, Connector, Pool, PoolOptions, Protocol};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::setting::*;

/// A request of which only the content matters.
fn request<O: Endpoint>(path: &[&str], content: &'static str) -> O {
    let parts = EndpointParts {
        path: path.iter().map(|text| (*text).to_owned()).collect(),
        content: read_content(operation::<O>(), None, content.into()).unwrap(),
        ..Default::default()
    };
    O::read(&parts).unwrap()
}

fn transaction() -> SendTransaction {
    request(&["1"], r#"{"pdus":[{"type":"m.a"}]}"#)
}

/// A peer that serves one good call on a connection, and closes it without a word when the next has arrived.
async fn peer_that_vanishes(arrived: &Arc<AtomicUsize>) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let arrived = arrived.clone();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let arrived = arrived.clone();
            tokio::spawn(async move {
                let mut bytes = vec![0; 16 << 10];
                let read = socket.read(&mut bytes).await.unwrap();
                if bytes[..read].starts_with(b"GET /_matrix/federation/v1/version") {
                    let answer = response("200 OK", "application/json", "{}");
                    socket.write_all(answer.as_bytes()).await.unwrap();
                    if socket.read(&mut bytes).await.unwrap() == 0 {
                        return;
                    }
                }
                arrived.fetch_add(1, Ordering::SeqCst);
            });
        }
    });
    client_to(address, Connector::danger_without_tls(), Protocol::Http1)
}

#[tokio::test]
async fn nothing_that_may_have_arrived_is_sent_again() {
    let to = destination();
    for warm in [false, true] {
        let arrived = Arc::default();
        let client = peer_that_vanishes(&arrived).await;
        let mut expected = 0;
        for which in 0..4 {
            if warm {
                // On a connection that was good once, as well.
                client
                    .get_version(&to, GetVersion::default())
                    .await
                    .unwrap();
            }
            let error = match which {
                0 => client
                    .claim_keys(&to, request::<ClaimKeys>(&[], r#"{"one_time_keys":{}}"#))
                    .await
                    .err(),
                1 => client.send_transaction(&to, transaction()).await.err(),
                2 => {
                    let event = GetEvent {
                        event_id: "$e".into(),
                        ..Default::default()
                    };
                    client.get_event(&to, event).await.err()
                }
                _ => client
                    .query_keys(&to, request::<QueryKeys>(&[], r#"{"device_keys":{}}"#))
                    .await
                    .err(),
            };
            let Some(CallError::Transport(error)) = error else {
                panic!("{which}: {error:?}")
            };
            expected += 1;
            assert_eq!(error.delivery(), Delivery::MaybeProcessed, "{which}");
            assert_eq!(
                arrived.load(Ordering::SeqCst),
                expected,
                "{which}, warm: {warm}"
            );
        }
    }
}

#[tokio::test]
async fn a_transaction_whose_events_fail_is_a_success_and_any_other_status_is_not() {
    let body = r#"{"pdus":{"$a":{},"$b":{"error":"not allowed"}}}"#;
    let client = peer_that_says(response("200 OK", "application/json", body)).await;
    let reply = client
        .send_transaction(&destination(), transaction())
        .await
        .unwrap();
    let text = Message::from_value(reply).content().text().clone();
    assert_eq!(text, body);
    // Dendrite answers so while the same transaction is in flight; Synapse, another one.
    for (status, body) in [
        ("202 Accepted", ""),
        (
            "429 Too Many Requests",
            r#"{"errcode":"M_UNKNOWN","error":"Too many transactions"}"#,
        ),
        ("400 Bad Request", "{}"),
        ("500 Internal Server Error", r#"{"errcode":"M_UNKNOWN"}"#),
        ("408 Request Timeout", ""),
    ] {
        let client = peer_that_says(response(status, "application/json", body)).await;
        let error = client
            .send_transaction(&destination(), transaction())
            .await
            .unwrap_err();
        let CallError::Federation(error) = error else {
            panic!("{status}: {error}")
        };
        assert_eq!(error.http_status().to_string(), status[..3]);
    }
}

#[tokio::test]
async fn a_retry_is_the_same_request_byte_for_byte() {
    let bodies = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = bodies.clone();
    let serving = Serving::tls(handler(move |call| {
        let form = call.form().unwrap();
        let comity_core::endpoint::Content::Json(content) = form.content() else {
            panic!("a transaction has content")
        };
        let text = (form.target().to_owned(), content.text().clone());
        let mut seen = seen.lock().unwrap();
        seen.push(text);
        let first = seen.len() == 1;
        async move {
            if first {
                return Err(comity_core::error::FederationError::internal("later").into());
            }
            Ok(Reply::Message(Message::from_content(
                Object::parse(r#"{"pdus":{}}"#.into(), 100).unwrap(),
            )))
        }
    }))
    .await;
    let client = serving.client(Protocol::Http1Or2);
    let request = transaction();
    let to = destination();
    client
        .send_transaction(&to, request.clone())
        .await
        .unwrap_err();
    client.send_transaction(&to, request).await.unwrap();
    let bodies = bodies.lock().unwrap();
    assert_eq!(bodies.len(), 2);
    assert_eq!(bodies[0], bodies[1]);
}

#[tokio::test]
async fn the_next_transaction_waits_for_the_answer_to_the_last() {
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (now, highest) = (running.clone(), most.clone());
    let serving = Serving::tls(handler(move |_| {
        let (now, highest) = (now.clone(), highest.clone());
        async move {
            highest.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            Ok(Reply::Message(Message::from_content(
                Object::parse(r#"{"pdus":{}}"#.into(), 100).unwrap(),
            )))
        }
    }))
    .await;
    let tls = comity_net::ClientTls::from_pem(serving.root().unwrap().as_bytes()).unwrap();
    let guard = AddressGuard::default().allow_loopback();
    let pool = Pool::new(
        Connector::new(tls).with_guard(guard),
        PoolOptions::default(),
    );
    let route = Route {
        addresses: vec![serving.address],
        host: "matrix.test".to_owned(),
        certificate_name: "matrix.test".to_owned(),
    };
    let routes = FixedRoutes::new().with(destination(), route);
    let transport = Arc::new(HttpTransport::new(Arc::new(routes), pool));
    let client = Client::layered(transport, Flow::layer(Duration::from_secs(10)));
    let to = destination();
    let sending = (0..8).map(|_| client.send_transaction(&to, transaction()));
    for reply in futures_util::future::join_all(sending).await {
        reply.unwrap();
    }
    assert_eq!(most.load(Ordering::SeqCst), 1);
}
