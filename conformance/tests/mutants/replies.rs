//! Faults in how a reply or an error comes back.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use comity_core::{
    call::{Blob, BlobSource, EventStream, Part, PartStream, Reply},
    error::{CallError, Delivery, ErrorParts, FederationError, TransportError},
    json::{Object, Value},
};
use futures_util::{StreamExt, stream};
use tokio::sync::{Mutex, mpsc};

use crate::{
    Mutant, again, fails, message,
    mutated::{Act, Fault, streams},
    replies as changed,
    requests::no_empty_arrays,
};

pub(crate) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "drops unknown members of a reply",
        fault: Fault::Client(|| {
            changed(|reply| {
                content(reply, |object| {
                    object.filtered(|name| !name.starts_with("org.example"))
                })
            })
        }),
    },
    Mutant {
        name: "turns integers of a reply to floats",
        fault: Fault::Client(|| {
            changed(|reply| {
                content(reply, |object| {
                    let text = String::from_utf8_lossy(object.text()).replace(":1,", ":1.0,");
                    again(&text).unwrap_or_else(|| object.clone())
                })
            })
        }),
    },
    Mutant {
        name: "loses an empty array of a message",
        fault: Fault::Client(|| changed(|reply| content(reply, no_empty_arrays))),
    },
    Mutant {
        name: "loses an empty array of a stream",
        fault: Fault::Client(|| {
            changed(|reply| {
                parts(reply, |parts| {
                    // An array is begun by its first element.
                    parts
                        .filter(|part| std::future::ready(!matches!(part, Ok(Part::Array(_)))))
                        .boxed()
                })
            })
        }),
    },
    Mutant {
        name: "adds arrays that were absent",
        fault: Fault::Client(|| {
            changed(|reply| match reply {
                Reply::Events(events) => {
                    let more = stream::iter([Ok(Part::Array("pdus"))]);
                    Reply::Events(EventStream {
                        parts: more.chain(events.parts).boxed(),
                    })
                }
                other => other,
            })
        }),
    },
    Mutant {
        name: "strips unsigned from the events of a reply",
        fault: Fault::Client(|| changed(|reply| items(reply, stripped))),
    },
    Mutant {
        name: "strips unsigned from the members of a reply",
        fault: Fault::Client(|| {
            changed(|reply| content(reply, |object| object.filtered(|name| name != "unsigned")))
        }),
    },
    Mutant {
        name: "sorts the members of a streamed reply",
        fault: Fault::Client(|| changed(|reply| parts(reply, sorted))),
    },
    Mutant {
        name: "drops a malformed event with its neighbours",
        fault: Fault::Client(|| {
            changed(|reply| {
                parts(reply, |parts| {
                    let mut bad = false;
                    parts
                        .filter(move |part| {
                            let was_bad = bad;
                            if let Ok(Part::Item { value, .. }) = part {
                                bad = !value.is_object() && value.as_str().is_none();
                            }
                            std::future::ready(!(bad || was_bad))
                        })
                        .boxed()
                })
            })
        }),
    },
    Mutant {
        name: "ends a broken stream quietly",
        fault: Fault::Client(|| {
            changed(|reply| {
                streams(
                    reply,
                    |parts| {
                        parts
                            .take_while(|part| std::future::ready(part.is_ok()))
                            .boxed()
                    },
                    |bytes| {
                        bytes
                            .take_while(|piece| std::future::ready(piece.is_ok()))
                            .boxed()
                    },
                )
            })
        }),
    },
    Mutant {
        name: "truncates at 4 MiB",
        fault: Fault::Client(|| {
            changed(|reply| {
                let (left_of_parts, left_of_bytes) =
                    (AtomicU64::new(4 << 20), AtomicU64::new(4 << 20));
                let fits = |left: &AtomicU64, bytes: usize| {
                    let bytes = bytes as u64;
                    std::future::ready(left.fetch_sub(bytes, Ordering::Relaxed) > bytes)
                };
                streams(
                    reply,
                    |parts| {
                        parts
                            .take_while(move |part| {
                                let bytes = match part {
                                    Ok(Part::Item { value, .. }) => value.as_bytes().len(),
                                    _ => 0,
                                };
                                fits(&left_of_parts, bytes)
                            })
                            .boxed()
                    },
                    |bytes| {
                        bytes
                            .take_while(move |piece| {
                                fits(
                                    &left_of_bytes,
                                    piece.as_ref().map_or(0, |piece| piece.len()),
                                )
                            })
                            .boxed()
                    },
                )
            })
        }),
    },
    Mutant {
        name: "buffers the whole stream",
        fault: Fault::Client(|| {
            Arc::new(|way, call| {
                Box::pin(async move {
                    Ok(match way.send(call).await? {
                        Reply::Events(events) => {
                            let parts: Vec<_> = events.parts.collect().await;
                            Reply::Events(EventStream {
                                parts: stream::iter(parts).boxed(),
                            })
                        }
                        Reply::Blob(blob) => {
                            let pieces: Vec<_> = blob.bytes.collect().await;
                            Reply::Blob(Blob {
                                bytes: stream::iter(pieces).boxed(),
                                ..blob
                            })
                        }
                        other => other,
                    })
                })
            })
        }),
    },
    Mutant {
        name: "reads ahead without a bound",
        fault: Fault::Client(|| changed(|reply| streams(reply, ahead, ahead))),
    },
    Mutant {
        name: "crosses replies",
        fault: Fault::Client(|| crossing(|_| true)),
    },
    Mutant {
        name: "crosses streams",
        fault: Fault::Client(|| crossing(|reply| matches!(reply, Reply::Events(_)))),
    },
    Mutant {
        name: "repeats an element of a long stream",
        fault: Fault::Client(|| changed(|reply| parts(reply, repeating))),
    },
    Mutant {
        name: "ignores cancellation of a call",
        fault: Fault::Client(|| {
            Arc::new(|way, call| {
                Box::pin(async move {
                    let sent = tokio::spawn(async move { way.send(call).await });
                    sent.await.unwrap()
                })
            })
        }),
    },
    Mutant {
        name: "loses the place of a file",
        fault: Fault::Client(|| {
            changed(|reply| match reply {
                Reply::Blob(Blob {
                    metadata,
                    source: BlobSource::Location(_),
                    bytes,
                }) => Reply::Blob(Blob {
                    metadata,
                    source: BlobSource::Here {
                        content_type: None,
                        content_disposition: None,
                    },
                    bytes,
                }),
                other => other,
            })
        }),
    },
    Mutant {
        name: "loses Retry-After",
        fault: Fault::Client(|| fails(|error| rebuilt(error, |parts| parts.retry_after = None))),
    },
    Mutant {
        name: "swallows 405",
        fault: Fault::Client(|| {
            fails(|error| {
                rebuilt(error, |parts| {
                    if parts.http_status == 405 {
                        parts.http_status = 404;
                    }
                })
            })
        }),
    },
    Mutant {
        name: "makes 500 of what it does not know",
        fault: Fault::Client(|| {
            fails(|error| {
                rebuilt(error, |parts| {
                    if parts.errcode.as_deref() == Some("M_UNRECOGNIZED") {
                        parts.http_status = 500;
                    }
                })
            })
        }),
    },
    Mutant {
        name: "changes the status of an error",
        fault: Fault::Client(|| {
            fails(|error| {
                rebuilt(error, |parts| {
                    if parts.http_status == 409 {
                        parts.http_status = 400;
                    }
                })
            })
        }),
    },
    Mutant {
        name: "loses an errcode of an unknown namespace",
        fault: Fault::Client(|| {
            fails(|error| match error {
                CallError::Federation(error)
                    if error.errcode().is_some_and(|code| !code.starts_with("M_")) =>
                {
                    FederationError::new(error.http_status(), "M_UNKNOWN", error.message()).into()
                }
                other => other,
            })
        }),
    },
    Mutant {
        name: "writes the body of an error anew",
        fault: Fault::Client(|| {
            fails(|error| match error {
                CallError::Federation(error) => {
                    let errcode = error.errcode().unwrap_or("M_UNKNOWN");
                    let anew = FederationError::new(error.http_status(), errcode, error.message());
                    match error.retry_after() {
                        Some(wait) => anew.with_retry_after(wait).into(),
                        None => anew.into(),
                    }
                }
                other => other,
            })
        }),
    },
    Mutant {
        name: "says NotSent after delivery",
        fault: Fault::Client(|| {
            fails(|error| match error {
                CallError::Transport(error) => {
                    TransportError::new(error.kind(), Delivery::NotSent, error.message()).into()
                }
                other => other,
            })
        }),
    },
    Mutant {
        name: "says MaybeProcessed where nothing was sent",
        fault: Fault::Client(|| {
            fails(|error| match error {
                CallError::Transport(error) => {
                    TransportError::new(error.kind(), Delivery::MaybeProcessed, error.message())
                        .into()
                }
                other => other,
            })
        }),
    },
];

