//! Keys, priorities, lanes and delays: what is enqueued, and in which order it runs.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use darkroom_queue::{Enqueue, Enqueued, Job, Lease, QueueOptions, control::Control, enqueue, enqueue_all};

use crate::support::{Database, Note, database, supervise, work};

#[tokio::test]
async fn a_job_exists_when_its_transaction_commits_and_not_before() {
    let db = database().await;
    let mut tx = db.pool.begin().await.unwrap();
    enqueue(&mut tx, &Note::new("a"), &Enqueue::new()).await.unwrap();
    assert_eq!(db.value::<i64>("count(*) FROM apalis.jobs").await, 0);
    tx.rollback().await.unwrap();
    assert_eq!(db.value::<i64>("count(*) FROM apalis.jobs").await, 0);

    let mut tx = db.pool.begin().await.unwrap();
    enqueue(&mut tx, &Note::new("a"), &Enqueue::new()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(db.value::<i64>("count(*) FROM apalis.jobs WHERE status = 'Pending'").await, 1);
}

#[tokio::test]
async fn a_duplicate_key_is_an_answer_and_the_transaction_goes_on() {
    let db = database().await;
    let once = Enqueue::new().key("k");
    let mut tx = db.pool.begin().await.unwrap();
    let Enqueued::New(first) = enqueue(&mut tx, &Note::new("a"), &once).await.unwrap() else { panic!() };
    assert_eq!(enqueue(&mut tx, &Note::new("b"), &once).await.unwrap(), Enqueued::Duplicate(first));
    tx.commit().await.unwrap();

    let mut tx = db.pool.begin().await.unwrap();
    assert_eq!(enqueue(&mut tx, &Note::new("c"), &once).await.unwrap(), Enqueued::Duplicate(first));
    assert!(matches!(enqueue(&mut tx, &Note::new("d"), &Enqueue::new()).await.unwrap(), Enqueued::New(_)));
    tx.commit().await.unwrap();
    assert_eq!(db.value::<i64>("count(*) FROM apalis.jobs").await, 2);
}

#[tokio::test]
async fn two_transactions_that_race_for_a_key_agree_on_one_job() {
    let db = database().await;
    let once = Enqueue::new().key("k");
    let mut first = db.pool.begin().await.unwrap();
    let Enqueued::New(id) = enqueue(&mut first, &Note::new("a"), &once).await.unwrap() else { panic!() };
    let (pool, second) = (db.pool.clone(), once.clone());
    let second = tokio::spawn(async move {
        let mut tx = pool.begin().await.unwrap();
        let answer = enqueue(&mut tx, &Note::new("b"), &second).await.unwrap();
        tx.commit().await.unwrap();
        answer
    });
    db.until("EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')")
        .await;
    first.commit().await.unwrap();
    assert_eq!(second.await.unwrap(), Enqueued::Duplicate(id));
}

#[tokio::test]
async fn of_a_once_key_there_is_one_unfinished_job() {
    let db = database().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let once = Enqueue::new().once("k");
    let Enqueued::New(first) = enqueue(&mut conn, &Note::new("a"), &once).await.unwrap() else { panic!() };
    assert_eq!(enqueue(&mut conn, &Note::new("b"), &once).await.unwrap(), Enqueued::Duplicate(first));
    // A key of the other kind is another key.
    let key = Enqueue::new().key("k");
    let Enqueued::New(_) = enqueue(&mut conn, &Note::new("c"), &key).await.unwrap() else { panic!() };

    db.run("UPDATE apalis.jobs SET status = 'Killed', reason = 'failed', done_at = now() WHERE once_key = 'k'").await;
    let Enqueued::New(second) = enqueue(&mut conn, &Note::new("d"), &once).await.unwrap() else { panic!() };
    assert_ne!(first, second);
    assert_eq!(Control::new(&mut conn).retry(first).await.unwrap(), None, "the second job has its key");
    db.run(&format!("UPDATE apalis.jobs SET status = 'Done', done_at = now() WHERE id = '{second}'")).await;
    assert!(Control::new(&mut conn).retry(first).await.unwrap().is_some());
}

#[tokio::test]
async fn bulk_answers_stand_in_the_order_of_the_jobs() {
    let db = database().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let taken = enqueue(&mut conn, &Note::new("taken"), &Enqueue::new().key("taken")).await.unwrap().id();
    let jobs = ["a", "b", "c", "d"].map(Note::new);
    let keys = [Enqueue::new(), Enqueue::new().key("taken"), Enqueue::new().key("k"), Enqueue::new().key("k")];
    let answers = enqueue_all(&mut conn, jobs.iter().zip(&keys)).await.unwrap();
    let [Enqueued::New(_), Enqueued::Duplicate(b), Enqueued::New(c), Enqueued::Duplicate(d)] = answers[..] else {
        panic!("{answers:?}")
    };
    assert_eq!((b, d), (taken, c));
    assert!(enqueue_all::<Note>(&mut conn, []).await.unwrap().is_empty());
}

/// Runs everything that is queued, one job at a time, and returns the order.
async fn order_of_runs(db: &Database) -> Vec<String> {
    let supervisor = supervise(db);
    let order = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&order);
    work(&supervisor, QueueOptions::new(1), move |note: Note, _| {
        seen.lock().unwrap().push(note.name);
        async { Ok(()) }
    });
    db.until("NOT EXISTS (SELECT FROM apalis.jobs WHERE status <> 'Done')").await;
    supervisor.drain(Duration::from_secs(5)).await;
    std::mem::take(&mut order.lock().unwrap())
}

