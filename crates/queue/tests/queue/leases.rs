//! Workers that die, and workers that are cut off and come back.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use darkroom_queue::{CompleteError, Enqueue, JobError, QueueOptions, StopReason, Supervisor};
use sqlx::PgPool;
use tokio::sync::mpsc;

use crate::support::{Database, LEASE, Wire, WireState, database, effect, options, queue_options, supervise, work};

const GRACE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn the_job_of_a_dead_worker_is_run_by_another_and_the_crash_is_told_apart() {
    let db = database().await;
    let dead = supervise(&db);
    work(&dead, queue_options(), |_, _| std::future::pending());
    db.add("a", &Enqueue::new()).await;
    db.until("(SELECT status FROM apalis.jobs) = 'Running'").await;
    drop(dead);

    let supervisor = supervise(&db);
    work(&supervisor, queue_options(), |_, lease| async move {
        assert_eq!(lease.attempt(), 2);
        Ok(())
    });
    db.until("(SELECT status FROM apalis.jobs) = 'Done'").await;
    assert_eq!(db.value::<i32>("crashes FROM apalis.jobs").await, 1);
    assert_eq!(db.value::<String>("errors #>> '{0,kind}' FROM apalis.jobs").await, "crash");
    supervisor.drain(GRACE).await;
}

/// Works on notes that wait for a place of which there are none, apart from the first, which begins to work.
fn work_on_first_and_wait_with_others(supervisor: &Supervisor, pool: &PgPool, how: QueueOptions) {
    let pool = pool.clone();
    work(supervisor, how, move |note, lease| {
        let pool = pool.clone();
        async move {
            let _idle = lease.wait_idle();
            lease.announce_idle(&mut *pool.acquire().await?).await?;
            if note.name == "first" {
                lease.begin(&mut *pool.acquire().await?).await?;
            }
            lease.stopped().await;
            Err(JobError::Cancelled)
        }
    });
}

const RUNNING_AND_WAITING: &str = "(SELECT count(*) FROM apalis.jobs WHERE status = 'Running') = 10
    AND (SELECT count(*) FROM apalis.jobs WHERE idle_fence = fence) = 9";

async fn add_first_and_nine_others(db: &Database) {
    db.add("first", &Enqueue::new()).await;
    for n in 0..9 {
        db.add(&format!("waits{n}"), &Enqueue::new()).await;
    }
}

#[tokio::test]
async fn the_death_of_a_worker_is_no_crash_of_the_jobs_that_only_waited_in_it() {
    let db = database().await;
    add_first_and_nine_others(&db).await;
    let dead = supervise(&db);
    work_on_first_and_wait_with_others(&dead, &db.pool, queue_options());
    db.until(RUNNING_AND_WAITING).await;
    drop(dead);

    let supervisor = supervise(&db);
    work(&supervisor, queue_options(), |note, lease| async move {
        assert_eq!((lease.attempt(), lease.crashes()), if note.name == "first" { (2, 1) } else { (1, 0) });
        Ok(())
    });
    db.until("(SELECT count(*) FROM apalis.jobs WHERE status = 'Done') = 10").await;
    assert_eq!(db.value::<i64>("count(*) FROM apalis.jobs WHERE crashes > 0 OR errors IS NOT NULL").await, 1);
    supervisor.drain(GRACE).await;
}

#[tokio::test]
async fn a_process_with_room_takes_over_jobs_that_only_wait_elsewhere() {
    let db = database().await;
    add_first_and_nine_others(&db).await;
    let full = supervise(&db);
    work_on_first_and_wait_with_others(&full, &db.pool, queue_options());
    db.until(RUNNING_AND_WAITING).await;

    let other_label = Supervisor::start(options().label("smaller"), &db.options).unwrap();
    work(&other_label, queue_options().take_over_idle(), |_, _| async { Err(JobError::fail("not for this one")) });
    let idle = supervise(&db);
    work(&idle, queue_options().take_over_idle(), |_, lease| async move {
        assert_eq!((lease.attempt(), lease.crashes()), (1, 0), "the wait was no attempt");
        Ok(())
    });
    db.until("(SELECT count(*) FROM apalis.jobs WHERE status = 'Done') = 9").await;
    assert_eq!(db.value::<i64>("count(*) FROM apalis.jobs WHERE status = 'Done' AND fence = 2").await, 9);
    assert_eq!(db.value::<String>("status FROM apalis.jobs WHERE fence = 1").await, "Running");
    tokio::join!(full.drain(Duration::ZERO), other_label.drain(GRACE), idle.drain(GRACE));
}

