//! The unprivileged account that servers run as where we are root: Postgres refuses to run as root.

use std::{
    io,
    os::unix::{fs::chown, process::CommandExt as _},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};

/// Who servers run as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Account {
    /// As ourselves: we are an ordinary user.
    Own,
    /// As somebody without privileges: we are root.
    Other {
        /// User id.
        uid: u32,
        /// Group id.
        gid: u32,
    },
}

impl Account {
    /// Ourselves, or `postgres`, or `nobody`.
    pub fn for_servers() -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Own);
        }
        ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| Some(Self::Other { uid: id("-u", name)?, gid: id("-g", name)? }))
            .context("Postgres does not run as root, and there is neither a user `postgres` nor `nobody`")
    }

    /// Gives a file or an empty directory to this account.
    pub fn own(self, path: &Path) -> io::Result<()> {
        match self {
            Self::Own => Ok(()),
            Self::Other { uid, gid } => chown(path, Some(uid), Some(gid)),
        }
    }

    /// Makes a command run as this account, without our other groups.
    pub fn run(self, command: &mut tokio::process::Command) {
        if let Self::Other { uid, gid } = self {
            command.uid(uid).gid(gid);
        }
    }

    /// Whether this account can reach a directory: it may not, below root's home.
    pub fn reaches(self, dir: &Path) -> bool {
        let mut test = Command::new("test");
        test.arg("-x").arg(dir).current_dir("/").stderr(Stdio::null());
        if let Self::Other { uid, gid } = self {
            test.uid(uid).gid(gid);
        }
        test.status().is_ok_and(|status| status.success())
    }
}

/// Asks `id`, since not every system keeps its users in `/etc/passwd`.
fn id(option: &str, name: &str) -> Option<u32> {
    let output = Command::new("id").args([option, name]).output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}
