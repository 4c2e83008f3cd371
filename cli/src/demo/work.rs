//! The six operations as the demo calls them: each request, and whether its reply is what the resident server holds.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use comity_core::{
    Client, ServerName,
    api::{
        Calls, DownloadMedia, GetMissingEvents, GetServerKeys, GetVersion, PduResult, SendJoin,
        SendJoinReply, SendTransaction,
    },
    call::Arrival,
    endpoint::Query,
    error::CallError,
    event::Pdu,
};
use futures_util::StreamExt;

use super::{
    house::{House, MEDIA_ID, MISSING_EVENTS, unknown_members, version},
    room::Room,
};

/// One of the six.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    Version,
    Keys,
    Transaction,
    MissingEvents,
    Join,
    Media,
}

impl Work {
    pub(crate) const ALL: [Self; 6] = [
        Self::Version,
        Self::Keys,
        Self::Transaction,
        Self::MissingEvents,
        Self::Join,
        Self::Media,
    ];

    /// The operation's name in the table.
    pub(crate) fn operation(self) -> &'static str {
        match self {
            Self::Version => "GetVersion",
            Self::Keys => "GetServerKeys",
            Self::Transaction => "SendTransaction",
            Self::MissingEvents => "GetMissingEvents",
            Self::Join => "SendJoin",
            Self::Media => "DownloadMedia",
        }
    }
}

/// A call that was answered as it should be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    pub(crate) time: Duration,
    /// Events that arrived equal byte for byte.
    pub(crate) events: usize,
}

/// What the joining server asks of the resident server.
#[derive(Clone, Debug)]
pub(crate) struct Errand {
    pub(crate) from: ServerName,
    pub(crate) to: ServerName,
    pub(crate) house: Arc<House>,
    pub(crate) room: Arc<Room>,
    pub(crate) join: Pdu,
    pub(crate) join_id: String,
    /// One moment for all requests, so that they are the same bytes over each transport.
    pub(crate) now: i64,
}

impl Errand {
    /// How many different calls carry every event of the room once.
    pub(crate) fn rounds(&self, work: Work) -> usize {
        let events = self.room.events().len();
        match work {
            Work::Transaction => events.div_ceil(SendTransaction::MAX_PDUS),
            Work::MissingEvents => events.div_ceil(MISSING_EVENTS),
            _ => 1,
        }
    }

    pub(crate) fn transaction(&self, round: usize) -> SendTransaction {
        let events = self.room.events();
        let begin = round % self.rounds(Work::Transaction) * SendTransaction::MAX_PDUS;
        let end = events.len().min(begin + SendTransaction::MAX_PDUS);
        let pdus = events[begin..end].iter().map(|event| event.pdu.clone());
        SendTransaction::new(format!("demo-{round}"), &self.from, self.now, pdus)
    }

    pub(crate) fn missing_events(&self, round: usize) -> GetMissingEvents {
        let events = self.room.events();
        let round = round % self.rounds(Work::MissingEvents);
        let behind = events.get(events.len() - round * MISSING_EVENTS);
        GetMissingEvents {
            room_id: self.room.id.clone(),
            latest_events: vec![
                behind.map_or_else(|| self.join_id.clone(), |event| event.id.clone()),
            ],
            limit: Some(MISSING_EVENTS as i64),
            ..GetMissingEvents::default()
        }
    }

    pub(crate) fn send_join(&self) -> SendJoin {
        SendJoin {
            room_id: self.room.id.clone(),
            event_id: self.join_id.clone(),
            event: self.join.clone(),
            omit_members: Some(false),
            extra_query: Query::default(),
        }
    }

    pub(crate) fn media(&self) -> DownloadMedia {
        DownloadMedia {
            media_id: MEDIA_ID.to_owned(),
            timeout_ms: Some(20_000),
            extra_query: Query::default(),
        }
    }

    /// Does it once. The clock runs from the made request to the read reply; what was read whole is compared when it has stopped, what was streamed
    /// while it runs.
    ///
    /// # Errors
    /// What failed, or what differs.
    pub(crate) async fn run(
        &self,
        work: Work,
        client: &Client,
        round: usize,
    ) -> Result<Done, String> {
        match work {
            Work::Version => {
                let (reply, time) =
                    clocked(client.get_version(&self.to, GetVersion::default())).await?;
                same(reply, &version())?;
                Ok(Done { time, events: 0 })
            }
            Work::Keys => {
                let (reply, time) =
                    clocked(client.get_server_keys(&self.to, GetServerKeys::default())).await?;
                same(reply.document, &self.house.key_document)?;
                Ok(Done { time, events: 0 })
            }
            Work::Transaction => self.run_transaction(client, round).await,
            Work::MissingEvents => self.run_missing_events(client, round).await,
            Work::Join => self.run_join(client).await,
            Work::Media => self.run_media(client).await,
        }
    }

    async fn run_transaction(&self, client: &Client, round: usize) -> Result<Done, String> {
        let request = self.transaction(round);
        let pdus = request.pdus.clone();
        let (reply, time) = clocked(client.send_transaction(&self.to, request)).await?;
        let results = reply.pdus.read().map_err(|error| error.to_string())?;
        // The receiver names an event only if it holds exactly this text.
        let wanted: BTreeMap<String, PduResult> = pdus
            .iter()
            .flatten()
            .filter_map(|pdu| self.room.place_of_text(pdu))
            .map(|place| (self.room.events()[place].id.clone(), PduResult::default()))
            .collect();
        same(results, &wanted)?;
        Ok(Done {
            time,
            events: wanted.len(),
        })
    }

