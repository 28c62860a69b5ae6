//! Installs Postgres with the system's package manager, where we may.

use std::{
    env,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use super::Binaries;

/// A package manager, and what it has to do.
struct Manager {
    program: &'static str,
    /// Each a program and its arguments.
    steps: &'static [&'static [&'static str]],
    /// Homebrew refuses to run as root.
    as_root: bool,
}

/// The contrib packages hold `hstore`, which one test of the queue needs.
const MANAGERS: &[Manager] = &[
    Manager {
        program: "apt-get",
        steps: &[&["apt-get", "update"], &["apt-get", "install", "-y", "--no-install-recommends", "postgresql"]],
        as_root: true,
    },
    Manager {
        program: "dnf",
        steps: &[&["dnf", "install", "-y", "postgresql-server", "postgresql-contrib"]],
        as_root: true,
    },
    Manager {
        program: "zypper",
        steps: &[&["zypper", "--non-interactive", "install", "postgresql-server", "postgresql-contrib"]],
        as_root: true,
    },
    Manager { program: "apk", steps: &[&["apk", "add", "postgresql", "postgresql-contrib"]], as_root: true },
    Manager { program: "pacman", steps: &[&["pacman", "-Sy", "--noconfirm", "--needed", "postgresql"]], as_root: true },
    Manager { program: "brew", steps: &[&["brew", "install", "postgresql@17"]], as_root: false },
];

/// Sees to it that there is a Postgres. Says on standard error what it installs.
///
/// # Errors
/// There is none, and it cannot be installed: the text has the command to type.
pub fn ensure() -> Result<()> {
    if Binaries::find(None).is_some() {
        return Ok(());
    }
    let Some(manager) = MANAGERS.iter().find(|manager| on_path(manager.program)) else {
        bail!("Postgres is missing, and so is a package manager that is known here: install Postgres 14 or newer");
    };
    let Some(become_root) = manager.privilege() else {
        bail!("Postgres is missing, and installing it takes root. Type: {}", manager.typed());
    };
    for step in manager.steps {
        let command: Vec<&str> = become_root.iter().chain(*step).copied().collect();
        eprintln!("Postgres is missing. Running: {}", command.join(" "));
        let status = Command::new(command[0])
            .args(&command[1..])
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .with_context(|| format!("cannot run {}", command[0]))?;
        if !status.success() {
            bail!("Postgres is missing, and could not be installed ({status}). Type: {}", manager.typed());
        }
    }
    Binaries::find(None).map(drop).with_context(|| format!("{} installed no Postgres 14 or newer", manager.program))
}

impl Manager {
    /// What goes before a command, so that it may install; `None`: nothing helps.
    fn privilege(&self) -> Option<&'static [&'static str]> {
        let root = rustix::process::geteuid().is_root();
        match (self.as_root, root) {
            (true, true) | (false, false) => Some(&[]),
            (true, false) => sudo_asks_nothing().then_some(&["sudo", "-n"]),
            (false, true) => None,
        }
    }

    /// What a person would type.
    fn typed(&self) -> String {
        let sudo = if self.as_root { "sudo " } else { "" };
        let steps: Vec<String> = self.steps.iter().map(|step| format!("{sudo}{}", step.join(" "))).collect();
        steps.join(" && ")
    }
}

fn sudo_asks_nothing() -> bool {
    let mut sudo = Command::new("sudo");
    sudo.args(["-n", "true"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    sudo.status().is_ok_and(|status| status.success())
}

fn on_path(program: &str) -> bool {
    env::split_paths(&env::var_os("PATH").unwrap_or_default()).any(|dir| dir.join(program).is_file())
}
