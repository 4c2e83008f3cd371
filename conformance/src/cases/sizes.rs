//! The largest request and the largest reply of each operation.
//!
//! Largest is what the row allows, up to [`MOST`]: a target of 8 KiB; content at the row's limit, or the 65,536 bytes of an event where the
//! content is one; a message at its limit; an element of a stream at its limit, among hundreds; bytes over [`MOST`]. That is over
//! the 4 MiB at which carriers like to stop by default. A transport that declares a smaller `max_message` gets no larger message. What a stream may have in all (1 GiB) is not tried.

use bytes::Bytes;
use comity_core::{
    call::{BlobSource, Part},
    endpoint::{Content, EndpointForm, EndpointParts, target::TARGET_LIMIT},
    json::{Object, Value},
};

use super::{
    OfOperation, any_parts, any_reply, arrays, crossing::parts_cross, with_content, with_member,
};
use crate::{
    AnySample, Bench, BlobSample, BodySample, Elements, ReplySample, bench::runtime, json::parse,
};

/// Most bytes of what a case about one operation sends.
pub(super) const MOST: usize = (4 << 20) + (64 << 10);

/// What a binding's own limit is left for, beside the content.
const FRAME: usize = 64 << 10;

/// Elements of the largest streamed reply beside the largest one.
const ELEMENTS: u64 = 300;

/// A member that nobody knows.
const FILLER: &str = "org.example.filler";

pub(super) fn of(_: &AnySample) -> Vec<OfOperation> {
    vec![
        OfOperation::new("largest request", |bench, sample| {
            let parts = largest_parts(bench, sample)?;
            runtime().block_on(parts_cross(bench, sample, parts, &any_reply(sample)))
        }),
        OfOperation::new("largest reply", |bench, sample| {
            let reply = largest_reply(bench, sample)?;
            runtime().block_on(parts_cross(bench, sample, any_parts(sample)?, &reply))
        }),
    ]
}

fn most(bench: &Bench, limit: usize) -> usize {
    let own = bench.capabilities().max_message.unwrap_or(usize::MAX);
    limit.min(MOST).min(own.saturating_sub(FRAME))
}

/// An object of exactly so many bytes; `None` if it is larger without a filler already.
pub(super) fn filled(object: &Object, bytes: usize) -> Option<Object> {
    let with = |length: usize| {
        let filler = Value::string(&"x".repeat(length));
        with_member(object, FILLER, Some(filler))
    };
    let room = bytes.checked_sub(with(0).text().len())?;
    Some(with(room))
}

/// A target of so many bytes, and the parts that it says.
pub(super) fn with_target(
    sample: &AnySample,
    bytes: usize,
) -> Result<(String, EndpointParts), String> {
    let operation = sample.operation();
    let mut parts = any_parts(sample)?;
    parts.query.push(FILLER, "x");
    let form = EndpointForm::from_parts(operation.method(), operation.path(), parts.clone());
    let form = form.map_err(|error| error.to_string())?;
    let filler = "x".repeat(bytes.saturating_sub(form.target().len()));
    parts.query.take(FILLER);
    parts.query.push(FILLER, format!("x{filler}"));
    Ok((form.target().to_owned() + &filler, parts))
}

fn largest_parts(bench: &Bench, sample: &AnySample) -> Result<EndpointParts, String> {
    let operation = sample.operation();
    let (_, parts) = with_target(sample, TARGET_LIMIT)?;
    if let Content::Json(content) = &parts.content {
        const EVENT: usize = 65_536;
        let limit = most(bench, operation.spec().limits.request);
        let largest = [limit, EVENT.min(limit)]
            .into_iter()
            .filter_map(|bytes| filled(content, bytes))
            .map(|content| with_content(&parts, content))
            .find(|parts| operation.read(parts).is_ok());
        return largest.ok_or_else(|| format!("{operation:?} takes no large content"));
    }
    Ok(parts)
}

fn largest_reply(bench: &Bench, sample: &AnySample) -> Result<ReplySample, String> {
    let limits = sample.operation().spec().limits;
    Ok(match any_reply(sample) {
        ReplySample::Message(content) => {
            let content = filled(&content, most(bench, limits.message));
            ReplySample::Message(content.ok_or("the sample's reply is over its limit")?)
        }
        ReplySample::Events(_) => {
            let elements = sample.reply_lists().first().map(|list| list.elements);
            ReplySample::Events(large_stream(arrays(sample), elements, limits.item))
        }
        ReplySample::Blob(_) => ReplySample::Blob(BlobSample {
            metadata: Object::empty(),
            source: BlobSource::Here {
                content_type: Some("application/octet-stream".to_owned()),
                content_disposition: None,
            },
            pieces: pieces(),
        }),
        ReplySample::Body(body) => ReplySample::Body(BodySample {
            pieces: pieces(),
            ..body
        }),
    })
}

/// Bytes over [`MOST`], in pieces of no round size.
fn pieces() -> Vec<Bytes> {
    const PIECE: usize = 99_991;
    let piece = |index| Bytes::from(vec![index as u8; PIECE]);
    (0..=MOST / PIECE).map(piece).collect()
}

/// Every array with its elements, and in the first of them one of so many bytes; IDs have no such size.
fn large_stream(arrays: &[&'static str], elements: Option<Elements>, largest: usize) -> Vec<Part> {
    let mut parts = Vec::new();
    for (place, array) in arrays.iter().copied().enumerate() {
        parts.push(Part::Array(array));
        let item = |index: u64| match elements {
            Some(Elements::Ids) => Value::string(&format!("${index:0250}")),
            _ => parse(&format!(
                r#"{{"content":{{"body":"{index:01000}"}},"depth":{index}}}"#
            )),
        };
        let mut items: Vec<Value> = (0..ELEMENTS).map(item).collect();
        if place == 0 && elements != Some(Elements::Ids) {
            let item = filled(&Object::empty(), largest).map(|object| object.to_value());
            items.extend(item);
        }
        parts.extend((0..).zip(items).map(|(index, value)| Part::Item {
            array,
            index,
            value,
        }));
    }
    let filler = Value::string(&"x".repeat(FRAME));
    parts.push(Part::Member {
        name: FILLER.to_owned(),
        value: filler,
    });
    parts
}
