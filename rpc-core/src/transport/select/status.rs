//! What can be seen of the choice.

use std::{collections::BTreeMap, time::Duration};

use super::FallbackReason;
use crate::ServerName;

/// A destination as it stands now.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DestinationStatus {
    /// Its name.
    pub destination: ServerName,
    /// The binding that the next call goes by; `None` if it would be refused.
    pub binding: Option<&'static str>,
    /// Why that one.
    pub why: Why,
    /// Each binding, the baseline first.
    pub bindings: Vec<BindingStatus>,
}

/// Why a binding is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Why {
    /// The operator's policy.
    Policy,
    /// The destination offers it; the source says where that is written: `signed`, `hint`.
    Offered(&'static str),
    /// Nothing else is known of the destination.
    Baseline,
    /// A better one failed, and is left alone for a while, or one call is finding out whether it works.
    BackingOff,
    /// What the policy asks for is switched off, unknown or not offered.
    Unavailable,
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Policy => "policy",
            Self::Offered(source) => source,
            Self::Baseline => "baseline",
            Self::BackingOff => "backing off",
            Self::Unavailable => "unavailable",
        })
    }
}

/// One binding of a destination. Numbers are since this side began, or since it last forgot the destination.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BindingStatus {
    /// Its name.
    pub binding: &'static str,
    /// Attempts.
    pub calls: u64,
    /// Those whose reply has not ended.
    pub in_flight: u64,
    /// Those that got no answer, or only a part of it.
    pub errors: u64,
    /// Those that were answered with an error.
    pub error_answers: u64,
    /// Calls that left it, by reason.
    pub fallbacks: BTreeMap<FallbackReason, u64>,
    /// Time to the reply's head.
    pub latency: LatencySummary,
    /// Failures in a row.
    pub failures: u32,
    /// How long it is still left alone.
    pub backing_off: Option<Duration>,
}

/// Times in short. Quantiles are upper bounds, from steps that double or so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LatencySummary {
    /// How many were measured.
    pub count: u64,
    /// Their mean.
    pub mean: Duration,
    /// Half of them took at most this.
    pub p50: Duration,
    /// 95 of 100 took at most this.
    pub p95: Duration,
    /// The longest.
    pub max: Duration,
}

/// Upper bounds of the steps, in milliseconds. What is beyond the last is told by the longest.
const STEPS: [u64; 16] = [
    1, 2, 4, 8, 15, 30, 60, 125, 250, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000,
];

#[derive(Debug, Default)]
pub(super) struct Latency {
    steps: [u64; STEPS.len() + 1],
    sum: Duration,
    max: Duration,
}

impl Latency {
    pub(super) fn record(&mut self, took: Duration) {
        let step = STEPS
            .iter()
            .position(|&step| took <= Duration::from_millis(step));
        self.steps[step.unwrap_or(STEPS.len())] += 1;
        self.sum = self.sum.saturating_add(took);
        self.max = self.max.max(took);
    }

    pub(super) fn summary(&self) -> LatencySummary {
        let count: u64 = self.steps.iter().sum();
        if count == 0 {
            return LatencySummary::default();
        }
        let quantile = |percent: u64| {
            let wanted = (count * percent).div_ceil(100);
            let mut seen = 0;
            let step = self.steps.iter().position(|&number| {
                seen += number;
                seen >= wanted
            });
            let bound = step.and_then(|step| STEPS.get(step).copied());
            bound.map_or(self.max, |bound| Duration::from_millis(bound).min(self.max))
        };
        LatencySummary {
            count,
            mean: self.sum.div_f64(count as f64),
            p50: quantile(50),
            p95: quantile(95),
            max: self.max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_upper_bounds() {
        let mut latency = Latency::default();
        for milliseconds in 1..=100 {
            latency.record(Duration::from_millis(milliseconds));
        }
        let summary = latency.summary();
        assert_eq!(summary.count, 100);
        assert_eq!(summary.p50, Duration::from_millis(60));
        assert_eq!(summary.p95, Duration::from_millis(100));
        assert_eq!(summary.max, Duration::from_millis(100));
        assert_eq!(Latency::default().summary(), LatencySummary::default());
    }

    #[test]
    fn what_is_beyond_the_steps_is_told_by_the_longest() {
        let mut latency = Latency::default();
        latency.record(Duration::from_secs(600));
        assert_eq!(latency.summary().p50, Duration::from_secs(600));
    }
}
