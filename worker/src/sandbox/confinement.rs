//! What a render child gives up irrevocably before it reads the first untrusted byte.
//!
//! | what | by | on a kernel without it |
//! |---|---|---|
//! | files, TCP, abstract sockets and signals to others | Landlock (Linux 5.13 and later, by the kernel's version) | seccomp and the limits remain |
//! | every system call except those for memory, threads, time and the open socket | seccomp with an allow-list; all others return EPERM | Landlock and the limits remain |
//! | new privileges | `no_new_privs` | |
//! | open files, written bytes, core dumps | `RLIMIT_NOFILE`, `RLIMIT_FSIZE`, `RLIMIT_CORE` | |
//! | outliving the worker | `PR_SET_PDEATHSIG`; the end of the socket | the end of the socket |
//!
//! The worker limits memory and CPU time for each request: see [`super::resource_limits`].

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};

/// Which parts of the confinement the kernel supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// No file can be opened.
    pub landlock: bool,
    /// Only the listed system calls work.
    pub seccomp: bool,
}

/// Confines this process. Call it while there is one thread. The result says which of Landlock and seccomp the kernel
/// lacks.
///
/// # Errors
/// The kernel refused one of the measures that every kernel has. The process must exit.
pub(super) fn confine() -> io::Result<Confinement> {
    limit(Resource::Fsize, 0)?;
    limit(Resource::Core, 0)?;
    kernel::confine()
}

/// Open files stay open; no other can be opened.
fn forbid_opening_files() -> io::Result<()> {
    limit(Resource::Nofile, 0)
}

fn limit(resource: Resource, to: u64) -> io::Result<()> {
    Ok(setrlimit(resource, Rlimit { current: Some(to), maximum: Some(to) })?)
}

#[cfg(not(target_os = "linux"))]
mod kernel {
    use super::{Confinement, io};

    pub(super) fn confine() -> io::Result<Confinement> {
        super::forbid_opening_files()?;
        Ok(Confinement { landlock: false, seccomp: false })
    }
}

#[cfg(target_os = "linux")]
mod kernel {
    use std::collections::BTreeMap;

    use landlock::{
        ABI, Access as _, AccessFs, AccessNet, Ruleset, RulesetAttr as _, RulesetError, RulesetStatus, Scope,
    };
    use rustix::{
        process::{Signal, set_parent_process_death_signal},
        thread::set_no_new_privs,
    };
    use seccompiler::{
        BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
        SeccompRule,
    };

    use super::{Confinement, io};

    /// The newest version of Landlock whose access rights are requested; older kernels restrict those they know.
    const NEWEST: ABI = ABI::V6;

    pub(super) fn confine() -> io::Result<Confinement> {
        // If the worker has exited already, reading from the socket returns end of file, and the child exits.
        set_parent_process_death_signal(Some(Signal::KILL))?;
        set_no_new_privs(true)?;
        let landlock = landlock().unwrap_or(false);
        super::forbid_opening_files()?;
        Ok(Confinement { landlock, seccomp: seccomp().is_ok() })
    }

    fn landlock() -> Result<bool, RulesetError> {
        let ruleset = Ruleset::default()
            .handle_access(AccessFs::from_all(NEWEST))?
            .handle_access(AccessNet::from_all(NEWEST))?
            .scope(Scope::from_all(NEWEST))?;
        // A ruleset without rules allows nothing.
        Ok(ruleset.create()?.restrict_self()?.ruleset != RulesetStatus::NotEnforced)
    }

    /// The system calls of a decoder: memory, threads, time, the open socket. Opening files, sockets, new processes,
    /// other processes and limits are not among them. 64-bit x86 and ARM have all of them.
    const ALLOWED: &[i64] = &[
        libc::SYS_read,
        libc::SYS_readv,
        libc::SYS_write,
        libc::SYS_writev,
        libc::SYS_recvfrom,
        libc::SYS_sendto,
        libc::SYS_close,
        libc::SYS_fstat,
        libc::SYS_brk,
        libc::SYS_mmap,
        libc::SYS_mremap,
        libc::SYS_munmap,
        libc::SYS_mprotect,
        libc::SYS_madvise,
        libc::SYS_futex,
        // Only to start threads: see `allow_list`.
        libc::SYS_clone,
        libc::SYS_clone3,
        libc::SYS_set_robust_list,
        libc::SYS_rseq,
        libc::SYS_sched_yield,
        libc::SYS_sched_getaffinity,
        libc::SYS_gettid,
        libc::SYS_getpid,
        libc::SYS_tgkill,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sigaltstack,
        libc::SYS_restart_syscall,
        libc::SYS_clock_gettime,
        libc::SYS_clock_nanosleep,
        libc::SYS_nanosleep,
        libc::SYS_getrandom,
        libc::SYS_getrusage,
        libc::SYS_sysinfo,
        libc::SYS_exit,
        libc::SYS_exit_group,
    ];

    fn seccomp() -> Result<(), seccompiler::Error> {
        // The kernel applies the stricter result of the two filters (seccomp(2)).
        seccompiler::apply_filter(&no_clone3()?)?;
        seccompiler::apply_filter(&allow_list()?)
    }

    /// ENOSYS for clone3, so that glibc falls back to clone: a filter cannot read the flags of clone3, which are in
    /// memory.
    fn no_clone3() -> Result<BpfProgram, BackendError> {
        let unknown = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
        let rules = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
        compile(rules, SeccompAction::Allow, unknown)
    }

    fn allow_list() -> Result<BpfProgram, BackendError> {
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> = ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
        let only = |argument, wanted, operator| {
            SeccompRule::new(vec![SeccompCondition::new(argument, SeccompCmpArgLen::Qword, operator, wanted)?])
        };
        let thread = libc::CLONE_THREAD.unsigned_abs().into();
        rules.insert(libc::SYS_clone, vec![only(0, thread, SeccompCmpOp::MaskedEq(thread))?]);
        // Thread names, and the names that the allocator gives its mappings.
        let [name, memory] = [libc::PR_SET_NAME, libc::PR_SET_VMA].map(|option| option.unsigned_abs().into());
        rules.insert(libc::SYS_prctl, vec![only(0, name, SeccompCmpOp::Eq)?, only(0, memory, SeccompCmpOp::Eq)?]);
        compile(rules, SeccompAction::Errno(libc::EPERM.cast_unsigned()), SeccompAction::Allow)
    }

    fn compile(
        rules: BTreeMap<i64, Vec<SeccompRule>>,
        others: SeccompAction,
        listed: SeccompAction,
    ) -> Result<BpfProgram, BackendError> {
        SeccompFilter::new(rules, others, listed, std::env::consts::ARCH.try_into()?)?.try_into()
    }
}
