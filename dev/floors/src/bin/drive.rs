//! Sends signed transactions to one of the servers of the measurement, so that it can be watched by a profiler that makes it slow:
//! `drive PORT PDUS REQUESTS CONNECTIONS`. `docs/decisions/0024-what-stands-above-the-floor.md` says how.

#![forbid(unsafe_code)]

use std::{
    env,
    io::{Read, Write},
    net::TcpStream,
};

use comity_core::auth::{SignedRequest, SigningKey};
use comity_floors::bodies::{FIFTY_PDUS, ONE_PDU, transaction};

const TARGET: &str = "/_matrix/federation/v1/send/m1763000000000.42";

fn main() {
    let numbers: Vec<usize> = env::args()
        .skip(1)
        .map(|number| number.parse().expect("four numbers"))
        .collect();
    let [port, pdus, requests, connections] = numbers[..] else {
        panic!("drive PORT PDUS REQUESTS CONNECTIONS");
    };
    let request = request(pdus);
    let address = ("127.0.0.1", u16::try_from(port).expect("a port"));
    let mut connections: Vec<TcpStream> = (0..connections)
        .map(|_| TcpStream::connect(address).expect("the server listens"))
        .collect();
    for _ in 0..requests / connections.len() {
        for connection in &mut connections {
            connection.write_all(&request).expect("it is open");
        }
        for connection in &mut connections {
            answer(connection);
        }
    }
}

fn request(pdus: usize) -> Vec<u8> {
    let bytes = if pdus == 1 { ONE_PDU } else { FIFTY_PDUS };
    let body = transaction(pdus, bytes);
    let key = SigningKey::from_seed("a_key", &[7; 32]).expect("it is a key version");
    let credential = SignedRequest {
        method: "PUT",
        uri: TARGET,
        origin: &"origin.example.org".parse().expect("it is a server name"),
        destination: "destination.example.org",
        content: Some(body.as_bytes()),
    }
    .sign(&key)
    .to_header();
    format!(
        "PUT {TARGET} HTTP/1.1\r\nhost: destination.example.org\r\nauthorization: {credential}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Reads one reply, which has to be the one to a transaction that was taken.
fn answer(connection: &mut TcpStream) {
    let mut reply = Vec::new();
    let mut buffer = [0; 4096];
    while !reply.ends_with(br#"{"pdus":{}}"#) {
        let read = connection.read(&mut buffer).expect("it is open");
        reply.extend_from_slice(&buffer[..read]);
        let refused = read == 0 || !reply.starts_with(b"HTTP/1.1 200");
        assert!(!refused, "{}", String::from_utf8_lossy(&reply));
    }
}