#[tokio::test]
async fn a_job_that_takes_longer_than_a_lease_is_not_taken_away() {
    let db = database().await;
    let (first, second) = (supervise(&db), supervise(&db));
    let run = |_, _| async {
        tokio::time::sleep(3 * LEASE).await;
        Ok(())
    };
    work(&first, queue_options(), run);
    work(&second, queue_options(), run);
    db.add("a", &Enqueue::new()).await;
    db.until("(SELECT status FROM apalis.jobs) = 'Done'").await;
    assert_eq!(db.value::<i32>("fence FROM apalis.jobs").await, 1);
    tokio::join!(first.drain(GRACE), second.drain(GRACE));
}

/// A worker that is cut off from the database, loses its job to another, and comes back.
#[tokio::test]
async fn a_worker_that_was_given_up_changes_nothing_when_it_comes_back() {
    let db = database().await;
    let wire = Wire::new(&db).await;
    let zombie = Supervisor::start(options(), &wire.options(&db)).unwrap();
    let (sender, mut reasons) = mpsc::unbounded_channel();
    let pool = db.pool.clone();
    work(&zombie, queue_options(), move |note, lease| {
        let (sender, pool) = (sender.clone(), pool.clone());
        async move {
            // It is asked to stop because its lease is lost, and tries to complete the job nevertheless.
            let reason = lease.stopped().await;
            let mut tx = pool.begin().await?;
            effect(&mut tx, &format!("{} by the zombie", note.name)).await?;
            let refused = lease.lock_if_held(&mut tx).await.unwrap_err();
            assert!(matches!(refused, CompleteError::LeaseLost));
            let refused = lease.complete(&mut tx).await.unwrap_err();
            assert!(matches!(refused, CompleteError::LeaseLost));
            sender.send(reason).unwrap();
            match note.name.as_str() {
                "errs" => Err(refused.into()),
                "fails" => Err(JobError::fail("too late")),
                _ => Ok(()),
            }
        }
    });
    for name in ["errs", "fails", "returns"] {
        db.add(name, &Enqueue::new()).await;
    }
    db.until("(SELECT count(*) FROM apalis.jobs WHERE status = 'Running') = 3").await;
    wire.set(WireState::Cut);

    let supervisor = supervise(&db);
    work(&supervisor, queue_options(), |_, lease| async move {
        assert_eq!(lease.attempt(), 2);
        Ok(())
    });
    db.until("(SELECT count(*) FROM apalis.jobs WHERE status = 'Done') = 3").await;
    wire.set(WireState::Up);
    for _ in 0..3 {
        assert_eq!(reasons.recv().await, Some(StopReason::LeaseLost));
    }
    zombie.drain(GRACE).await;
    assert_eq!(db.value::<i64>("count(*) FROM apalis.jobs WHERE status = 'Done' AND fence = 2").await, 3);
    assert_eq!(db.effects().await, [""; 0]);
    supervisor.drain(GRACE).await;
}

/// Every process that starts the poison dies of it, and with it whatever else it runs.
#[tokio::test]
async fn a_job_that_kills_its_workers_is_quarantined_and_the_jobs_beside_it_are_not() {
    let db = database().await;
    db.add("poison", &Enqueue::new()).await;
    for n in 0..6 {
        db.add(&format!("innocent{n}"), &Enqueue::new()).await;
    }
    let deaths = Arc::new(Mutex::new(0));
    loop {
        let supervisor = supervise(&db);
        let (die, mut dies) = mpsc::channel::<()>(1);
        work(&supervisor, queue_options(), move |note, lease| {
            let die = die.clone();
            async move {
                if note.name == "poison" {
                    die.send(()).await.unwrap();
                    std::future::pending::<()>().await;
                }
                // Alone: the innocent ones take a while, so that they are there when the poison works.
                tokio::time::sleep(Duration::from_millis(if lease.attempt() == 1 { 5000 } else { 50 })).await;
                Ok(())
            }
        });
        let finished = db.until("NOT EXISTS (SELECT FROM apalis.jobs WHERE status NOT IN ('Done', 'Killed'))");
        tokio::select! {
            () = finished => {
                supervisor.drain(GRACE).await;
                break;
            }
            Some(()) = dies.recv() => {
                *deaths.lock().unwrap() += 1;
                drop(supervisor);
            }
        }
    }
    assert_eq!(*deaths.lock().unwrap(), 3);
    assert_eq!(db.effects().await, ["poison: quarantined/crash after 3"]);
    assert_eq!(db.value::<String>("reason FROM apalis.jobs WHERE status = 'Killed'").await, "quarantined");
    assert_eq!(db.value::<i64>("count(*) FROM apalis.jobs WHERE status = 'Done'").await, 6);
}
