//! Streamed replies: whole or broken off, made no faster than they are read, and arriving while they are made.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use comity_core::{
    call::{Blob, BlobSource, Body, EventStream, Idempotency, Part, Reply, ReplyShape},
    error::{CallError, Delivery, FederationError},
    json::{Object, Value},
};
use futures_util::{Stream, StreamExt, future::try_join, stream};
use tokio::sync::{Notify, Semaphore};

use super::{
    Checked, OfBinding, OfOperation, Server, Stop, any_call, crossing::call_by_value, ensure,
    is_message, needs, of_binding, pick, pick_safe, random, shown,
};
use crate::{
    AnySample, Bench, BlobSample, Failure, ReplySample,
    bench::{Answer, runtime},
};

/// Random replies that break off, of each operation.
const BROKEN: u32 = 8;

/// Bytes of one piece of a long reply.
const PIECE: usize = 16 << 10;

/// Pieces of a reply that nobody reads to its end: 96 MiB.
const ENDLESS: u64 = 6 << 10;

/// Most pieces that may be made ahead of the reader: 32 MiB, for what sockets and flow control hold, on several hops.
const AHEAD: u64 = 2 << 10;

/// Pieces of a large reply: 12 MiB.
const LARGE: u64 = 768;

pub(super) fn of(sample: &AnySample) -> Vec<OfOperation> {
    if is_message(sample) {
        return Vec::new();
    }
    vec![OfOperation::new("a reply that breaks off", breaks_off)]
}

pub(super) const OF_BINDING: &[OfBinding] = &[
    of_binding("events arrive while they are made", |bench, samples| {
        arrives_early(bench, of_events(samples)?)
    }),
    of_binding("bytes arrive while they are made", |bench, samples| {
        arrives_early(bench, of_bytes(samples)?)
    }),
    of_binding("back pressure of events", |bench, samples| {
        back_pressure(bench, of_events(samples)?)
    }),
    of_binding("back pressure of bytes", |bench, samples| {
        back_pressure(bench, of_bytes(samples)?)
    }),
    of_binding("a large reply of events", |bench, samples| {
        large(bench, of_events(samples)?)
    }),
    of_binding("a large reply of bytes", |bench, samples| {
        large(bench, of_bytes(samples)?)
    }),
    killing("peer gone in the midst of events", |bench, samples| {
        gone_half_way(bench, of_events(samples)?)
    }),
    killing("peer gone in the midst of bytes", |bench, samples| {
        gone_half_way(bench, of_bytes(samples)?)
    }),
    killing("peer gone before the reply", |bench, samples| {
        gone_before_reply(bench, pick_safe(samples, "may be dropped", |_| true)?)
    }),
    killing(
        "peer gone before the reply to a call that consumes",
        |bench, samples| {
            let consumes =
                |sample: &AnySample| sample.operation().spec().idempotency == Idempotency::None;
            gone_before_reply(bench, pick(samples, "consumes", consumes)?)
        },
    ),
    killing("nobody there", nobody_there),
];

const fn killing(name: &'static str, check: fn(&Bench, &[AnySample]) -> Checked) -> OfBinding {
    OfBinding {
        name,
        check,
        server: Server::Killed,
    }
}

pub(super) fn of_events(samples: &[AnySample]) -> Result<&AnySample, Stop> {
    pick_safe(samples, "streams events and may be dropped", |shape| {
        matches!(shape, ReplyShape::Events { .. })
    })
}

fn of_bytes(samples: &[AnySample]) -> Result<&AnySample, Stop> {
    pick_safe(samples, "streams bytes and may be dropped", |shape| {
        matches!(shape, ReplyShape::Blob | ReplyShape::Body)
    })
}