fn content(reply: Reply, change: fn(&Object) -> Object) -> Reply {
    match reply {
        Reply::Message(mut whole) => message(change(whole.content())),
        other => other,
    }
}

fn parts(reply: Reply, change: fn(PartStream) -> PartStream) -> Reply {
    streams(reply, change, |bytes| bytes)
}

/// Each element of a list, of a message or a stream.
fn items(reply: Reply, change: fn(Value) -> Value) -> Reply {
    match reply {
        Reply::Message(mut whole) => {
            let mut members = comity_core::json::Members::new();
            for (name, value) in whole.content().members() {
                let value = match value.elements() {
                    Some(elements) => Value::array(elements.into_iter().map(change)),
                    None => value,
                };
                members.insert(name.into_owned(), value);
            }
            message(members.to_object())
        }
        other => streams(
            other,
            move |parts| {
                parts
                    .map(move |part| match part {
                        Ok(Part::Item {
                            array,
                            index,
                            value,
                        }) => Ok(Part::Item {
                            array,
                            index,
                            value: change(value),
                        }),
                        other => other,
                    })
                    .boxed()
            },
            |bytes| bytes,
        ),
    }
}

fn stripped(value: Value) -> Value {
    match Object::from_value(&value) {
        Some(event) => event.filtered(|name| name != "unsigned").to_value(),
        None => value,
    }
}

