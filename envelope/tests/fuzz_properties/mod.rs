//! What has to hold for any bytes whatever. The fuzz target in `dev/fuzz` runs this function, `fuzz_corpus.rs` replays the checked-in corpus through it on a stable
//! toolchain.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::LazyLock;

use bytes::Bytes;
use comity_core::{
    Operations,
    api::{DownloadMedia, GetState, GetVersion},
    call::{Op, Reply, operation},
    error::CallError,
};
use comity_envelope::{EnvelopeError, Frame, RequestEnvelope, read_reply, read_request};
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};

/// Of longer input not every beginning is tried.
const CUT: usize = 256;

static OPERATIONS: LazyLock<Operations> = LazyLock::new(Operations::federation);

/// Whatever comes as a request, as a frame and as the frames of a reply is read or refused.
pub fn envelope(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    request(&bytes);
    frame(&bytes);
    reply(&bytes);
}

fn request(bytes: &Bytes) {
    let Ok(request) = RequestEnvelope::decode(bytes) else {
        let refused = read_request(bytes, &OPERATIONS, "fuzz/1", None);
        let status = refused.unwrap_err().http_status();
        assert!(matches!(status, 400 | 413), "{status}");
        return;
    };
    if let Some(content) = &request.content {
        assert!(lies_in(content, bytes), "the content is a slice");
    }
    let written = request.encode().unwrap();
    let again = RequestEnvelope::decode(&written).unwrap();
    assert!(again == request, "what was read is what is written");
    assert_eq!(again.encode().unwrap(), written);
    is_whole(bytes, RequestEnvelope::decode);
    if let Err(error) = read_request(bytes, &OPERATIONS, "fuzz/1", None) {
        assert!((400..500).contains(&error.http_status()), "{error}");
    }
}

fn frame(bytes: &Bytes) {
    let Ok(frame) = Frame::decode(bytes) else {
        return;
    };
    if let Frame::Data(data) = &frame {
        assert!(lies_in(data, bytes), "the data is a slice");
    }
    let written = frame.encode().unwrap();
    assert_eq!(Frame::decode(&written).unwrap(), frame);
    is_whole(bytes, Frame::decode);
}

/// No beginning of it counts, and neither does it with something behind.
fn is_whole<T>(bytes: &Bytes, decode: fn(&Bytes) -> Result<T, EnvelopeError>) {
    for cut in 0..bytes.len().min(CUT) {
        assert!(decode(&bytes.slice(..cut)).is_err(), "cut at {cut}");
    }
    let more = [bytes, &b"\0"[..]].concat();
    assert!(decode(&more.into()).is_err(), "more behind");
}

fn lies_in(part: &Bytes, whole: &Bytes) -> bool {
    part.is_empty() || whole.as_ptr_range().contains(&part.as_ptr())
}

/// The bytes as frames, each behind one byte with its length: a reply that is whole has a head, data, and the word that they are complete.
fn reply(bytes: &Bytes) {
    let mut frames = Vec::new();
    let mut rest = bytes.clone();
    while !rest.is_empty() {
        let length = usize::from(rest.split_to(1)[0]);
        frames.push(rest.split_to(length.min(rest.len())));
    }
    let mut read = frames.iter().map(Frame::decode);
    let has_head = matches!(read.next(), Some(Ok(Frame::Head(_))));
    let behind = read.find(|frame| !matches!(frame, Ok(Frame::Data(_))));
    let is_complete = has_head && matches!(behind, Some(Ok(Frame::Complete)));
    for operation in [
        operation::<GetVersion>(),
        operation::<GetState>(),
        operation::<DownloadMedia>(),
    ] {
        let read = whole_reply(operation, frames.clone()).now_or_never();
        let result = read.expect("every frame is there");
        assert!(result.is_err() || is_complete, "a reply was broken off");
    }
}

async fn whole_reply(operation: Op, frames: Vec<Bytes>) -> Result<(), CallError> {
    match read_reply(operation, stream::iter(frames).map(Ok)).await? {
        Reply::Message(_) => Ok(()),
        Reply::Events(events) => events.parts.try_for_each(|_| async { Ok(()) }).await,
        Reply::Blob(blob) => blob.bytes.try_for_each(|_| async { Ok(()) }).await,
        Reply::Body(body) => body.bytes.try_for_each(|_| async { Ok(()) }).await,
    }
}
