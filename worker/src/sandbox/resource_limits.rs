//! Memory and CPU time of a child for one request. The worker sets them from outside (`prlimit`), so that a child under
//! an attacker's control cannot change them.

use std::{io, time::Duration};

/// Limits of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceLimits {
    /// Address space (`RLIMIT_AS`) besides what the child has already, in bytes.
    pub memory: u64,
    /// Length of the files of all renditions together, in bytes.
    pub renditions: u64,
    /// CPU time of all its threads together (`RLIMIT_CPU`).
    pub cpu_time: Duration,
}

#[cfg(target_os = "linux")]
pub(super) use linux::{address_space, apply, cpu_time};
#[cfg(not(target_os = "linux"))]
pub(super) use other::{address_space, apply, cpu_time};

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;

    use rustix::{
        param::{clock_ticks_per_second, page_size},
        process::{Pid, Resource, Rlimit, getrlimit, prlimit},
    };

    use super::{Duration, ResourceLimits, io};

    /// Sets the limits of a child that waits for a request. Only the soft limits change, because raising a hard limit
    /// needs a privilege. seccomp keeps the child from changing either.
    pub(in super::super) fn apply(pid: u32, limits: ResourceLimits) -> io::Result<()> {
        let memory = address_space(pid)?.saturating_add(limits.memory);
        // The kernel counts whole seconds; rounding down could set a limit that is exceeded already.
        let seconds = (cpu_time(pid)? + limits.cpu_time).as_secs() + 1;
        let pid = parse_pid(pid)?;
        limit(pid, Resource::As, memory)?;
        limit(pid, Resource::Cpu, seconds)
    }

    fn limit(pid: Pid, resource: Resource, to: u64) -> io::Result<()> {
        // The child inherited this process's hard limit.
        let maximum = getrlimit(resource).maximum;
        let current = Some(maximum.map_or(to, |maximum| maximum.min(to)));
        prlimit(Some(pid), resource, Rlimit { current, maximum })?;
        Ok(())
    }

    /// CPU time that a child has used in all of its threads.
    pub(in super::super) fn cpu_time(pid: u32) -> io::Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // proc_pid_stat(5): the second field is a name in parentheses, which may contain spaces and parentheses; utime
        // and stime are the 14th and 15th.
        let fields = stat.rsplit_once(')').map(|(_, fields)| fields.split_ascii_whitespace());
        let ticks: u64 = fields.into_iter().flatten().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
        Ok(Duration::from_millis(ticks * 1000 / clock_ticks_per_second()))
    }

    /// Size of a child's address space, in bytes.
    pub(in super::super) fn address_space(pid: u32) -> io::Result<u64> {
        let statm = fs::read_to_string(format!("/proc/{pid}/statm"))?;
        let pages = statm.split_ascii_whitespace().next().and_then(|pages| pages.parse::<u64>().ok());
        let pages = pages.ok_or_else(|| io::Error::other("statm has no size"))?;
        Ok(pages * page_size() as u64)
    }

    fn parse_pid(pid: u32) -> io::Result<Pid> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        pid.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))
    }
}

#[cfg(not(target_os = "linux"))]
mod other {
    use super::{Duration, ResourceLimits, io};

    /// Only Linux can limit another process; elsewhere a child has its deadline alone.
    #[expect(clippy::unnecessary_wraps, reason = "same signature as on Linux")]
    pub(in super::super) fn apply(_: u32, _: ResourceLimits) -> io::Result<()> {
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "same signature as on Linux")]
    pub(in super::super) fn cpu_time(_: u32) -> io::Result<Duration> {
        Ok(Duration::MAX)
    }

    #[expect(clippy::unnecessary_wraps, reason = "same signature as on Linux")]
    pub(in super::super) fn address_space(_: u32) -> io::Result<u64> {
        Ok(0)
    }
}