/// The members first and by their names, as a map gives them; then the arrays.
fn sorted(parts: PartStream) -> PartStream {
    stream::once(async move {
        let mut parts: Vec<_> = parts.collect().await;
        parts.sort_by_key(|part| match part {
            Ok(Part::Member { name, .. }) => (0, name.clone()),
            Ok(_) => (1, String::new()),
            Err(_) => (2, String::new()),
        });
        stream::iter(parts)
    })
    .flatten()
    .boxed()
}

/// One element far behind the first is the one before it.
fn repeating(parts: PartStream) -> PartStream {
    let repeated = parts.scan(Value::null(), |before, mut part| {
        if let Ok(Part::Item { index, value, .. }) = &mut part {
            if *index == 500 {
                *value = before.clone();
            }
            *before = value.clone();
        }
        std::future::ready(Some(part))
    });
    repeated.boxed()
}

/// A task that reads for the reader, as fast as it can.
fn ahead<T: Send + 'static>(
    mut stream: futures_util::stream::BoxStream<'static, T>,
) -> futures_util::stream::BoxStream<'static, T> {
    #[expect(clippy::disallowed_methods, reason = "it is the fault")]
    let (to, from) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(item) = stream.next().await {
            if to.send(item).is_err() {
                break;
            }
        }
    });
    stream::unfold(
        from,
        |mut from| async move { Some((from.recv().await?, from)) },
    )
    .boxed()
}

/// Of replies that come at about the same time each call gets another's.
fn crossing(concerns: fn(&Reply) -> bool) -> Act {
    let slot: Arc<Mutex<Option<Reply>>> = Arc::default();
    Arc::new(move |way, call| {
        let slot = slot.clone();
        Box::pin(async move {
            let own = way.send(call).await?;
            if !concerns(&own) {
                return Ok(own);
            }
            let earlier = slot.lock().await.replace(own);
            if let Some(earlier) = earlier {
                return Ok(earlier);
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            loop {
                // Another call may have taken ours; then its reply is there soon.
                if let Some(reply) = slot.lock().await.take() {
                    return Ok(reply);
                }
                tokio::task::yield_now().await;
            }
        })
    })
}

fn rebuilt(error: CallError, change: fn(&mut ErrorParts)) -> CallError {
    match error {
        CallError::Federation(error) => {
            let mut parts = error.parts();
            change(&mut parts);
            FederationError::from_parts(parts).into()
        }
        other => other,
    }
}
