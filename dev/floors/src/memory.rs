//! Memory of this process: what is resident, as the system tells it, and the most of the heap that was in use.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

/// What a process has, or had at the most.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// What is resident, in KiB.
    pub resident: u64,
    /// What of the heap is in use, in bytes.
    pub heap: usize,
}

/// The most of the heap that was seen in use, looked at ten times a millisecond.
#[derive(Debug)]
pub struct Peak {
    /// What of the heap is in use, in bytes.
    heap: fn() -> usize,
    most: AtomicUsize,
    looking: AtomicBool,
}

impl Peak {
    /// Of the heap of which `heap` tells how much is in use, in bytes.
    pub const fn new(heap: fn() -> usize) -> Self {
        Self {
            heap,
            most: AtomicUsize::new(0),
            looking: AtomicBool::new(false),
        }
    }

    /// Starts the thread that looks, once there is something to see.
    pub fn watch(&'static self) {
        std::thread::spawn(|| {
            loop {
                if self.looking.load(Ordering::Relaxed) {
                    self.most.fetch_max((self.heap)(), Ordering::Relaxed);
                }
                std::thread::sleep(Duration::from_micros(100));
            }
        });
    }

    /// Begins to look; what there is now.
    ///
    /// # Panics
    /// The system does not let a process look at itself.
    pub fn begin(&self) -> Memory {
        // proc_pid_clear_refs(5): 5 sets the peak (`VmHWM`) back to what is resident now.
        std::fs::write("/proc/self/clear_refs", "5").expect("a process may look at itself");
        let resident = resident("VmRSS:");
        let heap = (self.heap)();
        self.most.store(heap, Ordering::Relaxed);
        self.looking.store(true, Ordering::Relaxed);
        Memory { resident, heap }
    }

    /// The most of both since then.
    ///
    /// # Panics
    /// The system does not let a process look at itself.
    pub fn most(&self) -> Memory {
        Memory {
            resident: resident("VmHWM:"),
            heap: self.most.load(Ordering::Relaxed),
        }
    }
}

/// A field of `/proc/self/status`, in KiB.
fn resident(field: &str) -> u64 {
    let status =
        std::fs::read_to_string("/proc/self/status").expect("a process may look at itself");
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let number = line.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok());
    number.expect("the system tells")
}
