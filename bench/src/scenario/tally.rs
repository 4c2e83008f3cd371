//! What came of the calls.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::model::Outcome;

/// Longest latency that is told from longer ones.
const LONGEST: Duration = Duration::from_secs(3600);

/// What came of one call, or of several that are one thing.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// The latency that is told; without one, none is.
    pub(super) latency: Option<Duration>,
    /// Calls that were answered as they should.
    pub(super) calls: u64,
    /// Events delivered.
    pub(super) events: u64,
    /// Bytes delivered.
    pub(super) content: u64,
    /// What went wrong, each a call.
    pub(super) failures: Vec<String>,
}

impl Done {
    /// One call, well answered.
    pub(super) fn one(latency: Duration, events: u64, content: u64) -> Self {
        Self {
            latency: Some(latency),
            calls: 1,
            events,
            content,
            failures: Vec::new(),
        }
    }
}

/// One call that was not answered, or not as it should.
impl From<String> for Done {
    fn from(why: String) -> Self {
        Self {
            failures: vec![why],
            ..Self::default()
        }
    }
}

/// What came of all calls of a phase.
#[derive(Debug)]
pub(super) struct Tally {
    latencies: Histogram<u64>,
    outcome: Outcome,
}

impl Tally {
    pub(super) fn new(latency_of: &str) -> Self {
        let latencies = Histogram::new_with_max(LONGEST.as_micros() as u64, 2);
        Self {
            latencies: latencies.expect("an hour to two digits is in order"),
            outcome: Outcome {
                latency_of: latency_of.to_owned(),
                ..Outcome::default()
            },
        }
    }

    pub(super) fn add(&mut self, done: Done) {
        let outcome = &mut self.outcome;
        outcome.calls += done.calls;
        outcome.events += done.events;
        outcome.content += done.content;
        outcome.failures += done.failures.len() as u64;
        if let Some(first) = done.failures.into_iter().next() {
            outcome.first_failure.get_or_insert(first);
        }
        if let Some(latency) = done.latency {
            self.latency(latency);
        }
    }

    pub(super) fn latency(&mut self, latency: Duration) {
        let micros = latency.as_micros() as u64;
        self.latencies.saturating_record(micros);
    }

    pub(super) fn memory(&mut self, events: u64, bytes: u64) {
        self.outcome.memory.push((events, bytes));
    }

    /// What a reader of the figures has to know.
    pub(super) fn note(&mut self, words: String) {
        self.outcome.note = Some(words);
    }

    pub(super) fn outcome(self, took: Duration) -> Outcome {
        let buckets = self.latencies.iter_recorded().map(|bucket| {
            let value = bucket.value_iterated_to();
            let middle = self.latencies.median_equivalent(value);
            (middle, bucket.count_at_value())
        });
        Outcome {
            seconds: took.as_secs_f64(),
            latencies: buckets.collect(),
            ..self.outcome
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_told_to_two_digits_and_failures_by_the_first() {
        let mut tally = Tally::new("a call");
        for micros in [3, 250, 250, 1_000_000] {
            tally.add(Done::one(Duration::from_micros(micros), 2, 10));
        }
        tally.add("the first".to_owned().into());
        tally.add("another".to_owned().into());
        let outcome = tally.outcome(Duration::from_secs(2));
        let counts: Vec<_> = outcome.latencies.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [1, 2, 1]);
        for ((told, _), true_value) in outcome.latencies.iter().zip([3, 250, 1_000_000]) {
            assert!(told.abs_diff(true_value) * 100 <= true_value, "{told}");
        }
        assert_eq!((outcome.calls, outcome.events, outcome.content), (4, 8, 40));
        assert_eq!(outcome.failures, 2);
        assert_eq!(outcome.first_failure.as_deref(), Some("the first"));
    }

    #[test]
    fn a_latency_beyond_an_hour_is_an_hour() {
        let mut tally = Tally::new("a call");
        tally.add(Done::one(LONGEST * 2, 0, 0));
        assert_eq!(tally.outcome(Duration::ZERO).latencies.len(), 1);
    }
}
