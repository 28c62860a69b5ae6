//! Connections to Postgres that break, or cannot be had.

use std::time::{Duration, Instant};

use darkroom_dev::{postgres::Cluster, testing::stack::Setup};
use rand::RngExt as _;
use sqlx::{Connection as _, PgConnection};
use tokio::time::sleep;

use crate::trial::{Trial, dice};

/// Ends every connection of the api and the workers, the listeners' among them.
const TERMINATE: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'darkroom%'";

#[tokio::test]
async fn connections_terminated_again_and_again_lose_nothing() {
    let mut dice = dice();
    let mut trial = Trial::start(Setup { workers: 2, ..Setup::default() }).await;
    let terminate = async {
        for _ in 0..12 {
            sleep(Duration::from_millis(dice.random_range(50..600))).await;
            // On a busy machine nobody may be back yet.
            while sqlx::query_scalar::<_, i64>(TERMINATE).fetch_one(&trial.pool).await.unwrap() == 0 {
                sleep(Duration::from_millis(10)).await;
            }
        }
    };
    tokio::join!(terminate, trial.upload_many(150));
    trial.verdict().await;
}

#[tokio::test]
async fn a_server_without_a_free_connection_is_waited_for() {
    let cluster = Cluster::throwaway_with(false, vec!["max_connections=60".to_owned()]).await.unwrap();
    let database = Some(cluster.create_database("chaos").await.unwrap());
    let mut trial = Trial::start(Setup { workers: 2, database, ..Setup::default() }).await;
    trial.upload_many(20).await;
    let hog = async {
        let mut taken = Vec::new();
        let mut full_since: Option<Instant> = None;
        while full_since.is_none_or(|since| since.elapsed() < Duration::from_secs(4)) {
            if let Ok(connection) = PgConnection::connect(&trial.stack.database).await {
                taken.push(connection);
            } else {
                // All others are taken, and now those of the stack, too.
                full_since.get_or_insert_with(Instant::now);
                sqlx::query(TERMINATE).execute(&mut taken[0]).await.unwrap();
            }
        }
    };
    tokio::join!(hog, trial.upload_many(60));
    trial.verdict().await;
}

#[tokio::test]
#[ignore = "takes half a minute: make chaos"]
async fn more_jobs_than_connections_take_turns() {
    let few = vec![("DATABASE_CONNECTIONS", "2".to_owned()), ("WORKER_CONCURRENCY", "16".to_owned())];
    let mut trial = Trial::start(Setup { workers: 2, settings: few, ..Setup::default() }).await;
    trial.upload_many(150).await;
    trial.verdict().await;
}
