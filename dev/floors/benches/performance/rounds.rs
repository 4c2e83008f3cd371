//! Alternating rounds: A B A B …, a ratio for each pair, and the median of them.

use std::{hint::black_box, time::Duration};

use crate::process::thread_cpu;

/// Ratios of one run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Spread {
    /// The median of these, with the tenth and the ninetieth of a hundred.
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |part: f64| values[((values.len() - 1) as f64 * part).round() as usize];
        Self {
            low: at(0.1),
            median: at(0.5),
            high: at(0.9),
        }
    }

    pub(crate) fn one(value: f64) -> Self {
        Self {
            low: value,
            median: value,
            high: value,
        }
    }
}

/// What two alternating measurements gave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair {
    /// A ÷ B, round by round.
    pub(crate) ratio: Spread,
    /// One pass of A.
    pub(crate) a: Duration,
    /// One pass of B.
    pub(crate) b: Duration,
}

/// Measures two costs in turn and divides them round by round.
pub(crate) fn alternate(
    rounds: usize,
    mut a: impl FnMut() -> Duration,
    mut b: impl FnMut() -> Duration,
) -> Pair {
    // The first pass of each warms up.
    a();
    b();
    let costs: Vec<_> = (0..rounds)
        .map(|_| (a().as_secs_f64(), b().as_secs_f64()))
        .collect();
    let median = |values: Vec<f64>| Duration::from_secs_f64(Spread::of(values).median);
    Pair {
        ratio: Spread::of(costs.iter().map(|(a, b)| a / b).collect()),
        a: median(costs.iter().map(|(a, _)| *a).collect()),
        b: median(costs.iter().map(|(_, b)| *b).collect()),
    }
}

/// As [`alternate`], where each round is `passes` of both that take turns one by one: what disturbs one of them for longer than a pass disturbs both.
pub(crate) fn alternate_finely<T, U>(
    rounds: usize,
    passes: u32,
    mut a: impl FnMut() -> T,
    mut b: impl FnMut() -> U,
) -> Pair {
    let other = std::cell::Cell::new(Duration::ZERO);
    let both = || {
        let (mut one, mut two) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..passes {
            let begun = thread_cpu();
            black_box(a());
            let between = thread_cpu();
            black_box(b());
            one += between - begun;
            two += thread_cpu() - between;
        }
        other.set(two / passes);
        one / passes
    };
    alternate(rounds, both, || other.get())
}

/// The CPU time of one pass of `work`, from enough passes for 10 ms.
pub(crate) fn cost<T>(mut work: impl FnMut() -> T) -> impl FnMut() -> Duration {
    let mut passes = 1_u32;
    move || loop {
        let begun = thread_cpu();
        for _ in 0..passes {
            black_box(work());
        }
        let took = thread_cpu() - begun;
        if took >= Duration::from_millis(8) {
            return took / passes;
        }
        let missing = Duration::from_millis(10).as_nanos() / took.as_nanos().max(1) + 1;
        passes = passes.saturating_mul(missing.clamp(2, 100) as u32);
    }
}
