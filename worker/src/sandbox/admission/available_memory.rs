//! The memory of the machine or the container.

use std::fs;

/// Memory of a machine that does not say how much it has, in bytes.
const FALLBACK: u64 = 4 << 30;

/// The limit of the control group, version 2 and version 1.
const CGROUP_LIMITS: [&str; 2] = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];

/// The default budget for pictures, in bytes: three quarters of the memory of the machine or the container.
pub fn default_budget() -> u64 {
    [cgroup_limit(), total_memory()].into_iter().flatten().min().unwrap_or(FALLBACK) / 4 * 3
}

fn cgroup_limit() -> Option<u64> {
    CGROUP_LIMITS.into_iter().find_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok())
}

fn total_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kibibytes << 10)
}
