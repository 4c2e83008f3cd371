//! `comity gateway` as an operator runs it: what it says of a configuration, and its signals.

#![allow(clippy::unwrap_used)]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, ChildStderr, Command, Output, Stdio},
};

use tempfile::TempDir;

const CONFIG: &str = r#"server_name = "hs1.example"
[homeserver]
url = "http://127.0.0.1:9"
[egress]
listen = "127.0.0.1:0"
secret_file = "egress.secret"
[listen]
address = "127.0.0.1:0"
tls = false
[limits]
drain_seconds = 1
"#;

fn folder(config: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("egress.secret"), "a-secret\n").unwrap();
    fs::write(folder.path().join("gateway.toml"), config).unwrap();
    folder
}

fn command(folder: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_comity"));
    command
        .current_dir(folder.path())
        .args(["gateway", "--config", "gateway.toml"])
        .env_remove("RUST_LOG")
        .env("NO_COLOR", "1");
    command
}

fn check(config: &str) -> Output {
    command(&folder(config)).arg("--check").output().unwrap()
}

/// A gateway that runs.
struct Running {
    child: Child,
    log: BufReader<ChildStderr>,
    egress: SocketAddr,
    folder: TempDir,
}

impl Running {
    fn start() -> Self {
        Self::with(CONFIG)
    }

    fn with(config: &str) -> Self {
        let folder = folder(config);
        let mut child = command(&folder).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let ready = line_with(&mut log, "the gateway is ready");
        let address = ready.split("egress=").nth(1).unwrap();
        let egress = address.split_whitespace().next().unwrap().parse().unwrap();
        Self {
            child,
            log,
            egress,
            folder,
        }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([name, &pid]).status().unwrap();
        assert!(sent.success());
    }

    fn ends(mut self) -> Option<i32> {
        let code = self.child.wait().unwrap().code();
        drop(self.folder);
        code
    }
}

fn line_with(log: &mut impl BufRead, what: &str) -> String {
    let mut line = String::new();
    while log.read_line(&mut line).unwrap() > 0 {
        if line.contains(what) {
            return line;
        }
        line.clear();
    }
    panic!("{what:?} is not in the log");
}

#[test]
fn a_configuration_is_checked_and_nothing_is_started() {
    let output = check(CONFIG);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "gateway.toml: nothing is wrong with it\n"
    );
}

#[test]
fn what_is_wrong_is_said_with_file_and_line() {
    for (config, line) in [
        (
            CONFIG.replace("[listen]", "[listn]"),
            "gateway.toml:7: there is no setting `listn` here; did you mean `listen`?\n",
        ),
        (
            CONFIG.replace("127.0.0.1:0\"\nsecret", "0.0.0.0:0\"\nsecret"),
            "gateway.toml:5: 0.0.0.0:0 can be reached from other machines; the homeserver's calls are taken on loopback or a Unix socket only\n",
        ),
    ] {
        for arguments in [&["--check"][..], &[]] {
            let output = command(&folder(&config)).args(arguments).output().unwrap();
            assert_eq!(output.status.code(), Some(2));
            assert_eq!(String::from_utf8(output.stderr).unwrap(), line);
        }
    }
}

#[test]
fn what_cannot_be_bound_is_said() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let config = CONFIG.replace(
        "address = \"127.0.0.1:0\"",
        &format!("address = \"{address}\""),
    );
    let output = command(&folder(&config)).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains(&format!("cannot listen on {address}: ")),
        "{said}"
    );
}

#[test]
fn it_reads_its_configuration_again_and_ends_in_order() {
    let mut running = Running::start();
    // A wrong one changes nothing.
    fs::write(
        running.folder.path().join("gateway.toml"),
        "server_name = 7",
    )
    .unwrap();
    running.signal("-HUP");
    let said = line_with(&mut running.log, "the old configuration stays");
    assert!(said.contains("gateway.toml:1: invalid type"), "{said}");
    let other = CONFIG.replace("drain_seconds = 1", "drain_seconds = 2");
    let other = format!("{other}[peers.\"hs2.example\"]\nbinding = \"grpc\"\n");
    fs::write(running.folder.path().join("gateway.toml"), other).unwrap();
    running.signal("-HUP");
    let said = line_with(&mut running.log, "these settings wait for a restart");
    assert!(said.contains("limits"), "{said}");
    // It answers all the while.
    let mut stream = TcpStream::connect(running.egress).unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 407 "), "{answer}");
    running.signal("-TERM");
    line_with(&mut running.log, "the gateway has ended");
    assert_eq!(running.ends(), Some(0));
}

#[test]
fn keys_are_kept_where_it_is_said() {
    let running = Running::with(&format!("{CONFIG}[keys]\nstore = \"keys.redb\"\n"));
    assert!(running.folder.path().join("keys.redb").exists());
    running.signal("-TERM");
    assert_eq!(running.ends(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut running = Running::start();
    // A request that is never finished is waited for.
    let mut stream = TcpStream::connect(running.egress).unwrap();
    stream
        .write_all(b"PUT matrix-federation://hs2.example/_matrix/federation/v1/send/1 HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Bearer a-secret\r\nContent-Length: 5\r\n\r\n")
        .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    running.signal("-INT");
    line_with(&mut running.log, "draining");
    running.signal("-TERM");
    line_with(&mut running.log, "ended at once");
    assert_eq!(running.ends(), Some(0));
}
