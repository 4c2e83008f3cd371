//! Bytes of a reply that nothing is wrapped around.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;

use super::read::over_limit;
use crate::{call::ByteStream, error::CallError};

/// The same bytes, at most `limit` of them; what is more is an error, and the end.
pub(super) fn bounded(bytes: ByteStream, limit: u64) -> ByteStream {
    Box::pin(Bounded {
        bytes: Some(bytes),
        left: limit,
        limit,
    })
}

struct Bounded {
    /// None after the end or an error.
    bytes: Option<ByteStream>,
    left: u64,
    limit: u64,
}

impl Stream for Bounded {
    type Item = Result<Bytes, CallError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(bytes) = this.bytes.as_mut() else {
            return Poll::Ready(None);
        };
        let mut item = ready!(bytes.as_mut().poll_next(cx));
        if let Some(Ok(chunk)) = &item {
            match this.left.checked_sub(chunk.len() as u64) {
                Some(left) => this.left = left,
                None => {
                    item = Some(Err(over_limit("the reply", this.limit, "limits.stream")));
                }
            }
        }
        if !matches!(item, Some(Ok(_))) {
            this.bytes = None;
        }
        Poll::Ready(item)
    }
}
