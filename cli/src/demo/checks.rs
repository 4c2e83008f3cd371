//! The checks besides the measured calls: events by hash and signature, what is signed, what is refused.

use std::{collections::BTreeMap, sync::Arc, thread};

use comity_core::{
    api::{Calls, DownloadMedia, GetMissingEvents, SendJoin, SendTransaction},
    auth::{SignedRequest, SigningKey},
    call::{Call, Credentials, Reply},
    endpoint::{Content, Query},
    error::{CallError, FederationError},
    event::{BadEvent, EventFault, Pdu},
    json::Value,
};
use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::{
    findings::Findings,
    house::{Delivered, UNKNOWN_MEMBER, unknown_members},
    progress::{Announce, Progress},
    report::count,
    room::Room,
    servers::{Seen, Stage, Wire, seen},
    verdict::Verdict,
    work::{Errand, show},
};

/// Events that go to a checking thread together, and how many such batches wait: a bound, so that a join is never held whole.
const BATCH: usize = 64;
const BATCHES: usize = 4;

/// Joins over each transport, and checks each event as it arrives: against what the resident server holds, its content hash, its signatures.
pub(crate) async fn check_events(
    stage: &Stage,
    errand: &Errand,
    announce: Announce,
    findings: &mut Findings,
) {
    let total = errand.room.events().len();
    let mut results = Vec::new();
    let mut bad: BTreeMap<usize, (String, Vec<&str>)> = BTreeMap::new();
    let mut tallies: Vec<Tally> = Vec::new();
    for wire in &stage.wires {
        let progress = announce.stage(&format!("checking a join over {}", wire.name), total);
        match check_join(errand, wire, &progress).await {
            Ok(tally) => {
                for (place, why) in &tally.bad {
                    let entry = bad
                        .entry(*place)
                        .or_insert_with(|| (why.clone(), Vec::new()));
                    entry.1.push(wire.name);
                }
                results.push((wire.name, Ok(tally.claim(total))));
                tallies.push(tally);
            }
            Err(why) => results.push((wire.name, Err(format!("the join: {why}")))),
        }
    }
    findings.conclude(results);
    for (place, (why, transports)) in bad {
        let event = &errand.room.events()[place];
        findings.differences.push(format!(
            "{} ({}): {why}, over {}",
            event.label,
            event.id,
            super::findings::list(&transports)
        ));
    }
    if let Some(tally) = tallies.first() {
        for (server, events) in &tally.unchecked {
            findings.unchecked.push(format!(
                "the signatures of {server} on {} events: its verify key is not known (--keys)",
                count(*events)
            ));
        }
        for (server, events) in &tally.doubtful {
            findings.unchecked.push(format!(
                "{} events of {server}: the content hash does not match, so they are redacted or tampered with; the verify key would tell (--keys)",
                count(*events)
            ));
        }
        for (why, events) in &tally.unverifiable {
            findings.unchecked.push(format!(
                "{} events: unverifiable ({why}), carried unchanged",
                count(*events)
            ));
        }
    }
}

/// How the events of one join fared. All of them arrived unchanged; otherwise there is an error instead.
#[derive(Debug, Default)]
struct Tally {
    good: usize,
    redacted: usize,
    unchecked: BTreeMap<String, usize>,
    doubtful: BTreeMap<String, usize>,
    unverifiable: BTreeMap<String, usize>,
    bad: Vec<(usize, String)>,
}

impl Tally {
    fn add(&mut self, place: usize, verdict: Verdict) {
        match verdict {
            Verdict::Good => self.good += 1,
            Verdict::Redacted => self.redacted += 1,
            Verdict::Unchecked(server) => *self.unchecked.entry(server).or_default() += 1,
            Verdict::Doubtful(server) => *self.doubtful.entry(server).or_default() += 1,
            Verdict::Unverifiable(why) => *self.unverifiable.entry(why).or_default() += 1,
            Verdict::Bad(why) => self.bad.push((place, why)),
        }
    }

    fn merge(&mut self, other: Self) {
        self.good += other.good;
        self.redacted += other.redacted;
        for (own, other) in [
            (&mut self.unchecked, other.unchecked),
            (&mut self.doubtful, other.doubtful),
            (&mut self.unverifiable, other.unverifiable),
        ] {
            for (reason, events) in other {
                *own.entry(reason).or_default() += events;
            }
        }
        self.bad.extend(other.bad);
    }

    fn claim(&self, total: usize) -> String {
        let mut claim = format!(
            "{0} of {0} events of a streamed join equal byte for byte",
            count(total)
        );
        let hashed: usize = self.unchecked.values().sum();
        if self.good == total {
            claim.push_str(", hash and signature good");
        } else {
            let parts = [
                (self.good, "with hash and signature good"),
                (self.redacted, "redacted, signature good"),
                (hashed, "with the hash good and the signature unchecked"),
            ];
            for (events, how) in parts.into_iter().filter(|(events, _)| *events > 0) {
                claim.push_str(&format!("; {} {how}", count(events)));
            }
        }
        claim
    }
}

