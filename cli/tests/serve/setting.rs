//! Servers that run as programs, and what is said to them.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A certificate for localhost that is its own authority, and its key.
fn certificate(directory: &Path) -> [PathBuf; 2] {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let paths = ["tls.crt", "tls.key"].map(|name| directory.join(name));
    fs::write(&paths[0], made.cert.pem()).unwrap();
    fs::write(&paths[1], made.signing_key.serialize_pem()).unwrap();
    paths
}

fn free_port() -> u16 {
    let probe = TcpListener::bind("127.0.0.1:0").unwrap();
    probe.local_addr().unwrap().port()
}

/// A server that may be started several times.
pub(crate) struct House {
    pub(crate) directory: PathBuf,
    pub(crate) port: u16,
    pub(crate) peer: u16,
    /// Whether it tells its schema.
    pub(crate) reflection: bool,
}

/// One that runs.
pub(crate) struct Running {
    child: Child,
    pub(crate) input: Option<ChildStdin>,
    said: Receiver<String>,
    arrived: Vec<Value>,
}

impl House {
    pub(crate) fn name(&self) -> String {
        format!("localhost:{}", self.port)
    }

    pub(crate) fn arguments(&self) -> Vec<String> {
        let directory = self.directory.parent().unwrap();
        let file = |name: &str| directory.join(name).display().to_string();
        let (own, peer) = (self.port, self.peer);
        [
            "serve",
            "--name",
            &self.name(),
            "--data",
            &self.directory.display().to_string(),
            "--listen",
            &format!("127.0.0.1:{own}"),
            "--certificate",
            &file("tls.crt"),
            "--key",
            &file("tls.key"),
            "--ca",
            &file("tls.crt"),
            "--allow-address",
            "127.0.0.0/8",
            "--peer",
            &format!("localhost:{peer}=127.0.0.1:{peer}"),
        ]
        .map(str::to_owned)
        .into_iter()
        .chain(self.reflection.then(|| "--reflection".to_owned()))
        .collect()
    }

    pub(crate) fn start(&self) -> Running {
        let mut child = Command::new(env!("CARGO_BIN_EXE_comity"))
            .args(self.arguments())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let output = BufReader::new(child.stdout.take().unwrap());
        let (say, said) = channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if say.send(line).is_err() {
                    return;
                }
            }
        });
        let input = child.stdin.take();
        let mut running = Running {
            child,
            input,
            said,
            arrived: Vec::new(),
        };
        assert_eq!(running.answer()["ready"], json!(self.name()));
        running
    }
}

impl Running {
    fn answer(&mut self) -> Value {
        parsed(&self.raw_answer())
    }

    fn raw_answer(&mut self) -> String {
        loop {
            let line = self.said.recv_timeout(PATIENCE).expect("an answer comes");
            match parsed(&line).get("arrived") {
                Some(event) => self.arrived.push(event.clone()),
                None => return line,
            }
        }
    }

    /// The line that answers a command.
    pub(crate) fn raw(&mut self, line: &str) -> String {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
        self.raw_answer()
    }

    pub(crate) fn ask(&mut self, line: &str) -> Value {
        parsed(&self.raw(line))
    }

    #[track_caller]
    pub(crate) fn order(&mut self, line: &str) -> Value {
        let answer = self.ask(line);
        assert!(answer.get("ok").is_some(), "{line}: {answer}");
        answer["result"].clone()
    }

    /// Waits until a message arrives.
    #[track_caller]
    pub(crate) fn hears(&mut self, room: &str, text: &str) {
        let is_it = |event: &Value| {
            event["room_id"] == json!(room) && event["content"]["body"] == json!(text)
        };
        let end = Instant::now() + PATIENCE;
        loop {
            if self.arrived.iter().any(is_it) {
                return;
            }
            match self
                .said
                .recv_timeout(end.saturating_duration_since(Instant::now()))
            {
                Ok(said) => self.arrived.push(parsed(&said)["arrived"].clone()),
                Err(RecvTimeoutError::Timeout) => panic!("{text:?} did not arrive"),
                Err(RecvTimeoutError::Disconnected) => panic!("the server ended"),
            }
        }
    }

    /// Asks it to end; gives whether it did so well.
    pub(crate) fn terminate(mut self) -> bool {
        let id = self.child.id().to_string();
        let killed = Command::new("kill").args(["-TERM", &id]).status();
        assert!(killed.unwrap().success());
        self.child.wait().unwrap().success()
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn parsed(line: &str) -> Value {
    serde_json::from_str(line).expect("each line is JSON")
}

/// No server outlives its test.
impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn two_houses(directory: &Path) -> [House; 2] {
    certificate(directory);
    let ports = [free_port(), free_port()];
    let house = |name: &str, port, peer| House {
        directory: directory.join(name),
        port,
        peer,
        reflection: false,
    };
    [
        house("one", ports[0], ports[1]),
        house("two", ports[1], ports[0]),
    ]
}
