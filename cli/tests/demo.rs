//! `comity demo` as a user runs it: exit codes, and what it says.

#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use comity_core::call::Authentication;
use serde_json::{Value, json};

fn demo(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_comity"))
        .args(["demo", "--calls", "3"])
        .args(arguments)
        .output()
        .expect("the program starts")
}

/// Runs with `--json`, and gives the exit code and the one document.
fn report(arguments: &[&str]) -> (Option<i32>, Value) {
    let output = demo(&[arguments, &["--json"]].concat());
    let stderr = String::from_utf8_lossy(&output.stderr);
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("standard output is one JSON document: {error}; standard error: {stderr}")
    });
    (output.status.code(), report)
}

/// Runs to a failure, and gives the exit code and what it says.
fn refusal(arguments: &[&str]) -> (Option<i32>, String) {
    let output = demo(arguments);
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = path.join("tests/fixtures").join(name);
    path.to_str().unwrap().to_owned()
}

fn fixture_events() -> Vec<Value> {
    serde_json::from_slice(&fs::read(fixture("synapse-room.json")).unwrap()).unwrap()
}

/// A file for one test, gone with its directory.
struct Scratch(tempfile::TempDir);

impl Scratch {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, content: impl AsRef<[u8]>) -> String {
        let path: PathBuf = self.0.path().join("room");
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn events(&self, events: &[Value]) -> String {
        self.file(serde_json::to_vec(events).unwrap())
    }
}

fn lines(report: &Value, member: &str) -> Vec<String> {
    let lines = report[member].as_array().unwrap().iter();
    lines
        .map(|line| line.as_str().unwrap().to_owned())
        .collect()
}

#[track_caller]
fn assert_says(lines: &[String], words: &str) {
    assert!(
        lines.iter().any(|line| line.contains(words)),
        "{words:?} is not in {lines:#?}"
    );
}

const OVER: &str = "over http/1, grpc/1 and memory";

#[test]
fn a_generated_room_arrives_proven_over_each_transport() {
    let (code, report) = report(&["--events", "500"]);
    assert_eq!((code, &report["ok"]), (Some(0), &json!(true)), "{report:#}");
    assert_eq!(report["transports"], json!(["http/1", "grpc/1", "memory"]));
    assert_eq!(report["room"]["events"], json!(500));
    assert_eq!(report["differences"], json!([]));
    let proven = lines(&report, "proven");
    let table = comity_core::api::operations().into_iter();
    let signed = table.filter(|one| one.spec().authentication == Authentication::Server);
    let signed = signed.count();
    for words in [
        "a room of version 12 was made",
        "joined by MakeJoin and SendJoin: 5 state events checked and authorized",
        "messages went both ways",
        "fetched by GetMissingEvents when the next one came",
        "the invite has good signatures of both servers, by ruma-signatures; an uninvited one was refused with 403 M_FORBIDDEN",
        "Backfill gave the 5 events before the join, each equal byte for byte",
        "GetState and GetStateIds the state before it with its auth chain",
        "one was no event, one forged, one not allowed",
        "a profile was given",
        "two one-time keys claimed: not the same twice",
        "a file of 256 KiB was fetched",
        &format!("of {signed} signed operations were the same bytes at the receiver"),
        &format!(
            "each of {signed} operations with a forged signature, with that of another request and with none was refused with 401 M_UNAUTHORIZED"
        ),
        "3 new events were pushed, each taken without an error and held byte for byte by the receiver",
        "3 GetState streamed 27 events, equal byte for byte",
        "3 invites came back with good signatures of both servers",
        "an error's status, code and body were the same bytes",
        "both servers had the same state",
        "a room of 500 state events was joined: each equal byte for byte, its hash and signature good",
    ] {
        assert_says(&proven, words);
    }
    assert!(
        proven.iter().all(|line| line.ends_with(OVER)),
        "{proven:#?}"
    );

    let calls = report["calls"].as_array().unwrap();
    assert_eq!(calls.len(), 15 * 3);
    for row in calls {
        let in_memory = row["transport"] == "memory";
        assert!(row["calls"].as_u64().unwrap() > 0, "{row}");
        assert!(row["p50_us"].as_f64().unwrap() > 0.0, "{row}");
        assert!(row["p99_us"].as_f64() >= row["p50_us"].as_f64(), "{row}");
        for bytes in ["bytes_sent", "bytes_received"] {
            assert_eq!(row[bytes].as_u64().is_none(), in_memory, "{row}");
        }
    }
}

