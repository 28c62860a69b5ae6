//! How a render child gives up, before it sees the first untrusted byte, what it does not need: once and for good.
//!
//! | what | by | where the kernel lacks it |
//! |---|---|---|
//! | files, TCP, abstract sockets and signals to others | Landlock (Linux 5.13 and later, by the kernel's version) | seccomp and the limits stand |
//! | every system call but those of memory, threads, time and the open socket | seccomp, an allow-list: all others answer EPERM | Landlock and the limits stand |
//! | new privileges | `no_new_privs` | |
//! | open files, written bytes, core dumps | `RLIMIT_NOFILE`, `RLIMIT_FSIZE`, `RLIMIT_CORE` | |
//! | outliving the worker | `PR_SET_PDEATHSIG`; the end of the socket | the end of the socket |
//!
//! Memory and processor time are limited by the worker, for each order: see [`super::grant`].

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};

/// What of it the kernel has granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// No file can be opened.
    pub landlock: bool,
    /// Only the listed system calls work.
    pub seccomp: bool,
}

/// Confines this process. Call it while there is one thread; what the kernel does not have is left out and reported.
///
/// # Errors
/// What every kernel has was refused: the process must not go on.
pub(super) fn confine() -> io::Result<Confinement> {
    limit(Resource::Fsize, 0)?;
    limit(Resource::Core, 0)?;
    kernel::confine()
}

/// What is open stays so; nothing else can be opened.
fn no_more_files() -> io::Result<()> {
    limit(Resource::Nofile, 0)
}

fn limit(resource: Resource, to: u64) -> io::Result<()> {
    Ok(setrlimit(resource, Rlimit { current: Some(to), maximum: Some(to) })?)
}

#[cfg(not(target_os = "linux"))]
mod kernel {
    use super::{Confinement, io};

    pub(super) fn confine() -> io::Result<Confinement> {
        super::no_more_files()?;
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

    /// The newest rights that are asked for; older kernels give what they have.
    const NEWEST: ABI = ABI::V6;

    pub(super) fn confine() -> io::Result<Confinement> {
        // Should the worker be gone already, the socket is at its end, and so is the child.
        set_parent_process_death_signal(Some(Signal::KILL))?;
        set_no_new_privs(true)?;
        let landlock = landlock().unwrap_or(false);
        super::no_more_files()?;
        Ok(Confinement { landlock, seccomp: seccomp().is_ok() })
    }

    fn landlock() -> Result<bool, RulesetError> {
        let ruleset = Ruleset::default()
            .handle_access(AccessFs::from_all(NEWEST))?
            .handle_access(AccessNet::from_all(NEWEST))?
            .scope(Scope::from_all(NEWEST))?;
        // No rule: nothing is allowed.
        Ok(ruleset.create()?.restrict_self()?.ruleset != RulesetStatus::NotEnforced)
    }

    /// What a decoder needs: its memory, its threads, the time, the socket that is open. Not here: opening, sockets,
    /// new processes, other processes, limits. 64-bit x86 and ARM name them alike, but for what is marked.
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
        // Threads only: see below.
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
        // Of a call that both filters answer, the kernel takes the stricter answer.
        seccompiler::apply_filter(&no_clone3()?)?;
        seccompiler::apply_filter(&allow_list()?)
    }

    /// A filter cannot see the flags of clone3, which lie in memory. glibc goes back to clone where the kernel does not
    /// know the call.
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
        // Naming threads, and the allocator naming its memory.
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
