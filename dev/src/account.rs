//! The account of the servers. Postgres refuses to run as root, so root runs servers as an unprivileged account.

use std::{
    io,
    os::unix::{fs::chown, process::CommandExt as _},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};

/// The account of the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Account {
    /// The account of this process, which is not root.
    Own,
    /// An unprivileged account, because this process is root's.
    Other {
        /// User id.
        uid: u32,
        /// Group id.
        gid: u32,
    },
}

impl Account {
    /// The account of this process; for root `postgres`, or else `nobody`.
    pub fn for_servers() -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Own);
        }
        ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| Some(Self::Other { uid: id("-u", name)?, gid: id("-g", name)? }))
            .context("Postgres does not run as root, and there is neither a user `postgres` nor `nobody`")
    }

    /// Makes this account the owner of a file or an empty directory.
    pub fn own(self, path: &Path) -> io::Result<()> {
        match self {
            Self::Own => Ok(()),
            Self::Other { uid, gid } => chown(path, Some(uid), Some(gid)),
        }
    }

    /// Makes a command run as this account, without supplementary groups.
    pub fn run(self, command: &mut tokio::process::Command) {
        if let Self::Other { uid, gid } = self {
            command.uid(uid).gid(gid);
        }
    }

    /// Whether this account can enter a directory. It cannot below root's home.
    pub fn wait_for_status(self, dir: &Path) -> bool {
        let mut test = Command::new("test");
        test.arg("-x").arg(dir).current_dir("/").stderr(Stdio::null());
        if let Self::Other { uid, gid } = self {
            test.uid(uid).gid(gid);
        }
        test.status().is_ok_and(|status| status.success())
    }
}

/// Calls `id`, because not every system keeps its users in `/etc/passwd`.
fn id(option: &str, name: &str) -> Option<u32> {
    let output = Command::new("id").args([option, name]).output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}
