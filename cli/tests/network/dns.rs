//! A DNS server that knows one thing: every name below `test` is this machine. `two.test` has an address beside it where nobody is.

use std::net::SocketAddr;

use tokio::net::UdpSocket;

const HEADER: usize = 12;
const A: u16 = 1;
const SRV: u16 = 33;

/// Answers until the test ends.
pub async fn start() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut query = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut query).await {
            if let Some(answer) = answer(&query[..length]) {
                let _ = socket.send_to(&answer, from).await;
            }
        }
    });
    address
}

/// The answer to a query of one question (RFC 1035 §4).
fn answer(query: &[u8]) -> Option<Vec<u8>> {
    let labels_end = query.get(HEADER..)?.iter().position(|byte| *byte == 0)? + HEADER + 1;
    let kind = u16::from_be_bytes(query.get(labels_end..labels_end + 2)?.try_into().ok()?);
    let name = query[HEADER..labels_end].to_ascii_lowercase();
    let known = name.ends_with(b"\x04test\0") && kind != SRV;
    let mut addresses = vec![[127, 0, 0, 1]];
    if name == b"\x03two\x04test\0" {
        addresses.push([127, 0, 0, 2]);
    }
    addresses.retain(|_| known && kind == A);
    let code = if known { 0 } else { 3 };

    let mut text = query[..2].to_vec();
    // A response, recursion asked for and available.
    text.extend([0x81, 0x80 | code, 0, 1]);
    text.extend((addresses.len() as u16).to_be_bytes());
    text.extend([0, 0, 0, 0]);
    text.extend(query.get(HEADER..labels_end + 4)?);
    for address in addresses {
        // The question's name, A, IN, 60 s, four bytes.
        text.extend([0xc0, HEADER as u8, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        text.extend(address);
    }
    Some(text)
}
