//! The called side: answers every call of a scenario, behind whatever proves its origin.

use std::sync::Arc;

use async_trait::async_trait;
use comity_core::{
    CallService, Operations, Router,
    api::{
        Backfill, BackfillMembers, BackfillReply, DownloadMedia, Events, Media, Membership,
        PduResult, Queries, QueryProfile, QueryProfileReply, SendJoin, SendJoinMembers,
        SendJoinReply, SendTransaction, SendTransactionReply, Transactions, events, media,
        membership, queries, transactions,
    },
    call::{Authenticated, Blob, BlobSource},
    error::FederationError,
    event::Pdu,
    json::{Members, Object},
};
use futures_util::{StreamExt, stream};
use tower::util::BoxCloneSyncService;

use super::{
    content::{File, Receipt, profile},
    rooms::Rooms,
};
use crate::{model::Scenario, subject::Setting};

/// Everything that a scenario calls, and who answers it. The events of a room are made here, once; a join streams them without holding the room.
pub fn service(setting: &Setting, scenario: Scenario) -> (Operations, CallService) {
    let seed = setting.seed;
    let answers = Arc::new(Answers {
        seed,
        rooms: Rooms::of(seed, scenario),
        file: File::of(seed),
    });
    let router = Router::new()
        .with(queries(answers.clone()))
        .with(transactions(answers.clone()))
        .with(membership(answers.clone()))
        .with(events(answers.clone()))
        .with(media(answers));
    (Operations::federation(), BoxCloneSyncService::new(router))
}

type Elements = Box<dyn Iterator<Item = Pdu> + Send>;

struct Answers {
    seed: u64,
    rooms: Rooms,
    file: File,
}

#[async_trait]
impl Queries for Answers {
    async fn query_profile(
        &self,
        _: &Authenticated,
        request: QueryProfile,
    ) -> Result<QueryProfileReply, FederationError> {
        let (name, picture) = profile(self.seed, &request.user_id);
        Ok(QueryProfileReply {
            displayname: Some(name),
            avatar_url: Some(picture),
            ..QueryProfileReply::default()
        })
    }
}

#[async_trait]
impl Transactions for Answers {
    async fn send_transaction(
        &self,
        _: &Authenticated,
        request: SendTransaction,
    ) -> Result<SendTransactionReply, FederationError> {
        let texts = request.pdus.iter().flatten();
        let receipt = Receipt::of(texts.map(|pdu| pdu.value().as_bytes()));
        let result = (receipt.to_event_id(), PduResult::default());
        Ok(SendTransactionReply::new(&[result].into()))
    }
}

#[async_trait]
impl Membership for Answers {
    /// The room's ID says how many state events it has.
    async fn send_join(
        &self,
        _: &Authenticated,
        request: SendJoin,
    ) -> Result<SendJoinReply, FederationError> {
        let room = self.rooms.room(&request.room_id);
        let (chain, state) =
            room.ok_or_else(|| FederationError::not_found("there is no such room"))?;
        Ok(SendJoinReply::new(
            vec![
                ("auth_chain", Box::new(chain) as Elements),
                ("state", Box::new(state)),
            ],
            SendJoinMembers {
                members_omitted: Some(false),
                ..SendJoinMembers::default()
            },
        ))
    }
}

#[async_trait]
impl Events for Answers {
    /// The event to walk back from says which is the first.
    async fn backfill(
        &self,
        _: &Authenticated,
        request: Backfill,
    ) -> Result<BackfillReply, FederationError> {
        let from = request.from.first();
        let history = from.and_then(|from| self.rooms.history(from, request.limit));
        let history =
            history.ok_or_else(|| FederationError::not_found("there is no such event"))?;
        Ok(BackfillReply::new(
            vec![("pdus", history)],
            BackfillMembers {
                origin: Some("destination.example.org".to_owned()),
                origin_server_ts: Some(1_763_000_000_000),
                extra: Members::new(),
            },
        ))
    }
}

#[async_trait]
impl Media for Answers {
    async fn download_media(
        &self,
        _: &Authenticated,
        _: DownloadMedia,
    ) -> Result<Blob, FederationError> {
        Ok(Blob {
            metadata: Object::empty(),
            source: BlobSource::Here {
                content_type: Some("application/octet-stream".to_owned()),
                content_disposition: Some("attachment".to_owned()),
            },
            bytes: stream::iter(self.file.pieces().map(Ok)).boxed(),
        })
    }
}
