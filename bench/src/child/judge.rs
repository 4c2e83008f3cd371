//! The judge: the whole conformance kit over one transport, on all cores.

use std::{
    num::NonZero,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc::sync_channel},
    thread,
};

use async_trait::async_trait;
use comity_conformance::{Case, Declared, Harness, HarnessError, Served, Verdict, cases, samples};
use comity_core::{CallService, Operations, ServerName};

use super::{
    Line,
    order::{Answer, Judged, Judging},
};
use crate::subject::{self, Proven, Subject, Together};

/// Cases that are tried at a time, for each core: most of them wait most of the time.
const CASES_PER_CORE: usize = 4;

/// Tries every case, and tells how far it is on the way.
pub(super) fn judge(subject: &Subject, line: &Line) {
    let proven = Proven::default();
    let cases = match subject {
        Subject::Apart(wire) => cases(subject::harness(wire, &proven), &samples()),
        Subject::Together(harness) => cases(Shared(harness.clone()), &samples()),
    };
    let total = cases.len() as u64;
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let state = Mutex::new(State {
        // From the first on.
        open: cases.into_iter().rev().collect(),
        under_way: Vec::new(),
    });
    let (sender, verdicts) = sync_channel::<(String, Verdict)>(64);
    let mut judged = Judged::default();
    thread::scope(|scope| {
        for _ in 0..cores * CASES_PER_CORE {
            let (sender, state) = (sender.clone(), &state);
            scope.spawn(move || {
                while let Some(case) = begin(state) {
                    let name = case.name().to_owned();
                    let verdict = case.run();
                    locked(state).under_way.retain(|other| *other != name);
                    if sender.send((name, verdict)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for (done, (name, verdict)) in (1..).zip(verdicts) {
            match verdict {
                Verdict::Passed => judged.passed += 1,
                Verdict::Unsupported(_) => judged.unsupported += 1,
                Verdict::Failed(why) => judged.failed.push((name, why)),
            }
            let under_way = locked(&state).under_way.clone();
            line.answer(&Answer::Judging(Judging {
                done,
                total,
                under_way,
            }));
        }
    });
    judged.failed.sort();
    judged.proven = proven.counts();
    line.answer(&Answer::Judged(judged));
}

struct State {
    open: Vec<Case>,
    under_way: Vec<String>,
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn begin(state: &Mutex<State>) -> Option<Case> {
    let mut state = locked(state);
    let case = state.open.pop()?;
    state.under_way.push(case.name().to_owned());
    Some(case)
}

/// A harness that others hold as well.
struct Shared(Arc<dyn Together>);

#[async_trait]
impl Harness for Shared {
    fn name(&self) -> String {
        self.0.name()
    }

    async fn serve(
        &self,
        server: &ServerName,
        operations: Operations,
        service: CallService,
    ) -> Result<Served, HarnessError> {
        self.0.serve(server, operations, service).await
    }

    fn declared(&self) -> Declared {
        self.0.declared()
    }
}