/// A reply that fails half-way never looks complete, and what came of it is right.
fn breaks_off(bench: &Bench, sample: &AnySample) -> Checked {
    let law = format!("a broken reply is an error: {:?}", sample.operation());
    let strategy = (sample.requests(), sample.replies());
    random(
        bench,
        &law,
        BROKEN,
        &strategy,
        |(request, reply)| async move {
            let (call, _) = call_by_value(&*request)?;
            let exchange = bench.exchange(call, Answer::Broken(reply.clone())).await?;
            ensure!(
                exchange.seen.is_some(),
                "the call did not arrive: {}",
                shown(&exchange.outcome)
            );
            match &exchange.outcome {
                Err(_) => {}
                // A place elsewhere needs no bytes: nothing of the reply is missing.
                Ok(ReplySample::Blob(BlobSample {
                    source: BlobSource::Location(_),
                    ..
                })) => {}
                Ok(some) => {
                    ensure!(
                        exchange.broken.is_some(),
                        "the reply ended as if it was whole"
                    );
                    ensure!(some.begins(&reply), "what came of it is {}", shown(some));
                }
            }
            Ok(())
        },
    )
}

/// The streamed reply of a sample, of these pieces.
fn reply_of(shape: ReplyShape, pieces: impl Stream<Item = u64> + Send + 'static) -> Reply {
    let text = "x".repeat(PIECE);
    match shape {
        ReplyShape::Events {
            arrays: &[array, ..],
        } => {
            let items = pieces.map(move |index| Part::Item {
                array,
                index,
                value: text_of(index, &text),
            });
            let parts = stream::iter([Part::Array(array)]).chain(items);
            Reply::Events(EventStream {
                parts: parts.map(Ok).boxed(),
            })
        }
        _ => {
            let bytes = pieces.map(|index| Ok(bytes_of(index))).boxed();
            if shape == ReplyShape::Body {
                return Reply::Body(Body {
                    status: 200,
                    content_type: Some("application/octet-stream".to_owned()),
                    content_disposition: None,
                    bytes,
                });
            }
            Reply::Blob(Blob {
                metadata: Object::empty(),
                source: BlobSource::Here {
                    content_type: None,
                    content_disposition: None,
                },
                bytes,
            })
        }
    }
}

/// What [`reply_of`] makes of a piece of an event stream.
fn text_of(index: u64, filler: &str) -> Value {
    Value::string(&format!("${index} {filler}"))
}

/// And of a piece of a blob: [`PIECE`] bytes that no other piece has.
fn bytes_of(index: u64) -> Bytes {
    Bytes::from(index.to_be_bytes().repeat(PIECE / 8))
}

/// A piece of a reply as it came.
#[derive(Debug)]
enum Piece {
    Item(u64, Value),
    Bytes(Bytes),
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Self::Item(_, value) => value.as_bytes().len(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }
}

