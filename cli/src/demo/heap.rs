//! How much heap is in use.

use cap::Cap;
use mimalloc::MiMalloc;

/// Events are small allocations, made on one thread and freed on another: what mimalloc is made for. Counted, so that the demo can say
/// what a large join needs.
#[global_allocator]
static ALLOCATOR: Cap<MiMalloc> = Cap::new(MiMalloc, usize::MAX);

/// The most that was in use above what was in use at first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peak {
    at_first: usize,
    most: usize,
}

impl Peak {
    pub(crate) fn begin() -> Self {
        let now = ALLOCATOR.allocated();
        Self {
            at_first: now,
            most: now,
        }
    }

    /// Looks.
    pub(crate) fn sample(&mut self) {
        self.most = self.most.max(ALLOCATOR.allocated());
    }

    /// In bytes, as far as it was looked at.
    pub(crate) fn above(self) -> usize {
        self.most - self.at_first
    }
}
