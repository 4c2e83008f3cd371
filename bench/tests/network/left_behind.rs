//! Nothing is left of a network: no namespace, no process, no thread, whether it was dropped or its process killed.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use comity_bench::network::{Emulated, Loopback, Namespace, delayed};

use super::{PATIENCE, delayed::AtOnce, is_started_by_a_test, network, open, this_program};

/// `net:[…]` of a process.
fn namespace_of(process: impl std::fmt::Display) -> Option<String> {
    let link = fs::read_link(format!("/proc/{process}/ns/net")).ok()?;
    Some(link.to_str()?.to_owned())
}

/// Whether any process is in it.
fn is_left(namespace: &str) -> bool {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.to_owned()))
        .any(|process| namespace_of(process).as_deref() == Some(namespace))
}

fn soon(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Threads of this process that belong to a network.
fn threads() -> Vec<String> {
    fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("comm")).ok())
        .filter(|name| name.starts_with("comity-net"))
        .collect()
}

fn holders(sides: &[&Namespace]) -> Vec<(u32, String)> {
    let of = |side: &&Namespace| (side.holder(), namespace_of(side.holder()).unwrap());
    sides.iter().map(of).collect()
}

/// In a process of its own, as its threads are looked at.
#[test]
#[ignore = "a process that another test starts"]
fn opens_and_drops() {
    if !is_started_by_a_test() {
        return;
    }
    let host = namespace_of("self").unwrap();
    for delay in [0.000_2, 0.1] {
        let opened = Emulated::open(&network(delay, 0.0, None), 1).unwrap();
        let of = holders(&[opened.client(), opened.server()]);
        assert_eq!(threads().len(), 2, "{:?}", threads());
        assert!(
            of.iter()
                .all(|(_, namespace)| is_left(namespace) && *namespace != host)
        );
        drop(opened);
        assert_eq!(threads().len(), 0, "{:?}", threads());
        for (process, namespace) in of {
            assert!(!Path::new(&format!("/proc/{process}")).exists());
            assert!(!is_left(&namespace));
        }
    }
    let opened = Loopback::open().unwrap();
    let of = holders(&[opened.server()]);
    drop(opened);
    assert!(!is_left(&of[0].1));
    let transport = delayed(Arc::new(AtOnce), &network(0.1, 0.0, None));
    soon("the thread of a delay", || threads().len() == 1);
    drop(transport);
    soon("the end of a delay's thread", || threads().is_empty());
}

#[test]
fn a_dropped_network_leaves_nothing() {
    if open(&network(0.0, 0.0, None), 1).is_none() {
        return;
    }
    let output = this_program(&[], "left_behind::opens_and_drops")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
#[ignore = "a process that another test starts"]
fn opens_and_waits() {
    if !is_started_by_a_test() {
        return;
    }
    let opened = Emulated::open(&network(0.1, 0.0, None), 1).unwrap();
    for (process, namespace) in holders(&[opened.client(), opened.server()]) {
        println!("holder {process} {namespace}");
    }
    println!("opened");
    // Until it is killed.
    let _ = std::io::stdin().read(&mut [0]);
}

#[test]
fn a_killed_process_leaves_nothing() {
    if open(&network(0.0, 0.0, None), 1).is_none() {
        return;
    }
    let mut child: Child = this_program(&[], "left_behind::opens_and_waits")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let said: Vec<String> = lines
        .map(Result::unwrap)
        .take_while(|line| line != "opened")
        .collect();
    let namespaces: Vec<&str> = said
        .iter()
        .filter_map(|line| line.split_once("holder ")?.1.split_once(' '))
        .map(|(_, namespace)| namespace)
        .collect();
    assert_eq!(namespaces.len(), 2, "{said:?}");
    assert!(namespaces.iter().all(|namespace| is_left(namespace)));
    child.kill().unwrap();
    child.wait().unwrap();
    for namespace in namespaces {
        soon("the end of a namespace", || !is_left(namespace));
    }
}
