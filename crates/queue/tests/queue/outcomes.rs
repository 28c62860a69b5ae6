//! How attempts end, and the rows they leave.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use darkroom_queue::{Backoff, BoxError, Enqueue, Failure, Handler, JobError, Lease, OrFail as _};
use sqlx::PgConnection;

use crate::support::{Note, database, effect, queue_options, record_failure, supervise, work};

const GRACE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_job_is_completed_in_the_commit_of_its_effects() {
    let db = database().await;
    let supervisor = supervise(&db);
    let pool = db.pool.clone();
    work(&supervisor, queue_options(), move |note, lease| {
        let pool = pool.clone();
        async move {
            let mut tx = pool.begin().await?;
            lease.complete(&mut tx).await?;
            effect(&mut tx, &note.name).await?;
            // A first attempt that takes back both, a second that commits both.
            if lease.attempt() == 1 {
                tx.rollback().await?;
                return Err(JobError::retry("rolled back"));
            }
            tx.commit().await?;
            Ok(())
        }
    });
    db.add("a", &Enqueue::new()).await;
    db.until("(SELECT status FROM apalis.jobs) = 'Done'").await;
    assert_eq!(db.effects().await, ["a"]);
    assert_eq!(db.value::<i32>("attempts FROM apalis.jobs").await, 2);
    supervisor.drain(GRACE).await;
    assert_eq!(db.value::<i64>("count(*) FROM apalis.workers").await, 0);
}

#[tokio::test]
async fn errors_are_retried_with_a_backoff_that_stands_in_the_table() {
    let db = database().await;
    let supervisor = supervise(&db);
    let backoff = Backoff::exponential(Duration::from_hours(1), Duration::from_hours(1));
    work(&supervisor, queue_options().backoff(backoff), |_, _| async { Err(JobError::retry("try later")) });
    db.add("a", &Enqueue::new()).await;
    db.until("EXISTS (SELECT FROM apalis.jobs WHERE status = 'Pending' AND attempts = 1 AND errors IS NOT NULL)").await;
    let ahead = "run_at - now() BETWEEN interval '-1 s' AND interval '1 h' FROM apalis.jobs";
    assert!(db.value::<bool>(ahead).await);
    assert_eq!(db.value::<String>("errors #>> '{0,message}' FROM apalis.jobs").await, "try later");
    assert_eq!(db.value::<String>("last_result ->> 'Err' FROM apalis.jobs").await, "try later");
    supervisor.drain(GRACE).await;
}

#[tokio::test]
async fn errors_panics_and_deadlines_are_recorded_as_what_they_were_until_attempts_are_exhausted() {
    let db = database().await;
    let supervisor = supervise(&db);
    let options = queue_options().deadline(Duration::from_millis(300));
    work(&supervisor, options, |_, lease| async move {
        match lease.attempt() {
            1 => Err(JobError::retry("an error\0 with a NUL")),
            2 => panic!("a panic"),
            _ => {
                assert!(lease.is_last_attempt());
                std::future::pending().await
            }
        }
    });
    db.add("a", &Enqueue::new()).await;
    db.until("(SELECT status FROM apalis.jobs) = 'Killed'").await;
    assert_eq!(db.effects().await, ["a: exhausted/deadline after 3"]);
    let kinds = "string_agg(error ->> 'kind', ' ') FROM apalis.jobs, jsonb_array_elements(errors) AS error";
    assert_eq!(db.value::<String>(kinds).await, "error panic deadline");
    assert_eq!(db.value::<String>("errors #>> '{0,message}' FROM apalis.jobs").await, "an error with a NUL");
    assert_eq!(db.value::<String>("errors #>> '{1,message}' FROM apalis.jobs").await, "a panic");
    assert_eq!(db.value::<String>("reason FROM apalis.jobs").await, "exhausted");
    supervisor.drain(GRACE).await;
}

