//! What the JSON module promises: strict, canonical, one event never spoils another.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bytes::Bytes;
use comity_core::json::{IngestErrorKind, Object, Value};

const NO_LIMIT: usize = usize::MAX;

fn value(text: &str) -> Value {
    Value::parse(Bytes::copy_from_slice(text.as_bytes()), NO_LIMIT).expect(text)
}

fn object(text: &str) -> Object {
    Object::parse(Bytes::copy_from_slice(text.as_bytes()), NO_LIMIT).expect(text)
}

fn refused(text: &[u8]) -> (IngestErrorKind, usize) {
    let error = Value::parse(Bytes::copy_from_slice(text), NO_LIMIT).expect_err("is refused");
    (error.kind().clone(), error.offset())
}

fn nested(depth: usize) -> String {
    // The innermost is the empty object.
    format!(
        "{}{{}}{}",
        "{\"a\":".repeat(depth - 1),
        "}".repeat(depth - 1)
    )
}

#[test]
fn canonical_bytes_are_kept_without_a_copy() {
    let texts = [
        r#"{"a":1,"b":[{"c":"d"},null,true,false,-5],"é":"\n\u0001"}"#,
        "[]",
        "{}",
        "\"\u{7f}/\"",
        "0",
        r#"{"\n":1,"A":2}"#,
        r#"{"":{"":{}}}"#,
    ];
    for text in texts {
        let bytes = Bytes::from(text.to_owned());
        let value = Value::parse(bytes.clone(), NO_LIMIT).unwrap();
        assert_eq!(value.as_bytes().as_ptr(), bytes.as_ptr(), "{text}");
        assert_eq!(value.as_text(), text);
    }
}

