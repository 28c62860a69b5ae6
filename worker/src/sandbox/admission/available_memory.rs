//! The memory of the machine or the container.

use std::fs;

use super::cgroup;

/// Memory of a machine that does not say how much it has, in bytes.
const FALLBACK: u64 = 4 << 30;

/// The default budget for pictures, in bytes: three quarters of the memory of the machine, or of the lowest limit of
/// this process's control groups.
pub fn default_budget() -> u64 {
    [cgroup::memory_limit(), total_memory()].into_iter().flatten().min().unwrap_or(FALLBACK) / 4 * 3
}

fn total_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kibibytes << 10)
}
