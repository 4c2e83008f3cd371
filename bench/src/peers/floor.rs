//! Bytes there and back: what everything else has to cost more than.

use async_trait::async_trait;
use bytes::Bytes;
use comity_core::{
    api::{QueryProfileReply, SendTransactionReply},
    call::{Endpoint, Message, MessageForm, Reply, ReplyForm},
    endpoint::Content,
    error::CallError,
    json::Object,
};
use comity_net::{Body, body};
use futures_util::{StreamExt, stream};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyDataStream, BodyExt};
use hyper::body::Incoming;

use super::{Asked, Speech, Way, failed, pieces};
use crate::scenario::{
    content::{File, Receipt, profile},
    rooms::Rooms,
};

const PROFILE: &str = "/profile/";
const TRANSACTION: &str = "/transaction";
const FILE: &str = "/file";
const ROOM: &str = "/room/";
const HISTORY: &str = "/history/";

/// Answers with what the client can tell to be right: of a transaction, how many bytes came and what they come to.
pub(super) struct Floor {
    seed: u64,
    file: File,
    rooms: Rooms,
}

impl Floor {
    pub(super) fn new(seed: u64, rooms: Rooms) -> Self {
        let file = File::of(seed);
        Self { seed, file, rooms }
    }

    /// The events of a room or of a history, by the path.
    fn events(&self, path: &str) -> Option<Body> {
        if let Some(room_id) = path.strip_prefix(ROOM) {
            let (chain, state) = self.rooms.room(room_id)?;
            return Some(pieces::body(chain.chain(state)));
        }
        let (from, limit) = path.strip_prefix(HISTORY)?.split_once('/')?;
        let history = self.rooms.history(from, limit.parse().ok()?)?;
        Some(pieces::body(history))
    }
}

/// The profile of a user, as the content of a reply.
pub(super) fn profile_content(seed: u64, user_id: &str) -> Bytes {
    let (name, picture) = profile(seed, user_id);
    let reply = QueryProfileReply {
        displayname: Some(name),
        avatar_url: Some(picture),
        ..QueryProfileReply::default()
    };
    reply.write().text().clone()
}

/// The content of a transaction: its events, put together.
pub(super) fn content_of(request: &impl Endpoint) -> Bytes {
    match request.write().content {
        Content::Json(object) => object.text().clone(),
        _ => Bytes::new(),
    }
}

/// What the other side says it got of these bytes.
pub(super) fn receipt_of(content: &[u8]) -> String {
    Receipt::of([content]).to_event_id()
}

/// The reply of a server that took the transaction apart, if this one got all its bytes.
pub(super) fn transaction_reply(
    request: &comity_core::api::SendTransaction,
    expected: &str,
    got: &[u8],
) -> Result<Reply, CallError> {
    if got != expected.as_bytes() {
        let got = String::from_utf8_lossy(got);
        return Err(failed(format!("the server got {got}, not {expected}")));
    }
    let texts = request.pdus.iter().flatten();
    let receipt = Receipt::of(texts.map(|pdu| pdu.value().as_bytes()));
    let results = [(receipt.to_event_id(), Default::default())].into();
    Ok(SendTransactionReply::new(&results).into_reply())
}

/// A reply that is one message with this content.
pub(super) fn message_reply(content: Bytes) -> Result<Reply, CallError> {
    let content = Object::parse(content, 1 << 20).map_err(failed)?;
    Ok(Reply::Message(Message::from_content(content)))
}

#[async_trait]
impl Speech for Floor {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let Ok(content) = body.collect().await else {
            return status(StatusCode::BAD_REQUEST);
        };
        let path = head.uri.path();
        if let Some(user_id) = path.strip_prefix(PROFILE) {
            return Response::new(body::full(profile_content(self.seed, user_id)));
        }
        match path {
            TRANSACTION => Response::new(body::full(receipt_of(&content.to_bytes()))),
            FILE => Response::new(body::from_stream(stream::iter(
                self.file.pieces().map(Ok::<_, CallError>),
            ))),
            path => match self.events(path) {
                Some(events) => Response::new(events),
                None => status(StatusCode::NOT_FOUND),
            },
        }
    }

    async fn ask(&self, way: &Way, asked: Asked<'_>) -> Result<Reply, CallError> {
        match asked {
            Asked::Profile(query) => {
                let request = Request::get(format!("{PROFILE}{}", query.user_id));
                let request = request.body(body::empty()).map_err(failed)?;
                message_reply(way.exchange(request).await?.into_body())
            }
            Asked::Transaction(transaction) => {
                let content = content_of(transaction);
                let expected = receipt_of(&content);
                let request = Request::put(TRANSACTION).body(body::full(content));
                let answer = way.exchange(request.map_err(failed)?).await?;
                transaction_reply(transaction, &expected, answer.body())
            }
            Asked::Join(join) => {
                // The event that joins goes there, and nobody looks at it.
                let event = join.event.value().text().clone();
                let request = Request::put(format!("{ROOM}{}", join.room_id));
                let request = request.body(body::full(event)).map_err(failed)?;
                events(way, request).await
            }
            Asked::Backfill(backfill) => {
                let from = backfill.from.first().map_or("", String::as_str);
                let request = Request::get(format!("{HISTORY}{from}/{}", backfill.limit));
                events(way, request.body(body::empty()).map_err(failed)?).await
            }
            Asked::File => {
                let request = Request::get(FILE).body(body::empty()).map_err(failed)?;
                let bytes = BodyDataStream::new(way.send(request).await?.into_body());
                let bytes = bytes.map(|bytes| bytes.map_err(failed));
                Ok(pieces::reply(bytes.boxed()))
            }
        }
    }
}

/// Asks for events.
async fn events(way: &Way, request: Request<Body>) -> Result<Reply, CallError> {
    let response = way.send(request).await?;
    match response.status() {
        StatusCode::OK => Ok(pieces::reply(pieces::events(response.into_body()))),
        status => Err(failed(format!("there are no events: {status}"))),
    }
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(body::empty());
    *response.status_mut() = status;
    response
}