#[test]
fn white_space_around_canonical_bytes_costs_no_copy() {
    let bytes = Bytes::from_static(b"\n {\"a\":1}\r\n");
    let value = Value::parse(bytes.clone(), NO_LIMIT).unwrap();
    assert_eq!(value.as_bytes().as_ptr(), bytes[2..].as_ptr());
    assert_eq!(value.as_text(), r#"{"a":1}"#);
}

#[test]
fn everything_else_is_re_encoded() {
    let cases = [
        (r#"{"b":1,"a":2}"#, r#"{"a":2,"b":1}"#),
        (
            " { \"a\" : [ 1 , 2 ] , \"b\" : { } } ",
            r#"{"a":[1,2],"b":{}}"#,
        ),
        (
            r#""\u0041\/\u00e9\ud83d\ude00\u0008\u001F\u0022""#,
            r#""A/é😀\b\u001f\"""#,
        ),
        (r#"[-0,-0.0,-0e1,1.50]"#, "[0,-0.0,-0e1,1.50]"),
        // By the decoded name: a newline sorts before a letter, though its escape does not.
        (r#"{"A":1,"\n":2}"#, r#"{"\n":2,"A":1}"#),
        // By code point, not by UTF-16 unit.
        (r#"{"😀":1,"\ufb33":2}"#, "{\"\u{fb33}\":2,\"😀\":1}"),
        (
            r#"{"b":{"d":1,"c":[{"f":1,"e":2}]},"a":0}"#,
            r#"{"a":0,"b":{"c":[{"e":2,"f":1}],"d":1}}"#,
        ),
        (r#"{"a":1,"ab":2,"":0}"#, r#"{"":0,"a":1,"ab":2}"#),
    ];
    for (text, canonical) in cases {
        assert_eq!(value(text).as_text(), canonical);
    }
}

#[test]
fn the_last_of_members_with_one_name_wins_however_it_is_spelled() {
    let cases = [
        (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
        (r#"{"a":1,"b":0,"\u0061":2}"#, r#"{"a":2,"b":0}"#),
        (
            r#"{"b":{"z":1,"y":2},"a":1,"b":{"x":1,"w":2},"\u0062":{"v":1,"u":2}}"#,
            r#"{"a":1,"b":{"u":2,"v":1}}"#,
        ),
        (r#"{"\n":1,"\u000a":2,"\u000A":3}"#, r#"{"\n":3}"#),
        (
            r#"[{"a":[{"b":1,"b":2}],"a":[{"b":3,"b":4}]}]"#,
            r#"[{"a":[{"b":4}]}]"#,
        ),
    ];
    for (text, canonical) in cases {
        assert_eq!(value(text).as_text(), canonical);
    }
}

#[test]
fn refusals_name_the_reason_and_the_place() {
    use IngestErrorKind::{LoneSurrogate, Syntax, TrailingBytes, Truncated, Utf8};
    let cases: &[(&[u8], IngestErrorKind, usize)] = &[
        (b"", Truncated, 0),
        (b"  ", Truncated, 2),
        (b"{\"a\":1", Truncated, 6),
        (b"\"abc", Truncated, 4),
        (b"tru", Truncated, 3),
        (b"-", Truncated, 1),
        (b"\"\\u12", Truncated, 5),
        (b"\"a\xff\"", Utf8, 2),
        (b"\"\xed\xa0\x80\"", Utf8, 1),
        (b"\"\xc0\x80\"", Utf8, 1),
        (b"\xef\xbb\xbf{}", Syntax("a value"), 0),
        (b"\"x\\ud800\"", LoneSurrogate, 2),
        (b"\"x\\ud800\\u0041\"", LoneSurrogate, 2),
        (b"\"x\\ud800\\n\"", LoneSurrogate, 2),
        (b"\"\\udc00\\ud800\"", LoneSurrogate, 1),
        (b"{\"\\udfff\":1}", LoneSurrogate, 2),
        (b"{} x", TrailingBytes, 3),
        (b"01", TrailingBytes, 1),
        (b"[01]", Syntax("',' or ']'"), 2),
        (b"{\"a\":1,}", Syntax("a member name"), 7),
        (b"[1,]", Syntax("a value"), 3),
        (b"{\"a\" 1}", Syntax("':'"), 5),
        (b"{\"a\":1]", Syntax("',' or '}'"), 6),
        (b"[1}", Syntax("',' or ']'"), 2),
        (b"[1.]", Syntax("a digit"), 3),
        (b"[nul]", Syntax("'null'"), 4),
        (
            b"\"\x1f\"",
            Syntax("no control character within a string"),
            1,
        ),
        (b"\"\\x\"", Syntax("an escape"), 2),
        (b"\"\\u00g0\"", Syntax("a hexadecimal digit"), 5),
        (b"{1:2}", Syntax("a member name"), 1),
        (b"[\x0b1]", Syntax("a value"), 1),
        (b"NaN", Syntax("a value"), 0),
    ];
    for (text, kind, offset) in cases {
        assert_eq!(
            refused(text),
            (kind.clone(), *offset),
            "{}",
            text.escape_ascii()
        );
    }
    let error = Value::parse(Bytes::from_static(b"\"\\ud800\""), NO_LIMIT).unwrap_err();
    assert_eq!(error.to_string(), "lone surrogate at byte 1");
}

#[test]
fn a_body_beyond_its_limit_is_refused_and_one_at_it_is_not() {
    let body = Bytes::from_static(b"{\"a\":10}");
    assert!(Object::parse(body.clone(), 8).is_ok());
    let error = Object::parse(body, 7).unwrap_err();
    assert_eq!(*error.kind(), IngestErrorKind::TooLarge { limit: 7 });
}

#[test]
fn an_object_is_required_where_one_is_required() {
    for text in ["[]", " 1", "null", "\"{}\""] {
        let error = Object::parse(Bytes::from(text.to_owned()), NO_LIMIT).unwrap_err();
        assert_eq!(*error.kind(), IngestErrorKind::NotAnObject, "{text}");
    }
    // Broken JSON is that first.
    let error = Object::parse(Bytes::from_static(b"[1"), NO_LIMIT).unwrap_err();
    assert_eq!(*error.kind(), IngestErrorKind::Truncated);
}

#[test]
fn a_deep_event_does_not_spoil_its_neighbours() {
    for depth in [1, 2, 63, 64, 65, 100, 990, 10_000] {
        let deep = nested(depth);
        for body in [
            format!(r#"{{"origin":"a","pdus":[{{"n":1}},{deep},{{"n":2}}]}}"#),
            // The same by way of the slow pass.
            format!(r#"{{"pdus":[{{"n":1}},{deep},{{"n":2}}],"origin":"a"}}"#),
        ] {
            let body = object(&body);
            let pdus: Vec<_> = body.array("pdus").unwrap().collect();
            assert_eq!(pdus.len(), 3);
            assert_eq!(pdus[0].as_text(), r#"{"n":1}"#);
            assert_eq!(pdus[1].as_text(), deep);
            assert_eq!(pdus[2].as_text(), r#"{"n":2}"#);
            let depths: Vec<_> = pdus.iter().map(|pdu| pdu.facts().depth).collect();
            assert_eq!(depths, [1, depth as u32, 1]);
            assert_eq!(body.facts().depth, depth as u32 + 2);
            assert_eq!(body.get("pdus").unwrap().facts().depth, depth as u32 + 1);
            assert_eq!(body.get("origin").unwrap().facts().depth, 0);
        }
    }
}

#[test]
fn an_odd_number_marks_its_own_event_only() {
    let odd = [
        "1.1",
        "1e3",
        "9007199254740992",
        "-9007199254740992",
        "-0.0",
        "123456789012345678901234567890",
    ];
    for number in odd {
        let text = format!(
            r#"{{"limit":1,"other":{number},"pdus":[{{"a":1}},{{"a":{number}}},{{"a":[]}},{number}]}}"#
        );
        let body = object(&text);
        assert_eq!(body.text(), &text, "odd numbers keep their text");
        let marks: Vec<_> = body
            .array("pdus")
            .unwrap()
            .map(|pdu| pdu.facts().odd_numbers)
            .collect();
        assert_eq!(marks, [false, true, false, true]);
        assert!(!body.get("limit").unwrap().facts().odd_numbers);
        assert!(body.get("other").unwrap().facts().odd_numbers);
        assert!(body.get("pdus").unwrap().facts().odd_numbers);
        assert!(body.facts().odd_numbers);
        assert_eq!(body.get("other").unwrap().as_i64(), None);
    }
    assert_eq!(
        value("9007199254740991").as_i64(),
        Some(9_007_199_254_740_991)
    );
    assert_eq!(
        value("-9007199254740991").as_i64(),
        Some(-9_007_199_254_740_991)
    );
    assert!(
        !object(r#"{"a":[1,2],"b":-9007199254740991}"#)
            .facts()
            .odd_numbers
    );
}

#[test]
fn elements_that_are_no_objects_are_found_like_any_other() {
    let body =
        object(r#"{"a":[[],{},"x",[1,[2]],null,-1],"b":[],"c":[[[]]],"d":{"e":[1,2]},"f":[0]}"#);
    let texts = |name: &str| -> Vec<String> {
        body.array(name)
            .unwrap()
            .map(|element| element.as_text().to_owned())
            .collect()
    };
    assert_eq!(texts("a"), ["[]", "{}", "\"x\"", "[1,[2]]", "null", "-1"]);
    assert_eq!(texts("b"), [""; 0]);
    assert_eq!(texts("c"), ["[[]]"]);
    assert_eq!(texts("f"), ["0"]);
    assert!(body.array("d").is_none());
    assert!(body.array("g").is_none());
    let depths: Vec<_> = body
        .array("a")
        .unwrap()
        .map(|element| element.facts().depth)
        .collect();
    assert_eq!(depths, [1, 1, 0, 2, 0, 0]);
    assert_eq!(body.array("a").unwrap().len(), 6);
    assert_eq!(
        body.array("a").unwrap().next_back().unwrap().as_text(),
        "-1"
    );
    let again = body.get("a").unwrap().elements().unwrap();
    assert_eq!(again, body.array("a").unwrap().collect::<Vec<_>>());
    assert_eq!(again[3].facts().depth, 2);
    let members: Vec<_> = body.members().map(|(name, _)| name.into_owned()).collect();
    assert_eq!(members, ["a", "b", "c", "d", "f"]);
    assert_eq!(
        Object::from_value(&body.get("d").unwrap())
            .unwrap()
            .array("e")
            .unwrap()
            .len(),
        2
    );
    assert!(Object::from_value(&body.get("a").unwrap()).is_none());
}

#[test]
fn members_are_found_by_their_decoded_name() {
    let body = object(r#"{"":0,"\n":1,"\"":2,"A":3,"\\":4,"é":5,"😀":6}"#);
    for (name, expected) in [
        ("", 0),
        ("\n", 1),
        ("\"", 2),
        ("A", 3),
        ("\\", 4),
        ("é", 5),
        ("😀", 6),
    ] {
        assert_eq!(body.get(name).unwrap().as_i64(), Some(expected), "{name:?}");
    }
    for absent in ["\\n", "B", "\u{0}", "zz", "\u{10ffff}"] {
        assert!(body.get(absent).is_none(), "{absent:?}");
    }
}

#[test]
fn the_cases_of_msc4458_hold() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/json");
    let mut cases = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some() {
            continue;
        }
        let case = std::fs::read_to_string(&path).unwrap();
        let (input, outcomes) = case.split_once("---\n").unwrap();
        let input: String = input
            .lines()
            .filter(|line| !line.starts_with('#'))
            .collect();
        let outcome = match Value::parse(Bytes::from(input), NO_LIMIT) {
            Ok(value) if !value.facts().odd_numbers => value.as_text().to_owned(),
            _ => "REJECT".to_owned(),
        };
        assert!(
            outcomes.lines().any(|line| line == outcome),
            "{path:?}: {outcome}"
        );
        cases += 1;
    }
    assert_eq!(cases, 11);
}
