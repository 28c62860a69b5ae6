//! The operator's functions.

use std::{
    num::NonZeroU16,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use darkroom_queue::{
    Enqueue, ErrorKind, FailureReason, JobError, StopReason,
    control::{Control, JobFilter, JobStatus},
};

use crate::support::{LEASE, database, options, queue_options, supervise, work};

const GRACE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_paused_queue_is_not_claimed_from_until_it_is_resumed() {
    let db = database().await;
    let mut conn = db.pool.acquire().await.unwrap();
    assert!(Control::new(&mut conn).pause("note").await.unwrap());
    assert!(!Control::new(&mut conn).pause("note").await.unwrap());
    db.add("waits", &Enqueue::new()).await;
    db.add("alone", &Enqueue::new()).await;
    db.run("UPDATE apalis.jobs SET hold_reason = 'suspect' WHERE convert_from(job, 'UTF8') LIKE '%alone%'").await;
    let supervisor = supervise(&db);
    work(&supervisor, queue_options(), |_, _| async { Ok(()) });
    // Whatever a paused queue would let through would have been claimed before this.
    db.until("EXISTS (SELECT FROM apalis.workers WHERE last_seen > started_at + interval '1.5 s')").await;
    assert_eq!(db.value::<i64>("count(*) FROM apalis.jobs WHERE fence = 0").await, 2);

    assert!(Control::new(&mut conn).resume("note").await.unwrap());
    assert!(!Control::new(&mut conn).resume("note").await.unwrap());
    db.until("(SELECT count(*) FROM apalis.jobs WHERE status = 'Done') = 2").await;
    supervisor.drain(GRACE).await;
}

#[tokio::test]
async fn a_limited_queue_runs_no_more_jobs_than_that_in_all_processes_together() {
    let db = database().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let three = NonZeroU16::new(3);
    assert!(Control::new(&mut conn).limit("note", three).await.unwrap());
    assert!(!Control::new(&mut conn).limit("note", three).await.unwrap());
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let handler = || {
        let (running, most) = (Arc::clone(&running), Arc::clone(&most));
        move |_, _| {
            let (running, most) = (Arc::clone(&running), Arc::clone(&most));
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(10)).await;
                running.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            }
        }
    };
    let supervisors: Vec<_> = (0..3).map(|_| supervise(&db)).collect();
    for supervisor in &supervisors {
        work(supervisor, queue_options(), handler());
    }
    for n in 0..60 {
        db.add(&n.to_string(), &Enqueue::new()).await;
    }
    db.until("(SELECT count(*) FROM apalis.jobs WHERE status = 'Done') = 60").await;
    assert_eq!(most.load(Ordering::SeqCst), 3);
    assert!(Control::new(&mut conn).stats(LEASE).await.unwrap().iter().any(|queue| queue.running_limit == Some(3)));

    assert!(Control::new(&mut conn).limit("note", None).await.unwrap());
    assert!(!Control::new(&mut conn).limit("other", None).await.unwrap());
    for n in 0..200 {
        db.add(&n.to_string(), &Enqueue::new()).await;
    }
    db.until("(SELECT count(*) FROM apalis.jobs WHERE status = 'Done') = 260").await;
    assert!(most.load(Ordering::SeqCst) > 3);
    for supervisor in supervisors {
        supervisor.drain(GRACE).await;
    }
}

#[tokio::test]
async fn a_suspect_waits_for_room_in_a_limited_queue() {
    let db = database().await;
    let mut conn = db.pool.acquire().await.unwrap();
    Control::new(&mut conn).limit("note", NonZeroU16::new(1)).await.unwrap();
    // Somebody else's, whose lease lives.
    db.add("theirs", &Enqueue::new()).await;
    db.run(
        "INSERT INTO apalis.workers (id, worker_type, storage_name, layers, last_seen)
         VALUES ('other', 'note', 'queue', '', now() + interval '1 h');
         UPDATE apalis.jobs SET status = 'Running', lock_by = 'other', lock_at = now(), attempts = 1, fence = 1",
    )
    .await;
    let suspect = db.add("alone", &Enqueue::new()).await;
    db.run("UPDATE apalis.jobs SET hold_reason = 'suspect' WHERE status = 'Pending'").await;
    let supervisor = supervise(&db);
    work(&supervisor, queue_options(), |_, _| async { Ok(()) });
    // Its reservation shows that a process has looked at it, and more heartbeats than a claim needs have passed since.
    db.until("EXISTS (SELECT FROM apalis.jobs WHERE hold_reason = 'suspect' AND run_at > now() AND run_at < now() + interval '59 s')")
        .await;
    assert_eq!(db.value::<i64>("count(*) FROM apalis.jobs WHERE status = 'Running'").await, 1);
    db.run("UPDATE apalis.jobs SET status = 'Done', done_at = now() WHERE status = 'Running'").await;
    db.run("UPDATE apalis.jobs SET run_at = now() WHERE hold_reason = 'suspect'").await;
    db.until("(SELECT count(*) FROM apalis.jobs WHERE status = 'Done') = 2").await;
    assert_eq!(Control::new(&mut conn).show(suspect).await.unwrap().unwrap().summary.attempts, 1);
    supervisor.drain(GRACE).await;
}

