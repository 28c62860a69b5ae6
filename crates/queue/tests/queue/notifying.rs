//! Workers are notified after commits, and never by the transaction that enqueues.

use std::time::Duration;

use darkroom_queue::{Enqueue, Job as _, Notifier, Schema, Supervisor, enqueue, enqueue_all};
use sqlx::postgres::PgListener;

use crate::support::{Database, Note, database, options, queue_options, work};

const GRACE: Duration = Duration::from_secs(5);

/// Receives what the workers of a database would.
async fn listener(db: &Database) -> PgListener {
    let mut listener = PgListener::connect_with(&db.pool).await.unwrap();
    listener.listen(&Schema::default().channel()).await.unwrap();
    listener
}

/// The queues of which notifications tell, up to one that this sends itself.
async fn received(db: &Database, listener: &mut PgListener) -> Vec<String> {
    sqlx::query("SELECT pg_notify($1, 'end')").bind(Schema::default().channel()).execute(&db.pool).await.unwrap();
    let mut queues = Vec::new();
    loop {
        match listener.recv().await.unwrap().payload() {
            "end" => return queues,
            queue => queues.push(queue.to_owned()),
        }
    }
}

#[tokio::test]
async fn a_transaction_that_enqueues_notifies_nobody() {
    let db = database().await;
    let mut listener = listener(&db).await;
    let mut tx = db.pool.begin().await.unwrap();
    enqueue(&mut tx, &Note::new("a"), &Enqueue::new()).await.unwrap();
    let keyed = Enqueue::new().key("k");
    enqueue_all(&mut tx, [(&Note::new("b"), &keyed), (&Note::new("c"), &keyed)]).await.unwrap();
    tx.commit().await.unwrap();
    assert!(received(&db, &mut listener).await.is_empty());
}

#[tokio::test]
async fn many_marks_are_one_notification_of_each_queue() {
    let db = database().await;
    let mut listener = listener(&db).await;
    let notifier = Notifier::start(Schema::default(), &db.options, false);
    for _ in 0..1000 {
        notifier.notify("note");
        notifier.notify("other");
    }
    notifier.close().await;
    assert_eq!(received(&db, &mut listener).await, ["note", "other"]);
}

#[tokio::test]
async fn an_idle_worker_starts_what_it_is_notified_of() {
    let db = database().await;
    // No poll in the time of this test.
    let supervisor = Supervisor::start(options().poll(Duration::from_hours(1)), &db.options).unwrap();
    work(&supervisor, queue_options(), |_, _| async { Ok(()) });
    db.until("EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%')").await;
    for n in 1..=3 {
        let mut tx = db.pool.begin().await.unwrap();
        enqueue(&mut tx, &Note::new("a"), &Enqueue::new()).await.unwrap();
        tx.commit().await.unwrap();
        supervisor.notifier().notify(Note::QUEUE);
        db.until(&format!("(SELECT count(*) FROM apalis.jobs WHERE status = 'Done') = {n}")).await;
    }
    supervisor.drain(GRACE).await;
}

#[tokio::test]
async fn a_mark_outlives_the_connection() {
    let db = database().await;
    let mut listener = listener(&db).await;
    let terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'queue'";
    let notifier = Notifier::start(Schema::default(), &db.options, false);
    for _ in 0..3 {
        notifier.notify("note");
        assert_eq!(listener.recv().await.unwrap().payload(), "note");
        db.run(terminate).await;
    }
    notifier.close().await;
}

#[tokio::test]
async fn jobs_that_are_handed_back_are_notified() {
    let db = database().await;
    let first = Supervisor::start(options(), &db.options).unwrap();
    work(&first, queue_options(), |_, _| std::future::pending());
    // Found by a poll.
    enqueue(&mut db.pool.acquire().await.unwrap(), &Note::new("a"), &Enqueue::new()).await.unwrap();
    db.until("(SELECT status FROM apalis.jobs) = 'Running'").await;
    let mut listener = listener(&db).await;
    first.drain(Duration::ZERO).await;
    assert_eq!(received(&db, &mut listener).await, ["note"]);
}
