//! The one file that each server of the demo has.

use bytes::Bytes;
use comity_core::api::DownloadMedia;
use comity_homeserver::File;

/// Its ID.
pub(crate) const ID: &str = "mascot";

/// Its bytes, 256 KiB: every byte value, and no period that a frame size has.
pub(crate) fn bytes() -> Bytes {
    (0..256_u32 << 10)
        .map(|place| (place.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect()
}

/// It, as a server keeps it.
pub(crate) fn file() -> File {
    File {
        content_type: "image/png".to_owned(),
        content_disposition: Some("inline; filename*=utf-8''mascot%20%E2%9C%93.png".to_owned()),
        bytes: bytes(),
    }
}

/// Asks for it.
pub(crate) fn request() -> DownloadMedia {
    DownloadMedia {
        media_id: ID.to_owned(),
        timeout_ms: Some(20_000),
        ..DownloadMedia::default()
    }
}
