//! One under, at, and one over each limit, on the way out and on the way in.

use bytes::Bytes;
use comity_core::endpoint::ReplyHead;
use comity_envelope::{
    Frame, MAX_CONTENT, MAX_DATA, MAX_FRAME, MAX_ITEMS, MAX_METADATA, MAX_REQUEST, RequestEnvelope,
};

fn request() -> RequestEnvelope {
    RequestEnvelope {
        method: "GET".to_owned(),
        target: "/".to_owned(),
        ..RequestEnvelope::default()
    }
}

#[track_caller]
fn fits(request: &RequestEnvelope) {
    let bytes = request.encode().unwrap();
    assert!(bytes.len() <= MAX_REQUEST, "{}", bytes.len());
    assert!(RequestEnvelope::decode(&bytes).unwrap() == *request);
}

#[track_caller]
fn is_over(request: &RequestEnvelope, expected: &[&str]) {
    let error = request.encode().unwrap_err().to_string();
    for word in expected {
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn content() {
    let of = |size| RequestEnvelope {
        content: Some(Bytes::from(vec![0; size])),
        ..request()
    };
    fits(&of(0));
    fits(&of(MAX_CONTENT));
    is_over(
        &of(MAX_CONTENT + 1),
        &["the content: 16777217 bytes", "16777216", "MAX_CONTENT"],
    );
}

#[test]
fn everything_beside_the_content() {
    let of = |size: usize| RequestEnvelope {
        credentials: vec!["x".repeat(size - 4 - 10)],
        via: vec!["y".repeat(10)],
        ..request()
    };
    fits(&of(MAX_METADATA));
    is_over(
        &of(MAX_METADATA + 1),
        &["65537 bytes", "65536", "MAX_METADATA"],
    );
}

#[test]
fn lists() {
    let of = |items: usize| RequestEnvelope {
        credentials: vec!["c".to_owned(); items],
        ..request()
    };
    fits(&of(MAX_ITEMS));
    is_over(
        &of(MAX_ITEMS + 1),
        &["the credentials: 65 elements", "64", "MAX_ITEMS"],
    );
    let via = RequestEnvelope {
        via: vec!["v".to_owned(); MAX_ITEMS + 1],
        ..request()
    };
    is_over(&via, &["the hops (via): 65 elements"]);
}

#[test]
fn frames() {
    let fits = |frame: Frame| {
        let bytes = frame.encode().unwrap();
        assert!(bytes.len() <= MAX_FRAME);
        assert!(Frame::decode(&bytes).unwrap() == frame);
    };
    let is_over = |frame: Frame, setting: &str| {
        let error = frame.encode().unwrap_err().to_string();
        assert!(error.contains(setting), "{error}");
    };
    let data = |size| Frame::Data(Bytes::from(vec![0; size]));
    fits(data(MAX_DATA));
    is_over(data(MAX_DATA + 1), "(setting: MAX_DATA)");
    let head = |size| {
        Frame::Head(ReplyHead {
            status: 200,
            content_type: Some("x".repeat(size)),
            ..ReplyHead::default()
        })
    };
    fits(head(MAX_METADATA));
    is_over(head(MAX_METADATA + 1), "(setting: MAX_METADATA)");
    fits(Frame::Aborted("x".repeat(MAX_METADATA)));
    is_over(
        Frame::Aborted("x".repeat(MAX_METADATA + 1)),
        "(setting: MAX_METADATA)",
    );
}

/// A peer does not keep to what it may send.
#[test]
fn a_peer_that_goes_over_is_refused() {
    let large = |key: u8, major: u8, size: usize| {
        let mut bytes = vec![0xa1, key, major << 5 | 26];
        bytes.extend_from_slice(&u32::try_from(size).unwrap().to_be_bytes());
        bytes.resize(bytes.len() + size, b'x');
        Bytes::from(bytes)
    };
    for (bytes, expected) in [
        (large(3, 2, MAX_CONTENT + 1), "the content: 16777217 bytes"),
        (large(2, 3, MAX_METADATA + 1), "the target: 65537 bytes"),
        (large(40, 2, MAX_METADATA + 1), "an unknown member"),
    ] {
        let error = RequestEnvelope::decode(&bytes).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    let error = Frame::decode(&large(2, 2, MAX_DATA + 1))
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("the data: 1048577 bytes"), "{error}");
    let mut many = vec![0xa1, 6, 0x98, 65];
    many.resize(many.len() + 65, 0x60);
    let error = RequestEnvelope::decode(&many.into())
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("the credentials: 65 elements"), "{error}");
}
