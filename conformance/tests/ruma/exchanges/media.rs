//! Media.

use bytes::Bytes;
use comity_conformance::{BlobSample, ReplySample};
use comity_core::{api, call::BlobSource, json::Object};
use ruma_federation_api as ruma;

use crate::round_trip::{Exchange, pair};

pub(super) fn media() -> Vec<Exchange> {
    use ruma::authenticated_media::{
        get_content::v1 as content, get_content_thumbnail::v1 as thumbnail,
    };
    vec![
        pair::<api::DownloadMedia, content::Request>(
            &[
                ("plain", "/_matrix/federation/v1/media/download/abc", ""),
                (
                    "with patience",
                    "/_matrix/federation/v1/media/download/abc?timeout_ms=5",
                    "",
                ),
                (
                    "with the default in words",
                    "/_matrix/federation/v1/media/download/abc?timeout_ms=20000",
                    "",
                ),
            ],
            &[],
        )
        .with_blobs(blobs()),
        pair::<api::DownloadThumbnail, thumbnail::Request>(
            &[
                (
                    "full",
                    "/_matrix/federation/v1/media/thumbnail/abc?width=64&height=48&method=crop&timeout_ms=5&animated=true",
                    "",
                ),
                ("plain", "/_matrix/federation/v1/media/thumbnail/abc?width=64&height=48", ""),
            ],
            &[],
        )
        .with_blobs(blobs()),
    ]
}

/// Blobs that are here and elsewhere.
fn blobs() -> Vec<(&'static str, ReplySample)> {
    let here = |content_type: Option<&str>, disposition: Option<&str>, bytes: &'static [u8]| {
        ReplySample::Blob(BlobSample {
            metadata: Object::empty(),
            source: BlobSource::Here {
                content_type: content_type.map(str::to_owned),
                content_disposition: disposition.map(str::to_owned),
            },
            pieces: vec![Bytes::from_static(bytes)],
        })
    };
    vec![
        (
            "full",
            here(
                Some("image/png"),
                Some("inline; filename=a.png"),
                b"\x89PNG\r\n\r\n--x\r\n\0",
            ),
        ),
        ("of unknown type", here(None, None, b"")),
        (
            "elsewhere",
            ReplySample::Blob(BlobSample {
                metadata: Object::empty(),
                source: BlobSource::Location("https://cdn.example/x?y=%20z".to_owned()),
                pieces: Vec::new(),
            }),
        ),
    ]
}
