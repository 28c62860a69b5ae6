//! The tables: created once, refused where they are not this queue's, compared with those of apalis-postgres.

use apalis_postgres::PostgresStorage;
use darkroom_queue::{
    Enqueue, Job as _, MigrateError, QueueOptions, Schema, SchemaError, Supervisor,
    control::{Control, JobFilter},
    migrate, migrations, verify,
};
use sqlx::{PgPool, Row as _};

use crate::{
    database,
    support::{Note, options},
};

async fn empty() -> PgPool {
    PgPool::connect_with(database::database().await).await.unwrap()
}

#[tokio::test]
async fn processes_that_start_together_migrate_once() {
    let pool = empty().await;
    let mut conn = pool.acquire().await.unwrap();
    assert!(matches!(verify(&mut conn).await, Err(SchemaError::Missing(_))));
    let (a, b, c) = tokio::join!(migrate(&pool), migrate(&pool), migrate(&pool));
    a.and(b).and(c).unwrap();
    verify(&mut conn).await.unwrap();
    let applied: i64 = sqlx::query_scalar("SELECT count(*) FROM apalis.migrations").fetch_one(&pool).await.unwrap();
    assert_eq!(usize::try_from(applied).unwrap(), migrations().count());
    let numbers: Vec<i32> = migrations().map(|migration| migration.number).collect();
    assert_eq!(numbers, (1..=i32::try_from(applied).unwrap()).collect::<Vec<_>>());
    // The other tests migrate databases of the same server.
    let locks = "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
        WHERE locktype = 'advisory' AND datname = current_database()";
    assert_eq!(sqlx::query_scalar::<_, i64>(locks).fetch_one(&pool).await.unwrap(), 0);
}

#[tokio::test]
async fn a_newer_schema_is_refused_only_if_it_is_breaking() {
    let pool = empty().await;
    migrate(&pool).await.unwrap();
    let mut conn = pool.acquire().await.unwrap();
    let next = migrations().count() + 1;
    let newer = "INSERT INTO apalis.migrations (number, name, breaking)
        SELECT max(number) + 1, 'of the future', false FROM apalis.migrations";
    sqlx::query(newer).execute(&pool).await.unwrap();
    verify(&mut conn).await.unwrap();
    migrate(&pool).await.unwrap();
    sqlx::query("UPDATE apalis.migrations SET breaking = true").execute(&pool).await.unwrap();
    assert!(
        matches!(verify(&mut conn).await, Err(SchemaError::Breaking { found, .. }) if usize::try_from(found).unwrap() == next)
    );
    let refused = migrate(&pool).await;
    assert!(matches!(refused, Err(MigrateError::Schema(SchemaError::Breaking { .. }))), "{refused:?}");
    sqlx::query("DELETE FROM apalis.migrations").execute(&pool).await.unwrap();
    assert!(matches!(verify(&mut conn).await, Err(SchemaError::Older { found: 0, .. })));
}

#[tokio::test]
async fn a_gap_between_migrations_and_a_changed_migration_are_refused() {
    let pool = empty().await;
    migrate(&pool).await.unwrap();
    let mut conn = pool.acquire().await.unwrap();
    sqlx::query("INSERT INTO apalis.migrations VALUES (1000, 'of the future', false)").execute(&pool).await.unwrap();
    assert!(matches!(verify(&mut conn).await, Err(SchemaError::Gap { .. })));
    sqlx::query("DELETE FROM apalis.migrations WHERE number = 1000").execute(&pool).await.unwrap();
    sqlx::query("UPDATE apalis.migrations SET name = 'another' WHERE number = 1").execute(&pool).await.unwrap();
    assert!(matches!(verify(&mut conn).await, Err(SchemaError::Changed { number: 1, .. })));
    assert!(matches!(migrate(&pool).await, Err(MigrateError::Schema(SchemaError::Changed { .. }))));
}

#[tokio::test]
async fn the_tables_of_others_are_refused() {
    let pool = empty().await;
    PostgresStorage::setup(&pool).await.unwrap();
    assert!(matches!(migrate(&pool).await, Err(MigrateError::Foreign(_))));
    let mine: bool =
        sqlx::query_scalar("SELECT to_regclass('apalis.migrations') IS NOT NULL").fetch_one(&pool).await.unwrap();
    assert!(!mine, "nothing was changed");
}

