//! What has to hold for any bytes whatever that come as a streamed reply. The fuzz target in `dev/fuzz` runs this function, the test below replays the checked-in
//! corpus through it on a stable toolchain.
//!
//! The oracle is prost, which makes a value of each message; the reader cuts elements out where they lie.

use std::sync::LazyLock;

use bytes::{Buf, Bytes};
use comity_core::{
    api::GetState,
    call::{OperationSpec, Part, ReplyShape, SizeLimits, operation},
};
use comity_net::{Body, BoxError};
use comity_proto::Chunk;
use futures_util::{FutureExt, StreamExt, stream};
use http::HeaderMap;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use prost::Message;

use super::{Arrays, read, write};
use crate::client::Incoming;

/// As the table has it, and with limits that short input can be over.
static WIDE: LazyLock<OperationSpec> = LazyLock::new(|| operation::<GetState>().spec().clone());
static NARROW: LazyLock<OperationSpec> = LazyLock::new(|| OperationSpec {
    limits: SizeLimits {
        message: 48,
        item: 24,
        stream: 160,
        ..WIDE.limits
    },
    ..WIDE.clone()
});

/// Most bytes of a message here. The longest that is read as it is has all that an input has.
const MESSAGE: usize = 1 << 20;

/// The first byte chooses limits and framing, the second in how large pieces the bytes come.
pub(crate) fn hold(data: &[u8]) {
    let Some((&[choice, piece], body)) = data.split_first_chunk::<2>() else {
        return;
    };
    let spec: &'static OperationSpec = match choice & 1 {
        0 => &WIDE,
        _ => &NARROW,
    };
    let framed = match choice & 2 {
        0 => frames(body),
        _ => Bytes::copy_from_slice(body),
    };
    let (parts, error) = parts(spec, framed.clone(), framed.len());
    let in_pieces = self::parts(spec, framed.clone(), usize::from(piece));
    assert_eq!(in_pieces, (parts.clone(), error.clone()), "in pieces");
    if error.is_some() {
        return;
    }
    let chunks = decoded(framed);
    let (last, before) = chunks.split_last().expect("it said that it is complete");
    assert!(last.complete && before.iter().all(|chunk| !chunk.complete));
    assert_eq!(elements(&parts), lengths(&chunks));
    again(parts);
}

/// Messages of at most 255 bytes, each behind its length, as gRPC frames them.
fn frames(mut body: &[u8]) -> Bytes {
    let mut framed = Vec::new();
    while let Some((&length, rest)) = body.split_first() {
        let (message, rest) = rest.split_at(usize::from(length).min(rest.len()));
        framed.extend([0, 0, 0, 0, message.len() as u8]);
        framed.extend(message);
        body = rest;
    }
    framed.into()
}

/// What the reader makes of the bytes, in pieces of this length, and why it stopped.
fn parts(spec: &'static OperationSpec, framed: Bytes, piece: usize) -> (Vec<Part>, Option<String>) {
    let incoming = Incoming::of_body(body(framed, piece.max(1)), MESSAGE);
    let mut stream = read(incoming, arrays(), spec);
    let mut parts = Vec::new();
    let next = |stream: &mut _| {
        let next = StreamExt::next(stream).now_or_never();
        next.expect("every byte is there")
    };
    loop {
        match next(&mut stream) {
            Some(Ok(part)) => parts.push(part),
            Some(Err(error)) => {
                assert!(next(&mut stream).is_none(), "nothing follows an error");
                return (parts, Some(error.to_string()));
            }
            None => return (parts, None),
        }
    }
}

fn arrays() -> Arrays {
    match WIDE.reply {
        ReplyShape::Events { arrays } => arrays,
        _ => unreachable!("the state of a room is streamed"),
    }
}

/// A reply's body, with the status that says that nothing is missing.
fn body(bytes: Bytes, piece: usize) -> Body {
    let pieces = bytes.chunks(piece).map(|piece| bytes.slice_ref(piece));
    let pieces: Vec<Bytes> = pieces.collect();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
    let frames = pieces.into_iter().map(Frame::data);
    let frames = frames.chain([Frame::trailers(trailers)]);
    StreamBody::new(stream::iter(frames.map(Ok::<_, BoxError>))).boxed_unsync()
}

/// The messages as prost reads them.
fn decoded(mut framed: Bytes) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    while framed.has_remaining() {
        assert_eq!(framed.get_u8(), 0);
        let length = framed.get_u32() as usize;
        let chunk = Chunk::decode(framed.split_to(length));
        chunks.push(chunk.expect("what was read is protobuf"));
    }
    chunks
}

/// Array and length of each element. The reader takes in none that is no canonical JSON, so the text is as long as it came.
fn elements(parts: &[Part]) -> Vec<(&'static str, u64)> {
    let elements = parts.iter().filter_map(|part| match part {
        Part::Item { array, value, .. } => Some((*array, value.as_text().len() as u64)),
        Part::Oversized { array, bytes, .. } => Some((*array, *bytes)),
        _ => None,
    });
    elements.collect()
}

fn lengths(chunks: &[Chunk]) -> Vec<(&'static str, u64)> {
    let elements = chunks.iter().flat_map(|chunk| {
        let array = chunk.array.map_or("", |array| arrays()[array as usize]);
        let items = chunk.items.iter();
        items.map(move |item| (array, item.len() as u64))
    });
    elements.collect()
}

/// What was read can be written, and read again as the same.
fn again(parts: Vec<Part>) {
    let is_whole = |part: &Part| !matches!(part, Part::Oversized { .. });
    if !parts.iter().all(is_whole) {
        return;
    }
    let messages = write(stream::iter(parts.clone()).map(Ok).boxed(), arrays());
    let messages =
        messages.map(|message| message.expect("what was read has the order of what is written"));
    let written = messages.collect::<Vec<Bytes>>().now_or_never();
    let written = Bytes::from(written.expect("every part is there").concat());
    let length = written.len();
    assert_eq!(self::parts(&WIDE, written, length), (parts, None));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corpus_of_chunks_holds() {
        let folder =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../dev/fuzz/corpus/chunks");
        let mut whole = 0;
        for entry in std::fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        {
            let path = entry.unwrap().path();
            println!("{}", path.display());
            let input = std::fs::read(path).unwrap();
            hold(&input);
            if let Some(body) = input.get(2..)
                && input[0] & 3 == 0
            {
                let framed = frames(body);
                let length = framed.len();
                whole += usize::from(parts(&WIDE, framed, length).1.is_none());
            }
        }
        assert!(whole > 0, "no input of the corpus is a whole reply");
    }
}
