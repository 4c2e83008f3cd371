//! Values, objects, readers and writers: typed access that loses nothing.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bytes::Bytes;
use comity_core::json::{
    Json, Kind, Members, Object, ObjectWriter, ReadErrorKind, StreamWriteError, StreamWriter,
    Value, write_string,
};

const NO_LIMIT: usize = usize::MAX;

fn value(text: &str) -> Value {
    Value::parse(Bytes::copy_from_slice(text.as_bytes()), NO_LIMIT).expect(text)
}

fn object(text: &str) -> Object {
    Object::parse(Bytes::copy_from_slice(text.as_bytes()), NO_LIMIT).expect(text)
}

#[test]
fn values_are_made_and_read() {
    assert_eq!(Value::string("a\n\"é").as_text(), r#""a\n\"é""#);
    assert_eq!(Value::string("a\n\"é").as_str().unwrap(), "a\n\"é");
    assert_eq!(Value::integer(-7).as_i64(), Some(-7));
    assert!(Value::integer(i64::MIN).facts().odd_numbers);
    assert!(Value::integer(1 << 53).facts().odd_numbers);
    assert!(!Value::integer((1 << 53) - 1).facts().odd_numbers);
    assert_eq!(Value::boolean(true).as_bool(), Some(true));
    assert!(Value::null().is_null());
    let array = Value::array([Value::null(), value(r#"{"a":[]}"#), value("1.5")]);
    assert_eq!(array.as_text(), r#"[null,{"a":[]},1.5]"#);
    assert_eq!(array.facts(), value(array.as_text()).facts());
    assert_eq!(Value::array([]).facts(), value("[]").facts());
    let kinds = [
        ("null", Kind::Null),
        ("true", Kind::Bool),
        ("-1", Kind::Number),
        ("\"\"", Kind::String),
        ("[]", Kind::Array),
        ("{}", Kind::Object),
    ];
    for (text, kind) in kinds {
        assert_eq!(value(text).kind(), kind);
        assert_eq!(value(text).elements().is_some(), kind == Kind::Array);
        assert_eq!(value(text).as_str().is_some(), kind == Kind::String);
        assert_eq!(value(text).as_i64().is_some(), kind == Kind::Number);
    }
    assert_eq!(value(r#"{"b":1,"a":2}"#), value(r#"{"a":2,"b":1}"#));
    assert_eq!(format!("{:?}", value(r#"{"a":1}"#)), r#"{"a":1}"#);
    let long = format!("{:?}", Value::string(&"é".repeat(1000)));
    assert!(long.chars().count() < 230, "{long}");
}

#[test]
fn rust_types_go_in_and_out() {
    let map = std::collections::HashMap::from([("z", 1), ("a", 2)]);
    let value = Value::from_serialize(&map).unwrap();
    assert_eq!(value.as_text(), r#"{"a":2,"z":1}"#);
    let json = Json::<std::collections::BTreeMap<String, i64>>::from_value(value.clone());
    assert_eq!(json.read().unwrap()["z"], 1);
    assert_eq!(*Json::write(&json.read().unwrap()).unwrap().value(), value);
    assert!(Json::<Vec<String>>::from_value(value).read().is_err());
    // A value within a serde type keeps its text and is checked.
    let text = r#"{"v":{"b":1,"a":1.50}}"#;
    let with: std::collections::BTreeMap<String, Value> = serde_json::from_str(text).unwrap();
    assert_eq!(with["v"].as_text(), r#"{"a":1.50,"b":1}"#);
    assert_eq!(
        serde_json::to_string(&with).unwrap(),
        r#"{"v":{"a":1.50,"b":1}}"#
    );
}

#[test]
fn a_reader_takes_what_it_knows_and_keeps_the_rest() {
    let body =
        object(r#"{"a":"x","b":1,"c":true,"d":{"e":1},"f":["p","q"],"g":null,"h":1.5,"z":"é\n"}"#);
    let mut reader = body.reader();
    assert_eq!(reader.string("a").unwrap(), "x");
    assert_eq!(reader.integer("b").unwrap(), 1);
    assert!(reader.boolean("c").unwrap());
    assert_eq!(reader.object("d").unwrap().as_text(), r#"{"e":1}"#);
    assert_eq!(reader.strings("f").unwrap(), ["p", "q"]);
    assert_eq!(reader.string_opt("nothing").unwrap(), None);
    let error = reader.string("nothing").unwrap_err();
    assert_eq!(
        error.to_string(),
        "member `nothing`: expected a string, but it is missing"
    );
    let error = reader.string_opt("g").unwrap_err();
    assert_eq!(
        error.kind(),
        ReadErrorKind::WrongType {
            expected: "a string",
            found: Kind::Null
        }
    );
    assert_eq!(error.member(), "g");
    assert_eq!(
        reader.try_integer("h"),
        None,
        "an odd number stays for the rest"
    );
    assert_eq!(reader.take("a"), None, "taken once");
    let rest = reader.rest();
    assert_eq!(rest.to_object().text(), r#"{"g":null,"h":1.5,"z":"é\n"}"#);
    assert_eq!(rest.get("z").unwrap().as_str().unwrap(), "é\n");
}

#[test]
fn lenient_takes_leave_what_does_not_fit() {
    let body = object(r#"{"a":1,"b":"x","c":["x",1],"d":"y"}"#);
    let mut reader = body.reader();
    assert_eq!(reader.try_string("a"), None);
    assert_eq!(reader.try_boolean("b"), None);
    assert_eq!(reader.try_strings("c"), None);
    assert_eq!(reader.try_object("c"), None);
    assert_eq!(reader.try_array("c").unwrap().len(), 2);
    assert_eq!(reader.try_string("d").unwrap(), "y");
    assert_eq!(reader.rest().to_object().text(), r#"{"a":1,"b":"x"}"#);
}

#[test]
fn more_than_64_members_are_told_apart() {
    let mut writer = ObjectWriter::new();
    for n in 0..200 {
        writer.integer(&format!("{n:03}"), n);
    }
    let body = writer.finish().unwrap();
    let mut reader = body.reader();
    for n in (0..200).filter(|n| n % 7 != 0) {
        assert_eq!(reader.integer(&format!("{n:03}")).unwrap(), n);
    }
    let rest: Vec<_> = reader
        .rest()
        .iter()
        .map(|(_, value)| value.as_i64().unwrap())
        .collect();
    assert_eq!(rest, (0..200).filter(|n| n % 7 == 0).collect::<Vec<_>>());
}

#[test]
fn a_writer_sorts_and_indexes_what_it_writes() {
    let mut rest = Members::new();
    rest.insert("odd\n".into(), value("[1.5,{}]"));
    rest.insert("\u{1}".into(), value("[[[]],1]"));
    let mut writer = ObjectWriter::new();
    writer
        .string("z", "é\n")
        .array("pdus", [value(r#"{"a":[[]]}"#), value("1e5")])
        .strings("b", ["x", "y"])
        .string_opt("no", None)
        .integer_opt("yes", Some(3))
        .boolean("truth", false)
        .value("v", &value("{}"))
        .members(&rest);
    let written = writer.finish().unwrap();
    let parsed = object(std::str::from_utf8(written.text()).unwrap());
    assert_eq!(
        written.text(),
        r#"{"\u0001":[[[]],1],"b":["x","y"],"odd\n":[1.5,{}],"pdus":[{"a":[[]]},1e5],"truth":false,"v":{},"yes":3,"z":"é\n"}"#
    );
    assert_same_index(&written, &parsed);
    let mut writer = ObjectWriter::new();
    writer.integer("a", 1).integer("b", 2).integer("a", 3);
    assert_eq!(writer.finish().unwrap_err().name(), "a");
    assert_eq!(ObjectWriter::new().finish().unwrap(), Object::empty());
    assert_eq!(Members::from_object(&written).to_object(), written);
}

fn assert_same_index(a: &Object, b: &Object) {
    assert_eq!(a, b);
    assert_eq!(a.facts(), b.facts());
    for ((name, x), (other, y)) in a.members().zip(b.members()) {
        assert_eq!((&name, &x, x.facts()), (&other, &y, y.facts()));
        assert_eq!(a.get(&name), Some(x));
        let elements = |object: &Object| {
            object
                .array(&name)
                .map(|all| all.map(|e| (e.facts(), e)).collect::<Vec<_>>())
        };
        assert_eq!(elements(a), elements(b), "{name}");
    }
}

#[test]
fn a_stream_writer_writes_in_the_order_given() {
    let mut writer = StreamWriter::new();
    writer.member("z", &value("1")).unwrap();
    assert_eq!(writer.item(&value("1")), Err(StreamWriteError::NoArray));
    writer.array_start("pdus").unwrap();
    writer.item(&value("{}")).unwrap();
    assert_eq!(writer.buffered(), 17);
    assert_eq!(writer.take(), r#"{"z":1,"pdus":[{}"#);
    assert_eq!(writer.buffered(), 0);
    writer.item(&value("2")).unwrap();
    assert_eq!(
        writer.member("z", &value("1")),
        Err(StreamWriteError::Duplicate { name: "z".into() })
    );
    writer.array_start("a\n").unwrap();
    writer.array_start("b").unwrap();
    writer.finish();
    writer.finish();
    assert_eq!(writer.take(), r#",2],"a\n":[],"b":[]}"#);
    assert_eq!(
        writer.member("c", &value("1")),
        Err(StreamWriteError::Finished)
    );
    let mut empty = StreamWriter::new();
    empty.finish();
    assert_eq!(empty.take(), "{}");
}

#[test]
fn a_string_is_written_as_canonical_json() {
    let mut out = b"x".to_vec();
    write_string(&mut out, "\u{0}a\u{7f}");
    assert_eq!(out, b"x\"\\u0000a\x7f\"");
}

#[test]
fn values_cross_threads() {
    fn shared<T: Send + Sync + Clone + 'static>() {}
    shared::<Value>();
    shared::<Object>();
    shared::<Json<std::cell::Cell<u8>>>();
    shared::<Members>();
}

/// What is made of a part of an object is as if it had been read from its text: every place of it.
#[test]
fn parts_of_an_object_are_indexed_like_a_text() {
    let whole = object(
        r#"{"":[1,{"a":[]}],"\n":[],"a":{"b":[1.5]},"list":["x","y",[["z"]]],"n":1e400,"é":"é"}"#,
    );
    let names: Vec<String> = whole.members().map(|(name, _)| name.into_owned()).collect();
    for mask in 0..1_u32 << names.len() {
        let kept = |name: &str| {
            let at = names.iter().position(|known| known == name).unwrap();
            mask >> at & 1 == 1
        };
        assert_like_its_text(&whole.filtered(kept));
    }
    let values = [
        r#""x""#,
        r#"[1,[2,3],{}]"#,
        r#"{"deep":[[[[]]]]}"#,
        "1.5",
        "[]",
    ];
    for text in values {
        let value = value(text);
        for name in names
            .iter()
            .map(String::as_str)
            .chain(["b", "zz", "\u{1}", "\u{1f600}"])
        {
            let with = whole.with_member(name, &value);
            assert_eq!(with.get(name).as_ref(), Some(&value));
            assert_eq!(
                with.len(),
                whole.len() + usize::from(whole.get(name).is_none())
            );
            assert_like_its_text(&with);
            assert_like_its_text(&Object::empty().with_member(name, &value));
        }
    }
}

#[track_caller]
fn assert_like_its_text(made: &Object) {
    let read = Object::parse(made.text().clone(), usize::MAX).unwrap();
    assert_eq!(
        read.text().as_ptr(),
        made.text().as_ptr(),
        "not canonical: {made:?}"
    );
    assert_eq!(read.facts(), made.facts());
    let members = |object: &Object| -> Vec<(String, Value)> {
        let members = object.members();
        members
            .map(|(name, value)| (name.into_owned(), value))
            .collect()
    };
    assert_eq!(members(&read), members(made));
    for (name, value) in read.members() {
        assert_eq!(
            made.get(&name).as_ref().map(Value::facts),
            Some(value.facts())
        );
        let elements = |object: &Object| object.array(&name).map(Iterator::collect::<Vec<_>>);
        assert_eq!(elements(&read), elements(made), "{name}");
    }
}
