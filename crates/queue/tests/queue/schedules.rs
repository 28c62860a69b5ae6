//! Cron schedules.

use std::time::Duration;

use darkroom_queue::{Supervisor, control::Control};

use crate::support::{Database, Note, database, supervise};

/// Past, wherever the test runs: its newest tick is this year's first second, its next one next year's.
const YEARLY: &str = "0 0 1 1 *";

fn carry(supervisor: &Supervisor, cron: &str) {
    supervisor.schedule("greet", cron, || Note::new("hello")).unwrap();
}

async fn looked(db: &Database) {
    db.run("UPDATE apalis.schedules SET seen_at = now() - interval '1 h'").await;
    // Another process that carries the schedule: its first look is at once.
    let other = supervise(db);
    carry(&other, YEARLY);
    db.until("(SELECT seen_at > now() - interval '10 min' FROM apalis.schedules)").await;
}

#[tokio::test]
async fn a_tick_is_queued_once_by_any_number_of_processes() {
    let db = database().await;
    let supervisors: Vec<Supervisor> = (0..4).map(|_| supervise(&db)).collect();
    for supervisor in &supervisors {
        carry(supervisor, "* * * * * *");
    }
    db.until("(SELECT count(*) FROM apalis.jobs) >= 3").await;
    drop(supervisors);
    let ticks = "count(DISTINCT split_part(idempotency_key, '@', 2)::timestamptz) FROM apalis.jobs";
    assert_eq!(db.value::<i64>(ticks).await, db.value::<i64>("count(*) FROM apalis.jobs").await);
    assert!(
        db.value::<bool>("bool_and(split_part(idempotency_key, '@', 2)::timestamptz <= now()) FROM apalis.jobs").await
    );
}

#[tokio::test]
async fn a_new_schedule_starts_with_its_next_tick() {
    let db = database().await;
    let supervisor = supervise(&db);
    carry(&supervisor, YEARLY);
    db.until("EXISTS (SELECT FROM apalis.schedules)").await;
    looked(&db).await;
    assert_eq!(db.value::<i64>("count(*) FROM apalis.jobs").await, 0);
}

#[tokio::test]
async fn missed_ticks_are_caught_up_by_one_job_that_pruning_does_not_bring_back() {
    let db = database().await;
    db.run("INSERT INTO apalis.schedules VALUES ('greet', 'note', '', now() - interval '5 years', now())").await;
    looked(&db).await;
    db.until("(SELECT count(*) FROM apalis.jobs) = 1").await;
    let newest = "idempotency_key = 'greet@' || extract(year FROM now() AT TIME ZONE 'UTC') || '-01-01T00:00:00Z'";
    assert!(db.value::<bool>(&format!("{newest} FROM apalis.jobs")).await);

    db.run("DELETE FROM apalis.jobs").await;
    looked(&db).await;
    assert_eq!(db.value::<i64>("count(*) FROM apalis.jobs").await, 0);
}

#[tokio::test]
async fn next_runs_are_listed_while_a_process_carries_them() {
    let db = database().await;
    let supervisor = supervise(&db);
    carry(&supervisor, YEARLY);
    db.until("EXISTS (SELECT FROM apalis.schedules)").await;
    let mut conn = db.pool.acquire().await.unwrap();
    let runs = Control::new(&mut conn).next_runs().await.unwrap();
    let [run] = runs.as_slice() else { panic!("{runs:?}") };
    assert_eq!((run.name.as_str(), run.queue.as_str(), run.cron.as_str()), ("greet", "note", YEARLY));
    let next = run.next.unwrap().to_rfc3339();
    let expected = "to_char(now() AT TIME ZONE 'UTC' + interval '1 year', 'YYYY') || '-01-01T00:00:00+00:00'";
    assert_eq!(next, db.value::<String>(expected).await);

    drop(supervisor);
    db.run("UPDATE apalis.schedules SET seen_at = now() - interval '1 hour'").await;
    assert!(Control::new(&mut conn).next_runs().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_no_cron_expression_or_never_comes_true_is_refused() {
    let db = database().await;
    let supervisor = supervise(&db);
    for pattern in ["", "every day", "61 * * * *", "0 0 30 2 *"] {
        assert!(supervisor.schedule("never", pattern, || Note::new("")).is_err(), "{pattern}");
    }
}

#[tokio::test]
async fn a_supervisor_says_which_of_its_tasks_has_ended() {
    let db = database().await;
    let supervisor = supervise(&db);
    supervisor.schedule("panics", "* * * * * *", || -> Note { panic!("a bug") }).unwrap();
    assert_eq!(supervisor.ended().await, "schedule");
    supervisor.drain(Duration::ZERO).await;
}