/// A hook that fails the first time.
struct Broken {
    calls: Arc<AtomicU32>,
}
impl Handler<Note> for Broken {
    async fn run(&self, _: Note, _: Lease) -> Result<(), JobError> {
        Err(JobError::fail("broken"))
    }

    async fn failed(&self, tx: &mut PgConnection, note: &Note, why: &Failure) -> Result<(), BoxError> {
        assert!(why.source.as_ref().is_some_and(|source| source.to_string() == "broken"));
        record_failure(tx, note, why).await?;
        // A hook that fails takes its own effects and the end of the job back, and is called again.
        if self.calls.fetch_add(1, Ordering::Relaxed) == 0 { Err("the hook's own fault".into()) } else { Ok(()) }
    }
}

#[tokio::test]
async fn a_permanent_failure_is_final_and_its_hook_shares_the_commit() {
    let db = database().await;
    let supervisor = supervise(&db);
    let calls = Arc::new(AtomicU32::new(0));
    supervisor.work(queue_options(), Broken { calls: Arc::clone(&calls) }).unwrap();
    db.add("a", &Enqueue::new()).await;
    db.until("(SELECT status FROM apalis.jobs) = 'Killed'").await;
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    assert_eq!(db.effects().await, ["a: failed/error after 1"]);
    supervisor.drain(GRACE).await;
}

#[tokio::test]
async fn a_snoozed_job_comes_again_and_loses_no_attempt() {
    let db = database().await;
    let supervisor = supervise(&db);
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    work(&supervisor, queue_options(), move |_, lease| {
        let run = counted.fetch_add(1, Ordering::Relaxed);
        assert_eq!(lease.attempt(), 1);
        async move { if run < 5 { Err(JobError::Snooze(Duration::from_millis(10))) } else { Ok(()) } }
    });
    db.add("a", &Enqueue::new()).await;
    db.until("(SELECT status FROM apalis.jobs) = 'Done'").await;
    assert_eq!(runs.load(Ordering::Relaxed), 6);
    assert_eq!(db.value::<i32>("attempts FROM apalis.jobs").await, 1);
    assert!(db.value::<bool>("errors IS NULL FROM apalis.jobs").await);
    supervisor.drain(GRACE).await;
}

#[tokio::test]
async fn a_job_that_cannot_be_decoded_costs_an_attempt_each_time_and_the_others_run() {
    let db = database().await;
    db.run("INSERT INTO apalis.jobs (id, job_type, job, max_attempts) VALUES ('01KXXXXXXXXXXXXXXXXXXXXXXX', 'note', '?', 3)")
        .await;
    db.add("a", &Enqueue::new()).await;
    let supervisor = supervise(&db);
    work(&supervisor, queue_options(), |_, _| async { Ok(()) });
    db.until("NOT EXISTS (SELECT FROM apalis.jobs WHERE status NOT IN ('Done', 'Killed'))").await;
    assert_eq!(db.value::<String>("reason FROM apalis.jobs WHERE status = 'Killed'").await, "exhausted");
    assert_eq!(db.value::<i32>("attempts FROM apalis.jobs WHERE status = 'Killed'").await, 3);
    assert_eq!(db.value::<i32>("jsonb_array_length(errors) FROM apalis.jobs WHERE status = 'Killed'").await, 3);
    assert_eq!(db.value::<i64>("count(*) FROM apalis.jobs WHERE status = 'Done'").await, 1);
    supervisor.drain(GRACE).await;
}

#[tokio::test]
async fn a_job_of_a_newer_program_waits_for_it() {
    let db = database().await;
    db.run("INSERT INTO apalis.jobs (id, job_type, job, max_attempts) VALUES ('01KXXXXXXXXXXXXXXXXXXXXXXX', 'note', '?', 20)")
        .await;
    let supervisor = supervise(&db);
    work(&supervisor, queue_options(), |_, _| async { Ok(()) });
    db.until("(SELECT attempts >= 2 FROM apalis.jobs)").await;
    db.run("UPDATE apalis.jobs SET job = '{\"name\": \"now readable\"}'").await;
    db.until("(SELECT status FROM apalis.jobs) = 'Done'").await;
    supervisor.drain(GRACE).await;
}

