//! What the worker grants a child for one order: memory and processor time, set from outside, so that a child that an
//! attacker has taken over cannot change it.

use std::{io, time::Duration};

/// Bounds of one order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Address space beside what the child has already, in bytes.
    pub memory: u64,
    /// Processor time of all its threads together.
    pub processor: Duration,
}

#[cfg(target_os = "linux")]
pub(super) use linux::{apply, processor_time};
#[cfg(not(target_os = "linux"))]
pub(super) use other::{apply, processor_time};

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;

    use rustix::{
        param::{clock_ticks_per_second, page_size},
        process::{Pid, Resource, Rlimit, getrlimit, prlimit},
    };

    use super::{Duration, Grant, io};

    /// Limits a child that waits for an order. Only the soft limits move: raising hard ones is a privilege. The child
    /// cannot move either, where seccomp is.
    pub(in super::super) fn apply(pid: u32, grant: Grant) -> io::Result<()> {
        let memory = address_space(pid)?.saturating_add(grant.memory);
        // The kernel counts whole seconds: one more, lest the limit is passed already.
        let seconds = (processor_time(pid)? + grant.processor).as_secs() + 1;
        let pid = process(pid)?;
        limit(pid, Resource::As, memory)?;
        limit(pid, Resource::Cpu, seconds)
    }

    fn limit(pid: Pid, resource: Resource, to: u64) -> io::Result<()> {
        // The child has this process's hard limit.
        let maximum = getrlimit(resource).maximum;
        let current = Some(maximum.map_or(to, |maximum| maximum.min(to)));
        prlimit(Some(pid), resource, Rlimit { current, maximum })?;
        Ok(())
    }

    /// Processor time a child has used, in all of its threads.
    pub(in super::super) fn processor_time(pid: u32) -> io::Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The second field is a name in parentheses, with anything in it; utime and stime are the 14th and 15th.
        let fields = stat.rsplit_once(')').map(|(_, fields)| fields.split_ascii_whitespace());
        let ticks: u64 = fields.into_iter().flatten().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
        Ok(Duration::from_millis(ticks * 1000 / clock_ticks_per_second()))
    }

    fn address_space(pid: u32) -> io::Result<u64> {
        let statm = fs::read_to_string(format!("/proc/{pid}/statm"))?;
        let pages = statm.split_ascii_whitespace().next().and_then(|pages| pages.parse::<u64>().ok());
        let pages = pages.ok_or_else(|| io::Error::other("statm has no size"))?;
        Ok(pages * page_size() as u64)
    }

    fn process(pid: u32) -> io::Result<Pid> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        pid.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))
    }
}

#[cfg(not(target_os = "linux"))]
mod other {
    use super::{Duration, Grant, io};

    /// Only Linux limits another process: elsewhere the deadline alone bounds a child.
    #[allow(clippy::unnecessary_wraps)] // as on Linux
    pub(in super::super) fn apply(_: u32, _: Grant) -> io::Result<()> {
        Ok(())
    }

    #[allow(clippy::unnecessary_wraps)] // as on Linux
    pub(in super::super) fn processor_time(_: u32) -> io::Result<Duration> {
        Ok(Duration::MAX)
    }
}
