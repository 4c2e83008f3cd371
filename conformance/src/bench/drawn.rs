//! Random cases: always the same ones unless asked otherwise, and a failure says how to get its own again.

use std::{sync::OnceLock, time::Duration};

use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestCaseResult, TestRng, TestRunner},
};
use tokio::runtime::Runtime;

/// Steps to a simpler value; more only make it nicer.
const MAX_STEPS: usize = 5_000;

/// What every trial runs on: two threads.
///
/// # Panics
/// If the operating system gives no threads.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime needs threads")
    })
}

/// Runs `test` on `cases` random values, and for at most `shrinking` looks for a smaller one of those that fail. Called from outside the
/// runtime.
///
/// # Errors
/// What failed, with the value, and how to see it again.
pub fn cases<S, F, R>(
    law: &str,
    cases: u32,
    shrinking: Duration,
    strategy: &S,
    test: F,
) -> Result<(), String>
where
    S: Strategy,
    F: Fn(S::Value) -> R,
    R: Future<Output = TestCaseResult>,
{
    let seed = number("COMITY_LAWS_SEED").unwrap_or(0);
    let cases = number("COMITY_LAWS_CASES").map_or(cases, |cases| cases as u32);
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: if shrinking.is_zero() { 0 } else { 400 },
        max_shrink_time: u32::try_from(shrinking.as_millis()).unwrap_or(u32::MAX),
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, rng(law, seed));
    let result = runner.run(strategy, |value| runtime().block_on(test(value)));
    result.map_err(|error| {
        format!("{error}\nto see it again: COMITY_LAWS_SEED={seed} COMITY_LAWS_CASES={cases}")
    })
}

/// So many values of a strategy, always the same ones for a law.
///
/// # Panics
/// If the strategy gives none: a fault of the sample.
pub fn drawn<S: Strategy>(law: &str, strategy: &S, count: usize) -> Vec<S::Value> {
    let seed = number("COMITY_LAWS_SEED").unwrap_or(0);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng(law, seed));
    (0..count)
        .map(|_| tree(strategy, &mut runner).current())
        .collect()
}

/// The simplest value of a strategy: everything absent that may be, and what is left as short as it may be.
///
/// # Panics
/// As [`drawn`].
pub fn simplest<S: Strategy>(strategy: &S) -> S::Value {
    let mut tree = tree(strategy, &mut TestRunner::deterministic());
    for _ in 0..MAX_STEPS {
        if !tree.simplify() {
            break;
        }
    }
    tree.current()
}

fn tree<S: Strategy>(strategy: &S, runner: &mut TestRunner) -> S::Tree {
    strategy
        .new_tree(runner)
        .unwrap_or_else(|why| panic!("the sample gives no value: {why}"))
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Each law and operation draws from its own numbers, so that a new operation does not move the others'.
fn rng(law: &str, seed: u64) -> TestRng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    for (index, byte) in law.bytes().enumerate() {
        let place = &mut bytes[8 + index % 24];
        *place = place.rotate_left(3) ^ byte;
    }
    TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)
}
