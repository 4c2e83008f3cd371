//! Events of a reply, as they arrive.

use bytes::Bytes;
use comity_core::{
    call::{Arrival, ByteStream, EventReply, MessageForm, Reply, ReplyForm},
    event::Pdu,
};
use futures_util::StreamExt;

/// The events of a reply that is still arriving.
pub(super) enum Arriving<M> {
    /// Judged one by one, as every binding gives them.
    Events(EventReply<M, Pdu>),
    /// As a peer of the comparison gives them: each is one piece of a blob, as it came. It judges none, and is not to pay for it here.
    Pieces(ByteStream),
}

/// One of them.
pub(super) enum Event {
    Judged(&'static str, Pdu),
    Piece(Bytes),
}

impl Event {
    /// Its text.
    pub(super) fn text(&self) -> &[u8] {
        match self {
            Self::Judged(_, event) => event.value().as_bytes(),
            Self::Piece(text) => text,
        }
    }

    /// Whether it is of this array; none if nobody says.
    pub(super) fn is_of(&self, array: &str) -> Option<bool> {
        match self {
            Self::Judged(of, _) => Some(*of == array),
            Self::Piece(_) => None,
        }
    }
}

impl<M: MessageForm> Arriving<M> {
    /// # Errors
    /// It is a reply of another shape.
    pub(super) fn of(reply: Reply) -> Result<Self, String> {
        match reply {
            Reply::Blob(blob) => Ok(Self::Pieces(blob.bytes)),
            reply => {
                let events = EventReply::from_reply(reply);
                events.map(Self::Events).map_err(|error| error.to_string())
            }
        }
    }

    /// The next event; none at the end.
    ///
    /// # Errors
    /// What arrived is no event, or the reply broke off.
    pub(super) async fn next(&mut self) -> Result<Option<Event>, String> {
        let events = match self {
            Self::Events(events) => events,
            Self::Pieces(pieces) => {
                let piece = pieces.next().await.transpose();
                return piece
                    .map(|piece| piece.map(Event::Piece))
                    .map_err(|error| error.to_string());
            }
        };
        let arrival = events.next().await.transpose();
        match arrival.map_err(|error| error.to_string())? {
            Some(Arrival::Item { array, item }) => Ok(Some(Event::Judged(array, item))),
            Some(Arrival::Bad { array, bad }) => Err(format!("{array}: no event: {bad:?}")),
            None => Ok(None),
        }
    }

    /// Reads what stands behind the last event.
    ///
    /// # Errors
    /// It is not what it should be.
    pub(super) async fn finish(self) -> Result<(), String> {
        match self {
            Self::Events(events) => {
                let members = events.finish().await;
                members.map(drop).map_err(|error| error.to_string())
            }
            Self::Pieces(_) => Ok(()),
        }
    }
}
