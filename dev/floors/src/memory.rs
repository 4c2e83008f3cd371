//! Resident memory of this process, as the system tells it.

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
