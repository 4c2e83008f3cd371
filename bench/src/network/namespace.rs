//! A network namespace of our own, kept by a small process and gone with it.
//!
//! The process is `unshare --net cat`, which ends when its input does: at the drop, and as well if we are killed. So there is no name in the
//! file system that a killed run could leave, and no mount that a sandbox could forbid, as `ip netns add` would need.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read, Write},
    os::fd::AsFd,
    process::{Child, Command, Stdio},
    thread,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::NetworkError;

/// A network namespace. Processes are started in it by [`Namespace::command`]. When it is dropped it lives on only as long as they do.
#[derive(Debug)]
pub struct Namespace {
    holder: Child,
    link: File,
}

impl Namespace {
    /// A new one, empty but for a `lo` that is down.
    pub(super) fn new() -> Result<Self, NetworkError> {
        let mut holder = Command::new("unshare")
            .args(["--net", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| NetworkError::missing("unshare", source))?;
        // It is in its namespace when it answers.
        let answered = || -> io::Result<()> {
            let input = holder.stdin.as_mut().expect("its input is a pipe");
            input.write_all(b"\n")?;
            let output = holder.stdout.as_mut().expect("its output is a pipe");
            output.read_exact(&mut [0])
        }();
        let opened = answered.and_then(|()| File::open(link_of(holder.id())));
        match opened {
            Ok(link) => Ok(Self { holder, link }),
            Err(error) => {
                let _ = holder.kill();
                let words = holder.wait_with_output().map(|output| output.stderr);
                let words = String::from_utf8_lossy(words.as_deref().unwrap_or_default())
                    .trim()
                    .to_owned();
                Err(NetworkError::Namespace {
                    words: if words.is_empty() {
                        error.to_string()
                    } else {
                        words
                    },
                })
            }
        }
    }

    /// A command that runs `program` in this namespace, otherwise like any other: it becomes the program by `exec`, so that its process ID and
    /// its signals are the program's.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", link_of(self.holder.id())))
            .arg("--")
            .arg(program);
        command
    }

    /// Runs `work` on a thread in this namespace and waits for it: a socket that it opens stays in the namespace wherever it is used.
    ///
    /// # Errors
    /// The namespace cannot be entered.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, NetworkError> {
        thread::scope(|scope| {
            let entered = thread::Builder::new()
                .name("comity-net-enter".to_owned())
                .spawn_scoped(scope, || {
                    move_into_link_name_space(self.link.as_fd(), Some(LinkNameSpaceType::Network))?;
                    Ok(work())
                })
                .and_then(|thread| match thread.join() {
                    Ok(done) => done,
                    Err(panic) => std::panic::resume_unwind(panic),
                });
            entered.map_err(|source| NetworkError::System {
                what: "a network namespace could not be entered",
                source,
            })
        })
    }

    /// Runs the commands of `ip` in it, one a line.
    pub(super) fn configure(&self, commands: &str) -> Result<(), NetworkError> {
        let missing = |source| NetworkError::missing("nsenter", source);
        let mut child = self
            .command("ip")
            .args(["-batch", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(missing)?;
        let written = child
            .stdin
            .take()
            .expect("its input is a pipe")
            .write_all(commands.as_bytes());
        let output = child.wait_with_output().map_err(missing)?;
        if output.status.success() && written.is_ok() {
            return Ok(());
        }
        Err(NetworkError::Configure {
            words: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }

    /// Sets a value below `/proc/sys`, which shows a thread the values of its own namespace.
    pub(super) fn set(&self, name: &'static str, value: &str) -> Result<(), NetworkError> {
        self.within(|| fs::write(path_of(name), value))?
            .map_err(|source| NetworkError::Setting { name, source })
    }

    /// A value below `/proc/sys`.
    pub(super) fn setting(&self, name: &'static str) -> Result<String, NetworkError> {
        self.within(|| fs::read_to_string(path_of(name)))?
            .map_err(|source| NetworkError::Setting { name, source })
    }

    /// What the kernel counted on one of its devices; none if there is no such device.
    pub(super) fn device(&self, name: &str) -> Option<DeviceCounters> {
        let table = fs::read_to_string(format!("/proc/{}/net/dev", self.holder.id())).ok()?;
        DeviceCounters::find(&table, name)
    }

    /// TCP segments that were sent again in it so far: `RetransSegs` of RFC 4022. None: nobody keeps it any more.
    pub(crate) fn resent_segments(&self) -> Option<u64> {
        let table = fs::read_to_string(format!("/proc/{}/net/snmp", self.holder.id())).ok()?;
        counter(&table, "Tcp:", "RetransSegs")
    }

    /// ID of the process that keeps it.
    pub fn holder(&self) -> u32 {
        self.holder.id()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Nothing can be done about a failure: it would have ended by itself with its input.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

fn path_of(setting: &str) -> String {
    format!("/proc/sys/{}", setting.replace('.', "/"))
}

fn link_of(process: u32) -> String {
    format!("/proc/{process}/ns/net")
}

/// A counter of `/proc/net/snmp`, which has for each protocol a line of names and one of values.
fn counter(table: &str, protocol: &str, name: &str) -> Option<u64> {
    let mut lines = table.lines().filter(|line| line.starts_with(protocol));
    let (names, values) = (lines.next()?, lines.next()?);
    let place = names.split_whitespace().position(|other| other == name)?;
    values.split_whitespace().nth(place)?.parse().ok()
}

/// A line of `/proc/net/dev`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DeviceCounters {
    pub(super) bytes: u64,
    pub(super) packets: u64,
    /// Sent, but refused by the device.
    pub(super) refused: u64,
}

impl DeviceCounters {
    fn find(table: &str, device: &str) -> Option<Self> {
        let line = table
            .lines()
            .find_map(|line| line.trim().strip_prefix(device)?.strip_prefix(':'))?;
        // Eight columns of what was received, then: bytes, packets, errors, drops, and others.
        let mut sent = line.split_ascii_whitespace().skip(8).map(str::parse);
        let mut next = || sent.next()?.ok();
        let (bytes, packets, _errors, refused) = (next()?, next()?, next()?, next()?);
        Some(Self {
            bytes,
            packets,
            refused,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_of_a_protocol_is_found_by_its_name() {
        let table =
            "Ip: InReceives OutRequests\nIp: 1 2\nTcp: MaxConn OutSegs RetransSegs\nTcp: -1 40 7\n";
        assert_eq!(counter(table, "Tcp:", "RetransSegs"), Some(7));
        assert_eq!(counter(table, "Ip:", "OutRequests"), Some(2));
        assert_eq!(counter(table, "Tcp:", "MaxConn"), None);
        assert_eq!(counter(table, "Udp:", "RetransSegs"), None);
        assert_eq!(counter("Tcp: RetransSegs\n", "Tcp:", "RetransSegs"), None);
    }

    #[test]
    fn the_line_of_a_device_is_found_and_read() {
        let table = "Inter-|   Receive                                                |  Transmit\n \
            face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    \
            lo:  1 2 3 4 5 6 7 8 90 10 11 12 13 14 15 16\n  lo2: 0 0 0 0 0 0 0 0 5 6 7 8 0 0 0 0\n";
        let lo = DeviceCounters::find(table, "lo").unwrap();
        assert_eq!((lo.bytes, lo.packets, lo.refused), (90, 10, 12));
        let other = DeviceCounters::find(table, "lo2").unwrap();
        assert_eq!((other.bytes, other.packets, other.refused), (5, 6, 8));
        assert_eq!(DeviceCounters::find(table, "eth0"), None);
        assert_eq!(DeviceCounters::find("lo: 1 2", "lo"), None);
    }
}
