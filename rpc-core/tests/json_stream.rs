//! Reading one large object in pieces: the same parts wherever it is cut, bounded memory, linear cost.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Instant;

use bytes::Bytes;
use comity_core::json::{IngestError, IngestErrorKind, StreamLimits, StreamPart, StreamReader};

const ARRAYS: &[&str] = &["state", "auth_chain"];

const SMALL: StreamLimits = StreamLimits {
    item: 24,
    member: 64,
    total: 1000,
};

/// All parts, each as one line, or the error.
fn read(
    pieces: impl IntoIterator<Item = Bytes>,
    limits: StreamLimits,
) -> Result<Vec<String>, IngestError> {
    let mut reader = StreamReader::new(ARRAYS, limits);
    let mut parts = Vec::new();
    for piece in pieces {
        reader.push(piece);
        while let Some(part) = reader.next()? {
            parts.push(match part {
                StreamPart::ArrayStart { array } => format!("start {array}"),
                StreamPart::Item {
                    array,
                    index,
                    value,
                } => format!("item {array} {index} {value}"),
                StreamPart::OversizedItem {
                    array,
                    index,
                    bytes,
                } => format!("oversized {array} {index} {bytes}"),
                StreamPart::Member { name, value } => format!("member {name} {value}"),
            });
        }
    }
    reader.finish()?;
    Ok(parts)
}

fn whole(text: &[u8], limits: StreamLimits) -> Result<Vec<String>, IngestError> {
    read([Bytes::copy_from_slice(text)], limits)
}

fn cut(text: &[u8], size: usize, limits: StreamLimits) -> Result<Vec<String>, IngestError> {
    read(text.chunks(size).map(Bytes::copy_from_slice), limits)
}

const SAMPLE: &str = concat!(
    "\r\n { \"origin\" :\"a\\u0062\\\\\" , \"state\":[ {\"b\":1,\"a\":\"]\\\"}\"} ,2.5, \"é😀\",[[]], null ],",
    "\"members_omitted\":true,\"auth_chain\":[{\"long\":\"0123456789 \\ud83d\\ude00 é 0123456789\"},7,",
    "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,-1.5e7],\"ok\"],\"st\\u0061te2\":12, \"z\":{\"y\":[],\"x\":{}}} \n"
);

fn sample_parts() -> Vec<&'static str> {
    vec![
        r#"member origin "ab\\""#,
        "start 0",
        r#"item 0 0 {"a":"]\"}","b":1}"#,
        "item 0 1 2.5",
        "item 0 2 \"é😀\"",
        "item 0 3 [[]]",
        "item 0 4 null",
        "member members_omitted true",
        "start 1",
        "oversized 1 0 48",
        "item 1 1 7",
        "oversized 1 2 44",
        "item 1 3 \"ok\"",
        "member state2 12",
        r#"member z {"x":{},"y":[]}"#,
    ]
}

#[test]
fn a_cut_may_fall_anywhere() {
    let text = SAMPLE.as_bytes();
    assert_eq!(whole(text, SMALL).unwrap(), sample_parts());
    for at in 0..=text.len() {
        let pieces = [
            Bytes::copy_from_slice(&text[..at]),
            Bytes::copy_from_slice(&text[at..]),
        ];
        assert_eq!(read(pieces, SMALL).unwrap(), sample_parts(), "cut at {at}");
    }
    for size in 1..20 {
        assert_eq!(
            cut(text, size, SMALL).unwrap(),
            sample_parts(),
            "pieces of {size}"
        );
    }
}

#[test]
fn every_early_end_is_noticed() {
    let text = SAMPLE.trim_end().as_bytes();
    for end in 0..text.len() {
        for size in [1, end.max(1)] {
            let error = cut(&text[..end], size, SMALL).unwrap_err();
            assert_eq!(*error.kind(), IngestErrorKind::Truncated, "ends at {end}");
            assert_eq!(error.offset(), end);
        }
    }
}

