//! Networks, as they come about here: real namespaces and devices where root allows. Where not, a test says that it was skipped.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod delayed;
mod fallback;
mod left_behind;
mod link;
mod measured;

use std::{process::Command, time::Duration};

use comity_bench::{model::Network, network::Emulated};

/// Longer than anything takes on a machine that is not stuck.
const PATIENCE: Duration = Duration::from_secs(60);

fn network(delay: f64, loss: f64, rate: Option<f64>) -> Network {
    Network {
        name: "test",
        delay,
        loss,
        rate,
    }
}

/// None, and a word about it, where networks cannot be emulated.
fn open(network: &Network, seed: u64) -> Option<Emulated> {
    match Emulated::open(network, seed) {
        Ok(opened) => Some(opened),
        Err(error) => {
            println!("skipped: {error}");
            None
        }
    }
}

/// This program, to run one of its ignored tests, with the program that is to start it in front.
fn this_program(starter: &[&str], test: &str) -> Command {
    let program = std::env::current_exe().unwrap();
    let mut command = match starter {
        [] => Command::new(program),
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(program);
            command
        }
    };
    command.args(["--ignored", "--exact", "--nocapture", test]);
    command.env(STARTED, "1");
    command
}

/// Whether another test started this process, rather than someone all ignored tests.
fn is_started_by_a_test() -> bool {
    std::env::var_os(STARTED).is_some()
}

const STARTED: &str = "COMITY_STARTED_BY_A_TEST";
