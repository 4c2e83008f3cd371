//! How children end: none outlives its parent.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// On a machine that is busy with something else.
const SOON: Duration = Duration::from_secs(60);

fn child(name: &str) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["bench-child", name, "client"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Its exit code, if it ends by itself.
fn end(mut child: Child) -> Option<i32> {
    let begun = Instant::now();
    while begun.elapsed() < SOON {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    None
}

pub fn with_its_parent() {
    let mut child = child("memory");
    drop(child.stdin.take());
    assert_eq!(end(child), Some(0));
}

pub fn with_its_parent_while_busy() {
    let mut child = child("memory");
    let mut orders = child.stdin.take().unwrap();
    orders.write_all(b"\"Judge\"\n").unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    answers.read_line(&mut first).unwrap();
    assert!(first.contains("Judging"), "{first}");
    drop(orders);
    assert_eq!(end(child), Some(0));
}

pub fn without_a_subject() {
    let child = child("nobody");
    assert_eq!(end(child), Some(2));
}
