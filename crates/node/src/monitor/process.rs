//! What the operating system says of this process, where it has `/proc`.

/// Memory in use, in bytes (proc_pid_status(5), `VmRSS` in KiB).
pub(super) fn resident_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = resident.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// File descriptors in use, that of this look aside.
pub(super) fn open_file_descriptors() -> Option<usize> {
    std::fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count().saturating_sub(1))
}
