//! The sweep: removes orphans, the files and objects that belong to no image. Crashes leave orphans by design, because
//! the opposite order of writes would lose data. Its cost follows what there is to remove, not what is stored.
//!
//! | orphan | left by | found by |
//! |---|---|---|
//! | a draft in staging | an api that was killed during an upload | a listing of staging |
//! | a staged file without an image | an api that was killed between staging and commit | a listing of staging |
//! | a staged file of a finished image | a worker that was killed between commit and removal | a listing of staging |
//! | an object without a rendition | an attempt that died, or lost its lease, before its commit | the attempt's intent |
//!
//! Only orphans older than `ORPHAN_SECONDS` are removed, but the staged files of images that are ready, which nothing will
//! read. That no row names a file proves little: the database may be another one, or restored from a backup. So a sweep
//! compares the installation first, collects the orphans before it removes any, and refuses if they are more than
//! `SWEEP_MAX_PERCENT` of what it looked at. `darkroom-worker compare` ([`crate::compare`]) looks at the whole bucket.
//!
//! | file | what it holds |
//! |---|---|
//! | `mod.rs` | the job, and its limits |
//! | `staged.rs` | orphans in staging |
//! | `attempts.rs` | what attempts that died have left in the bucket |
//! | `objects.rs` | whether an object is an orphan, and how orphans are removed |

mod attempts;
pub(crate) mod objects;
mod staged;

use chrono::{DateTime, Utc};
use darkroom_queue::{Handler, JobError, Lease};
use darkroom_shared::{catalog, jobs::Sweep, settings::SweepLimits};
use tracing::{error, info};

use crate::{App, Handlers};

impl Handler<Sweep> for Handlers {
    async fn run(&self, _: Sweep, _: Lease) -> Result<(), JobError> {
        sweep(&self.0).await.map(drop)
    }
}

/// How many orphans a sweep removed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Files in staging.
    pub staged: usize,
    /// Objects in the bucket.
    pub objects: usize,
}

/// More orphans than may be removed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{orphans} of {looked_at} {what} belong to no image, more than SWEEP_MAX_PERCENT and SWEEP_MAX_ORPHANS allow; \
     nothing was removed"
)]
pub struct TooManyOrphans {
    what: &'static str,
    orphans: u64,
    looked_at: u64,
}

/// Orphans that were found.
#[derive(Debug)]
pub(crate) struct Found<T> {
    pub(crate) orphans: Vec<T>,
    /// Number of files or objects among which they are.
    pub(crate) looked_at: u64,
}

impl<T> Default for Found<T> {
    fn default() -> Self {
        Self { orphans: Vec::new(), looked_at: 0 }
    }
}

impl<T> Found<T> {
    /// Fails if the orphans are an implausible share.
    pub(crate) fn check(&self, what: &'static str, limits: SweepLimits) -> Result<(), TooManyOrphans> {
        let (orphans, looked_at) = (self.orphans.len() as u64, self.looked_at);
        let share = u128::from(looked_at) * u128::from(limits.percent) / 100;
        if u128::from(orphans) <= share.max(limits.orphans.into()) {
            return Ok(());
        }
        Err(TooManyOrphans { what, orphans, looked_at })
    }
}

/// Sweeps staging, and the images of attempts that died.
///
/// # Errors
/// The database, the bucket and staging do not belong together, or there are too many orphans: then none of them is
/// removed. Also any error of one of them.
pub async fn sweep(app: &App) -> Result<Swept, JobError> {
    check_installation(app).await?;
    let before = orphans_before(app).await?;
    let staged = sweep_staging(app, before).await?;
    let objects = sweep_attempts(app, before).await?;
    info!(staged, objects, "swept");
    Ok(Swept { staged, objects })
}

/// Orphans that are older than this are removed.
pub(crate) async fn orphans_before(app: &App) -> Result<DateTime<Utc>, JobError> {
    // The database's clock, because this machine's may be wrong and would then make fresh files look old.
    Ok(app.db.run(async |db| catalog::now(db).await).await? - app.orphan_age)
}

/// Fails the job on a mismatch: the next sweep follows within the hour.
pub(crate) async fn check_installation(app: &App) -> Result<(), JobError> {
    match app.installation.check_all().await {
        Err(error) if error.mismatch().is_some() => {
            error!("not swept: {error}");
            Err(JobError::fail(error))
        }
        checked => Ok(checked?),
    }
}

pub(crate) fn refuse(error: TooManyOrphans) -> JobError {
    error!("not swept: {error}");
    JobError::fail(error)
}

async fn sweep_staging(app: &App, before: DateTime<Utc>) -> Result<usize, JobError> {
    let staged = staged::find(app, before).await?;
    staged.unclaimed.check("staged files", app.sweep).map_err(refuse)?;
    if staged.unclaimed.orphans.is_empty() && staged.of_finished.is_empty() {
        return Ok(0);
    }
    check_installation(app).await?;
    staged::remove(app, &staged).await
}

async fn sweep_attempts(app: &App, before: DateTime<Utc>) -> Result<usize, JobError> {
    let left = attempts::find(app, before).await?;
    left.objects.check("objects", app.sweep).map_err(refuse)?;
    if !left.objects.orphans.is_empty() {
        check_installation(app).await?;
    }
    attempts::remove(app, left, before).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_refuses_an_implausible_share() {
        let limits = SweepLimits { percent: 5, orphans: 1000 };
        let found = |orphans, looked_at| Found { orphans: vec![(); orphans], looked_at }.check("objects", limits);
        assert_eq!(found(1000, 1000), Ok(()), "a small number is removed whatever its share");
        assert_eq!(found(5000, 100_000), Ok(()));
        let refused = found(5001, 100_000).unwrap_err();
        assert_eq!(refused, TooManyOrphans { what: "objects", orphans: 5001, looked_at: 100_000 });
        assert!(found(1001, 1001).is_err());
    }
}
