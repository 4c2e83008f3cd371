//! A file, and small queries beside it.

use comity_core::{
    api::{Calls, DownloadMedia},
    call::BlobSource,
};
use futures_util::{
    StreamExt,
    future::{join, join_all},
};
use tokio::{sync::watch, task::yield_now};

use super::{Caller, content::FILE, phase::Phase, tally::Done};

impl Caller<'_> {
    /// Downloads files one after the other in each of `lanes` until time is over, with as many lanes of queries beside them that end with the last file.
    pub(super) async fn media(&self, phase: &Phase, lanes: usize) {
        let (over, still) = watch::channel(false);
        let files = async {
            phase
                .each(lanes, |number| self.download(phase, number))
                .await;
            over.send_replace(true);
        };
        let query = async || {
            loop {
                let number = phase.number();
                let done = self.query(phase, &self.setting.servers[0], number).await;
                let failed = !done.failures.is_empty();
                // The file's bytes are what is delivered.
                phase.tally().add(Done { content: 0, ..done });
                if failed {
                    phase.pause().await;
                }
                if *still.borrow() {
                    break;
                }
                // Where every call is answered at once, the file has its turn here.
                yield_now().await;
            }
        };
        join(join_all((0..lanes).map(|_| query())), files).await;
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
