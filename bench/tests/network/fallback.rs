//! Where a network cannot be emulated, what is missing is said, and the delay within the client measured instead.

use std::{os::unix::fs::symlink, process::Command};

use comity_bench::{
    model::{Emulation, NETWORKS, NetworkCheck},
    network::{Emulated, self_test},
};

use super::{is_started_by_a_test, network, open, this_program};

#[test]
#[ignore = "a process that another test starts"]
fn says_what_is_missing() {
    if !is_started_by_a_test() {
        return;
    }
    let error = Emulated::open(&NETWORKS[2], 1).unwrap_err();
    println!("error: {error}");
    println!("variant: {error:?}");
    let check = serde_json::to_string(&self_test(&network(0.01, 0.02, None), 1)).unwrap();
    println!("check: {check}");
}

/// What the process said; none if it could not be started as it was to be.
fn said(command: &mut Command) -> Option<(String, String, NetworkCheck)> {
    let output = command.output().ok()?;
    let text = String::from_utf8(output.stdout).unwrap();
    let line = |name: &str| Some(text.split_once(name)?.1.lines().next()?.to_owned());
    let (Some(error), Some(variant), Some(check)) =
        (line("error: "), line("variant: "), line("check: "))
    else {
        println!(
            "skipped: {text} {}",
            String::from_utf8_lossy(&output.stderr)
        );
        return None;
    };
    Some((error, variant, serde_json::from_str(&check).unwrap()))
}

/// The error names it, and so does the self-test, which has measured the delay within the client.
fn names(found: Option<(String, String, NetworkCheck)>, kind: &str, what: &str) {
    let Some((error, variant, check)) = found else {
        return;
    };
    assert!(variant.starts_with(kind), "{variant}");
    assert!(error.contains(what), "{error}");
    assert!(check.note.unwrap().contains(what));
    assert_eq!(check.emulation, Emulation::InProcess);
    let [delay] = &check.measured[..] else {
        panic!("{:?}", check.measured)
    };
    assert!(delay.measured > 0.009, "{delay:?}");
    assert_eq!(delay.name, "delay");
}

const TEST: &str = "fallback::says_what_is_missing";

#[test]
fn root_is_named() {
    let nobody = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "--inh-caps=-all",
    ];
    let starter: &[&str] = if rustix::process::geteuid().is_root() {
        &nobody
    } else {
        &[]
    };
    names(said(&mut this_program(starter, TEST)), "Namespace", "root");
}

#[test]
fn a_missing_program_is_named() {
    let found = said(this_program(&[], TEST).env("PATH", "/nonexistent"));
    names(found, "Missing", "unshare");
}

#[test]
fn a_missing_ip_is_named() {
    if open(&network(0.0, 0.0, None), 1).is_none() {
        return;
    }
    let programs = tempfile::tempdir().unwrap();
    for program in ["unshare", "nsenter", "cat"] {
        let path = Command::new("sh")
            .args(["-c", &format!("command -v {program}")])
            .output()
            .unwrap()
            .stdout;
        let path = String::from_utf8(path).unwrap();
        symlink(path.trim(), programs.path().join(program)).unwrap();
    }
    let found = said(this_program(&[], TEST).env("PATH", programs.path()));
    names(found, "Configure", "`ip`");
}

#[test]
fn a_missing_device_is_named() {
    if open(&network(0.0, 0.0, None), 1).is_none() {
        return;
    }
    let hidden = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        "mount --bind /dev/null /dev/net/tun && exec \"$0\" \"$@\"",
    ];
    names(
        said(&mut this_program(&hidden, TEST)),
        "Tun",
        "/dev/net/tun",
    );
}
