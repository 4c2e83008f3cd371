//! What a step needs and that waits for the network alone: done in a thread beside the steps before it, and given up when one of them fails.

use std::{
    io,
    path::Path,
    process::{Child, ExitStatus},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::Outcome;

/// How often a preparation looks whether it is still wanted.
const INTERVAL: Duration = Duration::from_millis(50);

/// Says to a preparation that nobody waits for it any more.
#[derive(Clone, Debug, Default)]
pub(crate) struct GivenUp(Arc<AtomicBool>);

impl GivenUp {
    /// Waits until the process ends; kills it if it is given up. What that process has begun is not killed, and may go on for a while: to be
    /// reached it would need a process group of its own, and then Ctrl-C would end neither.
    pub(crate) fn wait(&self, child: &mut Child) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if self.0.load(Ordering::Relaxed) {
                let killed = child.kill();
                let ended = child.wait();
                return killed.and(ended);
            }
            thread::sleep(INTERVAL);
        }
    }
}

/// What is done to prepare a step, in the workspace's root.
pub(super) type Prepare = fn(&Path, &GivenUp) -> Outcome;

/// A preparation under way. Dropped, it is given up: its process is killed (what that has begun is not), and its thread has ended.
pub(super) struct Preparation {
    given_up: GivenUp,
    thread: Option<JoinHandle<Result<(), String>>>,
}

impl Preparation {
    pub(super) fn begin(root: &Path, prepare: Prepare) -> Self {
        let (root, given_up) = (root.to_owned(), GivenUp::default());
        let heard = given_up.clone();
        let run = move || prepare(&root, &heard).map_err(|error| error.to_string());
        Self {
            given_up,
            thread: Some(thread::spawn(run)),
        }
    }

    /// Waits for its end.
    pub(super) fn finish(mut self) -> Result<(), String> {
        let ended = self.thread.take().map_or(Ok(Ok(())), JoinHandle::join);
        ended.unwrap_or_else(|_| Err("what it waits for panicked".to_owned()))
    }
}

impl Drop for Preparation {
    fn drop(&mut self) {
        self.given_up.0.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Why it failed interests nobody.
            let _ = thread.join();
        }
    }
}
