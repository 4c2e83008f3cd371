//! The other end: a process that is a server, a client, both, or the judge of a transport.
//!
//! `order` is what parent and child say to each other, `usage` what a process reads of itself, `part` the server and the client, `judge` the conformance kit. It ends when its standard input
//! does, so that none outlives its parent.

mod judge;
pub(crate) mod order;
mod part;
mod usage;

use std::{
    env,
    io::{self, BufRead, Read, Write},
    process::{ExitCode, exit},
    thread,
};

use tokio::sync::mpsc::{Receiver, channel};

use crate::subject::Subject;
use order::{Answer, MAX_LINE, Order};
pub(crate) use usage::kibibytes;

/// The first argument of a child.
pub(crate) const ARGUMENT: &str = "bench-child";

/// To be called first in `main` by every program that calls [`main`](crate::main()): if this process is one of its children, that is all it does, and the exit code is given. The subjects have
/// to be the same.
///
/// A line on standard output that a subject prints is taken for its talk and not for an answer.
pub fn child(subjects: Vec<Subject>) -> Option<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    if arguments.next()? != ARGUMENT {
        return None;
    }
    let name = arguments.next();
    let name = name.as_ref().and_then(|name| name.to_str());
    let mut subjects = subjects.into_iter();
    let Some(subject) = subjects.find(|subject| Some(&*subject.name()) == name) else {
        eprintln!("{ARGUMENT}: there is no transport {name:?} in this program");
        return Some(ExitCode::from(2));
    };
    // A hundred servers have a socket each, and as many connections.
    let _ = comity_net::raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("{ARGUMENT}: the runtime cannot be started: {error}");
            return Some(ExitCode::FAILURE);
        }
    };
    let mut line = Line { orders: orders() };
    match line.orders.blocking_recv() {
        None => {}
        // The kit has a runtime of its own, and is not called from within another.
        Some(Order::Judge) => judge::judge(&subject, &line),
        Some(order) => {
            // On the runtime's own threads, where a homeserver's calls are made as well.
            let played = runtime.spawn(part::play(subject, order, line));
            if runtime.block_on(played).is_err() {
                return Some(ExitCode::FAILURE);
            }
        }
    }
    Some(ExitCode::SUCCESS)
}

/// The line to the parent.
struct Line {
    orders: Receiver<Order>,
}

impl Line {
    /// The next order. None: there is no parent any more.
    async fn next(&mut self) -> Option<Order> {
        self.orders.recv().await
    }

    fn answer(&self, answer: &Answer) {
        let mut text = serde_json::to_string(answer).expect("an answer is JSON");
        text.push('\n');
        let mut out = io::stdout().lock();
        if out
            .write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .is_err()
        {
            exit(1);
        }
    }
}

/// Reads orders on a thread, so that the end of the parent is seen whatever this process does.
fn orders() -> Receiver<Order> {
    let (sender, receiver) = channel(1);
    thread::spawn(move || {
        let mut input = io::stdin().lock();
        loop {
            let mut line = String::new();
            let read = (&mut input).take(MAX_LINE as u64).read_line(&mut line);
            if !matches!(read, Ok(1..)) {
                exit(0);
            }
            match serde_json::from_str(&line) {
                Ok(order) => {
                    if sender.blocking_send(order).is_err() {
                        exit(0);
                    }
                }
                Err(error) => {
                    eprintln!("{ARGUMENT}: an order cannot be read: {error}");
                    exit(2);
                }
            }
        }
    });
    receiver
}
