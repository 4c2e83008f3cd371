//! What probes and generic clients ask `comity serve` over gRPC.

use std::{fs, time::Instant};

use comity_core::transport::Route;
use comity_net::{
    AddressGuard, ClientTls, Connector, ListenerOptions, Pool, PoolOptions, Protocol, body,
};
use http_body_util::BodyExt;
use tempfile::TempDir;
use tokio::{runtime::Runtime, time::timeout};

use crate::setting::{House, PATIENCE, two_houses};

/// A connection that stays open.
type Open = (Runtime, Pool);

/// The status of a gRPC call, and the messages that came.
fn asked_over_grpc(house: &House, method: &str, message: &[u8]) -> (String, Vec<u8>, Open) {
    let root = fs::read(house.directory.parent().unwrap().join("tls.crt")).unwrap();
    let guard = AddressGuard::default().allow_loopback();
    let connector = Connector::new(ClientTls::from_pem(&root).unwrap()).with_guard(guard);
    let options = PoolOptions::default().with_protocol(Protocol::Http2);
    let route = Route {
        addresses: vec![([127, 0, 0, 1], house.port).into()],
        host: house.name(),
        certificate_name: "localhost".to_owned(),
    };
    let mut framed = vec![0, 0, 0, 0, u8::try_from(message.len()).unwrap()];
    framed.extend_from_slice(message);
    let request = http::Request::post(method)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(body::full(framed))
        .unwrap();
    let runtime = Runtime::new().unwrap();
    let pool = Pool::new(connector, options);
    let asking = async {
        let (head, mut body) = pool.send(&route, request).await.unwrap().into_parts();
        let (mut bytes, mut trailers) = (Vec::new(), head.headers);
        while let Some(frame) = body.frame().await {
            match frame.unwrap().into_data() {
                Ok(data) => bytes.extend_from_slice(&data),
                Err(frame) => trailers = frame.into_trailers().unwrap(),
            }
        }
        let status = trailers["grpc-status"].to_str().unwrap().to_owned();
        (status, bytes)
    };
    let asked = runtime.block_on(async { timeout(PATIENCE, asking).await });
    let (status, bytes) = asked.expect("the answer has an end");
    (status, bytes, (runtime, pool))
}

#[test]
fn probes_are_told_that_it_serves_and_its_schema_is_told_if_that_is_wanted() {
    let directory = TempDir::new().unwrap();
    let [closed, mut open] = two_houses(directory.path());
    open.reflection = true;
    // list_services of grpc.reflection.v1, and both messages of grpc.health.v1.
    let (list, reflection) = (
        b"\x3a\x01*",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    );
    let (all, serving) = (b"", [0, 0, 0, 0, 2, 8, 1]);
    for house in [&closed, &open] {
        let running = house.start();
        let (status, told, _) = asked_over_grpc(house, "/grpc.health.v1.Health/Check", all);
        assert_eq!((&status[..], &told[..]), ("0", &serving[..]));
        let (status, told, _) = asked_over_grpc(house, reflection, list);
        let tells = String::from_utf8_lossy(&told).contains("comity.federation.v1.Transactions");
        let expected = match house.reflection {
            true => ("0", true),
            false => ("12", false),
        };
        assert_eq!((status.as_str(), tells), expected);
        assert!(running.terminate());
    }
}

/// Everybody reaches the port, and whoever watched would hold up its end.
#[test]
fn nobody_watches_the_health_and_a_connection_that_stays_open_holds_nothing_up() {
    let directory = TempDir::new().unwrap();
    let [house, _] = two_houses(directory.path());
    let running = house.start();
    let (status, told, open) = asked_over_grpc(&house, "/grpc.health.v1.Health/Watch", b"");
    assert_eq!((&status[..], told.len()), ("12", 0), "UNIMPLEMENTED");
    let asked = Instant::now();
    assert!(running.terminate());
    let waited = asked.elapsed();
    let drain = ListenerOptions::default().drain_timeout;
    assert!(waited < drain, "{waited:?}");
    drop(open);
}
