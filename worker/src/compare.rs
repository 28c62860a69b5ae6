//! `darkroom-worker compare`: compares the whole bucket with the catalog, for an operator. The periodic sweep knows which
//! attempts may have left objects; this also finds those of a database that was restored, and of images that were removed by
//! hand.

use std::process::ExitCode;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use clap::Args;
use darkroom_queue::JobError;
use darkroom_shared::bucket::ObjectKey;
use futures::TryStreamExt as _;

use crate::{
    App,
    jobs::sweep::{Found, check_installation, objects, orphans_before, refuse},
};

/// Objects of one part: 100 requests that list them.
const PART: u64 = 100_000;
/// Objects whose images are asked for in one statement.
const BATCH: usize = 1000;

/// The arguments of `darkroom-worker compare`.
#[derive(Args, Debug)]
pub struct CompareCommand {
    /// Remove the objects that are no renditions. Without it nothing is changed.
    #[arg(long)]
    remove: bool,
    /// Continue after this key, which an earlier comparison has printed.
    #[arg(long)]
    after: Option<String>,
}

/// Compares the bucket part by part, and prints what it finds and where it is. It may be stopped at any time.
///
/// # Errors
/// The database, the bucket and staging do not belong together, or one of them cannot be used; with `--remove`, the orphans of
/// a part are an implausible share: then none of that part is removed.
pub async fn run(app: &App, command: &CompareCommand) -> anyhow::Result<ExitCode> {
    let after = command.after.as_deref();
    let mut after =
        after.map(|key| ObjectKey::parse(key).with_context(|| format!("{key} is no key of an object"))).transpose()?;
    check_installation(app).await.map_err(error)?;
    let before = orphans_before(app).await.map_err(error)?;
    let (mut looked_at, mut orphans, mut removed) = (0, 0, 0);
    loop {
        let (found, next) = find(app, before, after.as_ref()).await?;
        looked_at += found.looked_at;
        orphans += found.orphans.len();
        if command.remove && !found.orphans.is_empty() {
            found.check("objects", app.sweep).map_err(|too_many| error(refuse(too_many)))?;
            check_installation(app).await.map_err(error)?;
            removed += objects::remove(app, &found.orphans).await.map_err(error)?.objects;
        }
        let Some(next) = next else { break };
        println!("{looked_at} objects, {orphans} orphans, {removed} removed; continues with --after {next}");
        after = Some(next);
    }
    println!("{looked_at} objects, {orphans} orphans, {removed} removed");
    Ok(ExitCode::SUCCESS)
}

/// The error of a job as that of a command.
#[expect(clippy::needless_pass_by_value, reason = "it converts")]
fn error(error: JobError) -> anyhow::Error {
    anyhow::anyhow!("{error}")
}

/// Finds the orphans written before this time, in the part of the bucket after this key. Returns them, and the key
/// after which the next part begins; `None`: this was the last part.
async fn find(
    app: &App,
    before: DateTime<Utc>,
    after: Option<&ObjectKey>,
) -> anyhow::Result<(Found<ObjectKey>, Option<ObjectKey>)> {
    let mut listed = app.bucket.list_all(after);
    let mut found = Found::default();
    let mut old = Vec::new();
    let mut next = None;
    while let Some(object) = listed.try_next().await? {
        found.looked_at += 1;
        let is_last = found.looked_at >= PART;
        if is_last {
            next = Some(object.key.clone());
        }
        if object.modified < before {
            old.push(object.key);
        }
        if old.len() >= BATCH {
            found.orphans.extend(objects::orphans(app, std::mem::take(&mut old)).await.map_err(error)?);
        }
        if is_last {
            break;
        }
    }
    found.orphans.extend(objects::orphans(app, old).await.map_err(error)?);
    Ok((found, next))
}
