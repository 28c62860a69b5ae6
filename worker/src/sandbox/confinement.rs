//! What a render child gives up irrevocably before it reads the first untrusted byte.
//!
//! | what | by | on a kernel without it |
//! |---|---|---|
//! | descriptors that the worker or its supervisor left open | `close_range` (Linux 5.9 and later) | closed one by one |
//! | files, TCP, abstract sockets and signals to others | Landlock (Linux 5.13 and later, by the kernel's version) | seccomp and the limits remain |
//! | every system call except those for memory, time and the open socket | seccomp with an allow-list; all others return EPERM | Landlock and the limits remain |
//! | signals to other processes | seccomp: `tgkill` only with the own process id | Landlock |
//! | new threads and processes | seccomp; `RLIMIT_NPROC` of 0. The threads that the pipeline uses are started before | `RLIMIT_NPROC`, which does not bind root |
//! | new privileges | `no_new_privs` | |
//! | open files, written bytes, core dumps | `RLIMIT_NOFILE`, `RLIMIT_FSIZE`, `RLIMIT_CORE` | |
//! | outliving the worker | `PR_SET_PDEATHSIG`; the end of the socket | the end of the socket |
//!
//! The worker limits memory and CPU time for each request: see [`super::resource_limits`].

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};

/// Which parts of the confinement the kernel supports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// No file can be opened.
    pub landlock: bool,
    /// Only the listed system calls work.
    pub seccomp: bool,
}

impl Confinement {
    /// Whether seccomp is in force. It alone keeps a child from files, sockets, processes and signals; Landlock repeats a part
    /// of that.
    #[must_use]
    pub fn is_sufficient(self) -> bool {
        self.seccomp
    }
}

/// Closes every descriptor except standard input, output and error.
///
/// The worker opens its own with `O_CLOEXEC`; this closes those that it inherited and those of libraries.
///
/// # Errors
/// The open descriptors cannot be listed on a kernel without `close_range`.
pub(super) fn close_inherited_descriptors() -> io::Result<()> {
    kernel::close_inherited_descriptors()
}

/// Confines this process. Call it while there is one thread. `start_threads` starts those that the process needs later: they
/// are confined too, and no other can be started afterwards. The result says which of Landlock and seccomp the kernel lacks.
///
/// # Errors
/// The kernel refused one of the measures that every kernel has. The process must exit.
pub(super) fn confine(start_threads: impl FnOnce()) -> io::Result<Confinement> {
    limit(Resource::Fsize, 0)?;
    limit(Resource::Core, 0)?;
    kernel::confine(start_threads)
}

/// Open files stay open, and threads go on; no other can be opened or started.
fn forbid_files_and_threads() -> io::Result<()> {
    limit(Resource::Nproc, 0)?;
    limit(Resource::Nofile, 0)
}

fn limit(resource: Resource, to: u64) -> io::Result<()> {
    Ok(setrlimit(resource, Rlimit { current: Some(to), maximum: Some(to) })?)
}

#[cfg(not(target_os = "linux"))]
mod kernel {
    use super::{Confinement, io};

    #[expect(clippy::unnecessary_wraps, reason = "same signature as on Linux")]
    pub(super) fn close_inherited_descriptors() -> io::Result<()> {
        Ok(())
    }

    pub(super) fn confine(start_threads: impl FnOnce()) -> io::Result<Confinement> {
        start_threads();
        super::forbid_files_and_threads()?;
        Ok(Confinement::default())
    }
}

#[cfg(target_os = "linux")]
mod kernel {
    use std::{collections::BTreeMap, fs};

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

    /// The first descriptor after standard input, output and error.
    const FIRST_INHERITED: libc::c_uint = 3;

    #[expect(unsafe_code, reason = "closes descriptors by number")]
    pub(super) fn close_inherited_descriptors() -> io::Result<()> {
        // SAFETY: no value of this process owns a descriptor above standard error: this is the first that it does.
        let result = unsafe { libc::syscall(libc::SYS_close_range, FIRST_INHERITED, libc::c_uint::MAX, 0) };
        if result == 0 {
            return Ok(());
        }
        let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse::<libc::c_int>().ok();
        // Collected first, because the directory has a descriptor too; it is closed by then.
        let open: Vec<_> = fs::read_dir("/proc/self/fd")?.flatten().filter_map(number).collect();
        for descriptor in open.into_iter().filter(|descriptor| descriptor.cast_unsigned() >= FIRST_INHERITED) {
            // SAFETY: as above.
            unsafe { libc::close(descriptor) };
        }
        Ok(())
    }

    pub(super) fn confine(start_threads: impl FnOnce()) -> io::Result<Confinement> {
        // If the worker has exited already, reading from the socket returns end of file, and the child exits.
        set_parent_process_death_signal(Some(Signal::KILL))?;
        set_no_new_privs(true)?;
        // Before the threads: they inherit Landlock, which the kernel applies to one thread.
        let landlock = landlock().unwrap_or(false);
        start_threads();
        super::forbid_files_and_threads()?;
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

    /// The system calls of a decoder: memory, time, the open socket, and waiting between threads. Opening files, sockets, new
    /// threads and processes, other processes and limits are not among them. 64-bit x86 and ARM have all of them.
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
        libc::SYS_sched_yield,
        libc::SYS_sched_getaffinity,
        libc::SYS_gettid,
        libc::SYS_getpid,
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

    /// Applies to all threads of the process.
    fn seccomp() -> Result<(), seccompiler::Error> {
        seccompiler::apply_filter_all_threads(&allow_list()?)
    }

    fn allow_list() -> Result<BpfProgram, BackendError> {
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> = ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
        let only = |argument, wanted, length| {
            SeccompRule::new(vec![SeccompCondition::new(argument, length, SeccompCmpOp::Eq, wanted)?])
        };
        // To abort. A thread group is named by the process id, an int.
        let own = std::process::id().into();
        rules.insert(libc::SYS_tgkill, vec![only(0, own, SeccompCmpArgLen::Dword)?]);
        // The names that the allocator gives its mappings.
        let memory = libc::PR_SET_VMA.unsigned_abs().into();
        rules.insert(libc::SYS_prctl, vec![only(0, memory, SeccompCmpArgLen::Qword)?]);
        let filter = SeccompFilter::new(
            rules,
            SeccompAction::Errno(libc::EPERM.cast_unsigned()),
            SeccompAction::Allow,
            std::env::consts::ARCH.try_into()?,
        )?;
        filter.try_into()
    }
}
