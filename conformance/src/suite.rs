//! Cases made into trials: each with a server of its own kind, which it hands on to the next if it passed.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
};

use comity_core::Operations;
use libtest_mimic::{Completion, Trial};

use crate::{
    AnySample, Bench, Harness, HarnessError,
    bench::runtime,
    cases::{self, Checked, Server, Stop},
};

/// What a name says where a case is about a binding as a whole.
const ANY: &str = "any call";

/// One case: something that a binding has to do.
pub struct Case {
    name: String,
    run: Box<dyn FnOnce() -> Verdict + Send>,
}

/// What came of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The binding does it.
    Passed,
    /// The binding, or its harness, does not offer what the case needs. Says what.
    Unsupported(String),
    /// The binding does something else. Says what.
    Failed(String),
}

impl Case {
    /// Its name: `http/1: SendJoin: smallest request`, or `http/1: any call: unknown operation`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Tries it. Called from outside any asynchronous runtime.
    pub fn run(self) -> Verdict {
        let tried = catch_unwind(AssertUnwindSafe(self.run));
        tried.unwrap_or_else(|panic| {
            let words = panic.downcast_ref::<String>().cloned();
            let words = words.or_else(|| Some((*panic.downcast_ref::<&str>()?).to_owned()));
            Verdict::Failed(format!(
                "it panicked: {}",
                words.as_deref().unwrap_or("without a word")
            ))
        })
    }

    fn into_trial(self) -> Trial {
        let name = self.name.clone();
        Trial::ignorable_test(name, || match self.run() {
            Verdict::Passed => Ok(Completion::Completed),
            Verdict::Unsupported(why) => Ok(Completion::ignored_with(why)),
            Verdict::Failed(why) => Err(why.into()),
        })
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Case").field(&self.name).finish()
    }
}

/// Every case of the kit for one binding, over these operations, as trials of [`libtest_mimic`]. What the binding does not support is
/// reported as ignored, with the reason.
pub fn suite(harness: impl Harness, samples: &[AnySample]) -> Vec<Trial> {
    let cases = cases(harness, samples);
    cases.into_iter().map(Case::into_trial).collect()
}

/// The same as cases, to be run in another way.
pub fn cases(harness: impl Harness, samples: &[AnySample]) -> Vec<Case> {
    let name = harness.name();
    let kit = Kit::new(vec![Box::new(harness)], samples);
    let mut found = Vec::new();
    for &sample in samples {
        let operation = sample.operation().spec().name;
        for case in cases::of(&sample) {
            let kit = kit.clone();
            found.push(Case {
                name: format!("{name}: {operation}: {}", case.name),
                run: Box::new(move || {
                    kit.run(Server::Kept, |benches| (case.check)(&benches[0], &sample))
                }),
            });
        }
    }
    for case in cases::of_any() {
        let kit = kit.clone();
        found.push(Case {
            name: format!("{name}: {ANY}: {}", case.name),
            run: Box::new(move || {
                let samples = kit.samples.clone();
                kit.run(case.server, |benches| (case.check)(&benches[0], &samples))
            }),
        });
    }
    found
}

/// Trials that two bindings are the same to whoever calls and whoever is called: the same call reaches the handler equal, and every reply,
/// error and refusal comes back equal.
pub fn equivalence(one: impl Harness, other: impl Harness, samples: &[AnySample]) -> Vec<Trial> {
    let cases = equivalence_cases(one, other, samples);
    cases.into_iter().map(Case::into_trial).collect()
}

/// The same as cases, to be run in another way.
pub fn equivalence_cases(
    one: impl Harness,
    other: impl Harness,
    samples: &[AnySample],
) -> Vec<Case> {
    let name = format!("{} = {}", one.name(), other.name());
    let kit = Kit::new(vec![Box::new(one), Box::new(other)], samples);
    let mut found = Vec::new();
    for &sample in samples {
        let operation = sample.operation().spec().name;
        for (what, check) in crate::equivalence::of(&sample) {
            let kit = kit.clone();
            found.push(Case {
                name: format!("{name}: {operation}: {what}"),
                run: Box::new(move || {
                    kit.run(Server::Kept, |benches| {
                        check(&benches[0], &benches[1], &sample)
                    })
                }),
            });
        }
    }
    found
}

/// The bindings under test, and the servers that are idle: as many as trials run at once.
struct Kit {
    harnesses: Vec<Box<dyn Harness>>,
    operations: Operations,
    samples: Arc<[AnySample]>,
    idle: Mutex<Vec<Vec<Bench>>>,
}

impl Kit {
    fn new(harnesses: Vec<Box<dyn Harness>>, samples: &[AnySample]) -> Arc<Self> {
        // Those of the table are there in any case: one of them is how the callers' keys are asked for.
        let mut operations = Operations::federation();
        for operation in samples.iter().map(AnySample::operation) {
            if operations.by_name(operation.spec().name) != Some(operation) {
                let more = operations.with([operation]);
                operations = more.unwrap_or_else(|error| panic!("the samples: {error}"));
            }
        }
        Arc::new(Self {
            harnesses,
            operations,
            samples: samples.into(),
            idle: Mutex::default(),
        })
    }

    fn run(&self, server: Server, check: impl FnOnce(&[Bench]) -> Checked) -> Verdict {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let benches = match server {
            Server::Open => self.set_up(self.operations.clone().with_unregistered()),
            Server::Kept | Server::Killed => {
                let ready = idle().pop();
                ready.map_or_else(|| self.set_up(self.operations.clone()), Ok)
            }
        };
        let benches = match benches {
            Ok(benches) => benches,
            Err(error) => return Verdict::Failed(format!("no server was set up: {error}")),
        };
        match check(&benches) {
            Ok(()) => {
                if server == Server::Kept {
                    idle().push(benches);
                }
                Verdict::Passed
            }
            Err(Stop::Unsupported(why)) => Verdict::Unsupported(why),
            Err(Stop::Failed(why)) => Verdict::Failed(why),
        }
    }

    fn set_up(&self, operations: Operations) -> Result<Vec<Bench>, HarnessError> {
        runtime().block_on(async {
            let mut benches = Vec::new();
            for harness in &self.harnesses {
                benches.push(Bench::new(&**harness, operations.clone()).await?);
            }
            Ok(benches)
        })
    }
}
