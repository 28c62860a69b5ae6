//! Warnings.

use std::time::Duration;

use darkroom_queue::{
    Enqueue, Thresholds,
    control::{Control, Warning},
};

use crate::support::{LEASE, database};

#[tokio::test]
async fn late_jobs_and_queues_without_workers_are_told_whatever_priority_hides_them() {
    let db = database().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let lease = LEASE;
    let thresholds = Thresholds::default();
    db.add("fresh", &Enqueue::new().priority(9)).await;
    db.add("later", &Enqueue::new().delay(Duration::from_hours(1))).await;
    assert_eq!(Control::new(&mut conn).check(thresholds, lease).await.unwrap(), []);

    db.add("old", &Enqueue::new().priority(-1)).await;
    db.run("UPDATE apalis.jobs SET run_at = now() - interval '1 h' WHERE priority = -1").await;
    let warnings = Control::new(&mut conn).check(thresholds, lease).await.unwrap();
    let queue = "note".to_owned();
    let [no_worker, Warning::Late { queue: late, seconds: 3600.. }] = warnings.as_slice() else {
        panic!("{warnings:?}")
    };
    assert_eq!((no_worker, late), (&Warning::NoWorker { queue: queue.clone() }, &queue));

    db.run(
        "INSERT INTO apalis.workers (id, worker_type, storage_name, layers, last_seen)
         VALUES ('alive', 'note', 'queue', '', now() + interval '1 h')",
    )
    .await;
    let warnings = Control::new(&mut conn).check(thresholds, lease).await.unwrap();
    assert!(matches!(warnings.as_slice(), [Warning::Late { .. }]), "{warnings:?}");
    Control::new(&mut conn).pause("note").await.unwrap();
    assert_eq!(
        Control::new(&mut conn).check(thresholds, lease).await.unwrap(),
        [],
        "a paused queue is late on purpose"
    );
}

#[tokio::test]
async fn every_queue_is_looked_at() {
    let db = database().await;
    db.run(
        "INSERT INTO apalis.jobs (id, job_type, job, max_attempts, priority, run_at)
         SELECT lpad(n::text, 26, '0'), 'queue-' || n % 7, '{}', 3, n % 3, now() - interval '1 h'
         FROM generate_series(1, 500) AS n",
    )
    .await;
    let mut conn = db.pool.acquire().await.unwrap();
    let warnings = Control::new(&mut conn).check(Thresholds::default(), LEASE).await.unwrap();
    let late = warnings.iter().filter(|warning| matches!(warning, Warning::Late { .. })).count();
    assert_eq!((late, warnings.len()), (7, 14));
}

#[tokio::test]
async fn a_transaction_that_holds_back_the_vacuum_is_named() {
    let db = database().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let at_once = Thresholds::default().horizon(Duration::ZERO);
    let holders = async |conn: &mut sqlx::PgConnection| {
        let warnings = Control::new(conn).check(at_once, LEASE).await.unwrap();
        let holder = |warning: &Warning| match warning {
            Warning::Horizon { holder, .. } => Some(holder.clone()),
            _ => None,
        };
        warnings.iter().filter_map(holder).filter(|holder| holder.contains("idle in transaction")).count()
    };
    assert_eq!(holders(&mut conn).await, 0);
    let mut idle = db.pool.begin().await.unwrap();
    sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").execute(&mut *idle).await.unwrap();
    sqlx::query("SELECT count(*) FROM apalis.jobs").execute(&mut *idle).await.unwrap();
    assert_eq!(holders(&mut conn).await, 1);
    idle.commit().await.unwrap();
    assert_eq!(holders(&mut conn).await, 0);
}
