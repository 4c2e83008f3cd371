//! `comity serve` as its operator runs it: two of them on loopback, told what to do by lines.

#![allow(clippy::unwrap_used)]

mod probes;
mod setting;

use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::setting::{House, Running, two_houses};

#[test]
fn two_servers_talk_and_one_that_is_killed_goes_on_where_it_was() {
    let directory = TempDir::new().unwrap();
    let houses = two_houses(directory.path());
    let [mut one, mut two] = houses.each_ref().map(House::start);
    one.order("user alice Alice");
    two.order("user bob");
    let mut rooms = Vec::new();
    for version in ["11", "12"] {
        let alias = format!("lobby{version}");
        let made = one.order(&format!(
            "create alice public version={version} alias={alias} name=The lobby"
        ));
        let room = made["room_id"].as_str().unwrap().to_owned();
        let joined = two.order(&format!("join bob #{alias}:{}", houses[0].name()));
        assert_eq!(joined["room_version"], json!(version));
        assert_eq!(joined["refused"], json!([]));
        rooms.push(room);
    }
    // What turns a line around on a terminal, or ends it there.
    let odd = "\u{202e}odd\u{9b}31m.";
    one.order(&format!("send alice {} {odd}", rooms[0]));
    two.hears(&rooms[0], odd);
    let shown = two.raw(&format!("read {} 1", rooms[0]));
    assert!(!shown.contains(['\u{202e}', '\u{9b}']), "{shown:?}");
    for room in &rooms {
        let sent = one.order(&format!("send alice {room}   hello  Bob "));
        assert_eq!(sent["servers"], json!({ houses[1].name(): "taken" }));
        two.hears(room, "hello  Bob");
        two.order(&format!("send bob {room} hello Alice"));
        one.hears(room, "hello Alice");
    }
    let shown = rooms.iter().map(|room| {
        let state = two.order(&format!("state {room}"));
        (two.order(&format!("read {room} 100")), sorted(&state))
    });
    let shown: Vec<_> = shown.collect();
    speaks_grpc_with(&mut one, &houses[1]);

    two.kill();
    let sent = one.order(&format!("send alice {} while you were away", rooms[0]));
    assert_ne!(sent["servers"][houses[1].name()], json!("taken"));
    let mut two = houses[1].start();
    for (room, (events, state)) in rooms.iter().zip(&shown) {
        assert_eq!(two.order(&format!("read {room} 100")), *events);
        assert_eq!(sorted(&two.order(&format!("state {room}"))), *state);
        // The other server leaves it alone for a while, unless it speaks.
        two.order(&format!("send bob {room} back again"));
        one.hears(room, "back again");
        one.order(&format!("send alice {room} welcome back"));
        two.hears(room, "welcome back");
        let sent = two.order(&format!("send bob {room} thanks"));
        assert_eq!(sent["servers"], json!({ houses[0].name(): "taken" }));
    }
    let events = two.order(&format!("read {}", rooms[0])).to_string();
    assert!(events.contains("while you were away"), "{events}");
    speaks_grpc_with(&mut two, &houses[0]);
    assert!(one.terminate(), "it ends well");
    assert!(two.terminate(), "it ends well");
}

/// It has read in the other's signed key document that it may.
#[track_caller]
fn speaks_grpc_with(house: &mut Running, other: &House) {
    let servers = house.order("servers");
    assert_eq!(servers[0]["server"], json!(other.name()));
    assert_eq!(servers[0]["binding"], json!("grpc/1"), "{servers}");
    assert_eq!(servers[0]["why"], json!("signed"));
    assert_ne!(
        servers[0]["bindings"]["grpc/1"]["calls"],
        json!(0),
        "{servers}"
    );
}

fn sorted(list: &Value) -> Vec<String> {
    let mut texts: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(Value::to_string)
        .collect();
    texts.sort();
    texts
}

#[test]
fn an_invitation_is_shown_accepted_and_rejected() {
    let directory = TempDir::new().unwrap();
    let houses = two_houses(directory.path());
    let [mut one, mut two] = houses.each_ref().map(House::start);
    one.order("user alice");
    two.order("user bob");
    let bob = format!("@bob:{}", houses[1].name());
    for answer in ["join", "leave"] {
        let room = one.order("create alice")["room_id"].clone();
        let room = room.as_str().unwrap();
        let invited = one.order(&format!("invite alice {room} {bob}"));
        assert!(invited["event_id"].is_string());
        let invitations = two.order("invitations bob");
        assert_eq!(invitations[0]["room_id"], json!(room));
        assert_eq!(invitations[0]["via"], json!(houses[0].name()));
        two.order(&format!("{answer} bob {room}"));
        assert_eq!(two.order("invitations bob"), json!([]));
        let members = one.order(&format!("members {room}"));
        assert_eq!(members[&bob], json!(answer));
    }
}

