//! Media bodies: the exact shape that is written, and the shapes of others that are read.

use bytes::Bytes;
use comity_core::endpoint::multipart::{
    HEADERS_LIMIT, METADATA_LIMIT, MultipartError, MultipartEvent, MultipartReader,
    MultipartWriter, PartHead,
};
use proptest::prelude::*;

const SYNAPSE: &[u8] =
    include_bytes!("vectors/captures/GET_v1_media_download_mediaId.response.bin");
const TYPE: &str = "multipart/mixed; boundary=b";

#[derive(Debug, PartialEq, Eq)]
struct Media {
    metadata: Vec<u8>,
    part: PartHead,
    file: Vec<u8>,
}

fn content(content_type: &str) -> PartHead {
    PartHead::Content {
        content_type: Some(content_type.into()),
        content_disposition: None,
    }
}

fn bare() -> PartHead {
    PartHead::Content {
        content_type: None,
        content_disposition: None,
    }
}

fn media(metadata: &str, part: PartHead, file: &[u8]) -> Media {
    Media {
        metadata: metadata.into(),
        part,
        file: file.into(),
    }
}

/// Reads a body in these chunks and checks the order of the events.
fn read<'a>(
    content_type: &str,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Media, MultipartError> {
    let mut reader = MultipartReader::from_content_type(content_type)?;
    let mut events = Vec::new();
    for chunk in chunks {
        reader.push(Bytes::copy_from_slice(chunk));
        while let Some(event) = reader.next()? {
            events.push(event);
        }
    }
    events.extend(reader.finish()?);
    assert_eq!(reader.finish(), Ok(vec![]));
    assert_eq!(reader.next(), Ok(None));

    let mut events = events.into_iter();
    let Some(MultipartEvent::Metadata(metadata)) = events.next() else {
        panic!("no metadata")
    };
    let Some(MultipartEvent::Part(part)) = events.next() else {
        panic!("no part")
    };
    assert_eq!(events.next_back(), Some(MultipartEvent::End));
    let mut file = Vec::new();
    for event in events {
        let MultipartEvent::Data(data) = event else {
            panic!("{event:?} in the file")
        };
        assert!(!data.is_empty());
        file.extend_from_slice(&data);
    }
    Ok(Media {
        metadata: metadata.to_vec(),
        part,
        file,
    })
}

/// Reads a body whole, in single bytes, and cut in two at each position: all must agree.
fn read_every_way(content_type: &str, body: &[u8]) -> Result<Media, MultipartError> {
    let whole = read(content_type, [body]);
    assert_eq!(read(content_type, body.chunks(1)), whole, "byte by byte");
    for cut in 0..=body.len() {
        let (first, second) = body.split_at(cut);
        assert_eq!(read(content_type, [first, second]), whole, "cut at {cut}");
    }
    whole
}

