//! Old finished jobs are removed, and nothing else.

use std::time::Duration;

use darkroom_queue::{
    Retention,
    control::{Control, Pruned},
};

use crate::support::{Database, database, supervise};

const HOUR: Duration = Duration::from_hours(1);

/// Jobs whose ids say that they were made long ago.
async fn add_old(db: &Database, prefix: &str, count: u32, columns: &str, values: &str) {
    db.run(&format!(
        "INSERT INTO apalis.jobs (id, job_type, job, max_attempts{columns})
         SELECT '00000000000000000{prefix}' || lpad(n::text, 8, '0'), 'note', '{{}}', 3{values}
         FROM generate_series(1, {count}) AS n"
    ))
    .await;
}

async fn add_ended(db: &Database, prefix: &str, count: u32, status: &str, age: &str) {
    let (column, value) = if status == "Killed" { (", reason", ", 'failed'") } else { ("", "") };
    let columns = format!(", status, done_at{column}");
    add_old(db, prefix, count, &columns, &format!(", '{status}', now() - interval '{age}'{value}")).await;
}

fn removed(jobs: u64) -> Pruned {
    let mut pruned = Pruned::default();
    pruned.jobs = jobs;
    pruned
}

#[tokio::test]
async fn ended_jobs_go_by_age_and_failed_ones_later() {
    let db = database().await;
    // More than one statement looks at, and what stays stands between what goes.
    add_ended(&db, "A", 3000, "Done", "8 days").await;
    add_old(&db, "B", 10, "", "").await;
    add_ended(&db, "C", 10, "Done", "6 days").await;
    add_ended(&db, "D", 10, "Killed", "29 days").await;
    add_ended(&db, "E", 1500, "Killed", "31 days").await;
    let mut conn = db.pool.acquire().await.unwrap();
    let pruned = Control::new(&mut conn).prune(Retention::default()).await.unwrap();
    assert_eq!(pruned, removed(4500));
    assert_eq!(Control::new(&mut conn).prune(Retention::default()).await.unwrap(), Pruned::default());
    let left = "string_agg(DISTINCT substr(id, 18, 1), '' ORDER BY substr(id, 18, 1)) FROM apalis.jobs";
    assert_eq!(db.value::<String>(left).await, "BCD");
    assert_eq!(db.value::<i64>("count(*) FROM apalis.jobs").await, 30);

    let all = Retention::default().done(Duration::ZERO).killed(HOUR);
    assert_eq!(Control::new(&mut conn).prune(all).await.unwrap().jobs, 20);
}

#[tokio::test]
async fn of_too_many_jobs_the_oldest_go_if_they_have_ended() {
    let db = database().await;
    add_ended(&db, "A", 2500, "Done", "1 minute").await;
    add_old(&db, "B", 10, "", "").await;
    add_ended(&db, "C", 10, "Killed", "1 minute").await;
    add_ended(&db, "D", 20, "Done", "1 minute").await;
    let mut conn = db.pool.acquire().await.unwrap();
    let few = |jobs| Retention::default().max_jobs(jobs);
    assert_eq!(Control::new(&mut conn).prune(few(2540)).await.unwrap().jobs, 0);
    assert_eq!(Control::new(&mut conn).prune(few(15)).await.unwrap().jobs, 2500 + 10 + 5);
    let left = "string_agg(DISTINCT substr(id, 18, 1), '' ORDER BY substr(id, 18, 1)) FROM apalis.jobs";
    assert_eq!(db.value::<String>(left).await, "BD");
    assert_eq!(db.value::<i64>("count(*) FROM apalis.jobs").await, 10 + 15);
}

#[tokio::test]
async fn a_job_that_was_made_long_ago_and_ended_now_stays() {
    let db = database().await;
    add_ended(&db, "A", 1, "Done", "1 minute").await;
    let mut conn = db.pool.acquire().await.unwrap();
    assert_eq!(Control::new(&mut conn).prune(Retention::default().done(HOUR).killed(HOUR)).await.unwrap().jobs, 0);
}

#[tokio::test]
async fn workers_that_are_gone_go_unless_a_job_still_names_them() {
    let db = database().await;
    db.run(
        "INSERT INTO apalis.workers (id, worker_type, storage_name, layers, last_seen)
         SELECT name, 'note', storage, '', now() - age FROM (VALUES
             ('alive', 'queue', interval '1 s'), ('gone', 'queue', interval '2 days'),
             ('owner', 'queue', interval '2 days'), ('other', 'theirs', interval '2 days')) AS w (name, storage, age)",
    )
    .await;
    let running = ", 'Running', 'owner', now(), 1, 1";
    add_old(&db, "A", 1, ", status, lock_by, lock_at, fence, attempts", running).await;
    let mut conn = db.pool.acquire().await.unwrap();
    assert_eq!(Control::new(&mut conn).prune(Retention::default()).await.unwrap().workers, 1);
    assert_eq!(db.value::<String>("string_agg(id, ' ' ORDER BY id) FROM apalis.workers").await, "alive other owner");
}

#[tokio::test]
async fn every_process_prunes() {
    let db = database().await;
    add_ended(&db, "A", 5, "Done", "8 days").await;
    let _supervisors = [supervise(&db), supervise(&db)];
    db.until("NOT EXISTS (SELECT FROM apalis.jobs)").await;
}