#[test]
fn the_live_heap_of_a_join_does_not_grow_with_the_room() {
    let (code, report) = report(&["--events", "8000"]);
    assert_eq!(code, Some(0), "{report:#}");
    let joins = report["joins"].as_array().unwrap();
    assert_eq!(joins.len(), 3);
    for join in joins {
        assert_eq!(join["events"], json!(8000));
        assert!(join["room"].as_str().unwrap().starts_with('!'), "{join}");
        assert!(join["seconds"].as_f64().unwrap() > 0.0, "{join}");
        // Its events have 5.6 MiB.
        let heap = join["live_heap"].as_u64().unwrap();
        assert!((1..4 << 20).contains(&heap), "{join}");
    }
}

#[test]
fn the_table_is_for_people_without_json() {
    let output = demo(&["--events", "20"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    for words in [
        "For each transport a room like !",
        "join of such a room, over",
        "operation",
        "p50",
        "p99",
        "SendJoin",
        "grpc/1",
        "Proven",
        "nothing differs",
    ] {
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
}

#[test]
fn real_events_arrive_with_good_signatures() {
    let room = fixture("synapse-room.json");
    let (code, report) = report(&["--room", &room, "--keys", &fixture("synapse-keys.json")]);
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(report["room"]["version"], json!("12"));
    let unchecked = lines(&report, "unchecked");
    assert_eq!(unchecked.len(), 1, "{unchecked:#?}");
    assert_says(&unchecked, "no authorization rules were applied");
    let count = fixture_events().len();
    let proven = lines(&report, "proven");
    assert_says(
        &proven,
        &format!(
            "{count} of {count} events of a streamed join equal byte for byte, hash and signature good, {OVER}"
        ),
    );
    assert_says(&proven, "events fetched by 3 GetEvent equal byte for byte");
    assert_says(&proven, "events streamed by 3 Backfill equal byte for byte");
}

#[test]
fn a_signature_without_a_key_is_never_called_good() {
    let (code, report) = report(&["--room", &fixture("synapse-room.json")]);
    assert_eq!(code, Some(0), "{report:#}");
    assert!(
        !report["proven"].to_string().contains("signature good"),
        "{report:#}"
    );
    assert_says(
        &lines(&report, "unchecked"),
        "the signatures of localhost:18448 on",
    );
    assert_says(
        &lines(&report, "proven"),
        "with the hash good and the signature unchecked",
    );
}

#[test]
fn a_tampered_event_is_named() {
    let scratch = Scratch::new();
    let mut events = fixture_events();
    let place = events
        .iter()
        .position(|event| event["type"] == "m.room.message")
        .unwrap();
    events[place]["content"]["body"] = json!("something else");
    let path = scratch.events(&events);
    let keys = fixture("synapse-keys.json");
    let wanted = format!("entry {}", place + 1);
    for arguments in [
        vec!["--room", &path, "--keys", &keys],
        vec!["--room", &path],
    ] {
        let (code, report) = report(&arguments);
        assert_eq!(code, Some(1), "{report:#}");
        let differences = lines(&report, "differences");
        assert_eq!(differences.len(), 1, "{differences:#?}");
        assert_says(&differences, &wanted);
        assert_says(&differences, "the content hash is wrong");
        assert_says(&differences, OVER);
    }

    let mut events = fixture_events();
    events[place]["depth"] = json!(7_777);
    let (code, report) = report(&["--room", &scratch.events(&events), "--keys", &keys]);
    assert_eq!(code, Some(1), "{report:#}");
    assert_says(&lines(&report, "differences"), "a signature is wrong");
}

#[test]
fn one_event_per_line_is_read_too() {
    let scratch = Scratch::new();
    let mut text = String::new();
    for event in fixture_events() {
        text.push_str(&format!("{event}\r\n\n"));
    }
    let (code, report) = report(&["--room", &scratch.file(text)]);
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(report["room"]["events"], json!(fixture_events().len()));
}

#[test]
fn a_malformed_entry_is_named_and_spoils_no_other() {
    let scratch = Scratch::new();
    let mut events = fixture_events();
    let count = events.len();
    events.insert(1, json!("no event"));
    events.push(json!({"type": "m.room.message", "room_id": "!other:example.org", "content": {}}));
    let mut again = events[0].clone();
    again["unsigned"] = json!({"age": 77});
    events.push(again);
    let (code, report) = report(&["--room", &scratch.events(&events)]);
    assert_eq!(code, Some(2), "{report:#}");
    assert_eq!(report["room"]["events"], json!(count));
    assert_eq!(report["room"]["repeated"], json!(1));
    assert_eq!(report["differences"], json!([]));
    let skipped = lines(&report, "skipped");
    assert_says(&skipped, "entry 2: is not a JSON object");
    assert_says(&skipped, "belongs to room !other:example.org");
    assert_eq!(skipped.len(), 2);
}

#[test]
fn a_file_that_cannot_be_used_is_refused_with_the_reason() {
    let scratch = Scratch::new();
    let create = fixture_events().remove(0);
    let unknown = {
        let mut create = create.clone();
        create["content"]["room_version"] = json!("I.1");
        create
    };
    let message = fixture_events()
        .into_iter()
        .find(|event| event["type"] == "m.room.message")
        .unwrap();
    for (content, words) in [
        (String::new(), "it is empty"),
        (" \n ".to_owned(), "it is empty"),
        ("[]".to_owned(), "it is empty"),
        ("[1, 2]".to_owned(), "entry 2: is not a JSON object"),
        ("{\n".to_owned(), "line 1: not JSON"),
        (format!("[{create},\n{create},\n oops]"), "line 3: not JSON"),
        (message.to_string(), "no m.room.create event"),
        (unknown.to_string(), "room version \"I.1\" is unknown"),
    ] {
        let (code, said) = refusal(&["--room", &scratch.file(&content)]);
        assert_eq!(code, Some(2), "{content}: {said}");
        assert!(said.contains(words), "{words:?} is not in {said}");
    }
    let (code, said) = refusal(&["--room", "/nowhere/at all"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("/nowhere/at all"), "{said}");

    let room = fixture("synapse-room.json");
    for (content, words) in [
        ("", "no object of servers"),
        ("{}", "no server is in it"),
        (
            "{\"a.example\": {\"ed25519:1\": \"AAAA\"}}",
            "a.example, ed25519:1: is no ed25519 key",
        ),
    ] {
        let (code, said) = refusal(&["--room", &room, "--keys", &scratch.file(content)]);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(words), "{words:?} is not in {said}");
    }
}

#[test]
fn old_room_versions_are_carried_and_what_cannot_be_verified_is_said() {
    let scratch = Scratch::new();
    let event = |kind: &str, id: u32, state_key: Option<&str>, content: Value| {
        let mut event = json!({
            "type": kind, "event_id": format!("${id}:old.example"), "room_id": "!r:old.example",
            "sender": "@a:old.example", "content": content, "depth": id, "origin_server_ts": 1,
            "prev_events": [[format!("${}:old.example", id - 1), {"sha256": "x"}]], "auth_events": [],
            "hashes": {"sha256": "x"}, "signatures": {"old.example": {"ed25519:1": "x"}},
        });
        if let Some(key) = state_key {
            event["state_key"] = json!(key);
        }
        event
    };
    let create = event(
        "m.room.create",
        1,
        Some(""),
        json!({"creator": "@a:old.example"}),
    );
    let odd = event("m.room.message", 2, None, json!({"body": 1.5}));
    let (code, report) = report(&["--room", &scratch.events(&[create, odd])]);
    assert_eq!(report["room"]["version"], json!("1"));
    assert_says(&lines(&report, "unchecked"), "1 event: unverifiable");
    // A create event's content survives redaction in this version, so only a signature could tell.
    assert_says(
        &lines(&report, "unchecked"),
        "1 event of old.example: the content hash does not match",
    );
    assert!(!report["proven"].to_string().contains("good"), "{report:#}");
    assert_eq!(code, Some(0), "{report:#}");
}
