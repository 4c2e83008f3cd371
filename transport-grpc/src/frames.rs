//! What the frames of a blob and of `Invoke` have in common: a head, then bytes, then the word that they are complete.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use comity_core::{call::ByteStream, error::CallError};
use futures_core::Stream;
use futures_util::{StreamExt, stream};
use prost::Message;

use crate::{
    client::Incoming,
    error::{over_limit, protocol},
    framing::{Messages, frame},
};

/// Most bytes in one frame.
const MAX_DATA: usize = 1 << 20;

/// One frame of either kind.
pub(crate) enum Frame<H> {
    Head(H),
    Data(Bytes),
    Complete,
}

/// The message of a stream of frames.
pub(crate) trait FrameMessage: Message + Default + 'static {
    /// What the first frame carries.
    type Head;
    /// What the message carries; `None` if it is empty or not known.
    fn open(self) -> Option<Frame<Self::Head>>;
    /// A message that carries this.
    fn close(frame: Frame<Self::Head>) -> Self;
}

/// Writes a head and the bytes behind it.
pub(crate) fn write<M: FrameMessage>(head: M::Head, bytes: ByteStream) -> Messages {
    let head = frame(&M::close(Frame::Head(head)));
    let data = bytes.flat_map(|chunk| match chunk {
        Ok(mut chunk) => {
            let mut frames = Vec::with_capacity(chunk.len() / MAX_DATA + 1);
            while !chunk.is_empty() {
                let data = chunk.split_to(chunk.len().min(MAX_DATA));
                frames.push(Ok(frame(&M::close(Frame::Data(data)))));
            }
            stream::iter(frames)
        }
        Err(error) => stream::iter(vec![Err(error)]),
    });
    let end = stream::once(async { Ok(frame(&M::close(Frame::Complete))) });
    stream::once(async { Ok(head) })
        .chain(data)
        .chain(end)
        .boxed()
}

/// Reads the first frame.
pub(crate) async fn read_head<M: FrameMessage>(
    incoming: &mut Incoming,
) -> Result<M::Head, crate::error::Refused> {
    let message = match incoming.next().await {
        Some(message) => message?,
        None => return Err(protocol("the reply has no frame").into()),
    };
    match decode::<M>(message)? {
        Frame::Head(head) => Ok(head),
        _ => Err(protocol("the reply's first frame is not its head").into()),
    }
}

/// The bytes behind the head, at most `limit` of them.
pub(crate) fn read_data<M: FrameMessage>(incoming: Incoming, limit: u64) -> ByteStream {
    Box::pin(DataReader::<M> {
        incoming: Some(incoming),
        left: limit,
        limit,
        complete: false,
        _message: std::marker::PhantomData,
    })
}

fn decode<M: FrameMessage>(
    message: Bytes,
) -> Result<Frame<M::Head>, comity_core::error::TransportError> {
    M::decode(message)
        .map_err(|error| protocol("a frame of the reply is malformed").with_source(error))?
        .open()
        .ok_or_else(|| protocol("a frame of the reply is empty"))
}

struct DataReader<M> {
    /// None after the end or an error.
    incoming: Option<Incoming>,
    left: u64,
    limit: u64,
    complete: bool,
    _message: std::marker::PhantomData<fn() -> M>,
}

impl<M: FrameMessage> DataReader<M> {
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, CallError>>> {
        loop {
            let Some(incoming) = self.incoming.as_mut() else {
                return Poll::Ready(None);
            };
            let message = match ready!(incoming.poll_next(cx)) {
                Some(Ok(message)) => message,
                Some(Err(refused)) => return Poll::Ready(Some(Err(refused.into()))),
                None if self.complete => {
                    self.incoming = None;
                    return Poll::Ready(None);
                }
                None => {
                    return Poll::Ready(Some(Err(protocol(
                        "the reply is truncated: it ended before it was complete",
                    )
                    .into())));
                }
            };
            if self.complete {
                return Poll::Ready(Some(Err(protocol("a frame follows the last one").into())));
            }
            match decode::<M>(message) {
                Ok(Frame::Data(data)) if data.is_empty() => {}
                Ok(Frame::Data(data)) => {
                    let Some(left) = self.left.checked_sub(data.len() as u64) else {
                        return Poll::Ready(Some(Err(over_limit(
                            "the reply",
                            self.limit,
                            "limits.stream",
                        )
                        .into())));
                    };
                    self.left = left;
                    return Poll::Ready(Some(Ok(data)));
                }
                Ok(Frame::Complete) => self.complete = true,
                Ok(Frame::Head(_)) => {
                    return Poll::Ready(Some(Err(protocol("a second head").into())));
                }
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
        }
    }
}

impl<M: FrameMessage> Stream for DataReader<M> {
    type Item = Result<Bytes, CallError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let data = ready!(self.poll_data(cx));
        if matches!(data, Some(Err(_))) {
            self.incoming = None;
        }
        Poll::Ready(data)
    }
}
