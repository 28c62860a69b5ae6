//! The sweep: removes orphans, the files and objects that belong to no image. Crashes leave orphans by design, because
//! the opposite order of writes would lose data.
//!
//! | orphan | left by |
//! |---|---|
//! | a draft in staging | an api that was killed during an upload |
//! | a staged file without an image | an api that was killed between staging and commit |
//! | a staged file of a finished image | a worker that was killed between commit and removal |
//! | an object without a rendition | an attempt that was killed, or lost its lease, before its commit |
//!
//! Only orphans older than `ORPHAN_SECONDS` are removed. That no row names a file proves little: the database may be
//! another one, or restored from a backup. So a sweep compares the installation first, collects the orphans before it
//! removes any, and refuses if they are more than `SWEEP_MAX_PERCENT` of what it looked at.
//!
//! | file | what it holds |
//! |---|---|
//! | `mod.rs` | the job, and its limits |
//! | `staged.rs` | orphans in staging |
//! | `objects.rs` | orphans in the bucket |

mod objects;
mod staged;

use chrono::{DateTime, Utc};
use darkroom_queue::{Handler, JobError, Lease};
use darkroom_shared::{bucket::ObjectKey, catalog, jobs::Sweep, settings::SweepLimits};
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

/// More orphans than a sweep may remove.
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

/// Orphans that a sweep found.
struct Found<T> {
    orphans: Vec<T>,
    /// Number of files or objects among which they are.
    looked_at: u64,
}

impl<T> Found<T> {
    fn check(&self, what: &'static str, limits: SweepLimits) -> Result<(), TooManyOrphans> {
        let (orphans, looked_at) = (self.orphans.len() as u64, self.looked_at);
        let share = u128::from(looked_at) * u128::from(limits.percent) / 100;
        if u128::from(orphans) <= share.max(limits.orphans.into()) {
            return Ok(());
        }
        Err(TooManyOrphans { what, orphans, looked_at })
    }
}

/// Sweeps staging and the next part of the bucket.
///
/// # Errors
/// The database, the bucket and staging do not belong together, or there are too many orphans: then nothing was
/// removed. Also any error of one of them.
pub async fn sweep(app: &App) -> Result<Swept, JobError> {
    let before = begin(app).await?;
    let staged = sweep_staging(app, before).await?;
    let after = app.installation.sweep_cursor().await?;
    let (objects, next) = sweep_part(app, before, after.as_ref()).await?;
    app.installation.set_sweep_cursor(next.as_ref()).await?;
    Ok(finish(staged, objects))
}

/// Sweeps staging and the whole bucket.
///
/// # Errors
/// As [`sweep`]; what was removed before stays removed.
pub async fn sweep_all(app: &App) -> Result<Swept, JobError> {
    let before = begin(app).await?;
    let staged = sweep_staging(app, before).await?;
    let (mut objects, mut after) = sweep_part(app, before, None).await?;
    while after.is_some() {
        let (removed, next) = sweep_part(app, before, after.as_ref()).await?;
        (objects, after) = (objects + removed, next);
    }
    Ok(finish(staged, objects))
}

/// Orphans that are older than the time that this returns are removed.
async fn begin(app: &App) -> Result<DateTime<Utc>, JobError> {
    check_installation(app).await?;
    // The database's clock, because this machine's may be wrong and would then make fresh files look old.
    Ok(app.db.run(async |db| catalog::now(db).await).await? - app.orphan_age)
}

fn finish(staged: usize, objects: usize) -> Swept {
    info!(staged, objects, "swept");
    Swept { staged, objects }
}

/// Fails the job on a mismatch: the next sweep follows within the hour.
async fn check_installation(app: &App) -> Result<(), JobError> {
    match app.installation.check_all().await {
        Err(error) if error.mismatch().is_some() => {
            error!("not swept: {error}");
            Err(JobError::fail(error))
        }
        checked => Ok(checked?),
    }
}

fn refuse(error: TooManyOrphans) -> JobError {
    error!("not swept: {error}");
    JobError::fail(error)
}

async fn sweep_staging(app: &App, before: DateTime<Utc>) -> Result<usize, JobError> {
    let found = staged::find(app, before).await?;
    found.check("staged files", app.sweep).map_err(refuse)?;
    if found.orphans.is_empty() {
        return Ok(0);
    }
    check_installation(app).await?;
    staged::remove(app, &found.orphans).await
}

/// Sweeps the objects after this key, at most 100,000. Returns how many were removed, and the key after which to
/// continue; `None`: the end was reached.
async fn sweep_part(
    app: &App,
    before: DateTime<Utc>,
    after: Option<&ObjectKey>,
) -> Result<(usize, Option<ObjectKey>), JobError> {
    let (found, next) = objects::find(app, before, after).await?;
    found.check("objects", app.sweep).map_err(refuse)?;
    if found.orphans.is_empty() {
        return Ok((0, next));
    }
    check_installation(app).await?;
    Ok((objects::remove(app, &found.orphans).await?, next))
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
