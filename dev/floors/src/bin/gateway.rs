//! A gateway whose heap is counted: a program of its own, so that counting costs the timed passes nothing.
//!
//! Takes the file of its configuration. Prints `ready`; then answers `idle` with what is resident in KiB and what of the heap is in use in bytes, and `peak` with the
//! most of both since then. The heap is looked at ten times a millisecond.

use cap::Cap;
use comity_floors::{gateways::start, memory::Peak, setting::runtime};
use mimalloc::MiMalloc;

#[global_allocator]
static HEAP: Cap<MiMalloc> = Cap::new(MiMalloc, usize::MAX);

static PEAK: Peak = Peak::new(|| HEAP.allocated());

fn main() {
    let file = std::env::args().nth(1).expect("the file of a gateway");
    PEAK.watch();
    runtime().block_on(async {
        let _gateway = start(&file).await;
        std::thread::spawn(answer);
        std::future::pending().await
    })
}

/// Answers until the parent is gone.
fn answer() {
    for line in std::io::stdin().lines() {
        let memory = match line.as_deref() {
            Ok("idle") => PEAK.begin(),
            Ok(_) => PEAK.most(),
            Err(_) => break,
        };
        println!("{}\n{}", memory.resident, memory.heap);
    }
    std::process::exit(0);
}