    async fn run_missing_events(&self, client: &Client, round: usize) -> Result<Done, String> {
        let request = self.missing_events(round);
        let (reply, time) = clocked(client.get_missing_events(&self.to, request)).await?;
        let events = self.room.events();
        let end = events.len() - round % self.rounds(Work::MissingEvents) * MISSING_EVENTS;
        let wanted = &events[end.saturating_sub(MISSING_EVENTS)..end];
        if reply.events.len() != wanted.len() {
            let (got, wanted) = (reply.events.len(), wanted.len());
            return Err(format!("{got} events came instead of {wanted}"));
        }
        for (got, wanted) in reply.events.iter().zip(wanted) {
            match got {
                Ok(pdu) if pdu.value().text() == wanted.pdu.value().text() => {}
                Ok(_) => return Err(format!("{} differs", wanted.label)),
                Err(bad) => return Err(format!("{} {}", wanted.label, bad.fault)),
            }
        }
        Ok(Done {
            time,
            events: wanted.len(),
        })
    }

    async fn run_join(&self, client: &Client) -> Result<Done, String> {
        let begun = Instant::now();
        let mut join = self.join(client).await?;
        let mut events = 0;
        while let Some((place, pdu)) = join.next().await? {
            join.compare(place, &pdu)?;
            events += 1;
        }
        join.finish().await?;
        let time = begun.elapsed();
        Ok(Done { time, events })
    }

    async fn run_media(&self, client: &Client) -> Result<Done, String> {
        let begun = Instant::now();
        let blob = client.download_media(&self.to, self.media()).await;
        let mut bytes = blob.map_err(show)?.bytes;
        let mut left = &self.house.media[..];
        while let Some(chunk) = bytes.next().await {
            let chunk = chunk.map_err(show)?;
            left = left
                .strip_prefix(&chunk[..])
                .ok_or_else(|| format!("the file differs, {} bytes before its end", left.len()))?;
        }
        let time = begun.elapsed();
        match left.len() {
            0 => Ok(Done { time, events: 0 }),
            missing => Err(format!("the last {missing} bytes of the file are missing")),
        }
    }

    /// Joins, and gives the reply to read event by event.
    pub(crate) async fn join(&self, client: &Client) -> Result<Join<'_>, String> {
        let reply = client
            .send_join(&self.to, self.send_join())
            .await
            .map_err(show)?;
        Ok(Join {
            room: &self.room,
            reply,
            arrived: BTreeMap::new(),
        })
    }
}

/// The reply to a join, as it arrives.
pub(crate) struct Join<'a> {
    room: &'a Room,
    reply: SendJoinReply,
    arrived: BTreeMap<&'static str, usize>,
}

impl Join<'_> {
    /// The next event, with its place in the room.
    pub(crate) async fn next(&mut self) -> Result<Option<(usize, Pdu)>, String> {
        match self.reply.next().await.transpose().map_err(show)? {
            None => Ok(None),
            Some(Arrival::Bad { array, bad }) => {
                Err(format!("element {} of `{array}` {}", bad.index, bad.fault))
            }
            Some(Arrival::Item { array, item: pdu }) => {
                let arrived = self.arrived.entry(array).or_default();
                let places = self.room.array(array);
                let place = places.get(*arrived).ok_or_else(|| {
                    format!("`{array}` has more than its {} events", places.len())
                })?;
                *arrived += 1;
                Ok(Some((*place, pdu)))
            }
        }
    }

    /// Whether the event that arrived is the one that is held.
    pub(crate) fn compare(&self, place: usize, pdu: &Pdu) -> Result<(), String> {
        let held = &self.room.events()[place];
        match held.pdu.value().text() == pdu.value().text() {
            true => Ok(()),
            false => Err(format!("{} ({}) arrived changed", held.label, held.id)),
        }
    }

    /// Whether all arrived, and the members beside the arrays.
    pub(crate) async fn finish(self) -> Result<(), String> {
        for array in SendJoin::ARRAYS {
            let (got, wanted) = (
                self.arrived.get(array).copied().unwrap_or(0),
                self.room.array(array).len(),
            );
            if got != wanted {
                return Err(format!("`{array}` had {got} events instead of {wanted}"));
            }
        }
        let members = self.reply.finish().await.map_err(show)?;
        same(members.members_omitted, &Some(false))?;
        same(members.extra, &unknown_members())
    }
}

/// The reply to a call, and how long it took.
async fn clocked<T>(
    call: impl Future<Output = Result<T, CallError>>,
) -> Result<(T, Duration), String> {
    let begun = Instant::now();
    let reply = call.await.map_err(show)?;
    Ok((reply, begun.elapsed()))
}

fn same<T: PartialEq + std::fmt::Debug>(got: T, wanted: &T) -> Result<(), String> {
    match got == *wanted {
        true => Ok(()),
        false => Err(format!("{got:?} came instead of {wanted:?}")),
    }
}

/// An error with its causes.
pub(crate) fn show(error: CallError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
