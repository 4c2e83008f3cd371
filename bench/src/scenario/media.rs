//! A file, and small queries beside it.

use comity_core::{
    api::{Calls, DownloadMedia},
    call::BlobSource,
};
use futures_util::{StreamExt, future::join, stream::FuturesUnordered};
use tokio::{
    sync::watch,
    task::yield_now,
    time::{Instant, sleep_until},
};

use super::{
    Caller,
    content::FILE,
    phase::Phase,
    steady::{GAP, TIMER},
    tally::Done,
};

impl Caller<'_> {
    /// Downloads files one after the other in each of `lanes` until time is over, with a query beside them each [`GAP`] until the last file has ended. What is counted as a call is a file; of
    /// the queries there are the latencies and the failures. They are asked at the same times whatever the transport, so that how much is asked does not depend on how fast it is answered.
    pub(super) async fn media(&self, phase: &Phase, lanes: usize) {
        let (over, mut still) = watch::channel(false);
        let files = async {
            phase
                .each(lanes, |number| self.download(phase, number))
                .await;
            over.send_replace(true);
        };
        let queries = async {
            let mut under_way = FuturesUnordered::new();
            let mut due = phase.begun;
            let mut more = true;
            loop {
                tokio::select! {
                    Some(()) = under_way.next(), if !under_way.is_empty() => {}
                    // The first is asked in any case.
                    _ = still.wait_for(|over| *over), if more && due > phase.begun => more = false,
                    () = sleep_until(due), if more => {
                        // A timer that fires late is not the transport's; a process that wakes up later than that is.
                        let asked = Instant::now().min(due + TIMER);
                        under_way.push(self.beside(phase, asked));
                        due += GAP;
                    }
                    else => break,
                }
            }
        };
        join(queries, files).await;
    }

    /// One query, whose latency counts from when it was to be asked.
    async fn beside(&self, phase: &Phase, asked: Instant) {
        let number = phase.number();
        let server = &self.setting.servers[0];
        let done = self.query(phase, server, number).await;
        let latency = done.latency.map(|_| asked.elapsed());
        phase.tally().add(Done {
            latency,
            failures: done.failures,
            ..Done::default()
        });
    }

    async fn download(&self, phase: &Phase, number: u64) -> Done {
        let request = DownloadMedia {
            media_id: format!("{}{number}", phase.name),
            ..DownloadMedia::default()
        };
        let read = phase.wait(async {
            let server = &self.setting.servers[0];
            let reply = self.client.download_media(server, request).await;
            let mut blob = reply.map_err(|error| error.to_string())?;
            if !matches!(blob.source, BlobSource::Here { .. }) {
                return Err("the file is elsewhere".to_owned());
            }
            let mut arrived = 0;
            while let Some(bytes) = blob.bytes.next().await {
                let bytes = bytes.map_err(|error| error.to_string())?;
                if !self.file.has(arrived, &bytes) {
                    return Err(format!("other bytes than the file's, behind {arrived}"));
                }
                arrived += bytes.len();
                // A transport that always has the next piece ready would let nothing else run.
                yield_now().await;
            }
            Ok(arrived)
        });
        match read.await {
            Ok(FILE) => Done {
                latency: None,
                calls: 1,
                content: FILE as u64,
                ..Done::default()
            },
            Ok(arrived) => format!("{arrived} bytes of a file of {FILE}").into(),
            Err(why) => why.into(),
        }
    }
}
