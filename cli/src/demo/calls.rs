//! What the demo does with any call: takes its time, and says what differs.

use std::{
    collections::BTreeMap,
    error::Error,
    time::{Duration, Instant},
};

use bytes::Bytes;
use comity_core::{
    Client, ServerName,
    api::Calls,
    call::{Arrival, EventReply, MessageForm},
    endpoint::Query,
    error::CallError,
    event::Element,
    json::{Members, Value},
};
use futures_util::StreamExt;

use super::{mascot, measure::Done};
use crate::failure::chain;

/// A member that no version of the API knows, to see that it arrives.
pub(crate) const UNKNOWN_MEMBER: &str = "org.example.comity.demo";

/// Something that only a lossless wire carries: nesting, null, an empty array, a number beyond canonical JSON.
pub(crate) fn unknown_members() -> Members {
    const TEXT: &str = r#"{"a":[],"b":null,"c":{"d":[1,{"e":"\u0000\ud83d\ude80"}]},"f":1e400}"#;
    let value = Value::parse(Bytes::from_static(TEXT.as_bytes()), TEXT.len() * 2)
        .expect("the text is JSON");
    let mut members = Members::new();
    members.insert(UNKNOWN_MEMBER.to_owned(), value);
    members
}

/// Query parameters that nobody knows, one of them twice.
pub(crate) fn unknown_query() -> Query {
    let mut query = Query::default();
    query.push(UNKNOWN_MEMBER, "ä/b c&d=%e?+'");
    query.push(UNKNOWN_MEMBER, "");
    query
}

/// Fetches the file and compares it while it arrives.
///
/// # Errors
/// What failed, or what differs.
pub(crate) async fn read_file(
    client: &Client,
    from: &ServerName,
    wanted: &[u8],
) -> Result<Done, String> {
    let begun = Instant::now();
    let blob = client.download_media(from, mascot::request()).await;
    let mut bytes = blob.map_err(show)?.bytes;
    let mut left = wanted;
    while let Some(chunk) = bytes.next().await {
        let chunk = chunk.map_err(show)?;
        left = left
            .strip_prefix(&chunk[..])
            .ok_or_else(|| format!("the file differs, {} bytes before its end", left.len()))?;
    }
    let time = begun.elapsed();
    match left.len() {
        0 => Ok(Done { time, events: 0 }),
        missing => Err(format!("the last {missing} bytes of the file are missing")),
    }
}

/// The reply to a call, and how long it took.
pub(crate) async fn clocked<T>(
    call: impl Future<Output = Result<T, CallError>>,
) -> Result<(T, Duration), String> {
    let begun = Instant::now();
    let reply = call.await.map_err(show)?;
    Ok((reply, begun.elapsed()))
}

/// The arrays of a streamed reply that was read to its end.
#[derive(Debug)]
pub(crate) struct Arrived<T>(BTreeMap<&'static str, Vec<T>>);

impl<T> Arrived<T> {
    /// What came in an array.
    pub(crate) fn array(&self, name: &str) -> &[T] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }
}

/// The reply to a call that streams, read to its end, and how long that took.
pub(crate) async fn streamed<M: MessageForm, T: Element>(
    call: impl Future<Output = Result<EventReply<M, T>, CallError>>,
) -> Result<(Arrived<T>, Duration), String> {
    let begun = Instant::now();
    let mut reply = call.await.map_err(show)?;
    let mut arrays: BTreeMap<_, Vec<T>> = BTreeMap::new();
    while let Some(arrival) = reply.next().await {
        match arrival.map_err(show)? {
            Arrival::Item { array, item } => arrays.entry(array).or_default().push(item),
            Arrival::Bad { array, bad } => {
                return Err(format!("element {} of `{array}` {}", bad.index, bad.fault));
            }
        }
    }
    reply.finish().await.map_err(show)?;
    Ok((Arrived(arrays), begun.elapsed()))
}

pub(crate) fn same<T: PartialEq + std::fmt::Debug>(got: T, wanted: &T) -> Result<(), String> {
    match got == *wanted {
        true => Ok(()),
        false => Err(format!("{got:?} came instead of {wanted:?}")),
    }
}

/// An error with its causes.
pub(crate) fn show(error: impl Error) -> String {
    chain(&error)
}