async fn check_join(errand: &Errand, wire: &Wire, progress: &Progress) -> Result<Tally, String> {
    let checkers = thread::available_parallelism()
        .map_or(1, usize::from)
        .min(16);
    let (senders, tasks): (Vec<_>, Vec<_>) = (0..checkers)
        .map(|_| {
            let (sender, receiver) = mpsc::channel(BATCHES);
            let room = errand.room.clone();
            (
                sender,
                tokio::task::spawn_blocking(move || check_batches(&room, receiver)),
            )
        })
        .unzip();
    let mut join = errand.join(&wire.client).await?;
    let mut turns = senders.iter().cycle();
    let mut batch = Vec::with_capacity(BATCH);
    let mut hand_over = async |batch: Vec<_>| {
        progress.advance(batch.len());
        let sender = turns.next().expect("there is a checker");
        sender
            .send(batch)
            .await
            .map_err(|_| "a checking thread ended".to_owned())
    };
    while let Some((place, pdu)) = join.next().await? {
        join.compare(place, &pdu)?;
        batch.push((place, pdu));
        if batch.len() == BATCH {
            hand_over(std::mem::replace(&mut batch, Vec::with_capacity(BATCH))).await?;
        }
    }
    hand_over(batch).await?;
    join.finish().await?;
    drop(senders);
    let mut tally = Tally::default();
    for task in tasks {
        tally.merge(
            task.await
                .map_err(|error| format!("a checking thread: {error}"))?,
        );
    }
    Ok(tally)
}

fn check_batches(room: &Room, mut batches: mpsc::Receiver<Vec<(usize, Pdu)>>) -> Tally {
    let mut tally = Tally::default();
    while let Some(batch) = batches.blocking_recv() {
        for (place, pdu) in batch {
            tally.add(place, room.judge.judge(&pdu));
        }
    }
    tally
}

/// Whether each receiver saw exactly what was signed.
pub(crate) async fn check_signed_bytes(stage: &Stage, errand: &Errand, findings: &mut Findings) {
    let mut results = Vec::new();
    for wire in &stage.wires {
        let mut result = Ok(());
        for call in signed_calls(stage, errand) {
            result = result.and(compare_with_receiver(stage, wire, call).await);
        }
        results.push((
            wire.name,
            result.map(|()| {
                "method, target, content and credentials of the 4 signed operations were the same bytes at the receiver, \
                 unknown members and parameters included, and proved the origin"
                    .to_owned()
            }),
        ));
    }
    findings.conclude(results);
}

/// A call of each operation that is signed, with parameters and members that nobody knows.
fn signed_calls(stage: &Stage, errand: &Errand) -> Vec<Call> {
    let mut extra_query = Query::default();
    extra_query.push(UNKNOWN_MEMBER, "ä/b c&d=%e?+'");
    extra_query.push(UNKNOWN_MEMBER, "");
    let to = || stage.resident.name.clone();
    vec![
        Call::new(
            to(),
            SendTransaction {
                transaction_id: "odd/ID ~%2F'".to_owned(),
                extra: unknown_members(),
                extra_query: extra_query.clone(),
                ..errand.transaction(0)
            },
        ),
        Call::new(
            to(),
            GetMissingEvents {
                extra: unknown_members(),
                extra_query: extra_query.clone(),
                ..errand.missing_events(0)
            },
        ),
        Call::new(
            to(),
            SendJoin {
                extra_query: extra_query.clone(),
                ..errand.send_join()
            },
        ),
        Call::new(
            to(),
            DownloadMedia {
                extra_query,
                ..errand.media()
            },
        ),
    ]
}

async fn compare_with_receiver(stage: &Stage, wire: &Wire, mut call: Call) -> Result<(), String> {
    let name = call.spec().name;
    let header = sign(stage, &mut call, &stage.joining.key)?;
    let wanted = Seen {
        credentials: vec![header],
        origin: Some(stage.joining.name.clone()),
        ..seen(&call)
    };
    stage.witness.take();
    let reply = wire
        .client
        .send(call)
        .await
        .map_err(|error| format!("{name}: {}", show(error)))?;
    drain(reply)
        .await
        .map_err(|error| format!("{name}: {}", show(error)))?;
    match stage.witness.take() {
        Some(seen) if seen == wanted => Ok(()),
        seen => Err(format!(
            "the receiver of {name} saw {seen:?} instead of {wanted:?}"
        )),
    }
}

async fn drain(reply: Reply) -> Result<(), CallError> {
    match reply {
        Reply::Message(_) => {}
        Reply::Events(mut events) => {
            while let Some(part) = events.parts.next().await {
                part?;
            }
        }
        Reply::Blob(mut blob) => {
            while let Some(chunk) = blob.bytes.next().await {
                chunk?;
            }
        }
    }
    Ok(())
}

