//! Bytes that are no HTTP, or hardly: no panic, and the next call works.

use comity_core::{
    api::{Calls, GetVersion, GetVersionReply},
    call::{Message, Reply},
};
use comity_http::HttpServerOptions;
use comity_net::Protocol;

use crate::setting::*;

#[tokio::test]
async fn the_server_outlives_whatever_is_thrown_at_it() {
    let serving = Serving::plain(
        handler(|_| async {
            Ok(Reply::Message(Message::from_value(
                GetVersionReply::default(),
            )))
        }),
        HttpServerOptions::default(),
    )
    .await;
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../dev/fuzz/corpus/ingest");
    let mut bodies: Vec<Vec<u8>> = std::fs::read_dir(corpus)
        .unwrap()
        .take(60)
        .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
        .collect();
    bodies.push(vec![b'['; 1 << 20]);
    bodies.push([b"{\"pdus\":".to_vec(), b"{\"a\":".repeat(200_000)].concat());
    assert!(bodies.len() > 50);
    for body in &bodies {
        let head = format!(
            "PUT /_matrix/federation/v1/send/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let answer = serving.raw(&[head.as_bytes(), body].concat()).await;
        assert!(
            answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 200"),
            "{answer}"
        );
    }
    for bytes in [
        &b"\x16\x03\x01\x02\x00"[..],
        b"GET\r\n\r\n",
        b"GET /a b c HTTP/1.1\r\nConnection: close\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\n\r\n",
        b"PUT /_matrix/federation/v1/send/1 HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"PUT /_matrix/federation/v1/send/1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnonsense that is no frame at all",
    ] {
        serving.raw(bytes).await;
    }
    serving
        .client(Protocol::Http1)
        .get_version(&destination(), GetVersion::default())
        .await
        .unwrap();
}