#[tokio::test]
async fn a_retry_after_is_as_late_as_was_asked_and_costs_an_attempt() {
    let db = database().await;
    let supervisor = supervise(&db);
    work(&supervisor, queue_options(), |_, _| async {
        Err(JobError::retry_after("503 Service Unavailable", Duration::from_hours(2)))
    });
    db.add("a", &Enqueue::new()).await;
    db.until("EXISTS (SELECT FROM apalis.jobs WHERE status = 'Pending' AND attempts = 1 AND errors IS NOT NULL)").await;
    let ahead = "run_at - now() BETWEEN interval '119 min' AND interval '2 h' FROM apalis.jobs";
    assert!(db.value::<bool>(ahead).await);
    supervisor.drain(GRACE).await;
}

#[tokio::test]
async fn a_question_mark_retries_and_or_fail_fails() {
    let db = database().await;
    let supervisor = supervise(&db);
    work(&supervisor, queue_options(), |note, lease| async move {
        if lease.attempt() == 1 {
            Err(std::io::Error::other("passing"))?;
        }
        note.name.parse::<u32>().or_fail()?;
        Ok(())
    });
    db.add("7", &Enqueue::new()).await;
    db.add("seven", &Enqueue::new()).await;
    db.until("NOT EXISTS (SELECT FROM apalis.jobs WHERE status NOT IN ('Done', 'Killed'))").await;
    assert_eq!(db.value::<i64>("count(*) FROM apalis.jobs WHERE attempts = 2").await, 2);
    assert_eq!(db.effects().await, ["seven: failed/error after 2"]);
    supervisor.drain(GRACE).await;
}

#[tokio::test]
async fn a_queue_is_worked_once_by_a_supervisor() {
    let db = database().await;
    let supervisor = supervise(&db);
    work(&supervisor, queue_options(), |_, _| async { Ok(()) });
    let again = supervisor.work(queue_options(), |_: Note, _: Lease| async { Ok(()) });
    assert_eq!(again.unwrap_err().to_string(), "this process works on the queue note already");
    supervisor.drain(GRACE).await;
}

#[tokio::test]
async fn a_cancelled_job_that_waits_never_runs() {
    let db = database().await;
    db.add("a", &Enqueue::new().delay(Duration::from_hours(1))).await;
    db.run("UPDATE apalis.jobs SET hold_reason = 'cancel'").await;
    let supervisor = supervise(&db);
    work(&supervisor, queue_options(), |_, _| async { panic!("it was cancelled") });
    db.until("(SELECT status FROM apalis.jobs) = 'Killed'").await;
    assert_eq!(db.effects().await, ["a: cancelled/cancelled after 0"]);
    supervisor.drain(GRACE).await;
}

#[tokio::test]
async fn a_cancelled_job_that_runs_is_told_and_one_that_does_not_listen_is_dropped() {
    let db = database().await;
    let supervisor = supervise(&db);
    work(&supervisor, queue_options(), |note, lease| async move {
        if note.name == "listens" {
            lease.stopped().await;
            return Err(JobError::Cancelled);
        }
        std::future::pending().await
    });
    db.add("listens", &Enqueue::new()).await;
    db.add("deaf", &Enqueue::new()).await;
    db.until("(SELECT count(*) FROM apalis.jobs WHERE status = 'Running') = 2").await;
    db.run("UPDATE apalis.jobs SET hold_reason = 'cancel'").await;
    db.until("(SELECT count(*) FROM apalis.jobs WHERE status = 'Killed') = 2").await;
    assert_eq!(db.effects().await, ["listens: cancelled/cancelled after 1", "deaf: cancelled/cancelled after 1"]);
    supervisor.drain(GRACE).await;
}
