//! A gateway whose heap is counted: a program of its own, so that counting costs the timed passes nothing.
//!
//! Takes the file of its configuration. Prints `ready`; then answers `idle` with what is resident in KiB and what of the heap is in use in bytes, and `peak` with the
//! most of both since then. The heap is looked at ten times a millisecond.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use cap::Cap;
use comity_floors::memory::{memory_kib, reset_peak};
use comity_gateway::{Config, Gateway};
use mimalloc::MiMalloc;

#[global_allocator]
static HEAP: Cap<MiMalloc> = Cap::new(MiMalloc, usize::MAX);

/// The most of the heap that was seen in use.
static MOST: AtomicUsize = AtomicUsize::new(0);

/// Whether the heap is looked at.
static LOOKING: AtomicBool = AtomicBool::new(false);

fn main() {
    let file = std::env::args().nth(1).expect("the file of a gateway");
    let text = std::fs::read_to_string(&file).expect("it is there");
    let config = Config::read(&file, &text).expect("it is right");
    std::thread::spawn(|| {
        loop {
            if LOOKING.load(Ordering::Relaxed) {
                MOST.fetch_max(HEAP.allocated(), Ordering::Relaxed);
            }
            std::thread::sleep(Duration::from_micros(100));
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime starts");
    runtime.block_on(async {
        let gateway = Gateway::start(config, Vec::new(), None).await;
        let _gateway = gateway.expect("its ports are free");
        println!("ready");
        std::thread::spawn(answer);
        std::future::pending().await
    })
}

/// Answers until the parent is gone.
fn answer() {
    for line in std::io::stdin().lines() {
        let (field, heap) = match line.as_deref() {
            Ok("idle") => {
                reset_peak().expect("a process may look at itself");
                let now = HEAP.allocated();
                MOST.store(now, Ordering::Relaxed);
                LOOKING.store(true, Ordering::Relaxed);
                ("VmRSS:", now)
            }
            Ok(_) => ("VmHWM:", MOST.load(Ordering::Relaxed)),
            Err(_) => break,
        };
        println!("{}", memory_kib(field).expect("the system tells"));
        println!("{heap}");
    }
    std::process::exit(0);
}
