//! Errors as failures of the image or of the job.

use std::time::Duration;

use darkroom_model::{Failure, FailureCode, SourceFormat};
use darkroom_queue::{BoxError, ErrorKind, FailureReason, JobError};
use darkroom_shared::{catalog, jobs::ProcessImage, lifecycle::Failed};
use sqlx::PgConnection;
use tracing::info;

use super::inputs::SourceMissing;
use crate::sandbox::{CrashCause, SandboxError};

const SOURCE_MISSING: &str = "The uploaded file is no longer there; please upload it again.";
const TAKES_TOO_LONG: &str = "Rendering this picture takes too long.";

/// A picture that crashes every render process.
#[derive(Debug, thiserror::Error)]
#[error("{format} picture: {source}")]
struct CrashesRenderer {
    format: SourceFormat,
    source: SandboxError,
}

/// What the failure of a rendering depends on beside its error.
pub(super) struct Attempt {
    /// The deadline of a rendering.
    pub(super) deadline: Duration,
    /// Crashes of earlier attempts.
    pub(super) crashes: u32,
    /// The format of the picture.
    pub(super) format: SourceFormat,
}

/// The failure of the image after an error of its rendering. `Err`: the job is tried again or quarantined.
pub(super) fn of_rendering(error: SandboxError, attempt: &Attempt) -> Result<Failure, JobError> {
    let Attempt { deadline, crashes, format } = *attempt;
    match error {
        // With the memory of an attempt after a crash, it was not the memory.
        SandboxError::Crashed { cause: CrashCause::PictureOrMemory, .. } if crashes > 0 => {
            Err(JobError::quarantine(CrashesRenderer { format, source: error }))
        }
        SandboxError::Crashed { cause: CrashCause::Picture, .. } => {
            Err(JobError::quarantine(CrashesRenderer { format, source: error }))
        }
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
    let crashes = failure.source.as_deref().and_then(|source| source.downcast_ref::<CrashesRenderer>());
    let (code, detail) = if let Some(CrashesRenderer { format, .. }) = crashes {
        (FailureCode::Crashed, crashes_detail(*format))
    } else {
        let (code, detail) = reason(failure);
        (code, detail.to_owned())
    };
    let failed = Failed::by_job(job.owner, job.image, Failure { code, detail });
    catalog::save_failed(tx, &failed).await?;
    Ok(())
}

fn crashes_detail(format: SourceFormat) -> String {
    format!("Rendering this {} picture crashes; it was not tried again.", format.name())
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
        let attempt = Attempt { deadline, ..FIRST };
        let timed_out = |cpu_time| of_rendering(SandboxError::TimedOut { deadline, cpu_time }, &attempt);
        assert!(matches!(timed_out(deadline / 2), Ok(Failure { code: FailureCode::TimedOut, .. })));
        assert!(matches!(timed_out(deadline / 3), Err(JobError::Retry(_))));
    }

    const FIRST: Attempt = Attempt { deadline: Duration::ZERO, crashes: 0, format: SourceFormat::Tiff };

    #[test]
    fn a_picture_that_crashes_its_child_is_not_tried_in_others() {
        let crashed = |cause| SandboxError::Crashed { cause, evidence: "signal 6".to_owned() };
        let second = Attempt { crashes: 1, ..FIRST };
        let error = of_rendering(crashed(CrashCause::Picture), &FIRST).unwrap_err();
        assert!(matches!(error, JobError::Quarantine(_)));
        let segmentation_fault = || crashed(CrashCause::PictureOrMemory);
        assert!(matches!(of_rendering(segmentation_fault(), &FIRST), Err(JobError::Crash(_))), "more memory may help");
        assert!(matches!(of_rendering(segmentation_fault(), &second), Err(JobError::Quarantine(_))));
        assert_eq!(crashes_detail(FIRST.format), "Rendering this TIFF picture crashes; it was not tried again.");
    }

    #[test]
    fn a_crash_that_the_machine_caused_is_tried_again() {
        let crashed = SandboxError::Crashed { cause: CrashCause::Machine, evidence: "signal 9".to_owned() };
        for error in [crashed, SandboxError::OutOfMemory { evidence: "signal 6".to_owned() }] {
            let again = of_rendering(error, &Attempt { crashes: 1, ..FIRST });
            assert!(matches!(again, Err(JobError::Crash(_))));
        }
    }
}