/// The credential for a call, by this key in the joining server's name.
fn sign(stage: &Stage, call: &mut Call, key: &SigningKey) -> Result<String, String> {
    let form = call.make_form().map_err(show)?;
    let content = match form.content() {
        Content::Json(object) => Some(&object.text()[..]),
        _ => None,
    };
    Ok(SignedRequest {
        method: form.method(),
        uri: form.target(),
        origin: &stage.joining.name,
        destination: stage.resident.name.as_str(),
        content,
    }
    .sign(key)
    .to_header())
}

/// Whether calls without a good signature are refused.
pub(crate) async fn check_refusals(stage: &Stage, errand: &Errand, findings: &mut Findings) {
    let mut results = Vec::new();
    for wire in &stage.wires {
        let result = refuse_all(stage, errand, wire).await;
        results.push((
            wire.name,
            result.map(|()| {
                "a forged signature, a signature of another request and a missing one were each refused with 401 M_UNAUTHORIZED".to_owned()
            }),
        ));
    }
    findings.conclude(results);
}

async fn refuse_all(stage: &Stage, errand: &Errand, wire: &Wire) -> Result<(), String> {
    let call = || Call::new(stage.resident.name.clone(), errand.transaction(0));
    // The same key ID, so that only the signature tells.
    let forger = SigningKey::generate(stage.joining.key.key_id().version())
        .map_err(|error| error.to_string())?;
    let forged = sign(stage, &mut call(), &forger)?;
    let mut other = Call::new(stage.resident.name.clone(), errand.media());
    let other = sign(stage, &mut other, &stage.joining.key)?;
    for (what, credentials) in [
        ("a forged signature", vec![forged]),
        ("a signature of another request", vec![other]),
        ("a missing signature", Vec::new()),
    ] {
        let mut call = call();
        call.context_mut().credentials = Credentials::new(credentials);
        match wire.bare.send(call).await {
            Err(CallError::Federation(error))
                if error.http_status() == 401 && error.errcode() == Some("M_UNAUTHORIZED") => {}
            Err(error) => return Err(format!("{what} was answered: {}", show(error))),
            Ok(_) => return Err(format!("{what} was let in")),
        }
    }
    Ok(())
}

/// Whether an element that is no event harms those beside it.
pub(crate) async fn check_malformed_event(stage: &Stage, errand: &Errand, findings: &mut Findings) {
    let mut request = errand.transaction(0);
    request.pdus.truncate(SendTransaction::MAX_PDUS - 1);
    let neighbours = request.pdus.len();
    let malformed = BadEvent {
        index: (neighbours / 2) as u64,
        fault: EventFault::NotAnObject,
        value: Some(Value::string("not an event")),
    };
    request.pdus.insert(neighbours / 2, Err(malformed));
    let wanted = Delivered {
        held: neighbours,
        foreign: 0,
        malformed: 1,
    };
    let mut results = Vec::new();
    for wire in &stage.wires {
        let reply = wire
            .client
            .send_transaction(&stage.resident.name, request.clone())
            .await;
        let result = match (reply, stage.house.last_transaction()) {
            (Err(error), _) => Err(format!(
                "a malformed event among {neighbours}: {}",
                show(error)
            )),
            (Ok(_), got) if got == wanted => Ok(format!(
                "a malformed event spoiled none of its {neighbours} neighbours in a transaction"
            )),
            (Ok(_), got) => Err(format!(
                "a malformed event among {neighbours}: the receiver got {got:?}"
            )),
        };
        results.push((wire.name, result));
    }
    findings.conclude(results);
}

/// Whether an error arrives as it was made.
pub(crate) async fn check_error(stage: &Stage, findings: &mut Findings) {
    let request = DownloadMedia {
        media_id: "no such/file".to_owned(),
        ..DownloadMedia::default()
    };
    let wanted = FederationError::not_found(format!(
        "{} has no file {:?}",
        stage.house.name, request.media_id
    ));
    let mut results = Vec::new();
    for wire in &stage.wires {
        let result = match wire
            .client
            .download_media(&stage.resident.name, request.clone())
            .await
        {
            Err(CallError::Federation(got))
                if got.http_status() == 404
                    && got.body() == wanted.body()
                    && got.kind() == wanted.kind() =>
            {
                Ok("an error's status, code and body were the same bytes".to_owned())
            }
            Err(error) => Err(format!("an error arrived changed: {}", show(error))),
            Ok(_) => Err("a file that is not there was served".to_owned()),
        };
        results.push((wire.name, result));
    }
    findings.conclude(results);
}

/// All of the above but the events.
pub(crate) async fn check_calls(
    stage: &Stage,
    errand: &Arc<Errand>,
    announce: Announce,
    findings: &mut Findings,
) {
    let progress = announce.stage("checking signatures, refusals, errors", 4);
    check_signed_bytes(stage, errand, findings).await;
    progress.advance(1);
    check_refusals(stage, errand, findings).await;
    progress.advance(1);
    check_malformed_event(stage, errand, findings).await;
    progress.advance(1);
    check_error(stage, findings).await;
}
