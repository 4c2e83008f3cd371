//! The first call to each of many servers.

use futures_util::{StreamExt, stream};

use super::{Caller, phase::Phase};

impl Caller<'_> {
    /// Calls the server that nothing else calls, so that the process has done everything once.
    pub(super) async fn warm_up_cold(&self, phase: &Phase) {
        let server = &self.setting.servers[0];
        let done = self.query(phase, server, phase.number()).await;
        phase.tally().add(done);
    }

    /// Calls each of the others once, `at_once` of them at a time, each on a connection that is new. All of them, however long it takes: the deadline alone ends it.
    pub(super) async fn cold(&self, phase: &Phase, at_once: usize) {
        let others = match &self.setting.servers[..] {
            [_, others @ ..] if !others.is_empty() => others,
            only => only,
        };
        // By number: with a borrowed argument the future is not seen to be `Send`.
        let begin =
            |place: usize| async move { self.query(phase, &others[place], phase.number()).await };
        let calls = stream::iter(0..others.len()).map(begin);
        let mut calls = std::pin::pin!(calls.buffer_unordered(at_once.max(1)));
        while let Some(done) = calls.next().await {
            phase.tally().add(done);
        }
    }
}
