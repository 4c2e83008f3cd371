//! Networks, as they come about here: real namespaces and devices where root allows.

#![allow(clippy::unwrap_used, unreachable_pub)]

use comity_bench::{
    model::NETWORKS,
    network::{Emulated, self_test},
};

#[test]
fn probe() {
    for network in &NETWORKS {
        let began = std::time::Instant::now();
        match Emulated::open(network, 1) {
            Ok(opened) => println!(
                "{} {:?} opened in {:?}, cpu {:?} {:?} {:?}",
                network.name,
                opened.taken_off(),
                began.elapsed(),
                opened.pump_cpu(),
                opened.counters(),
                opened.drops(),
            ),
            Err(error) => println!("{error:?}"),
        }
    }
}
#[test]
fn selft() {
    for network in &NETWORKS {
        let began = std::time::Instant::now();
        println!("{:#?} {:?}", self_test(network, 1), began.elapsed());
    }
}
