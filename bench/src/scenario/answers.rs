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
    content::{self, File, Kind, Receipt, profile},
    plan::{HISTORY, pool_of, room_of},
};
use crate::{model::Scenario, subject::Setting};

/// Everything that a scenario calls, and who answers it. The events of a room are made here, once; a join streams them without holding the room. Of a room with more
/// events than the pool has, they come round and round: making each anew would cost more than sending it, and no transport profits from the repetition, as none
/// compresses or compares.
pub fn service(setting: &Setting, scenario: Scenario) -> (Operations, CallService) {
    let seed = setting.seed;
    let state = room_of(scenario).map_or(0, pool_of);
    let history = if scenario == Scenario::Backfill {
        HISTORY
    } else {
        0
    };
    let answers = Arc::new(Answers {
        seed,
        state: content::events(seed, Kind::Membership, state),
        history: content::events(seed, Kind::Message, history),
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

struct Answers {
    seed: u64,
    state: Arc<[Pdu]>,
    history: Arc<[Pdu]>,
    file: File,
}

/// `count` events of a pool from number `first` on, round and round.
fn round(pool: &Arc<[Pdu]>, first: u64, count: u64) -> impl Iterator<Item = Pdu> + Send + use<> {
    let pool = pool.clone();
    (first..first + count).map(move |number| pool[(number % pool.len() as u64) as usize].clone())
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
        let number = request.room_id.strip_prefix('!');
        let number = number.and_then(|id| id.split(':').next()?.parse().ok());
        let state: u64 = number
            .filter(|state| *state <= 1_000_000 && !self.state.is_empty())
            .ok_or_else(|| FederationError::not_found("there is no such room"))?;
        let chain = state / 10;
        Ok(SendJoinReply::new(
            vec![
                ("auth_chain", round(&self.state, 0, chain)),
                ("state", round(&self.state, chain, state)),
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
        let from = request.from.first().and_then(|id| id.strip_prefix('$'));
        let first: u64 = from
            .and_then(|id| id.parse().ok())
            .filter(|_| !self.history.is_empty())
            .ok_or_else(|| FederationError::not_found("there is no such event"))?;
        let count = request.limit.clamp(0, 100) as u64;
        let first = first % HISTORY as u64;
        Ok(BackfillReply::new(
            vec![("pdus", round(&self.history, first, count))],
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