#[test]
fn an_item_within_one_piece_is_not_copied() {
    let piece = Bytes::from_static(br#"{"state":[{"a":1},"#);
    let mut reader = StreamReader::new(ARRAYS, StreamLimits::default());
    reader.push(piece.clone());
    reader.next().unwrap();
    let Some(StreamPart::Item { value, .. }) = reader.next().unwrap() else {
        panic!("an item")
    };
    assert_eq!(value.as_bytes().as_ptr(), piece[10..].as_ptr());
}

#[test]
fn refusals_are_the_same_wherever_it_is_cut() {
    use IngestErrorKind::{
        DuplicateMember, LoneSurrogate, NotAnObject, Syntax, TooLarge, TrailingBytes, Utf8,
    };
    let long = |inner: &str| format!("{{\"state\":[[{}{inner}", "1,".repeat(20));
    let cases: Vec<(Vec<u8>, IngestErrorKind)> = vec![
        (b"[]".to_vec(), NotAnObject),
        (b" 1".to_vec(), NotAnObject),
        (b"x".to_vec(), Syntax("'{'")),
        (b"{} x".to_vec(), TrailingBytes),
        (b"{}{}".to_vec(), TrailingBytes),
        (b"{,".to_vec(), Syntax("a member name or '}'")),
        (b"{\"a\":1,}".to_vec(), Syntax("a member name")),
        (b"{\"a\"1}".to_vec(), Syntax("':'")),
        (b"{\"a\":1]".to_vec(), Syntax("',' or '}'")),
        (b"{\"state\":[1}".to_vec(), Syntax("',' or ']'")),
        (b"{\"state\":[,1]}".to_vec(), Syntax("a value")),
        (b"{\"state\":[1,]}".to_vec(), Syntax("a value")),
        (b"{\"state\":}".to_vec(), Syntax("a value")),
        (b"{\"state\":[1 2]}".to_vec(), Syntax("',' or ']'")),
        (b"{\"state\":[{\"a\":1]]}".to_vec(), Syntax("',' or '}'")),
        (
            b"{\"state\":[nullx]}".to_vec(),
            Syntax("the end of the value"),
        ),
        (b"{\"state\":[-]}".to_vec(), Syntax("a complete value")),
        (
            b"{\"a\":1,\"\\u0061\":2}".to_vec(),
            DuplicateMember { name: "a".into() },
        ),
        (
            b"{\"state\":[],\"state\":[]}".to_vec(),
            DuplicateMember {
                name: "state".into(),
            },
        ),
        (
            b"{\"state\":[],\"stat\\u0065\":1}".to_vec(),
            DuplicateMember {
                name: "state".into(),
            },
        ),
        (b"{\"a\":\"\\ud800\"}".to_vec(), LoneSurrogate),
        (b"{\"a\":\"\xff\"}".to_vec(), Utf8),
        (b"{\"\xff\":1}".to_vec(), Utf8),
        // Within an item that is skipped.
        (long("1}]}").into_bytes(), Syntax("',' or ']'")),
        (long("01]]}").into_bytes(), Syntax("',' or ']'")),
        (long("\"\\ud800\"]]}").into_bytes(), LoneSurrogate),
        (long("\"\\ud800\\u0041\"]]}").into_bytes(), LoneSurrogate),
        (long("{\"a\"}]]}").into_bytes(), Syntax("':'")),
        (long("tru]]}").into_bytes(), Syntax("'true'")),
        (
            long("\"\n\"]]}").into_bytes(),
            Syntax("no control character within a string"),
        ),
        ([long("\"").as_bytes(), b"\xed\xa0\x80\"]]}"].concat(), Utf8),
        (
            format!("{{\"state\":[null{}]}}", "x".repeat(30)).into_bytes(),
            Syntax("',' or ']'"),
        ),
        (
            format!("{{\"state\":[{}]}}", "[".repeat(300)).into_bytes(),
            TooLarge { limit: 24 },
        ),
        (
            format!("{{\"state\":[{}]}}", "1,".repeat(600)).into_bytes(),
            TooLarge { limit: 1000 },
        ),
    ];
    for (text, kind) in cases {
        for size in [1, 2, 3, 7, 30, text.len()] {
            let error = cut(&text, size, SMALL).unwrap_err();
            assert_eq!(*error.kind(), kind, "{} in {size}", text.escape_ascii());
        }
    }
}

#[test]
fn a_member_beyond_its_limit_is_named() {
    let text = format!("{{\"abc\":\"{}\"}}", "x".repeat(64));
    for size in [1, 5, text.len()] {
        let error = cut(text.as_bytes(), size, SMALL).unwrap_err();
        let kind = IngestErrorKind::MemberTooLarge {
            name: "abc".into(),
            limit: 64,
        };
        assert_eq!(*error.kind(), kind);
    }
    let text = format!("{{\"abc\":\"{}\",\"state\":{{}}}}", "x".repeat(62));
    assert_eq!(
        whole(
            text.as_bytes(),
            StreamLimits {
                member: 128,
                ..SMALL
            }
        )
        .unwrap()
        .len(),
        2
    );
}

#[test]
fn many_names_are_bounded_too() {
    let text: String = (0..1000).map(|n| format!(",\"{n}\":0")).collect();
    let text = format!("{{\"x\":0{text}}}");
    let limits = StreamLimits {
        member: 10_000,
        ..StreamLimits::default()
    };
    let error = whole(text.as_bytes(), limits).unwrap_err();
    assert!(
        matches!(error.kind(), IngestErrorKind::MemberTooLarge { .. }),
        "{error}"
    );
    assert_eq!(
        whole(text.as_bytes(), StreamLimits::default())
            .unwrap()
            .len(),
        1001
    );
}

#[test]
fn an_error_stays() {
    let mut reader = StreamReader::new(ARRAYS, SMALL);
    reader.push(Bytes::from_static(b"{]"));
    let error = reader.next().unwrap_err();
    reader.push(Bytes::from_static(b"\"a\":1}"));
    assert_eq!(reader.next().unwrap_err(), error);
    assert_eq!(reader.finish().unwrap_err(), error);
}

#[test]
fn a_deep_item_comes_through() {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let text = format!("{{\"state\":[1,{deep},2]}}");
    for size in [1, 1000, text.len()] {
        let parts = cut(text.as_bytes(), size, StreamLimits::default()).unwrap();
        assert_eq!(parts[2], format!("item 0 1 {deep}"));
        assert_eq!(parts[3], "item 0 2 2");
    }
}

#[test]
fn small_pieces_cost_no_more_than_large_ones() {
    let item = format!("{{\"a\":\"{}\"}}", "x".repeat(900_000));
    let skipped = format!("[\"{}\"]", "y".repeat(3_000_000));
    let text = format!("{{\"state\":[{item},{skipped},{item}]}}");
    let begun = Instant::now();
    assert_eq!(
        cut(text.as_bytes(), 1, StreamLimits::default())
            .unwrap()
            .len(),
        4
    );
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
}
