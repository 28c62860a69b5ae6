//! One attempt: runs a handler under its lease, and judges how the job goes on.

use std::{any::Any, panic::AssertUnwindSafe, time::Duration};

use apalis_core::error::AbortError;
use futures::FutureExt as _;

use super::{
    backoff::Backoff,
    failure::{AttemptError, ErrorKind, FailureReason},
    job::{BoxError, JobError},
    lease::{Held, StopReason},
};

/// What bounds an attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Longest time an attempt may run. `None`: as long as it takes.
    pub(super) deadline: Option<Duration>,
    /// How long an attempt may go on after it was asked to stop.
    pub(super) patience: Duration,
}

/// How an attempt came to its end.
#[derive(Debug)]
pub(super) enum Finish {
    Returned(Result<(), BoxError>),
    Panicked(String),
    /// It ran longer than this.
    PassedDeadline(Duration),
    /// It was asked to stop, did not, and was dropped.
    Dropped,
}

/// How the job goes on.
#[derive(Debug)]
pub(super) enum Ending {
    Done,
    /// Nothing is to be written: the handler has completed the job itself, or the lease is lost.
    Settled,
    /// Back to the queue.
    Again {
        delay: Duration,
        /// Whether the attempt counts.
        counts: bool,
        error: Option<AttemptError>,
    },
    /// Failed for good. `source` is the handler's error, for the hook.
    Failed {
        reason: FailureReason,
        error: AttemptError,
        source: Option<BoxError>,
    },
}

