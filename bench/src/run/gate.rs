//! The gate: a transport that fails the conformance kit is not compared.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::{
    child::order::{Answer, Judging, Order},
    model::Conformance,
    process::{ChildError, Handle},
    progress::{Progress, minutes},
    subject::Subject,
};

/// How long the kit may take for one transport, on two slow cores that have something else to do as well.
const LIMIT: Duration = Duration::from_secs(600);

/// How long no case may end.
const SILENCE: Duration = Duration::from_secs(120);

/// Failed cases that are named.
const NAMED: usize = 20;

/// Has the whole kit run over a transport, in a process of its own.
pub(super) fn judge(subject: &Subject) -> Conformance {
    let mut said = Conformance {
        transport: subject.name(),
        exempt: subject.exempt().map(str::to_owned),
        passed: 0,
        unsupported: 0,
        failed: Vec::new(),
        failures: 0,
        proven: BTreeMap::new(),
    };
    if said.exempt.is_some() {
        return said;
    }
    let begun = Instant::now();
    match try_cases(&said.transport) {
        Ok(judged) => {
            said.passed = judged.passed;
            said.unsupported = judged.unsupported;
            let name = |(name, why): (String, String)| {
                eprintln!("  {name}: {why}");
                name
            };
            said.failures = judged.failed.len() as u64;
            said.failed = judged.failed.into_iter().take(NAMED).map(name).collect();
            said.proven = judged.proven;
            if let Some(why) = unproven(subject.scheme(), &said.proven) {
                said.failures += 1;
                said.failed.push(why);
            }
        }
        Err(why) => {
            said.failures = 1;
            said.failed = vec![why];
        }
    }
    eprintln!(
        "conformance of {}: {}, {} cases passed in {}",
        said.transport,
        if said.failed.is_empty() {
            "admitted"
        } else {
            "REFUSED"
        },
        said.passed,
        minutes(begun.elapsed())
    );
    for (scheme, calls) in &said.proven {
        eprintln!("  {calls} calls proved their origin by {scheme}");
    }
    said
}

/// A wire that was judged without what is measured of it was not judged.
fn unproven(scheme: Option<&str>, proven: &BTreeMap<String, u64>) -> Option<String> {
    let scheme = scheme?;
    let calls = proven.get(scheme).copied().unwrap_or(0);
    (calls == 0).then(|| format!("no call of the kit proved its origin by {scheme}"))
}

fn try_cases(name: &str) -> Result<crate::child::order::Judged, String> {
    let mut judge = Handle::start("judge", name, None).map_err(|error| error.to_string())?;
    judge
        .order(&Order::Judge)
        .map_err(|error| error.to_string())?;
    let until = Instant::now() + LIMIT;
    let mut progress: Option<Progress> = None;
    let mut last = Judging::default();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match judge.answer(left.min(SILENCE)) {
            Ok(Answer::Judging(judging)) => {
                // The last cases are the longest: how many are left says nothing of the time.
                let progress = progress.get_or_insert_with(|| Progress::counting(judging.total));
                let what = format!("the conformance kit over {name}");
                progress.now(&what);
                progress.counted(judging.done, &what);
                last = judging;
            }
            Ok(Answer::Judged(judged)) => return Ok(judged),
            Ok(other) => return Err(judge.astray(&other).to_string()),
            Err(ChildError::Hung { .. }) => {
                let under_way = last.under_way.join("; ");
                let (done, total) = (last.done, last.total);
                return Err(format!(
                    "the kit came to no end: {done} of {total} cases were done; under way: {under_way}"
                ));
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wire_of_whose_proof_the_kit_saw_nothing_is_refused() {
        let proven = BTreeMap::from([("X-Matrix".to_owned(), 900), ("session".to_owned(), 0)]);
        assert_eq!(unproven(Some("X-Matrix"), &proven), None);
        assert_eq!(unproven(None, &BTreeMap::new()), None);
        for scheme in ["session", "carrier"] {
            let why = unproven(Some(scheme), &proven).unwrap();
            assert!(why.contains(scheme), "{why}");
        }
    }
}
