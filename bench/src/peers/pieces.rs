//! Events as pieces of a blob, and each behind its length on the wire.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use comity_core::{
    call::{Blob, BlobSource, ByteStream, Reply},
    error::CallError,
    event::Pdu,
    json::Object,
};
use comity_net::{Body, body};
use futures_util::{StreamExt, TryStreamExt, stream};
use http_body_util::BodyDataStream;

use super::failed;

/// Bytes that are handed to HTTP at a time, and an event more.
const BATCH: usize = 64 << 10;

/// A length is four bytes, of the network's order.
const LENGTH: usize = 4;

/// A reply whose pieces are these texts.
pub(super) fn reply(pieces: ByteStream) -> Reply {
    Reply::Blob(Blob {
        metadata: Object::empty(),
        source: BlobSource::Here {
            content_type: None,
            content_disposition: None,
        },
        bytes: pieces,
    })
}

/// The same of texts that are all there.
pub(super) fn whole(texts: impl IntoIterator<Item = Bytes, IntoIter: Send + 'static>) -> Reply {
    reply(stream::iter(texts.into_iter().map(Ok)).boxed())
}

/// A body of events, each behind its length, made as it is sent.
pub(super) fn body(mut events: impl Iterator<Item = Pdu> + Send + 'static) -> Body {
    let batches = std::iter::from_fn(move || {
        let mut batch = BytesMut::with_capacity(BATCH + 8_192);
        while batch.len() < BATCH {
            let Some(event) = events.next() else { break };
            let text = event.value().as_bytes();
            batch.put_u32(u32::try_from(text.len()).expect("an event has 65,536 bytes at most"));
            batch.put_slice(text);
        }
        (!batch.is_empty()).then(|| Ok::<_, CallError>(batch.freeze()))
    });
    body::from_stream(stream::iter(batches))
}

/// The events of such a body, as they arrive. One that ends within an event is an error.
pub(super) fn events(body: Body) -> ByteStream {
    let frames = BodyDataStream::new(body).map_err(failed);
    let unread = (Box::pin(frames), BytesMut::new());
    stream::try_unfold(unread, |(mut frames, mut unread)| async move {
        loop {
            if let Some(text) = event(&mut unread) {
                return Ok(Some((text, (frames, unread))));
            }
            match frames.try_next().await? {
                Some(frame) => unread.extend_from_slice(&frame),
                None if unread.is_empty() => return Ok(None),
                None => return Err(failed("the reply ends within an event")),
            }
        }
    })
    .boxed()
}

/// The first event, if all of it is there.
fn event(unread: &mut BytesMut) -> Option<Bytes> {
    let length = unread.get(..LENGTH)?;
    let length = u32::from_be_bytes(length.try_into().expect("it is as long")) as usize;
    if unread.len() - LENGTH < length {
        return None;
    }
    unread.advance(LENGTH);
    Some(unread.split_to(length).freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(pieces: Vec<&'static [u8]>) -> Result<Vec<Bytes>, CallError> {
        let pieces = pieces
            .into_iter()
            .map(|it| Ok::<_, CallError>(Bytes::from_static(it)));
        events(body::from_stream(stream::iter(pieces)))
            .try_collect()
            .await
    }

    #[tokio::test]
    async fn events_are_found_wherever_the_wire_cuts() {
        let whole = read(vec![b"\0\0\0\x02{}\0\0\0\x01x"]).await.unwrap();
        assert_eq!(whole, ["{}", "x"]);
        let cut = read(vec![b"\0\0", b"\0\x02{", b"}\0\0\0\x01", b"x"])
            .await
            .unwrap();
        assert_eq!(cut, ["{}", "x"]);
        assert_eq!(read(vec![]).await.unwrap(), [""; 0]);
    }

    #[tokio::test]
    async fn an_end_within_an_event_is_an_error() {
        for cut in [&b"\0\0"[..], b"\0\0\0\x02{"] {
            let error = read(vec![cut]).await.unwrap_err();
            assert!(error.to_string().contains("within an event"), "{error}");
        }
    }
}
