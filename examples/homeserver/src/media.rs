//! The server's own media files.

use async_trait::async_trait;
use bytes::Bytes;
use comity_core::{
    api::{DownloadMedia, Media},
    call::{Authenticated, Blob, BlobSource},
    error::FederationError,
    json::Object,
};
use futures_util::{StreamExt, stream};

use crate::{Homeserver, homeserver::lock};

/// How much of a file goes out at once, in bytes.
const CHUNK: usize = 64 << 10;

/// A media file.
#[derive(Clone, Debug)]
pub struct File {
    /// Media type.
    pub content_type: String,
    /// As RFC 6266 writes it.
    pub content_disposition: Option<String>,
    /// The bytes.
    pub bytes: Bytes,
}

impl File {
    /// The file as a reply, in chunks that share its bytes.
    pub fn into_blob(self) -> Blob {
        let size = self.bytes.len();
        let chunks = (0..size)
            .step_by(CHUNK)
            .map(move |begin| Ok(self.bytes.slice(begin..size.min(begin + CHUNK))));
        Blob {
            metadata: Object::empty(),
            source: BlobSource::Here {
                content_type: Some(self.content_type),
                content_disposition: self.content_disposition,
            },
            bytes: stream::iter(chunks).boxed(),
        }
    }
}

impl Homeserver {
    /// Keeps a file under `media_id`, in the place of one that may be there.
    pub fn add_file(&self, media_id: impl Into<String>, file: File) {
        lock(&self.shared.files).insert(media_id.into(), file);
    }
}

#[async_trait]
impl Media for Homeserver {
    async fn download_media(
        &self,
        _: &Authenticated,
        request: DownloadMedia,
    ) -> Result<Blob, FederationError> {
        let file = lock(&self.shared.files).get(&request.media_id).cloned();
        file.map(File::into_blob).ok_or_else(|| {
            FederationError::not_found(format!(
                "{} has no file {:?}",
                self.name(),
                request.media_id
            ))
        })
    }
}