/// Name, type, nullability and default of the columns of both tables.
async fn columns(pool: &PgPool) -> Vec<(String, String)> {
    let sql = "SELECT table_name || '.' || column_name, concat_ws(' ', udt_name, is_nullable, column_default)
        FROM information_schema.columns WHERE table_schema = 'apalis' AND table_name IN ('jobs', 'workers')";
    sqlx::query_as(sql).fetch_all(pool).await.unwrap()
}

#[tokio::test]
async fn the_columns_are_those_of_apalis_postgres() {
    let (ours, theirs) = (empty().await, empty().await);
    migrate(&ours).await.unwrap();
    PostgresStorage::setup(&theirs).await.unwrap();
    let our_columns = columns(&ours).await;
    for (name, theirs) in columns(&theirs).await {
        let expected = match name.as_str() {
            // A null of another type decodes as one, and needs no extension.
            "jobs.metadata" => "jsonb YES".to_owned(),
            // A claim orders by it.
            "jobs.priority" => "int4 NO 0".to_owned(),
            _ => theirs,
        };
        let ours = our_columns.iter().find(|(column, _)| *column == name).map(|(_, kind)| kind);
        assert_eq!(ours, Some(&expected), "{name}");
    }
}

#[tokio::test]
async fn apalis_reads_the_table() {
    use apalis_core::backend::{Filter, ListTasks as _};

    let pool = empty().await;
    migrate(&pool).await.unwrap();
    let mut conn = pool.acquire().await.unwrap();
    darkroom_queue::enqueue(&mut conn, &Note::new("a"), &Enqueue::new().key("k")).await.unwrap();
    let storage = PostgresStorage::<Note>::new(&pool).with_config(apalis_postgres::Config::default().queue("note"));
    let tasks = storage.list_tasks(&Filter { status: None, page: 1, page_size: None }).await.unwrap();
    assert_eq!(tasks.iter().map(|task| task.args.as_slice()).collect::<Vec<_>>(), [br#"{"name":"a"}"#]);
}

#[tokio::test]
async fn queues_of_two_schemas_are_strangers() {
    let pool = empty().await;
    let (first, second) = (Schema::default(), Schema::new("order").unwrap());
    first.migrate(&pool).await.unwrap();
    second.migrate(&pool).await.unwrap();
    let mut conn = pool.acquire().await.unwrap();
    second.enqueue(&mut conn, &Note::new("a"), &Enqueue::new()).await.unwrap();
    let supervisor = Supervisor::start(options().schema(second.clone()), &pool.connect_options()).unwrap();
    let (sender, mut names) = tokio::sync::mpsc::unbounded_channel();
    let run = move |note: Note, _| {
        sender.send(note.name).unwrap();
        async { Ok(()) }
    };
    supervisor.work(QueueOptions::new(1), run).unwrap();
    assert_eq!(names.recv().await.as_deref(), Some("a"));
    // Notified on the channel of its schema, after a first poll.
    second.enqueue(&mut conn, &Note::new("b"), &Enqueue::new()).await.unwrap();
    supervisor.notifier().notify(Note::QUEUE);
    assert_eq!(names.recv().await.as_deref(), Some("b"));
    supervisor.schedule("yearly", "0 0 1 1 *", || Note::new("")).unwrap();
    supervisor.drain(std::time::Duration::from_secs(5)).await;

    let jobs = Control::new(&mut conn).schema(second).list(&JobFilter::default()).await.unwrap();
    assert_eq!(jobs.len(), 2);
    assert!(jobs.iter().all(|job| job.ended_at.is_some()));
    assert!(Control::new(&mut conn).list(&JobFilter::default()).await.unwrap().is_empty());
    let row = sqlx::query("SELECT count(*) AS n FROM \"order\".jobs").fetch_one(&pool).await.unwrap();
    assert_eq!(row.get::<i64, _>("n"), 2);
}
