//! Generated hostile text, held against serde_json and ruma-common by the properties that the fuzzers use.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fuzz_properties;

use proptest::prelude::*;

/// What a string may be made of: each spelling of a few characters (so that names collide), and now and then something bad.
fn string_text() -> impl Strategy<Value = String> {
    let good = prop::sample::select(vec![
        "a",
        "b",
        "A",
        "\\u0061",
        "\\u0041",
        "\\n",
        "\\u000a",
        "\\u000A",
        "\\/",
        "/",
        "\\u002f",
        "é",
        "\\u00e9",
        "\\u00E9",
        "😀",
        "\\ud83d\\ude00",
        "\\uD83D\\uDE00",
        "\u{fb33}",
        "\\ufb33",
        "\u{ffff}",
        "\\\"",
        "\\u0022",
        "\\\\",
        "\\u005c",
        "\\b",
        "\\u0008",
        "\\u0000",
        "\\u001f",
        "\\u001F",
        "\u{7f}",
        "\\u007f",
        " ",
        "]",
        "}",
        "{",
        "[",
        ",",
        ":",
        "abcdefgh",
        "\u{10ffff}",
    ]);
    let bad = prop::sample::select(vec![
        "\\ud800",
        "\\udc00",
        "\\uD83D\\u0041",
        "\\x",
        "\\u12",
        "\n",
        "\u{1}",
        "\"",
    ]);
    prop::collection::vec(prop_oneof![600 => good, 1 => bad], 0..4)
        .prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

fn number_text() -> impl Strategy<Value = String> {
    let fixed = prop::sample::select(vec![
        "0",
        "-0",
        "1",
        "-1",
        "9007199254740991",
        "-9007199254740991",
        "9007199254740992",
        "-9007199254740992",
        "1.5",
        "-0.0",
        "-0e1",
        "1e400",
        "1E+2",
        "0e-0",
        "10000000000000000",
        "18446744073709551616",
        "340282366920938463463374607431768211456",
        "1.0",
    ]);
    let bad = prop::sample::select(vec![
        "01", "-", "1.", ".5", "1e", "+1", "0x1", "NaN", "Infinity", "-01",
    ]);
    prop_oneof![
        300 => fixed.prop_map(str::to_owned),
        300 => any::<i64>().prop_map(|number| number.to_string()),
        1 => bad.prop_map(str::to_owned),
    ]
}

fn space() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        12 => Just(""),
        2 => prop::sample::select(vec![" ", "\n", "\t", "\r\n", "  \n "]),
    ]
}

fn json_text() -> impl Strategy<Value = String> {
    let literal = prop::sample::select(vec!["null", "true", "false"]).prop_map(str::to_owned);
    let leaf = prop_oneof![3 => string_text(), 3 => number_text(), 1 => literal];
    let tree = leaf.prop_recursive(6, 64, 6, |inner| {
        let spaced = (space(), inner, space()).prop_map(|(before, value, behind)| format!("{before}{value}{behind}")).boxed();
        let member = (space(), string_text(), space(), spaced.clone())
            .prop_map(|(before, name, behind, value)| format!("{before}{name}{behind}:{value}"));
        let name = prop::sample::select(vec!["\"a\":", "\"b\":", "\"\\u0061\":"]);
        let list = prop::collection::vec(spaced, 0..5).prop_map(|elements| format!("[{}]", elements.join(","))).boxed();
        let listed = (name, list.clone()).prop_map(|(name, list)| format!("{name}{list}"));
        let members = prop::collection::vec(prop_oneof![3 => member, 1 => listed], 0..6);
        prop_oneof![1 => list, 2 => members.prop_map(|members| format!("{{{}}}", members.join(",")))]
    });
    (space(), tree, space()).prop_map(|(before, value, behind)| format!("{before}{value}{behind}"))
}

/// The canonical form of generated text, so that the fast pass is exercised; or the text itself if it is refused.
fn canonical_text() -> impl Strategy<Value = String> {
    json_text().prop_map(|text| {
        match comity_core::json::Value::parse(text.clone().into(), usize::MAX) {
            Ok(value) => value.as_text().to_owned(),
            Err(_) => text,
        }
    })
}

fn mutated(text: impl Strategy<Value = String>) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        prop::sample::select(b"{}[]\",:\\u0159-+.eEtfn \n\x00\x1f\x7f\xff\xc3\xed\xa0".to_vec()),
        any::<u8>(),
    ];
    let mutation = (any::<prop::sample::Index>(), 0..4u8, byte);
    (text, prop::collection::vec(mutation, 1..4)).prop_map(|(text, mutations)| {
        let mut bytes = text.into_bytes();
        for (at, what, byte) in mutations {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            match what {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => drop(bytes.remove(at)),
                _ => bytes.truncate(at),
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn hostile_text_is_read_as_the_oracles_read_it(text in json_text()) {
        fuzz_properties::ingest(text.as_bytes());
    }

    #[test]
    fn canonical_text_is_recognised(text in canonical_text()) {
        fuzz_properties::ingest(text.as_bytes());
    }

    #[test]
    fn mutated_text_is_refused_or_read_as_the_oracles_do(bytes in mutated(json_text())) {
        fuzz_properties::ingest(&bytes);
    }

    #[test]
    fn mutated_canonical_text_is_refused_or_read_as_the_oracles_do(bytes in mutated(canonical_text())) {
        fuzz_properties::ingest(&bytes);
    }

    #[test]
    fn a_stream_says_the_same_in_pieces(choice: u8, text in json_text()) {
        let mut data = vec![choice];
        data.extend_from_slice(text.as_bytes());
        fuzz_properties::stream(&data);
    }

    #[test]
    fn a_mutated_stream_says_the_same_in_pieces(choice: u8, bytes in mutated(json_text())) {
        let mut data = vec![choice];
        data.extend_from_slice(&bytes);
        fuzz_properties::stream(&data);
    }

    #[test]
    fn any_string_survives(string in any::<String>()) {
        let value = comity_core::json::Value::string(&string);
        prop_assert_eq!(value.as_str().unwrap(), string.as_str());
        fuzz_properties::ingest(value.as_bytes());
    }
}
