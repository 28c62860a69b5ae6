//! Shutdown in good order.

use std::time::Duration;

use darkroom_queue::{Drained, Enqueue, JobError, QueueOptions, StopReason};

use crate::support::{LEASE, Note, database, queue_options, supervise, work};

fn drained(handed_back: usize) -> Drained {
    let mut drained = Drained::default();
    drained.handed_back = handed_back;
    drained
}

#[tokio::test]
async fn running_jobs_finish_under_live_leases_and_waiting_ones_are_handed_back() {
    let db = database().await;
    let (draining, other) = (supervise(&db), supervise(&db));
    let run = |_: Note, _| async {
        tokio::time::sleep(2 * LEASE).await;
        Ok(())
    };
    work(&draining, QueueOptions::new(4).prefetch(4), run);
    for n in 0..8 {
        db.add(&n.to_string(), &Enqueue::new()).await;
    }
    db.until("(SELECT count(*) FROM apalis.jobs WHERE status = 'Running') = 8").await;
    // The other process would take up what is handed back, and take away what looks dead.
    work(&other, QueueOptions::new(4), |_: Note, lease| async move {
        assert_eq!(lease.attempt(), 1);
        Ok(())
    });
    assert_eq!(draining.drain(Duration::from_secs(20)).await, drained(0));
    db.until("(SELECT count(*) FROM apalis.jobs WHERE status = 'Done') = 8").await;
    assert_eq!(db.value::<i64>("count(*) FROM apalis.jobs WHERE attempts = 1 AND crashes = 0").await, 8);
    assert_eq!(db.value::<i64>("count(*) FROM apalis.jobs WHERE fence = 2").await, 4);
    other.drain(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_job_that_outlives_the_grace_period_is_handed_back_and_loses_no_attempt() {
    let db = database().await;
    let supervisor = supervise(&db);
    work(&supervisor, queue_options(), |note, lease| async move {
        if note.name == "listens" {
            assert_eq!(lease.stopped().await, StopReason::Draining);
            return Err(JobError::retry("stopped half way"));
        }
        std::future::pending().await
    });
    db.add("listens", &Enqueue::new()).await;
    db.add("deaf", &Enqueue::new()).await;
    db.until("(SELECT count(*) FROM apalis.jobs WHERE status = 'Running') = 2").await;
    assert_eq!(supervisor.drain(Duration::ZERO).await, drained(1));
    let untouched = "count(*) FROM apalis.jobs WHERE status = 'Pending' AND attempts = 0 AND errors IS NULL";
    assert_eq!(db.value::<i64>(untouched).await, 2);
}

#[tokio::test]
async fn a_drain_ends_even_if_nothing_was_ever_served() {
    let db = database().await;
    let supervisor = supervise(&db);
    assert_eq!(supervisor.drain(Duration::from_secs(5)).await, drained(0));
}

#[tokio::test]
async fn an_idle_attempt_leaves_its_slot_to_another_and_is_handed_back_as_soon_as_the_process_drains() {
    let db = database().await;
    let supervisor = supervise(&db);
    work(&supervisor, QueueOptions::new(1), |note, lease| async move {
        if note.name == "waits" {
            let _idle = lease.wait_idle();
            assert_eq!(lease.stopped().await, StopReason::Draining);
            return Err(JobError::Cancelled);
        }
        Ok(())
    });
    db.add("waits", &Enqueue::new()).await;
    db.until("(SELECT count(*) FROM apalis.jobs WHERE status = 'Running') = 1").await;
    db.add("works", &Enqueue::new()).await;
    db.until("(SELECT count(*) FROM apalis.jobs WHERE status = 'Done') = 1").await;
    // Longer than the test may take.
    assert_eq!(supervisor.drain(Duration::from_hours(1)).await, drained(0));
    let untouched = "count(*) FROM apalis.jobs WHERE status = 'Pending' AND attempts = 0 AND errors IS NULL";
    assert_eq!(db.value::<i64>(untouched).await, 1);
}
