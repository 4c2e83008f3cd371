//! The path through ruma's crates on hyper: requests and replies of `ruma-federation-api`, signed and verified as it does it. No layers around them: permits, clocks
//! and a key ring would come on top.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use comity_core::{
    ServerName,
    api::{
        Backfill, PduResult, QueryProfile, QueryProfileReply, SendJoin, SendTransaction,
        SendTransactionReply,
    },
    call::{Reply, ReplyForm},
    error::CallError,
    event::Pdu,
};
use comity_net::{Body, body};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use ruma_common::{
    MilliSecondsSinceUnixEpoch, OwnedServerName,
    api::{IncomingRequestExt, IncomingResponseExt, OutgoingRequestExt, OutgoingResponseExt},
    serde::Base64,
};
use ruma_federation_api::{
    authentication::{XMatrix, XMatrixSigningInput},
    backfill::get_backfill::v1 as backfill,
    membership::create_join_event::v2 as join,
    query::get_profile_information::v1 as profile,
    transactions::send_transaction_message::v1 as transaction,
};
use ruma_signatures::{Ed25519KeyPair, PublicKeyMap};
use serde_json::value::RawValue;

use super::{Asked, Speech, Way, failed, pieces};
use crate::{
    scenario::{
        content::{self, Receipt},
        rooms::Rooms,
    },
    subject::{Setting, SetupError},
};

/// A private key in PKCS #8 (RFC 8410 §7), up to its 32 bytes.
const PKCS8: &[u8] = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";

pub(super) struct Ruma {
    seed: u64,
    origin: OwnedServerName,
    destination: OwnedServerName,
    pair: Ed25519KeyPair,
    keys: PublicKeyMap,
    rooms: Rooms,
}

impl Ruma {
    pub(super) fn new(
        setting: &Setting,
        server: &ServerName,
        rooms: Rooms,
    ) -> Result<Self, SetupError> {
        let key = setting.signing_key();
        let der = [PKCS8, key.expose_seed()].concat();
        let pair = Ed25519KeyPair::from_der(&der, key.key_id().version().to_owned())?;
        let public = Base64::new(key.verify_key().as_bytes().to_vec());
        let public = BTreeMap::from([(key.key_id().to_string(), public)]);
        Ok(Self {
            seed: setting.seed,
            origin: setting.client.as_str().try_into()?,
            destination: server.as_str().try_into()?,
            pair,
            keys: PublicKeyMap::from([(setting.client.to_string(), public)]),
            rooms,
        })
    }

    /// The server, once the body is there.
    fn reply(&self, request: &Request<&[u8]>) -> Result<Response<Vec<u8>>, (StatusCode, String)> {
        let unauthorized = |why: &dyn ToString| (StatusCode::UNAUTHORIZED, why.to_string());
        let bad = |why: &dyn ToString| (StatusCode::BAD_REQUEST, why.to_string());
        let proof = XMatrix::extract_from_http_headers(request.headers());
        let proof = proof.map_err(|error| unauthorized(&error))?;
        proof
            .verify_http_request(request, &self.destination, &self.keys)
            .map_err(|error| unauthorized(&error))?;
        let path = request.uri().path();
        if let Some(transaction_id) = path.strip_prefix("/_matrix/federation/v1/send/") {
            let read =
                transaction::Request::try_from_http_request(request.clone(), &[transaction_id]);
            let read = read.map_err(|error| bad(&error))?;
            let texts = read.pdus.iter().map(|pdu| pdu.get().as_bytes());
            let receipt = Receipt::of(texts).to_event_id();
            let receipt = receipt.try_into().map_err(|error| bad(&error))?;
            let reply = transaction::Response::new([(receipt, Ok(()))].into());
            return reply.try_into_http_response().map_err(|error| bad(&error));
        }
        if let Some(ids) = path.strip_prefix("/_matrix/federation/v2/send_join/") {
            let ids: Vec<&str> = ids.split('/').collect();
            let read = join::Request::try_from_http_request(request.clone(), &ids);
            let read = read.map_err(|error| bad(&error))?;
            let room = self.rooms.room(read.room_id.as_str());
            let (chain, state) = room.ok_or_else(|| bad(&"there is no such room"))?;
            let mut room = join::RoomState::new();
            room.auth_chain = raws(chain).map_err(|error| bad(&error))?;
            room.state = raws(state).map_err(|error| bad(&error))?;
            let reply = join::Response::new(room);
            return reply.try_into_http_response().map_err(|error| bad(&error));
        }
        if let Some(room_id) = path.strip_prefix("/_matrix/federation/v1/backfill/") {
            let read = backfill::Request::try_from_http_request(request.clone(), &[room_id]);
            let read = read.map_err(|error| bad(&error))?;
            let from = read.v.first().map_or("", |from| from.as_str());
            let limit = u64::from(read.limit).try_into().unwrap_or(i64::MAX);
            let history = self.rooms.history(from, limit);
            let history = history.ok_or_else(|| bad(&"there is no such event"))?;
            let reply = backfill::Response::new(
                self.destination.clone(),
                MilliSecondsSinceUnixEpoch::now(),
                raws(history).map_err(|error| bad(&error))?,
            );
            return reply.try_into_http_response().map_err(|error| bad(&error));
        }
        let read = profile::Request::try_from_http_request(request.clone(), &[]);
        let user_id = read.map_err(|error| bad(&error))?.user_id;
        let (name, picture) = content::profile(self.seed, user_id.as_str());
        let mut reply = profile::Response::new();
        reply.set("displayname".to_owned(), name.into());
        reply.set("avatar_url".to_owned(), picture.into());
        reply.try_into_http_response().map_err(|error| bad(&error))
    }

