//! How a person or a script tells the server what to do: commands in, one a line; JSON out, one object a line.

use std::{
    io::{self, BufRead, Write},
    sync::Arc,
    thread,
};

use comity_homeserver::{Arrival, Event};
use serde_json::{Value, json};
use tokio::sync::{broadcast::error::RecvError, mpsc};

use super::{commands::Command, stack::Stack};
use crate::{failure::chain, printable::JsonText};

/// Lines that wait while a command is carried out; more wait in the pipe.
const WAITING: usize = 16;

/// Reads lines on a thread of its own: reading standard input cannot be given up.
pub(crate) fn read_lines(input: io::Stdin) -> mpsc::Receiver<String> {
    let (lines, waiting) = mpsc::channel(WAITING);
    thread::spawn(move || {
        for line in input.lock().lines().map_while(Result::ok) {
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
    waiting
}

/// Carries out commands, one after the other, and tells of each event that comes to stand in a room. Never ends.
pub(crate) async fn run(stack: &Stack, mut lines: mpsc::Receiver<String>, output: io::Stdout) {
    let mut arrivals = stack.homeserver.watch();
    let watching = async {
        loop {
            match arrivals.recv().await {
                Ok(arrival) => say(&output, &json!({ "arrived": shown_in(&arrival) })),
                Err(RecvError::Lagged(missed)) => say(&output, &json!({ "missed": missed })),
                Err(RecvError::Closed) => return std::future::pending().await,
            }
        }
    };
    let obeying = async {
        say(
            &output,
            &json!({
                "ready": stack.homeserver.name(),
                "listening": stack.address,
            }),
        );
        while let Some(line) = lines.recv().await {
            if let Some(answer) = obey(stack, &line).await {
                say(&output, &answer);
            }
        }
        std::future::pending::<()>().await;
    };
    // Events go on to be shown while a command takes its time.
    tokio::join!(watching, obeying);
}

/// The answer to one line; none to an empty one.
async fn obey(stack: &Stack, line: &str) -> Option<Value> {
    let word = line.split_whitespace().next()?;
    let outcome = match Command::parse(line, stack.homeserver.name()) {
        Ok(command) => command.carry_out(stack).await,
        Err(why) => Err(why.into()),
    };
    Some(match outcome {
        Ok(result) => json!({ "ok": word, "result": result }),
        Err(error) => json!({ "failed": word, "why": chain(&*error) }),
    })
}

fn say(mut output: &io::Stdout, object: &Value) {
    // What others wrote may end up on a terminal.
    let text = object.to_string();
    // Nobody may be reading any more, and the server goes on.
    let _ = writeln!(output, "{}", JsonText(&text)).and_then(|()| output.flush());
}

fn shown_in(arrival: &Arrival) -> Value {
    let mut event = shown(&arrival.event);
    event["room_id"] = json!(arrival.room_id);
    event
}

/// An event as clients are shown it.
pub(crate) fn shown(event: &Arc<Event>) -> Value {
    let pdu = event.pdu();
    let mut shown = json!({
        "event_id": event.id(),
        "type": event.kind().to_string(),
        "sender": event.sender(),
        "origin_server_ts": pdu.origin_server_ts(),
        "content": pdu.content().map(|content| content.to_value()),
    });
    if let Some(key) = pdu.state_key() {
        shown["state_key"] = json!(key);
    }
    shown
}
