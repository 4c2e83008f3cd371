//! ruma's types for the Federation API against ours: what one writes the other reads, with its signature, and what comes back is the same.
//!
//! `exchanges` has one entry for each operation that both know, `differences` the list of what is known to differ and why. A
//! difference that is not listed fails the test, as does a listed one that is not there, an operation of the table without an entry, and
//! an entry that ruma knows better than its list of unknown operations says.
//!
//! Both directions are one round trip: our request is signed by our key, verified and read by ruma, written and signed by ruma, verified
//! and read by us, and compared with the first. So are replies, without signatures.

#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml exempts test functions, not what they call"
)]

mod credentials;
mod differences;
mod exchanges;
mod round_trip;

use std::collections::BTreeSet;

use comity_core::Operations;

use differences::{DIFFERENCES, NOT_IN_RUMA};

#[tokio::test]
async fn every_operation_that_both_know_crosses_ruma_but_for_the_listed_differences() {
    let mut found = BTreeSet::new();
    for exchange in exchanges::all() {
        found.extend(exchange.run().await);
    }
    let listed: BTreeSet<String> = DIFFERENCES
        .iter()
        .map(|(what, _)| (*what).to_owned())
        .collect();
    let unlisted: Vec<_> = found.difference(&listed).collect();
    let vanished: Vec<_> = listed.difference(&found).collect();
    assert!(
        unlisted.is_empty() && vanished.is_empty(),
        "unlisted: {unlisted:#?}\nlisted, and not there: {vanished:#?}"
    );
}

#[test]
fn every_operation_of_the_table_has_an_entry_or_is_none_of_ruma_s() {
    let entries: Vec<&str> = exchanges::all()
        .iter()
        .map(|exchange| exchange.operation())
        .collect();
    for operation in Operations::federation().iter() {
        let name = operation.spec().name;
        let unknown = NOT_IN_RUMA.iter().any(|(unknown, _)| *unknown == name);
        let entries = entries.iter().filter(|entry| **entry == name).count();
        assert_eq!(entries, usize::from(!unknown), "{name}");
    }
}
