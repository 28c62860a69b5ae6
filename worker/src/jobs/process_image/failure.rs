//! Errors as failures of the image or of the job.

use std::time::Duration;

use darkroom_model::{Failure, FailureCode};
use darkroom_queue::{BoxError, ErrorKind, FailureReason, JobError};
use darkroom_shared::{catalog, jobs::ProcessImage, lifecycle::Failed};
use sqlx::PgConnection;
use tracing::info;

use super::inputs::SourceMissing;
use crate::sandbox::SandboxError;

const SOURCE_MISSING: &str = "The uploaded file is no longer there; please upload it again.";
const TAKES_TOO_LONG: &str = "Rendering this picture takes too long.";

/// The failure of the image after an error of its rendering. `Err`: the job is tried again.
pub(super) fn of_rendering(error: SandboxError, deadline: Duration) -> Result<Failure, JobError> {
    match error {
        SandboxError::Refused { failure, cause } => {
            info!(cause, "refused");
            Ok(failure)
        }
        // It had a core for at least half of the time, so another attempt would time out too.
        SandboxError::TimedOut { cpu_time, .. } if cpu_time >= deadline / 2 => {
            Ok(Failure { code: FailureCode::TimedOut, detail: TAKES_TOO_LONG.to_owned() })
        }
        SandboxError::Crashed { .. } | SandboxError::OutOfMemory { .. } => Err(JobError::crash(error)),
        SandboxError::TimedOut { .. }
        | SandboxError::Failed { .. }
        | SandboxError::ReceiverClosed
        | SandboxError::Spawn(_)
        | SandboxError::Unconfined(_) => Err(JobError::retry(error)),
    }
}

/// Makes the image failed when its job has failed for good, in the same transaction. The staged file stays until the
/// sweep removes it as an orphan, so that an operator can retry the job.
pub(super) async fn give_up(
    tx: &mut PgConnection,
    job: &ProcessImage,
    failure: &darkroom_queue::Failure,
) -> Result<(), BoxError> {
    let (code, detail) = reason(failure);
    let failed = Failed::by_job(job.image, Failure { code, detail: detail.to_owned() });
    catalog::save_failed(tx, &failed).await?;
    Ok(())
}

fn reason(failure: &darkroom_queue::Failure) -> (FailureCode, &'static str) {
    let is_missing = failure.source.as_deref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<SourceMissing>);
    let source = failure.source.as_deref().and_then(|source| source.downcast_ref::<SandboxError>());
    match (failure.reason, failure.kind) {
        (FailureReason::Exhausted, _) if is_missing => (FailureCode::SourceMissing, SOURCE_MISSING),
        (_, ErrorKind::Error) if matches!(source, Some(SandboxError::TimedOut { .. })) => {
            (FailureCode::TimedOut, TAKES_TOO_LONG)
        }
        (FailureReason::Cancelled, _) => (FailureCode::Cancelled, "It was cancelled."),
        (FailureReason::Quarantined, _) | (_, ErrorKind::Panic | ErrorKind::Crash) => {
            (FailureCode::Crashed, "Rendering this picture crashed again and again.")
        }
        // Not an outage: another try would only fail again.
        (_, ErrorKind::Error) if matches!(source, Some(SandboxError::Failed { .. })) => {
            (FailureCode::Crashed, "Rendering this picture failed again and again.")
        }
        (_, ErrorKind::Deadline) => (FailureCode::TimedOut, TAKES_TOO_LONG),
        _ => (FailureCode::Unavailable, "The picture could not be rendered or stored; it was tried several times."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_picture_fails_and_a_slow_machine_tries_again() {
        let deadline = Duration::from_mins(1);
        let timed_out = |cpu_time| of_rendering(SandboxError::TimedOut { deadline, cpu_time }, deadline);
        assert!(matches!(timed_out(deadline / 2), Ok(Failure { code: FailureCode::TimedOut, .. })));
        assert!(matches!(timed_out(deadline / 3), Err(JobError::Retry(_))));
    }

    #[test]
    fn a_crash_of_the_child_is_a_crash_of_the_job() {
        for error in [
            SandboxError::Crashed { evidence: "signal 11".to_owned() },
            SandboxError::OutOfMemory { evidence: "signal 6".to_owned() },
        ] {
            assert!(matches!(of_rendering(error, Duration::ZERO), Err(JobError::Crash(_))));
        }
    }
}
