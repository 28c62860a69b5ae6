//! A picture that needs more memory than this worker has for one: it is left to a larger worker.

use std::time::Duration;

use darkroom_model::{Failure, FailureCode, OwnedImage};
use darkroom_queue::{Job as _, JobError, control::Control};
use darkroom_shared::{catalog, jobs::ProcessImage};
use sqlx::PgConnection;
use tracing::warn;

use super::Outcome;
use crate::{App, picture_memory};

/// How young the last heartbeat of a worker is that counts as alive: longer than any outage of the database in which it
/// could not write one and goes on afterwards.
const ALIVE: Duration = Duration::from_mins(10);
/// Time until the job can be claimed again, by a larger worker or this one.
const DELAY: Duration = Duration::from_secs(10);

/// Puts the job back for a larger worker as long as one is alive, and for `TOO_LARGE_SECONDS` if none is. After that
/// the image fails.
pub(super) async fn wait_for_larger_worker<T>(app: &App, image: OwnedImage, needed: u64) -> Outcome<T> {
    let mark = async |db: &mut PgConnection| -> Result<_, JobError> {
        let labels = Control::new(&mut *db).labels(ProcessImage::QUEUE, ALIVE).await?;
        if has_larger(&labels, needed) {
            catalog::unmark_too_large(db, image.owner, image.id).await?;
            return Ok(None);
        }
        Ok(Some(catalog::mark_too_large(db, image.owner, image.id).await?))
    };
    let Some(waited) = app.db.run(mark).await? else { return Err(JobError::Snooze(DELAY)) };
    if waited < app.too_large {
        return Err(JobError::Snooze(DELAY.min(app.too_large.saturating_sub(waited))));
    }
    warn!(%image, needed, "the picture needs more memory than any live worker has: see RENDER_MEMORY_BYTES");
    let detail = "Rendering this picture would take more memory than there is.".to_owned();
    Ok(Err(Failure { code: FailureCode::TooLarge, detail }))
}

/// Whether a worker with this label may have room. A version that does not say how much it has may.
fn has_larger(labels: &[String], needed: u64) -> bool {
    labels.iter().any(|label| picture_memory::parse(label).is_none_or(|bytes| bytes >= needed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_of_an_unknown_size_may_be_larger() {
        let small = picture_memory::label(100);
        assert!(!has_larger(std::slice::from_ref(&small), 101));
        assert!(has_larger(std::slice::from_ref(&small), 100));
        assert!(has_larger(&[small, String::new()], 101));
    }
}
