//! One way to watch a reply's stream, whatever its shape.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;

use crate::{
    call::{Blob, Body, Part, Reply},
    error::CallError,
};

/// Watches the items of a reply's stream. Whatever it holds (a permit, a timer) lives as long as the stream does.
pub(crate) trait Watch: Send + Unpin + 'static {
    /// Called while the stream waits for its producer. An error ends the stream.
    fn waiting(&mut self, _: &mut Context<'_>) -> Result<(), CallError> {
        Ok(())
    }

    /// Called with the size of each item, in bytes. An error ends the stream.
    fn arrived(&mut self, _bytes: usize) -> Result<(), CallError> {
        Ok(())
    }

    /// Called when the stream ended, with or without an error.
    fn ended(&mut self, _error: Option<&CallError>) {}
}

/// The same reply, watched. A message has no stream: it is watched as one item that has arrived.
pub(crate) fn watch(mut reply: Reply, mut watcher: impl Watch) -> Result<Reply, CallError> {
    match &mut reply {
        Reply::Message(_) => watcher.ended(None),
        Reply::Events(events) => {
            let parts =
                std::mem::replace(&mut events.parts, Box::pin(futures_util::stream::empty()));
            events.parts = Box::pin(Watched {
                stream: parts,
                watcher,
                size: part_size,
                ended: false,
            });
        }
        Reply::Blob(Blob { bytes, .. }) | Reply::Body(Body { bytes, .. }) => {
            let stream = std::mem::replace(bytes, Box::pin(futures_util::stream::empty()));
            *bytes = Box::pin(Watched {
                stream,
                watcher,
                size: bytes::Bytes::len,
                ended: false,
            });
        }
    }
    Ok(reply)
}

fn part_size(part: &Part) -> usize {
    match part {
        Part::Array(name) => name.len(),
        Part::Item { value, .. } => value.as_bytes().len(),
        Part::Oversized { .. } => 0,
        Part::Member { name, value } => name.len() + value.as_bytes().len(),
    }
}

struct Watched<S, T, W> {
    stream: S,
    watcher: W,
    size: fn(&T) -> usize,
    ended: bool,
}

impl<S, T, W> Stream for Watched<S, T, W>
where
    S: Stream<Item = Result<T, CallError>> + Unpin,
    W: Watch,
{
    type Item = Result<T, CallError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.ended {
            return Poll::Ready(None);
        }
        let result = match Pin::new(&mut this.stream).poll_next(cx) {
            Poll::Ready(Some(Ok(item))) => match this.watcher.arrived((this.size)(&item)) {
                Ok(()) => return Poll::Ready(Some(Ok(item))),
                Err(error) => Some(error),
            },
            Poll::Ready(Some(Err(error))) => Some(error),
            Poll::Ready(None) => None,
            Poll::Pending => match this.watcher.waiting(cx) {
                Ok(()) => return Poll::Pending,
                Err(error) => Some(error),
            },
        };
        this.ended = true;
        this.watcher.ended(result.as_ref());
        Poll::Ready(result.map(Err))
    }
}