    fn signing(&self) -> XMatrixSigningInput<'_> {
        XMatrixSigningInput::new(self.origin.clone(), self.destination.clone(), &self.pair)
    }

    fn transaction(&self, request: &SendTransaction) -> Result<Request<Vec<u8>>, CallError> {
        let stamp = request.origin_server_ts.unwrap_or_default();
        let stamp = stamp.try_into().map_err(failed)?;
        let mut made = transaction::Request::new(
            request.transaction_id.as_str().into(),
            self.origin.clone(),
            MilliSecondsSinceUnixEpoch(stamp),
        );
        for pdu in request.pdus.iter().flatten() {
            let text = pdu.value().as_text().to_owned();
            made.pdus.push(RawValue::from_string(text).map_err(failed)?);
        }
        made.try_into_http_request("", self.signing(), ())
            .map_err(failed)
    }

    fn join(&self, request: &SendJoin) -> Result<Request<Vec<u8>>, CallError> {
        let room_id = request.room_id.as_str().try_into().map_err(failed)?;
        let event_id = request.event_id.as_str().try_into().map_err(failed)?;
        let event = request.event.value().as_text().to_owned();
        let event = RawValue::from_string(event).map_err(failed)?;
        join::Request::new(room_id, event_id, event)
            .try_into_http_request("", self.signing(), ())
            .map_err(failed)
    }

    fn backfill(&self, request: &Backfill) -> Result<Request<Vec<u8>>, CallError> {
        let room_id = request.room_id.as_str().try_into().map_err(failed)?;
        let from = request.from.iter().map(|id| id.as_str().try_into());
        let from = from.collect::<Result<_, _>>().map_err(failed)?;
        let limit = u32::try_from(request.limit).map_err(failed)?.into();
        backfill::Request::new(room_id, from, limit)
            .try_into_http_request("", self.signing(), ())
            .map_err(failed)
    }

    fn query(&self, request: &QueryProfile) -> Result<Request<Vec<u8>>, CallError> {
        let user_id = request.user_id.as_str().try_into().map_err(failed)?;
        profile::Request::new(user_id)
            .try_into_http_request("", self.signing(), ())
            .map_err(failed)
    }
}

/// Events as ruma's replies hold them: a text of each, checked to be JSON.
fn raws(events: impl Iterator<Item = Pdu>) -> Result<Vec<Box<RawValue>>, serde_json::Error> {
    let texts = events.map(|event| event.value().as_text().to_owned());
    texts.map(RawValue::from_string).collect()
}

/// Their texts, one piece each, without a copy.
fn pieces_of(events: Vec<Box<RawValue>>) -> impl Iterator<Item = Bytes> + Send + 'static {
    events
        .into_iter()
        .map(|event| Bytes::from(String::from(Box::<str>::from(event))))
}

async fn exchange(way: &Way, request: Request<Vec<u8>>) -> Result<Response<Bytes>, CallError> {
    way.exchange(request.map(body::full)).await
}

#[async_trait]
impl Speech for Ruma {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => return refused(StatusCode::BAD_REQUEST, error.to_string()),
        };
        match self.reply(&Request::from_parts(head, &body[..])) {
            Ok(response) => response.map(body::full),
            Err((status, why)) => refused(status, why),
        }
    }

    async fn ask(&self, way: &Way, asked: Asked<'_>) -> Result<Reply, CallError> {
        match asked {
            Asked::Profile(query) => {
                let response = exchange(way, self.query(query)?).await?;
                let (head, body) = response.into_parts();
                let response = Response::from_parts(head, &body[..]);
                let response =
                    profile::Response::try_from_http_response(response).map_err(failed)?;
                let text = |field| {
                    let value = response.get(field)?.as_str()?;
                    Some(value.to_owned())
                };
                let reply = QueryProfileReply {
                    displayname: text("displayname"),
                    avatar_url: text("avatar_url"),
                    ..QueryProfileReply::default()
                };
                Ok(reply.into_reply())
            }
            Asked::Transaction(request) => {
                let response = exchange(way, self.transaction(request)?).await?;
                let (head, body) = response.into_parts();
                let response = Response::from_parts(head, &body[..]);
                let response =
                    transaction::Response::try_from_http_response(response).map_err(failed)?;
                let results = response.pdus.into_iter().map(|(event_id, result)| {
                    let error = result.err();
                    (event_id.to_string(), PduResult { error })
                });
                Ok(SendTransactionReply::new(&results.collect()).into_reply())
            }
            Asked::Join(request) => {
                let response = exchange(way, self.join(request)?).await?;
                let (head, body) = response.into_parts();
                let response = Response::from_parts(head, &body[..]);
                let response = join::Response::try_from_http_response(response).map_err(failed)?;
                let room = response.room_state;
                let chain = pieces_of(room.auth_chain);
                Ok(pieces::whole(chain.chain(pieces_of(room.state))))
            }
            Asked::Backfill(request) => {
                let response = exchange(way, self.backfill(request)?).await?;
                let (head, body) = response.into_parts();
                let response = Response::from_parts(head, &body[..]);
                let response =
                    backfill::Response::try_from_http_response(response).map_err(failed)?;
                Ok(pieces::whole(pieces_of(response.pdus)))
            }
            Asked::File => Err(failed("this peer has no files")),
        }
    }
}

fn refused(status: StatusCode, why: String) -> Response<Body> {
    let why = serde_json::json!({ "errcode": "M_UNKNOWN", "error": why });
    let mut response = Response::new(body::full(why.to_string()));
    *response.status_mut() = status;
    response
}
