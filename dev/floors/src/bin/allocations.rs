//! How often the ingest of a transaction allocates: a program of its own, so that counting costs the timed passes nothing.
//!
//! Prints one line for each transaction: its number of events, and how many allocations and reallocations reading it took.
//! Which allocator is counted does not matter for the number.

use std::{alloc::System, hint::black_box};

use bytes::Bytes;
use comity_core::json::Object;
use comity_floors::bodies::{PDU, transaction};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    for pdus in [1, 2, 50, 500, 5_000] {
        let body = Bytes::from(transaction(pdus, pdus * PDU));
        let region = Region::new(COUNTED);
        let object = Object::parse(black_box(body.clone()), usize::MAX).expect("it is canonical");
        let events = object.array("pdus").expect("a transaction has them");
        black_box(events.map(black_box).count());
        let stats = region.change();
        println!("{pdus} {}", stats.allocations + stats.reallocations);
    }
}