/// Runs a handler to its end, its deadline, or the end of patience.
pub(super) async fn run<T, E>(handler: impl Future<Output = Result<T, E>>, lease: &Held, limits: Limits) -> Finish
where
    E: Into<BoxError>,
{
    let deadline = async {
        match limits.deadline {
            Some(deadline) => {
                tokio::time::sleep(deadline).await;
                deadline
            }
            None => std::future::pending().await,
        }
    };
    let dropped = async {
        lease.stopped().await;
        tokio::select! {
            () = lease.evict.cancelled() => {}
            () = tokio::time::sleep(limits.patience) => {}
        }
    };
    tokio::select! {
        biased;
        result = AssertUnwindSafe(handler).catch_unwind() => match result {
            Ok(returned) => Finish::Returned(returned.map(drop).map_err(Into::into)),
            Err(panic) => Finish::Panicked(panic_message(panic.as_ref())),
        },
        passed = deadline => Finish::PassedDeadline(passed),
        () = dropped => Finish::Dropped,
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("panicked").to_owned()
}

/// Decides how the job goes on.
pub(super) fn judge(finish: Finish, lease: &Held, backoff: &Backoff, max_crashes: u16) -> Ending {
    match finish {
        Finish::Returned(Ok(())) if lease.is_completed() => Ending::Settled,
        Finish::Returned(Ok(())) => Ending::Done,
        Finish::Returned(Err(error)) => judge_error(error, lease, backoff, max_crashes),
        Finish::Panicked(message) => failed_once(AttemptError::new(ErrorKind::Panic, message), None, lease, backoff),
        Finish::PassedDeadline(deadline) => {
            let message = format!("ran longer than {deadline:?}");
            failed_once(AttemptError::new(ErrorKind::Deadline, message), None, lease, backoff)
        }
        Finish::Dropped => stopped(lease),
    }
}

fn judge_error(error: BoxError, lease: &Held, backoff: &Backoff, max_crashes: u16) -> Ending {
    let error = match error.downcast::<JobError>() {
        Ok(error) => *error,
        // apalis' own word for it.
        Err(error) if error.is::<AbortError>() => JobError::Fail(error),
        Err(error) => JobError::Retry(error),
    };
    match error {
        JobError::Fail(source) => {
            let error = AttemptError::new(ErrorKind::Error, chain(&source));
            Ending::Failed { reason: FailureReason::Failed, error, source: Some(source) }
        }
        JobError::Cancelled => stopped(lease),
        // An attempt that was asked to stop ends in whatever error the stop provoked.
        JobError::Retry(_) | JobError::Crash(_) | JobError::Snooze(_) if lease.stop_reason().is_some() => {
            stopped(lease)
        }
        JobError::Snooze(delay) => Ending::Again { delay, counts: false, error: None },
        JobError::Crash(source) => {
            let error = AttemptError::new(ErrorKind::Crash, chain(&source));
            crashed_once(error, source, lease, backoff, max_crashes)
        }
        JobError::Retry(source) => {
            let error = AttemptError::new(ErrorKind::Error, chain(&source));
            failed_once(error, Some(source), lease, backoff)
        }
    }
}

/// The job goes on as what asked its attempt to stop wants. A handler that stops unasked cancels its job.
fn stopped(lease: &Held) -> Ending {
    match lease.stop_reason() {
        Some(StopReason::LeaseLost) => Ending::Settled,
        Some(StopReason::Draining) => Ending::Again { delay: Duration::ZERO, counts: false, error: None },
        Some(StopReason::Cancelled) | None => {
            let error = AttemptError::new(ErrorKind::Cancelled, "cancelled while it ran");
            Ending::Failed { reason: FailureReason::Cancelled, error, source: None }
        }
    }
}

/// Another attempt, if one is left. Attempts that crashed with their worker are counted apart, by the rescue.
fn failed_once(error: AttemptError, source: Option<BoxError>, lease: &Held, backoff: &Backoff) -> Ending {
    if lease.stop_reason() == Some(StopReason::LeaseLost) {
        return Ending::Settled;
    }
    let spent = lease.attempt - lease.crashes;
    if spent >= lease.max_attempts {
        return Ending::Failed { reason: FailureReason::Exhausted, error, source };
    }
    Ending::Again { delay: backoff.draw(spent.unsigned_abs()), counts: true, error: Some(error) }
}

/// Another attempt, if one more crash is allowed. The worker lives, so the job need not run alone.
fn crashed_once(error: AttemptError, source: BoxError, lease: &Held, backoff: &Backoff, max_crashes: u16) -> Ending {
    let crashes = lease.crashes + 1;
    if crashes >= max_crashes.into() {
        return Ending::Failed { reason: FailureReason::Quarantined, error, source: Some(source) };
    }
    Ending::Again { delay: backoff.draw(crashes.unsigned_abs()), counts: true, error: Some(error) }
}

/// An error and its causes in one line.
fn chain(error: &BoxError) -> String {
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
    use crate::{job::JobId, lease::Claim};

    fn lease(attempt: i32, crashes: i32, max_attempts: i32) -> Held {
        let id = JobId::ascending().next().unwrap();
        Held::new("test", &Claim { id, fence: attempt, attempt, max_attempts, crashes, payload: Vec::new() })
    }

    fn judged(result: Result<(), BoxError>, lease: &Held) -> Ending {
        judge(Finish::Returned(result), lease, &Backoff::default(), 3)
    }

    #[test]
    fn any_error_is_retried_until_the_attempts_are_spent() {
        assert!(matches!(judged(Err("x".into()), &lease(2, 0, 3)), Ending::Again { counts: true, .. }));
        let Ending::Failed { reason, .. } = judged(Err("x".into()), &lease(3, 0, 3)) else { panic!() };
        assert_eq!(reason, FailureReason::Exhausted);
    }

    #[test]
    fn crashed_attempts_do_not_use_up_the_attempts() {
        assert!(matches!(judged(Err("x".into()), &lease(4, 2, 3)), Ending::Again { .. }));
    }

    #[test]
    fn a_crash_of_what_ran_the_job_is_quarantined_in_the_end() {
        let Ending::Again { counts: true, error: Some(error), .. } =
            judged(Err(JobError::crash("signal 11").into()), &lease(2, 1, 1))
        else {
            panic!()
        };
        assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Crash, "signal 11"));
        let Ending::Failed { reason, .. } = judged(Err(JobError::crash("signal 11").into()), &lease(3, 2, 9)) else {
            panic!()
        };
        assert_eq!(reason, FailureReason::Quarantined);
    }

    #[test]
    fn a_permanent_error_fails_the_first_attempt_and_keeps_its_source() {
        let Ending::Failed { reason, source: Some(source), .. } =
            judged(Err(JobError::fail("broken").into()), &lease(1, 0, 9))
        else {
            panic!()
        };
        assert_eq!((reason, source.to_string().as_str()), (FailureReason::Failed, "broken"));
    }

    #[test]
    fn a_stop_decides_over_the_error_it_provoked() {
        let held = lease(1, 0, 9);
        held.stop(StopReason::Draining);
        assert!(matches!(judged(Err("cut off".into()), &held), Ending::Again { counts: false, error: None, .. }));
        let held = lease(1, 0, 9);
        held.stop(StopReason::LeaseLost);
        assert!(matches!(judged(Err("cut off".into()), &held), Ending::Settled));
        let held = lease(1, 0, 9);
        held.stop(StopReason::Cancelled);
        let Ending::Failed { reason, .. } = judged(Err(JobError::Cancelled.into()), &held) else { panic!() };
        assert_eq!(reason, FailureReason::Cancelled);
        assert!(matches!(judged(Ok(()), &held), Ending::Done), "it finished in spite of the cancel");
    }

    #[tokio::test]
    async fn a_panic_is_told_from_an_error() {
        let limits = Limits { deadline: None, patience: Duration::ZERO };
        let handler = async {
            assert!(std::hint::black_box(false), "boom {}", 7);
            Ok::<(), BoxError>(())
        };
        let Finish::Panicked(message) = run(handler, &lease(1, 0, 1), limits).await else { panic!() };
        assert_eq!(message, "boom 7");
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_past_its_deadline_or_patience_is_dropped() {
        let limits = Limits { deadline: Some(Duration::from_mins(1)), patience: Duration::from_secs(5) };
        let forever = std::future::pending::<Result<(), BoxError>>;
        assert!(matches!(run(forever(), &lease(1, 0, 1), limits).await, Finish::PassedDeadline(_)));
        let held = lease(1, 0, 1);
        held.stop(StopReason::Cancelled);
        assert!(matches!(run(forever(), &held, limits).await, Finish::Dropped));
    }
}
