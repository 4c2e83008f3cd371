//! How a command fails: exit codes, what went wrong, and what to do next.

use std::{error::Error, fmt::Write as _, process::ExitCode};

use comity_core::{
    ServerName,
    error::{CallError, ErrorOrigin, FederationError, TransportError, TransportErrorKind},
};
use serde_json::{Value, json};

use crate::printable::{Printable, put};

/// The exit codes, for `--help`.
pub(crate) const EXIT_CODES: &str = "Exit codes:
  0  done, and nothing is wrong
  1  the server answered with an error, or something is wrong with it
  2  the command line, or a file that it names, is no good; nothing was sent
  3  no answer: no such name, no connection, no valid certificate, no time left, or the answer broke off
  4  the result cannot be written here";

/// Why a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Answered = 1,
    Usage = 2,
    NoAnswer = 3,
    Output = 4,
}

/// What went wrong, in a sentence each.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
    next: Option<String>,
    answer: Option<FederationError>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            next: None,
            answer: None,
        }
    }

    /// The command line or a file is no good.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// The result cannot be written.
    pub(crate) fn output(what: &str, error: &std::io::Error) -> Self {
        Self::new(Exit::Output, format!("{what} cannot be written: {error}"))
    }

    /// With what to do about it.
    #[must_use]
    pub(crate) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// A call to `destination` failed.
    pub(crate) fn of_call(destination: &ServerName, error: CallError) -> Self {
        match error {
            CallError::Federation(answer) => {
                let message = describe_answer(destination, &answer);
                let next = after_answer(&answer);
                Self {
                    exit: Exit::Answered,
                    message,
                    next,
                    answer: Some(answer),
                }
            }
            CallError::Transport(error) => Self::of_transport(destination, &error),
        }
    }

    /// There is no answer of `destination`.
    pub(crate) fn of_transport(destination: &ServerName, error: &TransportError) -> Self {
        let exit = match error.kind() {
            // Found before anything was sent: the request itself.
            TransportErrorKind::Unsupported | TransportErrorKind::LimitExceeded
                if error.delivery() == comity_core::error::Delivery::NotSent =>
            {
                Exit::Usage
            }
            _ => Exit::NoAnswer,
        };
        Self {
            exit,
            message: format!("no answer of {destination}: {}", chain(error)),
            next: after_failure(error.kind())
                .map(|next| next.replace("NAME", destination.as_str())),
            answer: None,
        }
    }

    /// The reply of `destination` ended before its end, whoever says so.
    pub(crate) fn broke_off(destination: &ServerName, error: &CallError) -> Self {
        let message = format!("the reply of {destination} broke off: {}", chain(error));
        Self::new(Exit::NoAnswer, message).next("what was shown before is good; try again")
    }

    /// Says it: text on standard error, or a JSON object on standard output.
    pub(crate) fn report(&self, command: &str, json: bool) -> ExitCode {
        if json {
            // Nobody is left to be told that this failed too.
            let _ = put(&format!("{}\n", self.to_json()));
        } else {
            eprintln!("comity {command}: {}", Printable(&self.message));
            if let Some(next) = &self.next {
                eprintln!("  next: {}", Printable(next));
            }
        }
        ExitCode::from(self.exit as u8)
    }

    fn to_json(&self) -> Value {
        let mut error = json!({ "message": self.message, "exit": self.exit as u8 });
        if let Some(next) = &self.next {
            error["next"] = json!(next);
        }
        if let Some(answer) = &self.answer {
            error["http_status"] = json!(answer.http_status());
            error["errcode"] = json!(answer.errcode());
            error["kind"] = json!(answer.kind().name());
            error["body"] = match serde_json::from_slice::<Value>(answer.body()) {
                Ok(body) => body,
                Err(_) => json!(String::from_utf8_lossy(answer.body())),
            };
        }
        json!({ "error": error })
    }
}

