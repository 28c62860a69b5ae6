//! The database fails and comes back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use darkroom_queue::{Enqueue, Supervisor};

use crate::support::{LEASE, Wire, WireState, database, options, queue_options, supervise, work};

const GRACE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn workers_outlive_an_outage_and_no_running_job_runs_twice() {
    let db = database().await;
    let wire = Wire::new(&db).await;
    let start = || Supervisor::start(options(), &wire.options(&db)).unwrap();
    let (first, second) = (start(), start());
    let runs = Arc::new(AtomicU32::new(0));
    let run = |runs: &Arc<AtomicU32>| {
        let runs = Arc::clone(runs);
        move |_, _| {
            runs.fetch_add(1, Ordering::Relaxed);
            async {
                tokio::time::sleep(2 * LEASE).await;
                Ok(())
            }
        }
    };
    work(&first, queue_options(), run(&runs));
    work(&second, queue_options(), run(&runs));
    for n in 0..16 {
        db.add(&n.to_string(), &Enqueue::new()).await;
    }
    db.until("(SELECT count(*) FROM apalis.jobs WHERE status = 'Running') = 16").await;
    wire.set(WireState::Cut);
    // For longer than a lease: to each of the two, the other looks dead afterwards.
    tokio::time::sleep(LEASE + Duration::from_secs(1)).await;
    wire.set(WireState::Up);
    db.until("(SELECT count(*) FROM apalis.jobs WHERE status = 'Done') = 16").await;
    assert_eq!(runs.load(Ordering::Relaxed), 16);
    assert_eq!(db.value::<i64>("count(*) FROM apalis.jobs WHERE fence = 1 AND attempts = 1").await, 16);
    tokio::join!(first.drain(GRACE), second.drain(GRACE));
}

#[tokio::test]
async fn a_wire_that_goes_dead_without_a_word_is_noticed() {
    let db = database().await;
    let wire = Wire::new(&db).await;
    let supervisor = Supervisor::start(options(), &wire.options(&db)).unwrap();
    work(&supervisor, queue_options(), |_, _| async { Ok(()) });
    db.add("before", &Enqueue::new()).await;
    db.until("(SELECT count(*) FROM apalis.jobs WHERE status = 'Done') = 1").await;
    wire.set(WireState::Frozen);
    tokio::time::sleep(Duration::from_millis(500)).await;
    // New connections pass, the frozen ones never will.
    wire.set(WireState::Up);
    db.add("after", &Enqueue::new()).await;
    db.until("(SELECT count(*) FROM apalis.jobs WHERE status = 'Done') = 2").await;
    supervisor.drain(GRACE).await;
}

#[tokio::test]
async fn terminated_backends_are_replaced_the_listeners_too() {
    let db = database().await;
    // No poll in the time of this test: only the listener can notice.
    let patient = options().poll(Duration::from_hours(1));
    let supervisor = Supervisor::start(patient, &db.options).unwrap();
    work(&supervisor, queue_options(), |_, _| async { Ok(()) });
    for n in 1..=3 {
        db.until(
            "(SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%') = 1",
        )
        .await;
        db.add(&n.to_string(), &Enqueue::new()).await;
        db.until(&format!("(SELECT count(*) FROM apalis.jobs WHERE status = 'Done') = {n}")).await;
        db.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'queue'",
        )
        .await;
    }
    supervisor.drain(GRACE).await;
}

#[tokio::test]
async fn a_worker_starts_before_its_database() {
    let db = database().await;
    let wire = Wire::new(&db).await;
    wire.set(WireState::Cut);
    let supervisor = Supervisor::start(options(), &wire.options(&db)).unwrap();
    work(&supervisor, queue_options(), |_, _| async { Ok(()) });
    db.add("a", &Enqueue::new()).await;
    wire.set(WireState::Up);
    db.until("(SELECT status FROM apalis.jobs) = 'Done'").await;
    supervisor.drain(GRACE).await;
}

#[tokio::test]
async fn a_drain_ends_while_the_database_is_away() {
    let db = database().await;
    let wire = Wire::new(&db).await;
    let supervisor = Supervisor::start(options(), &wire.options(&db)).unwrap();
    work(&supervisor, queue_options(), |_, _| std::future::pending());
    db.add("a", &Enqueue::new()).await;
    db.until("(SELECT status FROM apalis.jobs) = 'Running'").await;
    wire.set(WireState::Cut);
    let drained = supervisor.drain(Duration::ZERO).await;
    assert_eq!((drained.handed_back, drained.unwritten), (1, 1));
    wire.set(WireState::Up);
    // Its lease runs out like a dead worker's.
    let heir = supervise(&db);
    work(&heir, queue_options(), |_, _| async { Ok(()) });
    db.until("(SELECT status FROM apalis.jobs) = 'Done'").await;
    heir.drain(GRACE).await;
}

#[tokio::test]
async fn without_listen_jobs_are_found_by_polling() {
    let db = database().await;
    let behind = options().pooler(true);
    let supervisor = Supervisor::start(behind, &db.options).unwrap();
    work(&supervisor, queue_options(), |_, _| async { Ok(()) });
    // It runs one, so it waits for the next.
    for n in 1..=2 {
        db.add(&n.to_string(), &Enqueue::new()).await;
        db.until(&format!("(SELECT count(*) FROM apalis.jobs WHERE status = 'Done') = {n}")).await;
    }
    let listeners = "count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    assert_eq!(db.value::<i64>(listeners).await, 0);
    supervisor.drain(GRACE).await;
}
