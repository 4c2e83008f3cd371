//! A child as its parent has it: started, asked, and ended with its handle.

use std::{
    collections::VecDeque,
    env,
    ffi::OsStr,
    io::{self, BufRead, BufReader, Read, Write},
    path::PathBuf,
    process::{self, Child, ChildStdin, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    child::{
        ARGUMENT,
        order::{Answer, MAX_LINE, Order},
    },
    network::Namespace,
};

/// Lines of a child's own words that are kept.
const LAST_LINES: usize = 8;

/// Longest line of its own words, in bytes.
const MAX_WORDS: u64 = 4096;

/// How long a process that closed its output has to end by itself.
const ENDING: Duration = Duration::from_secs(5);

/// Why a child did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChildError {
    #[error("the {part} cannot be started: {why}")]
    Start { part: &'static str, why: io::Error },
    #[error("the {part} ended ({status}){last}")]
    Ended {
        part: &'static str,
        status: String,
        last: Last,
    },
    #[error("the {part} had not answered after {after:?}{last}")]
    Hung {
        part: &'static str,
        after: Duration,
        last: Last,
    },
    #[error("the {part}: {why}")]
    Refused { part: &'static str, why: String },
}

/// What a child said last.
#[derive(Debug)]
pub(crate) struct Last(Vec<String>);

impl std::fmt::Display for Last {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0[..] {
            [] => write!(f, "; it said nothing"),
            lines => write!(f, "; it said last: {}", lines.join(" / ")),
        }
    }
}

/// A child. Dropping it kills it and waits for its end.
#[derive(Debug)]
pub(crate) struct Handle {
    part: &'static str,
    process: Child,
    orders: ChildStdin,
    answers: Receiver<Answer>,
    words: Words,
    listening: thread::JoinHandle<()>,
}

type Words = Arc<Mutex<VecDeque<String>>>;

impl Handle {
    /// Starts this program as a child for the transport `name`, in a namespace if there is one.
    pub(crate) fn start(
        part: &'static str,
        name: &str,
        namespace: Option<&Namespace>,
    ) -> Result<Self, ChildError> {
        let failed = |why| ChildError::Start { part, why };
        let program = this_program().map_err(failed)?;
        let mut command = match namespace {
            Some(namespace) => namespace.command(&program),
            None => Command::new(&program),
        };
        command.args([OsStr::new(ARGUMENT), OsStr::new(name), OsStr::new(part)]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if env::var_os("RUST_BACKTRACE").is_none_or(|shown| shown != "full") {
            // Of a panic its words are wanted, and not the last of a hundred frames.
            command.env("RUST_BACKTRACE", "0");
        }
        let mut process = command.spawn().map_err(failed)?;
        let words = Words::default();
        let orders = process.stdin.take().expect("it is piped");
        let output = process.stdout.take().expect("it is piped");
        let errors = process.stderr.take().expect("it is piped");
        let (sender, answers) = sync_channel(16);
        let talk = words.clone();
        thread::spawn(move || {
            let mut output = BufReader::new(output);
            while let Some(line) = line(&mut output, MAX_LINE as u64) {
                match serde_json::from_str(&line) {
                    Ok(answer) => {
                        if sender.send(answer).is_err() {
                            return;
                        }
                    }
                    Err(_) => keep(&talk, line),
                }
            }
        });
        let talk = words.clone();
        let listening = thread::spawn(move || {
            let mut errors = BufReader::new(errors);
            while let Some(line) = line(&mut errors, MAX_WORDS) {
                keep(&talk, line);
            }
        });
        Ok(Self {
            part,
            process,
            orders,
            answers,
            words,
            listening,
        })
    }

    /// Gives an order and waits for its answer.
    pub(crate) fn ask(&mut self, order: &Order, patience: Duration) -> Result<Answer, ChildError> {
        self.order(order)?;
        self.answer(patience)
    }

    /// Gives an order.
    pub(crate) fn order(&mut self, order: &Order) -> Result<(), ChildError> {
        let mut text = serde_json::to_string(order).expect("an order is JSON");
        text.push('\n');
        let written = self.orders.write_all(text.as_bytes());
        match written.and_then(|()| self.orders.flush()) {
            Ok(()) => Ok(()),
            Err(_) => Err(self.ended()),
        }
    }

    /// Waits for an answer. That it failed is an error here.
    pub(crate) fn answer(&mut self, patience: Duration) -> Result<Answer, ChildError> {
        match self.answers.recv_timeout(patience) {
            Ok(Answer::Failed(why)) => Err(ChildError::Refused {
                part: self.part,
                why,
            }),
            Ok(answer) => Ok(answer),
            Err(RecvTimeoutError::Timeout) => Err(ChildError::Hung {
                part: self.part,
                after: patience,
                last: self.last(),
            }),
            Err(RecvTimeoutError::Disconnected) => Err(self.ended()),
        }
    }

    /// It gave an answer to another question.
    pub(crate) fn astray(&self, answer: &Answer) -> ChildError {
        ChildError::Refused {
            part: self.part,
            why: format!("an answer that was not asked for: {answer:?}"),
        }
    }

    fn ended(&mut self) -> ChildError {
        let until = Instant::now() + ENDING;
        let status = loop {
            match self.process.try_wait() {
                // Its last words may still be on their way.
                Ok(Some(status)) if self.listening.is_finished() || Instant::now() >= until => {
                    break status.to_string();
                }
                Ok(Some(_)) => thread::sleep(Duration::from_millis(5)),
                Ok(None) if Instant::now() < until => thread::sleep(Duration::from_millis(5)),
                Ok(None) => break "closed its output, and goes on".to_owned(),
                Err(error) => break error.to_string(),
            }
        };
        ChildError::Ended {
            part: self.part,
            status,
            last: self.last(),
        }
    }

    fn last(&self) -> Last {
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        Last(words.iter().cloned().collect())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What this process runs, also when its file was replaced since: whoever builds while it measures does that.
fn this_program() -> io::Result<PathBuf> {
    // Not by `self`, which whatever enters a namespace before it would be.
    let running = PathBuf::from(format!("/proc/{}/exe", process::id()));
    match running.exists() || running.is_symlink() {
        true => Ok(running),
        false => env::current_exe(),
    }
}

/// The next line, of which only so many bytes are kept; none at the end.
fn line(from: &mut impl BufRead, most: u64) -> Option<String> {
    let mut bytes = Vec::new();
    if from.take(most).read_until(b'\n', &mut bytes).ok()? == 0 {
        return None;
    }
    if bytes.last() != Some(&b'\n') {
        // What is over the limit is read and dropped.
        from.skip_until(b'\n').ok()?;
    }
    Some(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

fn keep(words: &Words, line: String) {
    let mut words = words.lock().unwrap_or_else(PoisonError::into_inner);
    if words.len() == LAST_LINES {
        words.pop_front();
    }
    let short = line.chars().take(300).collect();
    words.push_back(short);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_over_its_limit_is_cut_and_the_next_is_whole() {
        let mut text = &b"short\n0123456789abcdef\nlast"[..];
        assert_eq!(line(&mut text, 8).as_deref(), Some("short"));
        assert_eq!(line(&mut text, 8).as_deref(), Some("01234567"));
        assert_eq!(line(&mut text, 8).as_deref(), Some("last"));
        assert_eq!(line(&mut text, 8), None);
    }

    #[test]
    fn the_last_words_are_few() {
        let words = Words::default();
        for number in 0..20 {
            keep(&words, format!("{number}{}", "x".repeat(1000)));
        }
        let kept = words.lock().unwrap();
        assert_eq!(kept.len(), LAST_LINES);
        assert!(kept[0].starts_with("12x"));
        assert!(kept.iter().all(|line| line.len() == 300));
    }
}
