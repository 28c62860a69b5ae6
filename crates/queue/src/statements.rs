//! Every statement of the queue, prepared against the schema: a column or a type that does not fit is found here, although
//! the statements are not checked when they are compiled (a published crate would look for a database in its user's build).

use std::{fs, path::Path};

use sqlx::{AssertSqlSafe, Executor as _, PgPool, SqlSafeStr as _};

use crate::{
    Schema, control, enqueue, lease, migrate, notifier,
    outcome::{ErrorKind, FailureReason},
    status::{HoldReason, JobStatus},
    test_database::database,
    worker::{acknowledge, claim_query, final_failure, heartbeat, rescue, schedule},
};

/// All of them; a test counts the constants in the sources.
const STATEMENTS: &[&str] = &[
    acknowledge::WRITE_DONE,
    acknowledge::WRITE_REQUEUE,
    claim_query::CLAIM,
    claim_query::CLAIM_AFTER,
    claim_query::CLAIM_SUSPECT,
    claim_query::TAKE_OVER_IDLE,
    claim_query::RESERVE_SUSPECT,
    claim_query::EXTEND_RESERVATION,
    claim_query::LIMITED_QUEUES,
    claim_query::LOCK_LIMIT,
    claim_query::COUNT_RUNNING,
    control::LIST,
    control::SHOW,
    control::FIND,
    control::PAUSE,
    control::RESUME,
    control::LIMIT,
    control::CANCEL,
    control::RETRY,
    control::RETRY_KEYS,
    control::LABELS,
    control::RELEASE,
    control::REPRIORITISE,
    control::STATS,
    control::CHECK_QUEUES,
    control::CHECK_HORIZON,
    control::PRUNE_NOW,
    control::PRUNE_OLDEST_KEPT,
    control::PRUNE_JOBS,
    control::PRUNE_WORKERS,
    control::PRUNE_SCHEDULES,
    control::SCHEDULES,
    enqueue::INSERT,
    enqueue::INSERT_ONE,
    enqueue::INSERT_UNLESS_DUPLICATE,
    enqueue::INSERT_ONE_UNLESS_DUPLICATE,
    enqueue::FIND_KEYS,
    final_failure::KILL,
    heartbeat::BEAT,
    heartbeat::DEREGISTER,
    lease::COMPLETE,
    lease::LOCK,
    lease::ANNOUNCE_IDLE,
    lease::BEGIN,
    migrate::BOOKKEEPING,
    migrate::LOCK,
    migrate::FIND_SCHEMA,
    migrate::FIND_TABLES,
    migrate::APPLIED,
    migrate::RECORD,
    notifier::NOTIFY,
    rescue::RELEASE_DUE,
    rescue::NEXT_DUE,
    rescue::REQUEUE_ORPHANS,
    rescue::FIND_UNRECOVERABLE,
    rescue::FIND_CANCELLED,
    schedule::CLOCK,
    schedule::WRITE_SEEN,
    schedule::ADVANCE_TICK,
    #[cfg(feature = "testing")]
    crate::testing::QUEUED,
    #[cfg(feature = "testing")]
    crate::testing::UNSETTLED,
    #[cfg(feature = "testing")]
    crate::testing::ENDED,
    #[cfg(feature = "testing")]
    crate::testing::ELAPSE_JOBS,
    #[cfg(feature = "testing")]
    crate::testing::ELAPSE_SCHEDULES,
];

#[tokio::test]
async fn every_statement_fits_the_schema() {
    let pool = PgPool::connect_with(database().await).await.unwrap();
    for schema in [Schema::default(), Schema::new("other_jobs").unwrap()] {
        schema.migrate(&pool).await.unwrap();
        for statement in STATEMENTS {
            let statement = schema.sql_with(statement, "{limit}", 1);
            let text = statement.as_str().to_owned();
            assert!(schema == Schema::default() || !text.contains("apalis"), "{text}");
            let prepared =
                pool.acquire().await.unwrap().prepare(AssertSqlSafe(text.clone()).into_sql_str()).await.err();
            assert!(prepared.is_none(), "{prepared:?}: {text}");
        }
    }
}

#[test]
fn the_list_is_complete() {
    fn count(dir: &Path) -> usize {
        let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        let is_statement = |line: &&str| line.starts_with("pub(crate) const ") && line.contains(": &str =");
        let count_file = |path: &Path| fs::read_to_string(path).unwrap().lines().filter(is_statement).count();
        files.map(|path| if path.is_dir() { count(&path) } else { count_file(&path) }).sum()
    }
    assert_eq!(count(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")), STATEMENTS.len());
}

#[test]
fn statements_spell_states_as_the_enums_do() {
    let known: Vec<&str> = [JobStatus::TEXTS, HoldReason::TEXTS, FailureReason::TEXTS, ErrorKind::TEXTS].concat();
    for statement in STATEMENTS {
        for column in ["status = '", "hold_reason = '", "reason <> '", "kind = '", "THEN 'delayed", "THEN 'suspect"] {
            for (start, found) in statement.match_indices(column) {
                let value = &statement[start + found.find('\'').unwrap() + 1..];
                let value = &value[..value.find('\'').unwrap()];
                assert!(known.contains(&value), "{value} in {statement}");
            }
        }
    }
}
