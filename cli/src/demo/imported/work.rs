//! The operations that carry an imported room: each request, and whether its reply is what the resident server holds.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use super::{
    super::{
        calls::{clocked, read_file, same, show, unknown_members},
        measure::Done,
    },
    house::{House, MOST_EVENTS, version},
    room::Room,
};
use comity_core::{
    Client, ServerName,
    api::{
        Backfill, Calls, GetEvent, GetMissingEvents, GetServerKeys, GetVersion, PduResult,
        SendJoin, SendJoinReply, SendTransaction,
    },
    call::Arrival,
    endpoint::Query,
    event::Pdu,
};

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    Version,
    Keys,
    Transaction,
    Event,
    MissingEvents,
    Backfill,
    Join,
    Media,
}

impl Work {
    pub(crate) const ALL: [Self; 8] = [
        Self::Version,
        Self::Keys,
        Self::Transaction,
        Self::Event,
        Self::MissingEvents,
        Self::Backfill,
        Self::Join,
        Self::Media,
    ];

    /// What all calls of it together show.
    pub(crate) fn claim(self) -> &'static str {
        match self {
            Self::Version => "{calls} version replies equal, a member that nobody knows included",
            Self::Keys => "{calls} signed key documents equal byte for byte",
            Self::Transaction => {
                "{events} events pushed by {calls} SendTransaction, each recognised byte for byte by the receiver"
            }
            Self::Event => "{events} events fetched by {calls} GetEvent equal byte for byte",
            Self::MissingEvents => {
                "{events} events fetched by {calls} GetMissingEvents equal byte for byte"
            }
            Self::Backfill => "{events} events streamed by {calls} Backfill equal byte for byte",
            Self::Join => "{events} events streamed by {calls} timed SendJoin equal byte for byte",
            Self::Media => "{calls} files of 256 KiB equal byte for byte",
        }
    }

    /// The operation's name in the table.
    pub(crate) fn operation(self) -> &'static str {
        match self {
            Self::Version => "GetVersion",
            Self::Keys => "GetServerKeys",
            Self::Transaction => "SendTransaction",
            Self::Event => "GetEvent",
            Self::MissingEvents => "GetMissingEvents",
            Self::Backfill => "Backfill",
            Self::Join => "SendJoin",
            Self::Media => "DownloadMedia",
        }
    }
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
            Work::MissingEvents | Work::Backfill => events.div_ceil(MOST_EVENTS),
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
        let behind = events.get(events.len() - round * MOST_EVENTS);
        GetMissingEvents {
            room_id: self.room.id.clone(),
            latest_events: vec![
                behind.map_or_else(|| self.join_id.clone(), |event| event.id.clone()),
            ],
            limit: Some(MOST_EVENTS as i64),
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
            Work::Event => self.run_event(client, round).await,
            Work::MissingEvents => self.run_missing_events(client, round).await,
            Work::Backfill => self.run_backfill(client, round).await,
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
        let end = events.len() - round % self.rounds(Work::MissingEvents) * MOST_EVENTS;
        let wanted = &events[end.saturating_sub(MOST_EVENTS)..end];
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

    async fn run_event(&self, client: &Client, round: usize) -> Result<Done, String> {
        let wanted = &self.room.events()[round % self.room.events().len()];
        let request = GetEvent {
            event_id: wanted.id.clone(),
            ..GetEvent::default()
        };
        let (reply, time) = clocked(client.get_event(&self.to, request)).await?;
        same(reply.extra, &unknown_members())?;
        match &reply.pdus[..] {
            [Ok(pdu)] if pdu.value().text() == wanted.pdu.value().text() => {
                Ok(Done { time, events: 1 })
            }
            _ => Err(format!("{} arrived changed", wanted.label)),
        }
    }

    async fn run_backfill(&self, client: &Client, round: usize) -> Result<Done, String> {
        let events = self.room.events();
        let end = events.len() - round % self.rounds(Work::Backfill) * MOST_EVENTS;
        let request = Backfill {
            room_id: self.room.id.clone(),
            from: vec![events[end - 1].id.clone()],
            limit: MOST_EVENTS as i64,
            extra_query: Query::default(),
        };
        let begun = Instant::now();
        let mut reply = client.backfill(&self.to, request).await.map_err(show)?;
        let mut wanted = events[end.saturating_sub(MOST_EVENTS)..end].iter().rev();
        let mut arrived = 0;
        while let Some(arrival) = reply.next().await {
            match (arrival.map_err(show)?, wanted.next()) {
                (Arrival::Item { item, .. }, Some(wanted)) if item == wanted.pdu => arrived += 1,
                (Arrival::Bad { bad, .. }, _) => {
                    return Err(format!("element {} {}", bad.index, bad.fault));
                }
                (_, Some(wanted)) => return Err(format!("{} arrived changed", wanted.label)),
                (_, None) => return Err(format!("more than {arrived} events came")),
            }
        }
        let members = reply.finish().await.map_err(show)?;
        let time = begun.elapsed();
        same(members.extra, &unknown_members())?;
        match wanted.next() {
            None => Ok(Done {
                time,
                events: arrived,
            }),
            Some(missing) => Err(format!("{} is missing", missing.label)),
        }
    }

    async fn run_media(&self, client: &Client) -> Result<Done, String> {
        read_file(client, &self.to, &self.house.media.bytes).await
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
