//! Sends signed transactions to one of the servers of the measurement, so that it can be watched by a profiler that makes it slow:
//! `drive PORT PDUS REQUESTS CONNECTIONS`. `docs/decisions/0024-what-stands-above-the-floor.md` says how.

#![forbid(unsafe_code)]

use std::{
    env,
    io::{Read, Write},
    net::TcpStream,
};

use comity_floors::{
    bodies::usual,
    setting::{TARGET, credential, destination},
};

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
    let body = usual(pdus);
    let head = format!(
        "PUT {TARGET} HTTP/1.1\r\nhost: {}\r\nauthorization: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        destination(),
        credential(TARGET, &body),
        body.len()
    );
    [head.as_bytes(), &body].concat()
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