#[tokio::test]
async fn cancelling_ends_what_waits_and_stops_what_runs() {
    let db = database().await;
    let supervisor = supervise(&db);
    work(&supervisor, queue_options(), |_, lease| async move {
        assert_eq!(lease.stopped().await, StopReason::Cancelled);
        Err(JobError::Cancelled)
    });
    let running = db.add("runs", &Enqueue::new()).await;
    let waiting = db.add("waits", &Enqueue::new().delay(Duration::from_hours(1))).await;
    db.until("EXISTS (SELECT FROM apalis.jobs WHERE status = 'Running')").await;
    let mut conn = db.pool.acquire().await.unwrap();
    assert!(Control::new(&mut conn).cancel(running).await.unwrap());
    assert!(Control::new(&mut conn).cancel(waiting).await.unwrap());
    db.until("(SELECT count(*) FROM apalis.jobs WHERE reason = 'cancelled') = 2").await;
    assert!(!Control::new(&mut conn).cancel(running).await.unwrap());
    let mut effects = db.effects().await;
    effects.sort();
    assert_eq!(effects, ["runs: cancelled/cancelled after 1", "waits: cancelled/cancelled after 0"]);
    supervisor.drain(GRACE).await;
}

#[tokio::test]
async fn a_killed_job_is_retried_with_all_its_attempts_and_its_past_on_record() {
    let db = database().await;
    let supervisor = supervise(&db);
    work(&supervisor, queue_options(), |_, _| async { Err(JobError::retry("broken")) });
    let id = db.add("a", &Enqueue::new()).await;
    db.until("(SELECT status FROM apalis.jobs) = 'Killed'").await;
    let mut conn = db.pool.acquire().await.unwrap();
    assert_eq!(Control::new(&mut conn).release(id).await.unwrap(), None);
    let revived = Control::new(&mut conn).retry(id).await.unwrap().unwrap();
    assert_eq!((revived.queue.as_str(), revived.payload.as_slice()), ("note", br#"{"name":"a"}"#.as_slice()));
    db.until("(SELECT status = 'Killed' AND fence = 6 FROM apalis.jobs)").await;
    let job = Control::new(&mut conn).show(id).await.unwrap().unwrap();
    assert_eq!((job.summary.attempts, job.summary.reason), (3, Some(FailureReason::Exhausted)));
    assert_eq!(job.payload.0["name"], "a");
    let attempts: Vec<i32> = job.errors.iter().map(|error| error.attempt).collect();
    assert_eq!(attempts, [1, 2, 3, 1, 2, 3]);
    assert!(job.errors.iter().all(|error| error.kind == ErrorKind::Error && error.message == "broken"));
    supervisor.drain(GRACE).await;
}

#[tokio::test]
async fn a_job_released_from_quarantine_runs_and_one_more_crash_brings_it_back() {
    let db = database().await;
    let id = db.add("a", &Enqueue::new()).await;
    let quarantine = "UPDATE apalis.jobs SET status = 'Killed', reason = 'quarantined', done_at = now(), attempts = 3,
        fence = 3, crashes = 3, lock_by = 'gone', lock_at = now()";
    db.run(quarantine).await;
    let mut conn = db.pool.acquire().await.unwrap();
    assert_eq!(Control::new(&mut conn).retry(id).await.unwrap(), None);
    assert!(Control::new(&mut conn).release(id).await.unwrap().is_some());
    // Its worker dies once more.
    db.run(
        "UPDATE apalis.jobs SET status = 'Running', lock_by = 'gone', lock_at = now() - interval '1 h', attempts = 4,
            fence = 4",
    )
    .await;
    let supervisor = supervise(&db);
    work(&supervisor, queue_options(), |_, lease| async move {
        assert!(!lease.is_last_attempt());
        Ok(())
    });
    db.until("(SELECT reason FROM apalis.jobs) = 'quarantined'").await;
    assert!(Control::new(&mut conn).release(id).await.unwrap().is_some());
    db.until("(SELECT status FROM apalis.jobs) = 'Done'").await;
    supervisor.drain(GRACE).await;
}

#[tokio::test]
async fn lists_go_page_by_page_and_heed_their_filters() {
    let db = database().await;
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(db.add(&n.to_string(), &Enqueue::new().key(n.to_string()).lane("mine")).await);
    }
    ids.sort_by(|a, b| b.cmp(a));
    db.run("UPDATE apalis.jobs SET status = 'Done', done_at = now() WHERE idempotency_key = '4'").await;
    let mut conn = db.pool.acquire().await.unwrap();
    let mut listed = Vec::new();
    let mut filter = JobFilter::default().limit(2);
    loop {
        let page = Control::new(&mut conn).list(&filter).await.unwrap();
        let Some(last) = page.last() else { break };
        filter = filter.before(last.id);
        listed.extend(page.iter().map(|job| job.id));
    }
    assert_eq!(listed, ids);
    let done = JobFilter::default().status(JobStatus::Done).limit(10);
    let done = Control::new(&mut conn).list(&done).await.unwrap();
    assert_eq!(done.iter().map(|job| job.key.as_deref()).collect::<Vec<_>>(), [Some("4")]);
    let other = JobFilter::default().queue("other").limit(10);
    assert!(Control::new(&mut conn).list(&other).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_job_of_a_new_priority_is_claimed_in_its_new_place() {
    let db = database().await;
    db.add("first", &Enqueue::new()).await;
    let urgent = db.add("urgent", &Enqueue::new()).await;
    let mut conn = db.pool.acquire().await.unwrap();
    assert!(Control::new(&mut conn).reprioritise(urgent, 5).await.unwrap());
    let next = "convert_from(job, 'UTF8') FROM apalis.jobs ORDER BY priority DESC, turn, run_at, id LIMIT 1";
    assert_eq!(db.value::<String>(next).await, r#"{"name":"urgent"}"#);
    db.run("UPDATE apalis.jobs SET status = 'Done', done_at = now()").await;
    assert!(!Control::new(&mut conn).reprioritise(urgent, 9).await.unwrap());
}

#[tokio::test]
async fn stats_count_every_queue_that_has_something() {
    let db = database().await;
    db.add("ready", &Enqueue::new()).await;
    db.add("later", &Enqueue::new().delay(Duration::from_hours(1))).await;
    db.add("suspect", &Enqueue::new()).await;
    db.run("UPDATE apalis.jobs SET hold_reason = 'suspect' WHERE convert_from(job, 'UTF8') LIKE '%suspect%'").await;
    db.run("UPDATE apalis.jobs SET run_at = now() - interval '100 s' WHERE hold_reason IS NULL").await;
    let mut conn = db.pool.acquire().await.unwrap();
    Control::new(&mut conn).pause("empty").await.unwrap();
    let stats = Control::new(&mut conn).stats(LEASE).await.unwrap();
    let [empty, note] = stats.as_slice() else { panic!("{stats:?}") };
    assert_eq!((empty.queue.as_str(), empty.ready, empty.oldest_due, empty.workers), ("empty", 0, None, 0));
    assert!(empty.paused_at.is_some());
    assert_eq!((note.queue.as_str(), note.ready, note.delayed, note.suspects, note.running), ("note", 1, 1, 1, 0));
    assert!(note.oldest_due.is_some_and(|age| age >= 100.0));
}

#[tokio::test]
async fn many_killed_jobs_are_retried_by_their_keys_in_the_order_of_their_lanes() {
    let db = database().await;
    let mut conn = db.pool.acquire().await.unwrap();
    for (key, lane) in [("a1", "a"), ("a2", "a"), ("b1", "b"), ("quarantined", "a"), ("pending", "a")] {
        db.add(key, &Enqueue::new().key(key).lane(lane)).await;
    }
    db.run(
        "UPDATE apalis.jobs SET status = 'Killed', done_at = now(), attempts = 3, fence = 3,
             reason = CASE idempotency_key WHEN 'quarantined' THEN 'quarantined' ELSE 'exhausted' END
         WHERE idempotency_key <> 'pending'",
    )
    .await;
    let keys = ["a1", "a2", "b1", "quarantined", "pending", "unknown"].map(str::to_owned);
    let mut retried = Control::new(&mut conn).retry_keys("note", &keys).await.unwrap();
    retried.sort();
    assert_eq!(retried, ["a1", "a2", "b1"]);
    let fresh = "(SELECT count(*) FROM apalis.jobs WHERE status = 'Pending' AND attempts = 0 AND reason IS NULL)";
    assert_eq!(db.value::<i64>(fresh).await, 4);
    let order = "(SELECT array_agg(idempotency_key ORDER BY turn, id) FROM apalis.jobs WHERE lane = 'a' AND status = 'Pending')";
    assert_eq!(db.value::<Vec<String>>(order).await, ["pending", "a1", "a2"]);
    let b =
        "(SELECT turn FROM apalis.jobs WHERE lane = 'b') < (SELECT turn FROM apalis.jobs WHERE idempotency_key = 'a2')";
    assert!(db.value::<bool>(b).await, "the lanes take turns");
    assert!(Control::new(&mut conn).retry_keys("note", &keys).await.unwrap().is_empty(), "not twice");
}

#[tokio::test]
async fn the_label_of_a_live_worker_can_be_read() {
    let db = database().await;
    let supervisor = darkroom_queue::Supervisor::start(options().label("room=5"), &db.options).unwrap();
    work(&supervisor, queue_options(), |_, _| async { Ok(()) });
    db.until("EXISTS (SELECT FROM apalis.workers)").await;
    let mut conn = db.pool.acquire().await.unwrap();
    assert_eq!(Control::new(&mut conn).labels("note", LEASE * 100).await.unwrap(), ["room=5"]);
    assert!(Control::new(&mut conn).labels("other", LEASE * 100).await.unwrap().is_empty());
    supervisor.drain(GRACE).await;
    assert!(Control::new(&mut conn).labels("note", LEASE * 100).await.unwrap().is_empty(), "it has left");
}
