//! Processes: what is measured is mostly this program again, in a role, on a core of its own. What counts its heap is another program.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use rustix::{
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
    time::{ClockId, clock_gettime},
};

/// Which of the cores that we may use.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Core {
    /// For the process that is measured.
    Server,
    /// For the one that keeps it busy.
    Client,
}

/// Numbers of the cores that this process may use.
fn cores() -> Vec<usize> {
    sched_getaffinity(None).map_or_else(
        |_| Vec::new(),
        |set| {
            (0..CpuSet::MAX_CPU)
                .filter(|&cpu| set.is_set(cpu))
                .collect()
        },
    )
}

/// Keeps this process on one core, if there are two to choose from and the system lets it.
pub(crate) fn pin(core: Core) -> bool {
    let cores = cores();
    let [first, second, ..] = cores[..] else {
        return false;
    };
    let mut set = CpuSet::new();
    set.set(match core {
        Core::Server => first,
        Core::Client => second,
    });
    sched_setaffinity(None, &set).is_ok()
}

/// CPU time of this process so far: user and system, all threads. As `getrusage(RUSAGE_SELF)`, to the nanosecond.
pub(crate) fn process_cpu() -> Duration {
    duration(ClockId::ProcessCPUTime)
}

/// CPU time of this thread so far.
pub(crate) fn thread_cpu() -> Duration {
    duration(ClockId::ThreadCPUTime)
}

fn duration(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// This program in another role. Dropping it ends the process.
#[derive(Debug)]
pub(crate) struct Role {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Role {
    /// Starts it.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let program = std::env::current_exe().expect("the program knows where it is");
        let mut command = Command::new(program);
        command.arg("--role").args(arguments);
        Self::run(command)
    }

    /// Another program that speaks as a role does.
    pub(crate) fn run(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts itself");
        let input = child.stdin.take().expect("it is piped");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        Self {
            child,
            input,
            output,
        }
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it is text");
        assert!(!line.is_empty(), "a process in another role ended early");
        line.trim_end().to_owned()
    }

    /// The next line, a number.
    pub(crate) fn number(&mut self) -> u64 {
        let line = self.line();
        line.parse().expect("it prints numbers here")
    }

    /// The port on which it listens, which is the first that a server prints.
    pub(crate) fn port(&mut self) -> u16 {
        u16::try_from(self.number()).expect("it tells its port")
    }

    /// Its CPU time so far, if it is a server.
    pub(crate) fn cpu(&mut self) -> Duration {
        Duration::from_nanos(self.ask("cpu"))
    }

    /// The number that it answers a word with.
    pub(crate) fn ask(&mut self, word: &str) -> u64 {
        writeln!(self.input, "{word}").expect("it reads");
        self.number()
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server's side of [`Role`]: tells its port, then its CPU time as often as it is asked. Ends with the parent.
pub(crate) fn report_cpu(port: u16) {
    println!("{port}");
    std::thread::spawn(|| {
        for line in std::io::stdin().lines() {
            if line.is_err() {
                break;
            }
            println!("{}", process_cpu().as_nanos());
        }
        std::process::exit(0);
    });
}