#[test]
fn the_written_shape_is_the_one_that_synapse_reads() {
    let writer = MultipartWriter::new();
    let content_type = writer.content_type();
    let boundary = content_type
        .strip_prefix("multipart/mixed; boundary=")
        .unwrap();
    assert!(boundary.len() == 32 && boundary.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_ne!(MultipartWriter::new().content_type(), content_type);

    let file = PartHead::Content {
        content_type: Some("image/png".into()),
        content_disposition: Some("inline; filename=a.png".into()),
    };
    assert_eq!(
        writer.head(b"{}", &file).unwrap(),
        format!(
            "\r\n--{boundary}\r\nContent-Type: application/json\r\n\r\n{{}}\r\n--{boundary}\r\n\
             Content-Type: image/png\r\nContent-Disposition: inline; filename=a.png\r\n\r\n"
        )
    );
    assert_eq!(
        writer
            .head(b"{}", &PartHead::Location("https://a/b".into()))
            .unwrap(),
        format!(
            "\r\n--{boundary}\r\nContent-Type: application/json\r\n\r\n{{}}\r\n--{boundary}\r\n\
             Location: https://a/b\r\n\r\n"
        )
    );
    assert_eq!(writer.tail(), format!("\r\n--{boundary}--\r\n"));
}

#[test]
fn a_header_value_cannot_begin_another_header() {
    let writer = MultipartWriter::new();
    for value in ["a\r\nLocation: x", "a\nb", "a\0", "a\rb", "\u{85}"] {
        assert!(writer.head(b"{}", &content(value)).is_err(), "{value:?}");
        assert!(
            writer
                .head(b"{}", &PartHead::Location(value.into()))
                .is_err(),
            "{value:?}"
        );
    }
}

#[test]
fn what_synapse_wrote_is_read_and_written_the_same() {
    let head_end = SYNAPSE
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap();
    let head = str::from_utf8(&SYNAPSE[..head_end]).unwrap();
    let content_type = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Type: "))
        .unwrap();
    let body = &SYNAPSE[head_end + 4..];
    let read = read_every_way(content_type, body).unwrap();
    assert_eq!(read.metadata, b"{}");
    let part = PartHead::Content {
        content_type: Some("image/png".into()),
        content_disposition: Some("inline; filename*=utf-8''p%C3%AFc%201.png".into()),
    };
    assert_eq!(read.part, part);
    assert!(read.file.starts_with(b"\x89PNG\r\n\x1a\n") && read.file.ends_with(b"IEND\xaeB`\x82"));

    let writer = MultipartWriter::new();
    let ours = [
        &writer.head(b"{}", &part).unwrap()[..],
        &read.file,
        &writer.tail(),
    ]
    .concat();
    let own = writer.content_type();
    let (own, theirs) = (
        own.split_once('=').unwrap().1,
        content_type.split_once('=').unwrap().1,
    );
    let swap = |text: &[u8]| String::from_utf8_lossy(text).replace(own, theirs);
    assert_eq!(swap(&ours), String::from_utf8_lossy(body));
}

#[test]
fn boundaries_come_quoted_spaced_and_among_others() {
    for (content_type, boundary) in [
        ("multipart/mixed; boundary=b", "b"),
        ("Multipart/MIXED ;Boundary=b", "b"),
        ("multipart/mixed;charset=utf-8;boundary=b;x=y", "b"),
        ("multipart/mixed; boundary=\"b\"; x=y", "b"),
        ("multipart/mixed; x=\"; boundary=no\"; boundary=b", "b"),
        ("multipart/mixed; boundary=\"a b:\\\"(c)\"", "a b:\"(c)"),
        ("multipart/mixed; boundary=a=b/c:d?e", "a=b/c:d?e"),
        ("multipart/mixed; flag; boundary = b ", "b"),
    ] {
        let body = format!("--{boundary}\r\n\r\n{{}}\r\n--{boundary}\r\n\r\nx\r\n--{boundary}--");
        assert_eq!(
            read_every_way(content_type, body.as_bytes()),
            Ok(media("{}", bare(), b"x")),
            "{content_type}"
        );
    }
    for content_type in [
        "",
        "multipart/form-data; boundary=b",
        "application/json",
        "multipart/mixedx; boundary=b",
    ] {
        assert_eq!(
            read(content_type, []),
            Err(MultipartError::NotMultipart),
            "{content_type}"
        );
    }
    let long = format!("multipart/mixed; boundary={}", "b".repeat(201));
    for content_type in [
        "multipart/mixed",
        "multipart/mixed;",
        "multipart/mixed; boundary",
        "multipart/mixed; boundary=",
        "multipart/mixed; boundary=\"\"",
        "multipart/mixed; boundary=\"b",
        "multipart/mixed; boundary=\"b \"",
        "multipart/mixed; boundary=\"b\rc\"",
        "multipart/mixed; boundary=é",
        &long,
    ] {
        assert_eq!(
            read(content_type, []),
            Err(MultipartError::Boundary),
            "{content_type}"
        );
    }
}

#[test]
fn tolerated_shapes() {
    let image = || content("image/png");
    for (body, expected) in [
        // Preamble and epilogue.
        (
            "hello\r\n--bx\r\n--b\r\n\r\n{}\r\n--b\r\n\r\nx\r\n--b--\r\nbye\r\n--b\r\n",
            media("{}", bare(), b"x"),
        ),
        (
            "\r\n\r\n--b\r\n\r\n{}\r\n--b\r\n\r\nx\r\n--b--",
            media("{}", bare(), b"x"),
        ),
        // Blanks behind a boundary.
        (
            "--b \t \r\n\r\n{}\r\n--b  \r\n\r\nx\r\n--b-- \r\n",
            media("{}", bare(), b"x"),
        ),
        // No last boundary; one without its dashes; one that is cut.
        ("--b\r\n\r\n{}\r\n--b\r\n\r\nx", media("{}", bare(), b"x")),
        (
            "--b\r\n\r\n{}\r\n--b\r\n\r\nx\r\n--b",
            media("{}", bare(), b"x"),
        ),
        (
            "--b\r\n\r\n{}\r\n--b\r\n\r\nx\r\n--b\r\n",
            media("{}", bare(), b"x"),
        ),
        (
            "--b\r\n\r\n{}\r\n--b\r\n\r\nx\r\n--b \r",
            media("{}", bare(), b"x"),
        ),
        (
            "--b\r\n\r\n{}\r\n--b\r\n\r\nx\r\n--",
            media("{}", bare(), b"x\r\n--"),
        ),
        // A third part.
        (
            "--b\r\n\r\n{}\r\n--b\r\n\r\nx\r\n--b\r\n\r\ny\r\n--b--",
            media("{}", bare(), b"x"),
        ),
        // Headers in any order and case; unknown, repeated and senseless ones.
        (
            "--b\r\nX-A: b\r\ncontent-TYPE:application/json\r\n\r\n{}\r\n--b\r\nContent-Disposition:  a  \r\nnonsense\r\n\
             X: y\r\nCONTENT-TYPE: image/png\r\nContent-Type: text/html\r\n\r\nx\r\n--b--",
            Media {
                part: PartHead::Content {
                    content_type: Some("image/png".into()),
                    content_disposition: Some("a".into()),
                },
                ..media("{}", bare(), b"x")
            },
        ),
        // Lines ended by LF alone, but for those before a boundary.
        (
            "--b\n\n{}\r\n--b\nContent-Type: image/png\n\nx\r\n--b--",
            media("{}", image(), b"x"),
        ),
        // Empty parts, with their blank line and without.
        (
            "--b\r\n\r\n\r\n--b\r\n\r\n\r\n--b--",
            media("", bare(), b""),
        ),
        ("--b\r\n\r\n--b\r\n\r\n--b--", media("", bare(), b"")),
        (
            "--b\r\nA: b\r\n--b\r\nContent-Type: image/png\r\n--b--",
            media("", image(), b""),
        ),
        ("--b\r\n\r\n{}\r\n--b\r\n\r\n", media("{}", bare(), b"")),
        // Where the file is.
        (
            "--b\r\n\r\n{}\r\n--b\r\nContent-Type: a\r\nlocation: https://a/b?c\r\n\r\n\r\n--b--",
            media("{}", PartHead::Location("https://a/b?c".into()), b""),
        ),
        (
            "--b\r\n\r\n{}\r\n--b\r\nLocation: https://a\r\n\r\nnot a file\r\n--b--",
            media("{}", PartHead::Location("https://a".into()), b""),
        ),
        (
            "--b\r\n\r\n{}\r\n--b\r\nLocation: https://a\r\n\r\n",
            media("{}", PartHead::Location("https://a".into()), b""),
        ),
        (
            "--b\r\n\r\n{}\r\n--b\r\nLocation: https://a\r\n--b--",
            media("{}", PartHead::Location("https://a".into()), b""),
        ),
    ] {
        assert_eq!(
            read_every_way(TYPE, body.as_bytes()),
            Ok(expected),
            "{body:?}"
        );
    }
    let latin = b"--b\r\n\r\n{}\r\n--b\r\nContent-Type: \xe9\r\n\r\nx\r\n--b--";
    assert_eq!(
        read_every_way(TYPE, latin),
        Ok(media("{}", content("é"), b"x"))
    );
}

#[test]
fn a_file_may_hold_what_resembles_a_boundary() {
    for file in [
        "--",
        "--b2 is another",
        "\r\n--",
        "\r\n--bb--\r\n",
        "\r\n--b-\r\n",
        "\r\n--b x\r\n",
        "\r\n--b\t\u{b}\r\n",
        "\n--b\n",
        "\n--b--\n",
        "\r--b\r",
        "\r\n-\r\n--\r\n--c",
        "\r\r\n\r\n\r",
        "x--b--\r\n",
    ] {
        let body = format!("--b\r\n\r\n{{}}\r\n--b\r\n\r\n{file}\r\n--b--\r\n");
        assert_eq!(
            read_every_way(TYPE, body.as_bytes()),
            Ok(media("{}", bare(), file.as_bytes())),
            "{file:?}"
        );
    }
}

#[test]
fn bodies_without_two_parts_fail() {
    for (body, error) in [
        ("", MultipartError::Truncated),
        ("<html>", MultipartError::Truncated),
        ("--b", MultipartError::MissingPart),
        ("--b\r\n", MultipartError::Truncated),
        ("--b\r\nA: b", MultipartError::Truncated),
        ("--b\r\n\r\n{}", MultipartError::Truncated),
        ("--b\r\n\r\n{}\r\n--b\r\n", MultipartError::Truncated),
        (
            "--b\r\n\r\n{}\r\n--b\r\nContent-Type: a\r\n",
            MultipartError::Truncated,
        ),
        ("--b--", MultipartError::MissingPart),
        ("--b\r\n\r\n{}\r\n--b--", MultipartError::MissingPart),
        ("--b\r\n--b--", MultipartError::MissingPart),
    ] {
        assert_eq!(
            read_every_way(TYPE, body.as_bytes()),
            Err(error),
            "{body:?}"
        );
    }
    let mut reader = MultipartReader::from_content_type(TYPE).unwrap();
    reader.push(Bytes::from_static(b"--b--"));
    assert_eq!(reader.next(), Err(MultipartError::MissingPart));
    reader.push(Bytes::from_static(b"--b\r\n"));
    assert_eq!(
        reader.next(),
        Err(MultipartError::MissingPart),
        "and stays so"
    );
}

#[test]
fn headers_and_metadata_have_limits() {
    let with = |header: usize, metadata: usize| {
        let body = format!(
            "--b\r\n{}\r\n\r\n{}\r\n--b\r\n\r\nx\r\n--b--",
            "h".repeat(header),
            "m".repeat(metadata)
        );
        let whole = read(TYPE, [body.as_bytes()]).map(|media| media.metadata.len());
        assert_eq!(
            read(TYPE, body.as_bytes().chunks(100)).map(|media| media.metadata.len()),
            whole
        );
        whole
    };
    assert_eq!(with(HEADERS_LIMIT - 4, METADATA_LIMIT), Ok(METADATA_LIMIT));
    assert_eq!(
        with(HEADERS_LIMIT - 3, 0),
        Err(MultipartError::HeadersTooLarge)
    );
    assert_eq!(
        with(0, METADATA_LIMIT + 1),
        Err(MultipartError::MetadataTooLarge)
    );
    // Without any line's end, the limit holds as well.
    let endless = "h".repeat(HEADERS_LIMIT + 1);
    assert_eq!(
        read(TYPE, [b"--b\r\n", endless.as_bytes()]),
        Err(MultipartError::HeadersTooLarge)
    );
}

#[test]
fn hostile_files_take_linear_time_and_pass_at_once() {
    let boundary = "a".repeat(70);
    let content_type = format!("multipart/mixed; boundary={boundary}");
    let begin = format!("--{boundary}\r\n\r\n{{}}\r\n--{boundary}\r\n\r\n");
    for near in [
        "\r".to_owned(),
        "\r\n".to_owned(),
        format!("\r\n--{}", &boundary[1..]),
        format!("\r\n--{boundary}x"),
        format!("\r\n--{boundary}-"),
        format!("\r\n--{boundary}{}", " ".repeat(300)),
    ] {
        let file = near.repeat((4 << 20) / near.len());
        for size in [1, 7, 1460, 64 * 1024, file.len()] {
            // Single bytes of all of it would only be slow because of this test's own allocations.
            let file = &file.as_bytes()[..file.len().min(size * 100_000)];
            let mut reader = MultipartReader::from_content_type(&content_type).unwrap();
            reader.push(Bytes::copy_from_slice(begin.as_bytes()));
            while reader.next().unwrap().is_some() {}
            let (mut pushed, mut passed) = (0, 0);
            for chunk in file.chunks(size) {
                reader.push(Bytes::copy_from_slice(chunk));
                pushed += chunk.len();
                while let Some(event) = reader.next().unwrap() {
                    let MultipartEvent::Data(data) = event else {
                        panic!("{event:?}")
                    };
                    passed += data.len();
                }
                assert!(pushed - passed < 500, "{} held back", pushed - passed);
            }
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        metadata in "\\{[ -~]{0,50}\\}",
        content_type in proptest::option::of("[!-~]([ -~]{0,20}[!-~])?"),
        content_disposition in proptest::option::of("[!-~]([ -~é]{0,20}[!-~])?"),
        file: Vec<u8>,
        size in 1..200_usize,
    ) {
        let writer = MultipartWriter::new();
        let part = PartHead::Content { content_type, content_disposition };
        let body = [&writer.head(metadata.as_bytes(), &part).unwrap()[..], &file, &writer.tail()].concat();
        let read = read(&writer.content_type(), body.chunks(size)).unwrap();
        prop_assert_eq!(read, Media { metadata: metadata.into(), part, file });
    }

    #[test]
    fn chunks_never_matter(body in "(\r|\n|-|--b|\r\n|\r\n--b|\r\n\r\n| |A: b|x){0,24}", size in 1..8_usize) {
        let body = format!("--b\r\n{body}");
        let whole = read(TYPE, [body.as_bytes()]);
        prop_assert_eq!(read(TYPE, body.as_bytes().chunks(size)), whole);
    }

    #[test]
    fn no_content_type_panics(text: String, parameters in "[;=\"\\\\ ab]{0,20}") {
        let _ = MultipartReader::from_content_type(&text);
        let _ = MultipartReader::from_content_type(&format!("multipart/mixed;{parameters}boundary=b"));
    }
}
