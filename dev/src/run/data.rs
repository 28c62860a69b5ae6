//! `DATA_DIR`: where everything of a stack lies, and who may use it.

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

/// For root, where Postgres' account cannot reach the checkout.
const FOR_ROOT: &str = "/var/lib/darkroom";

/// The data directory, while it is ours alone.
pub(super) struct Data {
    dir: PathBuf,
    credentials: Credentials,
    /// Held as long as the process lives.
    _lock: File,
}

/// Where the S3 server keeps its objects, in the data directory.
pub(super) const BUCKET: &str = "bucket";
/// Where uploads wait, in the data directory.
pub(super) const STAGING: &str = "staging";

/// Made once for a data directory, and kept in a file that only its owner reads.
#[derive(Serialize, Deserialize)]
pub(super) struct Credentials {
    pub(super) postgres_password: String,
    pub(super) s3_key_id: String,
    pub(super) s3_secret: String,
}

impl Data {
    /// Makes the directory if it is not there, and takes it for this process.
    ///
    /// # Errors
    /// Another run has it; it cannot be written to.
    pub(super) fn open() -> Result<Self> {
        let dir = directory()?;
        let explain = || format!("cannot use {} (choose another directory with DATA_DIR)", dir.display());
        // As root, Postgres' account has to pass here on its way to its own directory.
        make(&dir, if Account::for_servers().is_ok_and(|account| account == Account::Own) { 0o700 } else { 0o711 })
            .with_context(explain)?;
        for private in [BUCKET, STAGING] {
            make(&dir.join(private), 0o700).with_context(explain)?;
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

    /// Absolute.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn credentials(&self) -> &Credentials {
        &self.credentials
    }
}

/// `DATA_DIR`, else `data` here, else [`FOR_ROOT`]. The same for every command with the same environment.
pub(super) fn directory() -> Result<PathBuf> {
    if let Some(dir) = env::var_os("DATA_DIR").filter(|dir| !dir.is_empty()) {
        return Ok(absolute(dir)?);
    }
    let here = env::current_dir().context("this directory has gone")?;
    let reachable = Account::for_servers().map_or(true, |account| account.reaches(&here));
    Ok(if reachable { here.join("data") } else { FOR_ROOT.into() })
}

/// Whether a stack runs on this directory.
pub(super) fn in_use(dir: &Path) -> bool {
    let lock = File::open(lock_path(dir));
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Writes a file that only its owner can read, whole or not at all.
pub(super) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let unfinished = path.with_extension("unfinished");
    let mut file = private().truncate(true).open(&unfinished)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(unfinished, path)
}

/// Makes a directory that others may enter as `mode` says, unless it is there.
fn make(dir: &Path, mode: u32) -> io::Result<()> {
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
