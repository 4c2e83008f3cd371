//! Memory of this process: what is resident, as the system tells it, and the most of the heap that was in use.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

/// A field of `/proc/self/status`, in KiB.
pub fn memory_kib(field: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(field))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Sets the peak of resident memory (`VmHWM`) back to what is resident now.
///
/// # Errors
/// The system does not let a process do so.
pub fn reset_peak() -> std::io::Result<()> {
    std::fs::write("/proc/self/clear_refs", "5")
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

    /// Begins to look; what is in use now, in bytes.
    pub fn begin(&self) -> usize {
        let now = (self.heap)();
        self.most.store(now, Ordering::Relaxed);
        self.looking.store(true, Ordering::Relaxed);
        now
    }

    /// The most since then, in bytes.
    pub fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }
}
