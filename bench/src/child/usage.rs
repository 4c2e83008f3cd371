//! What this process uses: CPU and memory, as the kernel counts them.

use std::fs;

use rustix::time::{ClockId, clock_gettime};

use crate::model::Process;

/// Memory before anything is done: where the peak begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Idle {
    resident: u64,
    /// Whether the peak began anew.
    anew: bool,
}

impl Idle {
    /// Now.
    pub(crate) fn now() -> Self {
        // proc_pid_clear_refs(5): 5 sets the peak back to what is resident now. Where it cannot be written the peak is that of the whole life, which is said.
        let anew = fs::write("/proc/self/clear_refs", "5").is_ok();
        Self {
            resident: resident(),
            anew,
        }
    }

    /// What was used since, and of CPU since `cpu` had been used.
    pub(crate) fn used(self, cpu_before: f64) -> Process {
        Process {
            cpu: cpu() - cpu_before,
            idle: self.resident,
            peak: status("VmHWM:").max(self.resident),
            peak_of_life: !self.anew,
        }
    }
}

/// Seconds of CPU, user and system, of all threads, also of those that have ended: what getrusage(2) adds up, to the nanosecond.
pub(crate) fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Bytes of resident memory.
pub(crate) fn resident() -> u64 {
    status("VmRSS:")
}

/// A size of /proc/self/status in bytes; zero where there is no such line.
fn status(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    kibibytes(&text, name) * 1024
}

/// The number of a line `name:   1234 kB`.
pub(crate) fn kibibytes(text: &str, name: &str) -> u64 {
    let mut lines = text.lines();
    let line = lines.find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::{env, process::Command};

    use super::*;

    /// In a process that does nothing else: what other tests hold and give back would be in the figures.
    #[test]
    fn work_and_memory_are_seen() {
        let (_, here) = module_path!().split_once("::").unwrap();
        let test = format!("{here}::work_and_memory_of_this_process");
        let alone = Command::new(env::current_exe().unwrap())
            .args(["--exact", &test, "--ignored"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&alone.stdout);
        let passed = alone.status.success() && said.contains(" 1 passed");
        assert!(passed, "{said}{}", String::from_utf8_lossy(&alone.stderr));
    }

    #[test]
    #[ignore = "`work_and_memory_are_seen` runs it, in a process of its own"]
    fn work_and_memory_of_this_process() {
        let (idle, before) = (Idle::now(), cpu());
        let block = std::hint::black_box(vec![1_u8; 64 << 20]);
        let mut sum = 0_u64;
        for round in 0..3_u64 {
            sum = block.iter().fold(sum ^ round, |sum, byte| {
                std::hint::black_box(sum.wrapping_mul(31).wrapping_add(u64::from(*byte)))
            });
        }
        std::hint::black_box(sum);
        drop(block);
        let used = idle.used(before);
        assert!(used.cpu > 0.0, "{used:?}");
        assert!(used.peak >= used.idle + (60 << 20), "{used:?}");
        // What an earlier measurement reached is not this one's, or it says so.
        let again = Idle::now().used(cpu());
        assert!(
            again.peak < used.peak || again.peak_of_life,
            "{again:?} {used:?}"
        );
    }

    #[test]
    fn a_line_is_found_by_its_name() {
        let text = "VmHWM:\t  1024 kB\nVmRSS:\t   512 kB\n";
        assert_eq!(kibibytes(text, "VmRSS:"), 512);
        assert_eq!(kibibytes(text, "VmSwap:"), 0);
    }
}
