//! `DATA_DIR`: the directory of a stack, its lock and its credentials.

use std::{
    env,
    fs::{self, File, OpenOptions, Permissions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf, absolute},
};

use anyhow::{Context as _, Result, bail};
use darkroom_dev::{account::Account, postgres::random_password};
use serde::{Deserialize, Serialize};

/// The directory for root if the account of Postgres cannot enter the checkout.
const FOR_ROOT: &str = "/var/lib/darkroom";

/// The data directory, locked by this process.
pub(super) struct Data {
    dir: PathBuf,
    credentials: Credentials,
    /// Locked until the process ends.
    _lock: File,
}

/// Directory of the S3 server's objects, below the data directory.
pub(super) const BUCKET: &str = "bucket";
/// Directory of uploads that wait, below the data directory.
pub(super) const STAGING: &str = "staging";

/// Created once for a data directory, and kept in a file with mode 0600.
#[derive(Serialize, Deserialize)]
pub(super) struct Credentials {
    pub(super) postgres_password: String,
    pub(super) s3_key_id: String,
    pub(super) s3_secret: String,
}

impl Data {
    /// Creates the directory if it is missing, and locks it.
    ///
    /// # Errors
    /// Another run has locked the directory, or it cannot be written.
    pub(super) fn open() -> Result<Self> {
        let dir = directory()?;
        let explain = || format!("cannot use {} (choose another directory with DATA_DIR)", dir.display());
        // For root, the account of Postgres must be able to pass through this directory.
        create_dir(
            &dir,
            if Account::for_servers().is_ok_and(|account| account == Account::Own) { 0o700 } else { 0o711 },
        )
        .with_context(explain)?;
        for private in [BUCKET, STAGING] {
            create_dir(&dir.join(private), 0o700).with_context(explain)?;
        }
        let lock = private().open(lock_path(&dir)).with_context(explain)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("another `make run` uses {}: stop it first", dir.display()),
            Err(TryLockError::Error(error)) => return Err(error).with_context(explain),
        }
        let credentials = credentials(&dir).with_context(explain)?;
        Ok(Self { dir, credentials, _lock: lock })
    }

    /// Its absolute path.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn credentials(&self) -> &Credentials {
        &self.credentials
    }
}

/// `DATA_DIR`, or `data` below the working directory, or [`FOR_ROOT`]. The same for every command with the same
/// environment.
pub(super) fn directory() -> Result<PathBuf> {
    if let Some(dir) = env::var_os("DATA_DIR").filter(|dir| !dir.is_empty()) {
        return Ok(absolute(dir)?);
    }
    let here = env::current_dir().context("the working directory does not exist")?;
    let reachable = Account::for_servers().map_or(true, |account| account.wait_for_status(&here));
    Ok(if reachable { here.join("data") } else { FOR_ROOT.into() })
}

/// Whether a stack runs with this directory.
pub(super) fn in_use(dir: &Path) -> bool {
    let lock = File::open(lock_path(dir));
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Writes a file with mode 0600 atomically.
pub(super) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let unfinished = path.with_extension("unfinished");
    let mut file = private().truncate(true).open(&unfinished)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(unfinished, path)
}

/// Creates a directory with this mode, unless it exists.
fn create_dir(dir: &Path, mode: u32) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir)?;
    fs::set_permissions(dir, Permissions::from_mode(mode))
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options
}

fn lock_path(dir: &Path) -> PathBuf {
    dir.join("lock")
}

fn credentials(dir: &Path) -> Result<Credentials> {
    let path = dir.join("credentials.json");
    match fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let fresh = Credentials {
                postgres_password: random_password(),
                s3_key_id: format!("darkroom-{}", &random_password()[..8]),
                s3_secret: random_password(),
            };
            write_private(&path, &serde_json::to_string_pretty(&fresh)?)?;
            Ok(fresh)
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}
