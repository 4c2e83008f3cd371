//! Where it is measured, and of which commit.

use std::{env, fs, num::NonZero, thread};

use crate::{child::kibibytes, model::Machine};

/// The commit that this program was built from, `-dirty` behind it if something that is committed was changed then; `unknown` if it was not built from a repository.
pub(crate) const COMMIT: &str = env!("COMITY_BENCH_COMMIT");

/// This machine. The load is what it is now, before and after.
pub(crate) fn machine() -> Machine {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let load = load();
    Machine {
        processor: processor(&read("/proc/cpuinfo")),
        cores: thread::available_parallelism().map_or(1, NonZero::get),
        memory: kibibytes(&read("/proc/meminfo"), "MemTotal:") * 1024,
        kernel: rustix::system::uname()
            .release()
            .to_string_lossy()
            .into_owned(),
        compiler: env!("COMITY_BENCH_COMPILER").to_owned(),
        load: (load, load),
    }
}

/// Load average of the last minute.
pub(crate) fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split_whitespace().next();
    first.and_then(|first| first.parse().ok()).unwrap_or(0.0)
}

/// The processor's name. ARM's has a number alone.
fn processor(cpuinfo: &str) -> String {
    let field = |name: &str| {
        let mut lines = cpuinfo.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'));
        value.map(|value| value.trim().to_owned())
    };
    field("model name")
        .or_else(|| Some(format!("{} part {}", env::consts::ARCH, field("CPU part")?)))
        .unwrap_or_else(|| env::consts::ARCH.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_has_a_name() {
        assert_eq!(
            processor("processor\t: 0\nmodel name\t: Fast One @ 3 GHz\n"),
            "Fast One @ 3 GHz"
        );
        assert!(processor("CPU part\t: 0xd40\n").ends_with("part 0xd40"));
        assert_eq!(processor(""), env::consts::ARCH);
    }

    #[test]
    fn this_machine_has_memory_and_a_kernel() {
        let machine = machine();
        assert!(machine.memory > 0 && machine.cores > 0);
        assert!(!machine.kernel.is_empty());
        assert!(
            machine.compiler.starts_with("rustc "),
            "{}",
            machine.compiler
        );
    }
}