/// An error with its causes, one behind the other.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            write!(text, ": {said}").expect("writing to a string cannot fail");
        }
        cause = error.source();
    }
    text
}

fn describe_answer(destination: &ServerName, answer: &FederationError) -> String {
    let status = answer.http_status();
    let errcode = answer.errcode().unwrap_or("without a Matrix error");
    let who = match answer.origin() {
        ErrorOrigin::Remote => destination.to_string(),
        ErrorOrigin::Gateway(name) => format!("the gateway {name} before {destination}"),
        ErrorOrigin::Local => "this side".to_owned(),
        _ => format!("something before {destination}"),
    };
    let mut text = format!("{who} answered {status} {errcode}");
    if !answer.message().is_empty() {
        write!(text, ": {}", answer.message()).expect("writing to a string cannot fail");
    }
    if let Some(wait) = answer.retry_after() {
        write!(text, " (again after {} s)", wait.as_secs_f64().ceil())
            .expect("writing to a string cannot fail");
    }
    text
}

fn after_answer(answer: &FederationError) -> Option<String> {
    let next = match answer.errcode() {
        Some("M_UNAUTHORIZED") => {
            "the signature, or its destination, was not taken: `comity keys ORIGIN` shows which keys others see of --origin, `comity resolve` where the call arrives"
        }
        Some("M_FORBIDDEN") => {
            "--origin has to be a server that may ask this: one with a user in the room, say"
        }
        Some("M_UNRECOGNIZED") => {
            "the server does not know this call; `comity call --list` shows what there is"
        }
        Some("M_LIMIT_EXCEEDED") => "wait, and try again",
        None if matches!(answer.http_status(), 301..=308 | 404 | 502 | 503) => {
            "that is no homeserver's answer: a proxy may send federation elsewhere; `comity resolve` shows where it arrives"
        }
        _ => return None,
    };
    Some(next.to_owned())
}

/// What to do, where `NAME` stands for the server's.
pub(crate) fn after_failure(kind: TransportErrorKind) -> Option<&'static str> {
    Some(match kind {
        TransportErrorKind::Resolve => {
            "`comity resolve NAME` shows what was asked, and what was found"
        }
        TransportErrorKind::Connect | TransportErrorKind::Closed => {
            "`comity resolve NAME` tries every address; a firewall, or a server that is down, looks like this"
        }
        TransportErrorKind::Tls => {
            "`comity resolve NAME` shows the certificate; --ca FILE trusts an authority that the system does not know"
        }
        TransportErrorKind::Refused => {
            "--allow-address RANGE lets connections to private addresses pass, such as 127.0.0.0/8"
        }
        TransportErrorKind::Timeout => "--timeout SECONDS waits longer",
        TransportErrorKind::Carrier | TransportErrorKind::Unsupported => {
            "--binding https goes by the binding that every server has"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use comity_core::error::Delivery;

    #[test]
    fn a_failure_names_its_causes_and_what_to_do() {
        let name: ServerName = "hs2.example".parse().unwrap();
        let error = TransportError::new(TransportErrorKind::Tls, Delivery::NotSent, "TLS with it")
            .with_source(std::io::Error::other("the certificate expired"));
        let failure = Failure::of_transport(&name, &error);
        assert_eq!(failure.exit, Exit::NoAnswer);
        let text = failure.to_json().to_string();
        assert!(text.contains("the certificate expired"), "{text}");
        assert!(text.contains("comity resolve hs2.example"), "{text}");
    }

    #[test]
    fn an_answer_is_told_with_its_status_errcode_and_body() {
        let name: ServerName = "hs2.example".parse().unwrap();
        let answer = FederationError::new(403, "M_FORBIDDEN", "not in the room");
        let json = Failure::of_call(&name, answer.into()).to_json();
        assert_eq!(json["error"]["errcode"], "M_FORBIDDEN");
        assert_eq!(json["error"]["body"]["error"], "not in the room");
        assert_eq!(json["error"]["exit"], 1);
    }
}