/// The next piece of a reply, or what it broke off with; `None` at its end.
async fn next(
    bench: &Bench,
    reply: &mut Reply,
) -> Result<Option<Result<Piece, CallError>>, String> {
    let patience = bench.declared().patience;
    let late = |_| format!("no more of the reply came within {patience:?}");
    match reply {
        Reply::Events(events) => loop {
            let part = tokio::time::timeout(patience, events.parts.next()).await;
            match part.map_err(late)? {
                Some(Ok(Part::Item { index, value, .. })) => {
                    return Ok(Some(Ok(Piece::Item(index, value))));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Ok(Some(Err(error))),
                None => return Ok(None),
            }
        },
        Reply::Blob(Blob { bytes, .. }) | Reply::Body(Body { bytes, .. }) => {
            let piece = tokio::time::timeout(patience, bytes.next()).await;
            Ok(piece.map_err(late)?.map(|piece| piece.map(Piece::Bytes)))
        }
        Reply::Message(_) => Err(format!("the caller got {reply:?}")),
    }
}

/// The same of a reply that does not break off.
async fn next_good(bench: &Bench, reply: &mut Reply) -> Result<Option<Piece>, String> {
    let piece = next(bench, reply).await?.transpose();
    piece.map_err(|error| format!("the reply broke off: {error}"))
}

async fn begin(bench: &Bench, sample: &AnySample, answer: Answer) -> Result<Reply, String> {
    let patience = bench.declared().patience;
    let client = bench.client(answer);
    tokio::time::timeout(patience, client.send(any_call(sample)?))
        .await
        .map_err(|_| format!("no reply began within {patience:?}"))?
        .map_err(|error| format!("there was no reply: {error}"))
}

/// Each piece is made only once the one before it was read.
fn arrives_early(bench: &Bench, sample: &AnySample) -> Checked {
    const PIECES: u64 = 4;
    needs(bench.capabilities().streaming, "streaming")?;
    let shape = sample.operation().spec().reply;
    let read = Arc::new(Semaphore::new(1));
    let gate = read.clone();
    let answer = Answer::by(move |_| {
        let gate = gate.clone();
        let pieces = stream::unfold(0, move |index| {
            let gate = gate.clone();
            async move {
                if index == PIECES {
                    return None;
                }
                gate.acquire().await.ok()?.forget();
                Some((index, index + 1))
            }
        });
        std::future::ready(Ok(reply_of(shape, pieces)))
    });
    runtime().block_on(async {
        let mut reply = begin(bench, sample, answer).await?;
        let mut bytes = 0;
        while let Some(piece) = next_good(bench, &mut reply).await? {
            bytes += piece.len();
            read.add_permits(1);
        }
        ensure!(
            bytes >= PIECES as usize * PIECE,
            "only {bytes} bytes of the reply came"
        );
        Ok(())
    })
}

/// Pieces up to a number, counted as they are made.
fn counted(pieces: u64, made: Arc<AtomicU64>) -> impl Stream<Item = u64> {
    stream::iter(0..pieces).inspect(move |_| {
        made.fetch_add(1, Ordering::Relaxed);
    })
}

/// A reader that stops reading stops the producer: memory does not grow with the reply.
fn back_pressure(bench: &Bench, sample: &AnySample) -> Checked {
    needs(bench.capabilities().streaming, "streaming")?;
    let shape = sample.operation().spec().reply;
    let made = Arc::new(AtomicU64::new(0));
    let counter = made.clone();
    let answer = Answer::by(move |_| {
        let pieces = counted(ENDLESS, counter.clone());
        std::future::ready(Ok(reply_of(shape, pieces)))
    });
    runtime().block_on(async {
        let mut reply = begin(bench, sample, answer).await?;
        next_good(bench, &mut reply).await?;
        // A busy machine may make none for a while, and go on.
        let (mut before, mut still) = (0, 0);
        while still < 4 {
            tokio::time::sleep(Duration::from_millis(80)).await;
            let now = made.load(Ordering::Relaxed);
            ensure!(
                now < AHEAD,
                "{now} pieces of {PIECE} bytes were made while the reader had taken one"
            );
            still = if now == before { still + 1 } else { 0 };
            before = now;
        }
        for _ in 0..64 {
            let piece = next_good(bench, &mut reply).await?;
            ensure!(piece.is_some(), "the reply ended");
        }
        Ok(())
    })
}

/// Every piece of a reply of [`LARGE`] comes, as it is, in its place.
fn large(bench: &Bench, sample: &AnySample) -> Checked {
    let shape = sample.operation().spec().reply;
    let answer =
        Answer::by(move |_| std::future::ready(Ok(reply_of(shape, stream::iter(0..LARGE)))));
    runtime().block_on(async {
        let mut reply = begin(bench, sample, answer).await?;
        let filler = "x".repeat(PIECE);
        // Bytes come in pieces of any size.
        let (mut items, mut bytes) = (0, BytesMut::new());
        while let Some(piece) = next_good(bench, &mut reply).await? {
            match piece {
                Piece::Item(index, value) => {
                    ensure!(
                        index == items && value == text_of(index, &filler),
                        "in place of element {items} came {index}: {}",
                        shown(&value)
                    );
                    items += 1;
                }
                Piece::Bytes(piece) => bytes.extend_from_slice(&piece),
            }
        }
        if matches!(shape, ReplyShape::Events { .. }) {
            ensure!(items == LARGE, "of {LARGE} elements {items} came");
            return Ok(());
        }
        let whole = (0..LARGE).map(bytes_of).collect::<Vec<_>>().concat();
        let same = bytes
            .iter()
            .zip(&whole)
            .take_while(|(one, other)| one == other);
        let same = same.count();
        ensure!(
            bytes.len() == whole.len() && same == whole.len(),
            "of {} bytes {} came, and only the first {same} as they were",
            whole.len(),
            bytes.len()
        );
        Ok(())
    })
}

fn cut(bench: &Bench) -> Checked {
    if bench.cut() {
        return Ok(());
    }
    let why = "the harness gives no way to cut the connections";
    Err(Stop::Unsupported(why.to_owned()))
}

fn gone_half_way(bench: &Bench, sample: &AnySample) -> Checked {
    needs(bench.capabilities().streaming, "streaming")?;
    let shape = sample.operation().spec().reply;
    let answer = Answer::by(move |_| {
        let pieces = stream::iter(0..3).chain(stream::pending());
        std::future::ready(Ok(reply_of(shape, pieces)))
    });
    runtime().block_on(async {
        let mut reply = begin(bench, sample, answer).await?;
        next_good(bench, &mut reply).await?;
        cut(bench)?;
        loop {
            match next(bench, &mut reply).await? {
                Some(Ok(_)) => {}
                Some(Err(_)) => return Ok(()),
                None => return Err("the reply ended as if it was whole".into()),
            }
        }
    })
}

/// A gateway on the way answers for the one that is gone.
fn is_gone(bench: &Bench, error: &CallError, deliveries: &[Delivery]) -> bool {
    match Failure::from(error) {
        Failure::Transport { delivery, .. } => deliveries.contains(&delivery),
        Failure::Answer { http_status, .. } => {
            bench.declared().relays && matches!(http_status, 502 | 504)
        }
    }
}

/// Whoever repeated the call would find nobody, and take it for one that was never sent.
fn gone_before_reply(bench: &Bench, sample: &AnySample) -> Checked {
    let patience = bench.declared().patience;
    runtime().block_on(async {
        let arrived = Arc::new(Notify::new());
        let told = arrived.clone();
        let client = bench.client(Answer::by(move |_| {
            told.notify_one();
            // Not for ever: what must not be broken off runs to its end without a caller.
            async move {
                tokio::time::sleep(patience).await;
                Err(FederationError::internal("nobody waits any more").into())
            }
        }));
        let late = |_| format!("the caller was told nothing within {patience:?}");
        let killer = async {
            arrived.notified().await;
            cut(bench)
        };
        let call = async { Ok(client.send(any_call(sample)?).await) };
        let both = async { Ok::<_, Stop>(try_join(call, killer).await?.0) };
        match tokio::time::timeout(patience, both).await.map_err(late)?? {
            Ok(reply) => Err(format!("the caller got {reply:?}").into()),
            Err(error) => {
                ensure!(
                    is_gone(bench, &error, &[Delivery::MaybeProcessed]),
                    "the caller got {error:?}"
                );
                let delivered = bench.recorder().count();
                ensure!(delivered == 1, "the call was delivered {delivered} times");
                Ok(())
            }
        }
    })
}

/// The first call may fall on a connection that nobody knows to be dead; from the second on it is certain that nothing was sent.
fn nobody_there(bench: &Bench, samples: &[AnySample]) -> Checked {
    let certain = bench.capabilities().delivery_certainty;
    needs(certain, "certainty of delivery")?;
    let sample = pick_safe(samples, "may be dropped", |_| true)?;
    cut(bench)?;
    runtime().block_on(async {
        let answer = Answer::Reply(super::any_reply(sample));
        let first = bench.exchange(any_call(sample)?, answer.clone()).await?;
        let second = bench.client(answer).send(any_call(sample)?).await;
        ensure!(
            first.outcome.is_err(),
            "the caller got {}",
            shown(&first.outcome)
        );
        let Err(error) = second else {
            return Err(format!("the caller got {second:?}").into());
        };
        let untouched = [Delivery::NotSent, Delivery::Rejected];
        ensure!(
            is_gone(bench, &error, &untouched),
            "the caller got {error:?}"
        );
        Ok(())
    })
}
