//! Where Postgres is installed.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The oldest major version that Darkroom supports.
pub const OLDEST: u32 = 14;

/// Directories below which packages put versions, and where in each version the programs are.
const VERSIONED: [(&str, &str); 6] = [
    ("/usr/lib/postgresql", "bin"), // Debian, Ubuntu
    ("/usr", "bin"),                // Fedora's pgdg packages: /usr/pgsql-17/bin
    ("/usr/libexec", ""),           // Alpine: /usr/libexec/postgresql17
    ("/opt/homebrew/opt", "bin"),   // Homebrew: postgresql@17/bin
    ("/usr/local/opt", "bin"),      // Homebrew on Intel
    ("/Library/PostgreSQL", "bin"), // EDB's installer
];

/// An installed Postgres server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// Where `initdb` and `postgres` are.
    pub dir: PathBuf,
    /// Major version.
    pub major: u32,
}

impl Binaries {
    /// Every supported server on this machine, newest first.
    pub fn all() -> Vec<Self> {
        let path = env::var_os("PATH").unwrap_or_default();
        let mut found: Vec<Self> =
            env::split_paths(&path).chain(versioned()).chain(pg_config()).filter_map(|dir| Self::at(&dir)).collect();
        found.sort_by(|a, b| (b.major, &a.dir).cmp(&(a.major, &b.dir)));
        found.dedup();
        found
    }

    /// The newest server, or where data is given the one whose major version wrote it: no other can read it.
    pub fn find(data: Option<u32>) -> Option<Self> {
        Self::all().into_iter().find(|found| data.is_none_or(|major| found.major == major))
    }

    /// The path of one program.
    pub fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn at(dir: &Path) -> Option<Self> {
        if !dir.join("initdb").is_file() || !dir.join("postgres").is_file() {
            return None;
        }
        let output = Command::new(dir.join("postgres")).arg("--version").output().ok()?;
        let major = major(&String::from_utf8_lossy(&output.stdout))?;
        (major >= OLDEST).then(|| Self { dir: dir.to_path_buf(), major })
    }
}

/// Reads `postgres (PostgreSQL) 17.5 (Debian 17.5-1)`, `… 18beta1` and the like.
fn major(version: &str) -> Option<u32> {
    let number = version.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn versioned() -> impl Iterator<Item = PathBuf> {
    VERSIONED.into_iter().flat_map(|(parent, programs)| {
        let versions = fs::read_dir(parent).into_iter().flatten().flatten();
        versions.map(move |version| version.path().join(programs))
    })
}

fn pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_any_packagers_words() {
        assert_eq!(major("postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)\n"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major("postgres"), None);
    }
}
