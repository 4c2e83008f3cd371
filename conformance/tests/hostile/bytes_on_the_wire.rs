//! Inputs as the bytes of a connection: in place of TLS, of HTTP/1.1, of HTTP/2 and its frames.

use bytes::{BufMut, BytesMut};
use comity_net::Protocol;
use futures_util::{StreamExt, stream};

use crate::{
    corpus::{Input, inputs},
    listener::{Serving, run},
    peer::{Then, throw, throw_in_the_clear},
};

/// Each input on connections of its own, several at once: those that wait for the listener to give up take as long as that does.
async fn each(serving: &Serving, test: impl AsyncFn(&Serving, &'static Input, Then)) {
    let throwing = inputs().iter().enumerate().map(|(turn, input)| {
        let then = if turn % 16 == 0 {
            Then::Wait
        } else {
            Then::Close
        };
        test(serving, input, then)
    });
    stream::iter(throwing)
        .buffer_unordered(24)
        .collect::<Vec<_>>()
        .await;
}

#[test]
fn what_is_no_tls_is_cut_off() {
    run(async |serving| {
        each(serving, async |serving, input, then| {
            throw_in_the_clear(serving, &input.bytes, then).await;
            let record = [&[0x16, 3, 1, 0x02, 0x00], &input.bytes[..]].concat();
            throw_in_the_clear(serving, &record, Then::Close).await;
        })
        .await;
    });
}

#[test]
fn what_is_no_http1_is_answered_or_cut_off() {
    run(async |serving| {
        each(serving, async |serving, input, then| {
            let answer = throw(serving, Protocol::Http1, &input.bytes, then).await;
            assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{input:?}");
            let chunked = [
                b"PUT /_matrix/federation/v1/send/1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
                &input.bytes[..],
            ]
            .concat();
            let answer = throw(serving, Protocol::Http1, &chunked, then).await;
            assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{input:?}");
        })
        .await;
    });
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// A frame of HTTP/2 (RFC 9113 §4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = BytesMut::new();
    frame.put_uint(payload.len() as u64, 3);
    frame.put_u8(kind);
    frame.put_u8(flags);
    frame.put_u32(stream);
    frame.extend_from_slice(payload);
    frame.into()
}

#[test]
fn what_is_no_http2_is_cut_off() {
    run(async |serving| {
        each(serving, async |serving, input, then| {
            let bytes = &input.bytes[..input.bytes.len().min(16 << 10)];
            let bare = [PREFACE, bytes].concat();
            let after = [PREFACE, SETTINGS, bytes].concat();
            for bytes in [bytes, &bare, &after] {
                throw(serving, Protocol::Http2, bytes, then).await;
            }
            // Every kind of frame, known or not, with the input as its payload: header blocks among them.
            let mut frames = [PREFACE, SETTINGS].concat();
            let first = input.bytes.first().copied().unwrap_or_default();
            let kind = first % 12;
            for (flags, stream) in [(0, 1), (4, 1), (5, 3), (first, 5), (0x2d, 7), (0, 0)] {
                frames.extend(frame(kind, flags, stream, bytes));
            }
            throw(serving, Protocol::Http2, &frames, then).await;
        })
        .await;
    });
}
