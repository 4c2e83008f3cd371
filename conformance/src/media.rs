//! Media.

use bytes::Bytes;
use comity_core::{
    api::{DownloadMedia, DownloadMediaLegacy, DownloadThumbnail, DownloadThumbnailLegacy},
    call::BlobSource,
    endpoint::Content,
};
use proptest::{
    collection::vec,
    option,
    prelude::{any, prop_oneof},
    sample::select,
    strategy::{BoxedStrategy, Just, Strategy},
};

use crate::{
    BlobSample, BodySample, Kind, Lists, Parameter, ReplySample, Sample, extra_query, identifier,
    json, server::no_body,
};

impl Sample for DownloadMedia {
    const PARAMETERS: &'static [Parameter] = &[Parameter::query("timeout_ms", Kind::Integer)];

    const LISTS: Lists<Self> = Lists::NONE;

    fn requests() -> BoxedStrategy<Self> {
        (identifier(), option::of(any::<i64>()), extra_query())
            .prop_map(|(media_id, timeout_ms, extra_query)| Self {
                media_id,
                timeout_ms,
                extra_query,
            })
            .boxed()
    }

    fn contents() -> BoxedStrategy<Content> {
        no_body()
    }

    fn replies() -> BoxedStrategy<ReplySample> {
        blobs()
    }
}

impl Sample for DownloadThumbnail {
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::query("width", Kind::Integer).required(),
        Parameter::query("height", Kind::Integer).required(),
        Parameter::query("method", Kind::String),
        Parameter::query("timeout_ms", Kind::Integer),
        Parameter::query("animated", Kind::Boolean),
    ];

    const LISTS: Lists<Self> = Lists::NONE;

    fn requests() -> BoxedStrategy<Self> {
        (
            identifier(),
            (any::<i64>(), any::<i64>()),
            option::of(prop_oneof![Just("crop".to_owned()), identifier()]),
            option::of(any::<i64>()),
            option::of(any::<bool>()),
            extra_query(),
        )
            .prop_map(
                |(media_id, (width, height), method, timeout_ms, animated, extra_query)| Self {
                    media_id,
                    width,
                    height,
                    method,
                    timeout_ms,
                    animated,
                    extra_query,
                },
            )
            .boxed()
    }

    fn contents() -> BoxedStrategy<Content> {
        no_body()
    }

    fn replies() -> BoxedStrategy<ReplySample> {
        blobs()
    }
}

impl Sample for DownloadMediaLegacy {
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::query("allow_remote", Kind::Boolean),
        Parameter::query("timeout_ms", Kind::Integer),
        Parameter::query("allow_redirect", Kind::Boolean),
    ];

    const LISTS: Lists<Self> = Lists::NONE;

    fn requests() -> BoxedStrategy<Self> {
        (
            identifier(),
            identifier(),
            option::of(any::<bool>()),
            option::of(any::<i64>()),
            option::of(any::<bool>()),
            extra_query(),
        )
            .prop_map(
                |(server_name, media_id, allow_remote, timeout_ms, allow_redirect, extra_query)| {
                    Self {
                        server_name,
                        media_id,
                        allow_remote,
                        timeout_ms,
                        allow_redirect,
                        extra_query,
                    }
                },
            )
            .boxed()
    }

    fn contents() -> BoxedStrategy<Content> {
        no_body()
    }

    fn replies() -> BoxedStrategy<ReplySample> {
        bodies()
    }
}

impl Sample for DownloadThumbnailLegacy {
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::query("width", Kind::Integer).required(),
        Parameter::query("height", Kind::Integer).required(),
        Parameter::query("method", Kind::String),
        Parameter::query("allow_remote", Kind::Boolean),
        Parameter::query("timeout_ms", Kind::Integer),
        Parameter::query("allow_redirect", Kind::Boolean),
        Parameter::query("animated", Kind::Boolean),
    ];

    const LISTS: Lists<Self> = Lists::NONE;

    fn requests() -> BoxedStrategy<Self> {
        (
            DownloadMediaLegacy::requests(),
            DownloadThumbnail::requests(),
        )
            .prop_map(|(file, picture)| Self {
                server_name: file.server_name,
                media_id: file.media_id,
                width: picture.width,
                height: picture.height,
                method: picture.method,
                allow_remote: file.allow_remote,
                timeout_ms: file.timeout_ms,
                allow_redirect: file.allow_redirect,
                animated: picture.animated,
                extra_query: file.extra_query,
            })
            .boxed()
    }

    fn contents() -> BoxedStrategy<Content> {
        no_body()
    }

    fn replies() -> BoxedStrategy<ReplySample> {
        bodies()
    }
}

/// Bytes of a file and nothing around them.
fn bodies() -> BoxedStrategy<ReplySample> {
    (
        select(&[200, 200, 201, 203, 299][..]),
        content_type(),
        content_disposition(),
        vec(piece(), 0..4),
    )
        .prop_map(|(status, content_type, content_disposition, pieces)| {
            ReplySample::Body(BodySample {
                status,
                content_type,
                content_disposition,
                pieces,
            })
        })
        .boxed()
}

fn content_type() -> BoxedStrategy<Option<String>> {
    let known = select(
        &[
            "image/png",
            "text/plain; charset=utf-8",
            "application/octet-stream",
            "application/json",
            "multipart/mixed; boundary=x",
            "x",
        ][..],
    );
    option::of(known.prop_map(str::to_owned)).boxed()
}

fn content_disposition() -> BoxedStrategy<Option<String>> {
    let known = select(
        &[
            "inline",
            "attachment; filename=\"a b.png\"",
            "attachment; filename*=utf-8''%C3%A9",
            "attachment; filename=\"\\\"\"",
        ][..],
    );
    option::of(known.prop_map(str::to_owned)).boxed()
}

/// Bytes of a file here, or where they are.
fn blobs() -> BoxedStrategy<ReplySample> {
    let metadata = json::hostile(Vec::new()).boxed();
    let here = (content_type(), content_disposition(), vec(piece(), 0..4)).prop_map(
        |(content_type, content_disposition, pieces)| {
            let source = BlobSource::Here {
                content_type,
                content_disposition,
            };
            (source, pieces)
        },
    );
    let elsewhere = "https://[a-z]{1,8}\\.example/[a-zA-Z0-9%/?=&]{0,24}"
        .prop_map(|url| (BlobSource::Location(url), Vec::new()));
    (metadata, prop_oneof![4 => here, 1 => elsewhere])
        .prop_map(|(metadata, (source, pieces))| {
            ReplySample::Blob(BlobSample {
                metadata,
                source,
                pieces,
            })
        })
        .boxed()
}

/// Bytes: none, what looks like a boundary, random ones, and more than any buffer holds.
fn piece() -> BoxedStrategy<Bytes> {
    prop_oneof![
        1 => Just(Bytes::new()),
        2 => select(&["\r\n--", "--\r\n", "\r\n\r\n", "\r", "\n--x\r\n", "\r\n----\r\n"][..]).prop_map(|text| Bytes::from_static(text.as_bytes())),
        3 => vec(any::<u8>(), 1..64).prop_map(Bytes::from),
        1 => (any::<u8>(), 1usize..200_000).prop_map(|(byte, length)| Bytes::from(vec![byte; length])),
    ]
    .boxed()
}
