//! Random cases: always the same ones unless asked otherwise, and a failure says how to get its own again.

use std::sync::OnceLock;

use proptest::{
    strategy::Strategy,
    test_runner::{Config, RngAlgorithm, TestCaseResult, TestRng, TestRunner},
};
use tokio::runtime::Runtime;

/// What every test of this binary runs on.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
    })
}

/// Runs `test` on `cases` random values, and shrinks the one that fails.
pub(crate) fn cases<S, F, R>(law: &str, cases: u32, strategy: &S, test: F)
where
    S: Strategy,
    F: Fn(S::Value) -> R,
    R: Future<Output = TestCaseResult>,
{
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let seed = number("COMITY_LAWS_SEED").unwrap_or(0);
    let cases = number("COMITY_LAWS_CASES").map_or(cases, |cases| cases as u32);
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 400,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, rng(law, seed));
    let result = runner.run(strategy, |value| runtime().block_on(test(value)));
    if let Err(error) = result {
        panic!(
            "{law}\n{error}\nto see it again: COMITY_LAWS_SEED={seed} COMITY_LAWS_CASES={cases}"
        );
    }
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
