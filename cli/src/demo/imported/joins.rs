//! Joins of an imported room: each event is checked as it arrives, against what the resident server holds, and by its hash and signatures.

use std::{collections::BTreeMap, thread};

use comity_core::event::Pdu;
use tokio::sync::mpsc;

use super::{
    super::{
        findings::{Findings, list},
        progress::{Announce, Progress},
        report::{count, counted},
        stage::Stage,
        verdict::Verdict,
    },
    house::House,
    room::Room,
    work::Errand,
};

/// Events that go to a checking thread together, and how many such batches wait: a bound, so that a join is never held whole.
const BATCH: usize = 64;
const BATCHES: usize = 4;

/// Most differences that are listed one by one.
const LISTED: usize = 20;

/// Joins over each transport, and checks each event as it arrives: against what the resident server holds, its content hash, its signatures.
pub(crate) async fn check_events(
    stages: &[Stage<House>],
    errand: &Errand,
    announce: Announce,
    findings: &mut Findings,
) {
    let total = errand.room.events().len();
    let mut results = Vec::new();
    let mut bad: BTreeMap<usize, (String, Vec<&str>)> = BTreeMap::new();
    let mut tallies: Vec<Tally> = Vec::new();
    for stage in stages {
        let progress = announce.stage(&format!("checking a join over {}", stage.wire), total);
        match check_join(errand, stage, &progress).await {
            Ok(tally) => {
                for (place, why) in &tally.bad {
                    let entry = bad
                        .entry(*place)
                        .or_insert_with(|| (why.clone(), Vec::new()));
                    entry.1.push(stage.wire);
                }
                results.push((stage.wire, Ok(tally.claim(total))));
                tallies.push(tally);
            }
            Err(why) => results.push((stage.wire, Err(format!("the join: {why}")))),
        }
    }
    findings.conclude(results);
    let more = bad.len().saturating_sub(LISTED);
    for (place, (why, transports)) in bad.into_iter().take(LISTED) {
        let event = &errand.room.events()[place];
        findings.differences.push(format!(
            "{} ({}): {why}, over {}",
            event.label,
            event.id,
            list(&transports)
        ));
    }
    if more > 0 {
        let more = counted(more, "event");
        findings.differences.push(format!("{more} more differ"));
    }
    if let Some(tally) = tallies.first() {
        for (server, events) in &tally.unchecked {
            findings.unchecked.push(format!(
                "the signatures of {server} on {}: its verify key is not known (--keys)",
                counted(*events, "event")
            ));
        }
        for (server, events) in &tally.doubtful {
            findings.unchecked.push(format!(
                "{} of {server}: the content hash does not match, so it is redacted or tampered with; the verify key would tell (--keys)",
                counted(*events, "event")
            ));
        }
        for (why, events) in &tally.unverifiable {
            findings.unchecked.push(format!(
                "{}: unverifiable ({why}), carried unchanged",
                counted(*events, "event")
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

async fn check_join(
    errand: &Errand,
    stage: &Stage<House>,
    progress: &Progress,
) -> Result<Tally, String> {
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
    let mut join = errand.join(&stage.joining.client).await?;
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
