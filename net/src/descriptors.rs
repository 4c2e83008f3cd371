//! How many files and sockets the process may have open.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit on open files (`RLIMIT_NOFILE`) to the hard one, and says how many may be open from then on; `None` is without limit. Service managers and shells leave
/// the soft limit at 1,024 for the sake of programs that use select(2); a server that holds connections needs more.
///
/// A program calls it once at its start: it is a setting of the whole process, which child processes inherit.
///
/// # Errors
///
/// If the operating system refuses.
pub fn raise_descriptor_limit() -> io::Result<Option<u64>> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, raised)?;
    Ok(maximum)
}