#[tokio::test]
async fn higher_priorities_run_first_and_equal_ones_in_the_order_of_their_coming() {
    let db = database().await;
    for (name, priority) in [("a", 0), ("b", 0), ("c", 5), ("d", -1), ("e", 5)] {
        db.add(name, &Enqueue::new().priority(priority)).await;
    }
    assert_eq!(order_of_runs(&db).await, ["c", "e", "a", "b", "d"]);
}

#[tokio::test]
async fn jobs_of_one_call_run_in_their_order() {
    let db = database().await;
    let names: Vec<String> = (0..50).map(|n| format!("job{n}")).collect();
    let notes: Vec<Note> = names.iter().map(|name| Note::new(name)).collect();
    let options = Enqueue::new();
    let mut conn = db.pool.acquire().await.unwrap();
    enqueue_all(&mut conn, notes.iter().map(|note| (note, &options))).await.unwrap();
    assert_eq!(order_of_runs(&db).await, names);
}

/// A busy queue's claims begin where the one before ended, and yet nothing that stands before is forgotten.
#[tokio::test]
async fn what_comes_before_the_place_of_a_busy_queue_overtakes_it() {
    let db = database().await;
    let notes: Vec<Note> = (0..3000).map(|_| Note::new("one of many")).collect();
    let options = Enqueue::new();
    let mut conn = db.pool.acquire().await.unwrap();
    enqueue_all(&mut conn, notes.iter().map(|note| (note, &options))).await.unwrap();
    let busy = db.clone();
    let begun = tokio::spawn(async move {
        busy.until("EXISTS (SELECT FROM apalis.jobs WHERE status = 'Done')").await;
        busy.add("urgent", &Enqueue::new().priority(1)).await;
        busy.add("handed back", &Enqueue::new()).await;
        busy.run("UPDATE apalis.jobs SET turn = -1 WHERE status = 'Pending' AND convert_from(job, 'UTF8') ~ 'back'")
            .await;
    });
    let order = order_of_runs(&db).await;
    begun.await.unwrap();
    let place = |name| order.iter().position(|run| run == name).unwrap();
    assert!(place("urgent") < 2900 && place("handed back") < 2900, "{} {}", place("urgent"), place("handed back"));
}

#[tokio::test]
async fn lanes_take_turns() {
    let db = database().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let bulk: Vec<Note> = (1..=5).map(|n| Note::new(&format!("bulk{n}"))).collect();
    let lane = Enqueue::new().lane("importer");
    enqueue_all(&mut conn, bulk.iter().map(|note| (note, &lane))).await.unwrap();
    db.add("single", &Enqueue::new().lane("visitor")).await;
    db.add("guest1", &Enqueue::new().lane("guest")).await;
    db.add("guest2", &Enqueue::new().lane("guest")).await;
    let expected = ["bulk1", "single", "guest1", "bulk2", "guest2", "bulk3", "bulk4", "bulk5"];
    assert_eq!(order_of_runs(&db).await, expected);
}

#[tokio::test]
async fn a_delayed_job_runs_when_it_is_due_and_not_before() {
    let db = database().await;
    let id = db.add("later", &Enqueue::new().delay(Duration::from_millis(700))).await;
    db.add("now", &Enqueue::new()).await;
    assert_eq!(order_of_runs(&db).await, ["now", "later"]);
    let early = format!("lock_at < run_at FROM apalis.jobs WHERE id = '{id}'");
    assert!(!db.value::<bool>(&early).await);
}

/// A job of another queue.
#[derive(serde::Serialize, serde::Deserialize)]
struct Other;

impl Job for Other {
    const QUEUE: &'static str = "other";
    const MAX_ATTEMPTS: u32 = 1;
}

#[tokio::test]
async fn a_paused_queue_is_not_claimed_from() {
    let db = database().await;
    db.run("INSERT INTO apalis.settings (queue, paused_at) VALUES ('note', now())").await;
    db.add("a", &Enqueue::new()).await;
    let supervisor = supervise(&db);
    work(&supervisor, QueueOptions::new(1), |_, _| async { Ok(()) });
    supervisor.work(QueueOptions::new(1), |_: Other, _: Lease| async { Ok(()) }).unwrap();
    // Queues are looked at in turn: when a job of the second is done twice, the first has been looked at.
    for n in 1..=2 {
        enqueue(&mut db.pool.acquire().await.unwrap(), &Other, &Enqueue::new()).await.unwrap();
        db.until(&format!("(SELECT count(*) FROM apalis.jobs WHERE status = 'Done') = {n}")).await;
    }
    assert_eq!(db.value::<String>("status FROM apalis.jobs WHERE job_type = 'note'").await, "Pending");
    db.run("UPDATE apalis.settings SET paused_at = NULL").await;
    db.until("NOT EXISTS (SELECT FROM apalis.jobs WHERE status <> 'Done')").await;
    supervisor.drain(Duration::from_secs(5)).await;
}
