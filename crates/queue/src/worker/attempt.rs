//! One attempt: runs a handler under its lease, and decides what becomes of the job.

use std::{any::Any, panic::AssertUnwindSafe, time::Duration};

use futures::FutureExt as _;
use tokio::time::Instant;

use crate::{
    backoff::Backoff,
    job::BoxError,
    lease::{LeaseState, StopReason},
    outcome::{AttemptError, ErrorKind, FailureReason, JobError, Verdict},
};

/// An attempt that has waited idle may pass its deadline by this.
const DEADLINE_PRECISION: Duration = Duration::from_millis(100);

/// The time limits of an attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttemptLimits {
    /// Longest time it may run, apart from idle waits. `None`: no limit.
    pub(crate) deadline: Option<Duration>,
    /// How long it may go on after it was asked to stop.
    pub(crate) stop_timeout: Duration,
}

/// How an attempt ended.
#[derive(Debug)]
pub(crate) enum AttemptOutcome {
    Returned(Result<(), JobError>),
    Panicked(String),
    /// It ran longer than this.
    PassedDeadline(Duration),
    /// It was asked to stop, did not, and was dropped.
    Dropped,
}

/// Runs a handler until it returns, passes its deadline, or must be dropped.
pub(crate) async fn run(
    handler: impl Future<Output = Result<(), JobError>>,
    lease: &LeaseState,
    limits: AttemptLimits,
) -> AttemptOutcome {
    let deadline = async {
        let Some(deadline) = limits.deadline else { return std::future::pending().await };
        let start = Instant::now();
        tokio::time::sleep(deadline).await;
        loop {
            let worked = start.elapsed().saturating_sub(lease.idle_time());
            let Some(remaining) = deadline.checked_sub(worked).filter(|remaining| !remaining.is_zero()) else {
                return deadline;
            };
            tokio::time::sleep(remaining.max(DEADLINE_PRECISION)).await;
        }
    };
    let dropped = async {
        lease.stopped().await;
        tokio::select! {
            () = lease.evict.cancelled() => {}
            () = tokio::time::sleep(limits.stop_timeout) => {}
        }
    };
    tokio::select! {
        biased;
        result = AssertUnwindSafe(handler).catch_unwind() => match result {
            Ok(returned) => AttemptOutcome::Returned(returned),
            Err(panic) => AttemptOutcome::Panicked(panic_message(panic.as_ref())),
        },
        passed = deadline => AttemptOutcome::PassedDeadline(passed),
        () = dropped => AttemptOutcome::Dropped,
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("panicked").to_owned()
}

/// Decides what becomes of the job.
pub(crate) fn decide(outcome: AttemptOutcome, lease: &LeaseState, backoff: &Backoff, max_crashes: u16) -> Verdict {
    match outcome {
        AttemptOutcome::Returned(Ok(())) if lease.is_completed() => Verdict::Settled,
        AttemptOutcome::Returned(Ok(())) => Verdict::Done,
        AttemptOutcome::Returned(Err(error)) => decide_error(error, lease, backoff, max_crashes),
        AttemptOutcome::Panicked(message) => {
            retry_or_exhaust(AttemptError::new(ErrorKind::Panic, message), None, lease, backoff)
        }
        AttemptOutcome::PassedDeadline(deadline) => {
            let message = format!("ran longer than {deadline:?}");
            retry_or_exhaust(AttemptError::new(ErrorKind::Deadline, message), None, lease, backoff)
        }
        AttemptOutcome::Dropped => stopped(lease),
    }
}

fn decide_error(error: JobError, lease: &LeaseState, backoff: &Backoff, max_crashes: u16) -> Verdict {
    match error {
        JobError::Fail(source) => {
            let error = AttemptError::new(ErrorKind::Error, with_causes(&source));
            Verdict::Failed { reason: FailureReason::Failed, error, source: Some(source) }
        }
        JobError::Cancelled => stopped(lease),
        // An attempt that was asked to stop returns whatever error the stop caused.
        _ if lease.stop_reason().is_some() => stopped(lease),
        JobError::Snooze(delay) => Verdict::Requeue { delay, counts: false, error: None },
        JobError::Crash(source) => {
            let error = AttemptError::new(ErrorKind::Crash, with_causes(&source));
            retry_or_quarantine(error, source, lease, backoff, max_crashes)
        }
        JobError::Quarantine(source) => {
            let error = AttemptError::new(ErrorKind::Crash, with_causes(&source));
            Verdict::Failed { reason: FailureReason::Quarantined, error, source: Some(source) }
        }
        JobError::Retry(source) => {
            let error = AttemptError::new(ErrorKind::Error, with_causes(&source));
            retry_or_exhaust(error, Some(source), lease, backoff)
        }
        JobError::RetryAfter(source, delay) => {
            let error = AttemptError::new(ErrorKind::Error, with_causes(&source));
            // Exactly what was asked for, without jitter.
            match retry_or_exhaust(error, Some(source), lease, backoff) {
                Verdict::Requeue { counts, error, .. } => Verdict::Requeue { delay, counts, error },
                verdict => verdict,
            }
        }
    }
}

/// Follows the reason for which the attempt was asked to stop. A handler that stops unasked cancels its job.
fn stopped(lease: &LeaseState) -> Verdict {
    match lease.stop_reason() {
        Some(StopReason::LeaseLost) => Verdict::Settled,
        Some(StopReason::Draining) => Verdict::HAND_BACK,
        Some(StopReason::Cancelled) | None => {
            let error = AttemptError::new(ErrorKind::Cancelled, "cancelled while it ran");
            Verdict::Failed { reason: FailureReason::Cancelled, error, source: None }
        }
    }
}

/// Another attempt, if one is left. Attempts that ended with the death of their worker are counted apart, by the rescue.
pub(crate) fn retry_or_exhaust(
    error: AttemptError,
    source: Option<BoxError>,
    lease: &LeaseState,
    backoff: &Backoff,
) -> Verdict {
    if lease.stop_reason() == Some(StopReason::LeaseLost) {
        return Verdict::Settled;
    }
    let spent = lease.attempt - lease.crashes;
    if spent >= lease.max_attempts {
        return Verdict::Failed { reason: FailureReason::Exhausted, error, source };
    }
    Verdict::Requeue { delay: backoff.draw(spent.unsigned_abs()), counts: true, error: Some(error) }
}

/// Another attempt, if one more crash is allowed. The worker itself is alive, so the job need not run alone.
fn retry_or_quarantine(
    error: AttemptError,
    source: BoxError,
    lease: &LeaseState,
    backoff: &Backoff,
    max_crashes: u16,
) -> Verdict {
    let crashes = lease.crashes + 1;
    if crashes >= max_crashes.into() {
        return Verdict::Failed { reason: FailureReason::Quarantined, error, source: Some(source) };
    }
    Verdict::Requeue { delay: backoff.draw(crashes.unsigned_abs()), counts: true, error: Some(error) }
}

/// An error and its causes in one line.
fn with_causes(error: &BoxError) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        job::JobId,
        lease::{Claim, Lease},
        schema::Schema,
    };

    fn lease(attempt: i32, crashes: i32, max_attempts: i32) -> LeaseState {
        let id = JobId::ascending().next().unwrap();
        LeaseState::new(
            &Schema::default(),
            "test",
            &Claim { id, fence: attempt, attempt, max_attempts, crashes, payload: Vec::new() },
        )
    }

    fn decided(result: Result<(), JobError>, lease: &LeaseState) -> Verdict {
        decide(AttemptOutcome::Returned(result), lease, &Backoff::default(), 3)
    }

    #[test]
    fn any_error_is_retried_until_the_attempts_are_spent() {
        assert!(matches!(decided(Err(JobError::retry("x")), &lease(2, 0, 3)), Verdict::Requeue { counts: true, .. }));
        let Verdict::Failed { reason, .. } = decided(Err(JobError::retry("x")), &lease(3, 0, 3)) else { panic!() };
        assert_eq!(reason, FailureReason::Exhausted);
    }

    #[test]
    fn crashed_attempts_do_not_use_up_the_attempts() {
        assert!(matches!(decided(Err(JobError::retry("x")), &lease(4, 2, 3)), Verdict::Requeue { .. }));
    }

    #[test]
    fn a_crash_of_what_ran_the_job_is_quarantined_in_the_end() {
        let Verdict::Requeue { counts: true, error: Some(error), .. } =
            decided(Err(JobError::crash("signal 11")), &lease(2, 1, 1))
        else {
            panic!()
        };
        assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Crash, "signal 11"));
        let Verdict::Failed { reason, .. } = decided(Err(JobError::crash("signal 11")), &lease(3, 2, 9)) else {
            panic!()
        };
        assert_eq!(reason, FailureReason::Quarantined);
        let Verdict::Failed { reason, error, .. } = decided(Err(JobError::quarantine("signal 6")), &lease(1, 0, 9))
        else {
            panic!()
        };
        assert_eq!((reason, error.kind), (FailureReason::Quarantined, ErrorKind::Crash), "at once");
    }

    #[test]
    fn a_retry_after_waits_as_long_as_was_asked_and_counts() {
        let delay = Duration::from_hours(2);
        let asked = || JobError::retry_after("429", delay);
        let Verdict::Requeue { delay: waits, counts: true, .. } = decided(Err(asked()), &lease(1, 0, 2)) else {
            panic!()
        };
        assert_eq!(waits, delay);
        assert!(matches!(decided(Err(asked()), &lease(2, 0, 2)), Verdict::Failed { .. }));
    }

    #[test]
    fn a_permanent_error_fails_the_first_attempt_and_keeps_its_source() {
        let Verdict::Failed { reason, source: Some(source), .. } =
            decided(Err(JobError::fail("broken")), &lease(1, 0, 9))
        else {
            panic!()
        };
        assert_eq!((reason, source.to_string().as_str()), (FailureReason::Failed, "broken"));
    }

    #[test]
    fn a_stop_decides_over_the_error_it_provoked() {
        let held = lease(1, 0, 9);
        held.stop(StopReason::Draining);
        assert!(matches!(
            decided(Err(JobError::retry("cut off")), &held),
            Verdict::Requeue { counts: false, error: None, .. }
        ));
        let held = lease(1, 0, 9);
        held.stop(StopReason::LeaseLost);
        assert!(matches!(decided(Err(JobError::retry("cut off")), &held), Verdict::Settled));
        let held = lease(1, 0, 9);
        held.stop(StopReason::Cancelled);
        let Verdict::Failed { reason, .. } = decided(Err(JobError::Cancelled), &held) else { panic!() };
        assert_eq!(reason, FailureReason::Cancelled);
        assert!(matches!(decided(Ok(()), &held), Verdict::Done), "it finished in spite of the cancel");
    }

    #[tokio::test]
    async fn a_panic_is_told_from_an_error() {
        let limits = AttemptLimits { deadline: None, stop_timeout: Duration::ZERO };
        let handler = async {
            assert!(std::hint::black_box(false), "boom {}", 7);
            Ok::<(), JobError>(())
        };
        let AttemptOutcome::Panicked(message) = run(handler, &lease(1, 0, 1), limits).await else { panic!() };
        assert_eq!(message, "boom 7");
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_past_its_deadline_or_its_stop_timeout_is_dropped() {
        let limits = AttemptLimits { deadline: Some(Duration::from_mins(1)), stop_timeout: Duration::from_secs(5) };
        let forever = std::future::pending::<Result<(), JobError>>;
        assert!(matches!(run(forever(), &lease(1, 0, 1), limits).await, AttemptOutcome::PassedDeadline(_)));
        let held = lease(1, 0, 1);
        held.stop(StopReason::Cancelled);
        assert!(matches!(run(forever(), &held, limits).await, AttemptOutcome::Dropped));
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_wait_does_not_count_towards_the_deadline() {
        let limits = AttemptLimits { deadline: Some(Duration::from_mins(1)), stop_timeout: Duration::ZERO };
        let held = Lease(std::sync::Arc::new(lease(1, 0, 1)));
        let waits = async {
            let idle = held.wait_idle();
            tokio::time::sleep(Duration::from_hours(1)).await;
            drop(idle);
            tokio::time::sleep(Duration::from_secs(59)).await;
            Ok(())
        };
        assert!(matches!(run(waits, &held.0, limits).await, AttemptOutcome::Returned(Ok(()))));
        let works = async {
            drop(held.wait_idle());
            std::future::pending().await
        };
        assert!(matches!(run(works, &held.0, limits).await, AttemptOutcome::PassedDeadline(_)));
    }
}