#[test]
fn a_command_that_cannot_be_done_says_why_and_the_next_one_is_done() {
    let directory = TempDir::new().unwrap();
    let houses = two_houses(directory.path());
    let mut one = houses[0].start();
    one.order("user alice");
    for (line, why) in [
        ("dance", "no command"),
        ("create", "a user is missing"),
        ("create alice version=99", "\"99\""),
        ("create alice secret", "\"secret\""),
        ("create @eve:elsewhere.example", "not a user of this server"),
        ("user @eve:elsewhere.example", "another server"),
        ("user Not\u{0}Good", "@Not"),
        (
            "send alice !nowhere:elsewhere.example hello",
            "not in the room",
        ),
        ("send alice !nowhere:elsewhere.example", "a text is missing"),
        ("join alice !nowhere", "name one"),
        ("join alice #nowhere", "names its server"),
        ("join alice !room:elsewhere.example", "elsewhere.example"),
        ("read nothing", "nothing"),
        ("read !nowhere:elsewhere.example many", "many is no count"),
        ("set alice !a:b.example m.room.topic - {", "the content"),
        ("rooms please", "\"please\""),
    ] {
        let answer = one.ask(line);
        let said = answer["why"]
            .as_str()
            .unwrap_or_else(|| panic!("{line}: {answer}"));
        assert!(said.contains(why), "{line}: {said}");
    }
    assert_eq!(one.order("rooms"), json!([]));
    let help = one.order("help");
    for command in [
        "user",
        "create",
        "join",
        "invite",
        "leave",
        "send",
        "set",
        "read",
        "state",
        "members",
        "rooms",
        "invitations",
        "servers",
    ] {
        assert!(help.to_string().contains(command), "{command}");
    }
}

#[test]
fn it_serves_on_when_nobody_writes_to_it_any_more() {
    let directory = TempDir::new().unwrap();
    let houses = two_houses(directory.path());
    let [mut one, mut two] = houses.each_ref().map(House::start);
    one.order("user alice");
    let room = one.order("create alice public alias=lobby")["room_id"].clone();
    one.input = None;
    two.order("user bob");
    let joined = two.order(&format!("join bob #lobby:{}", houses[0].name()));
    assert_eq!(joined["room_id"], room);
    assert!(one.terminate());
}

/// Runs it to its failure, and gives what it says.
fn refusal(arguments: &[String]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_comity"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the program starts");
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn what_it_cannot_start_with_is_named() {
    let directory = TempDir::new().unwrap();
    let [one, _] = two_houses(directory.path());
    let with = |option: &str, value: &str| {
        let mut arguments = one.arguments();
        let place = arguments.iter().position(|word| word == option).unwrap();
        arguments[place + 1] = value.to_owned();
        refusal(&arguments)
    };
    for (option, value, says) in [
        ("--name", "not a name", "not a name"),
        ("--certificate", "/nowhere.crt", "/nowhere.crt"),
        ("--key", "/nowhere.key", "/nowhere.key"),
        ("--ca", "/nowhere.ca", "/nowhere.ca"),
        ("--allow-address", "127.0.0.0/99", "127.0.0.0/99"),
        ("--peer", "two.example", "NAME=ADDRESS"),
        ("--peer", "two.example=192.0.2.1", "needs a port"),
        ("--data", "/dev/null", "/dev/null"),
    ] {
        let said = with(option, value);
        assert!(said.contains(says), "{option} {value}: {said}");
    }
    // A port that another holds, and a directory that is another server's or another process's.
    let running = one.start();
    let said = with(
        "--data",
        &directory.path().join("other").display().to_string(),
    );
    assert!(said.contains(&format!("127.0.0.1:{}", one.port)), "{said}");
    let said = refusal(&one.arguments());
    assert!(said.contains("homeserver.redb"), "{said}");
    assert!(running.terminate());
    let said = with("--name", "other.example");
    assert!(
        said.contains(&format!("belongs to the server {}", one.name())),
        "{said}"
    );
}
