//! The handle through which a process uses Postgres: its deadlines, and what becomes of connections after a fault.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::time::Duration;

use darkroom_dev::{
    postgres::Cluster,
    testing::{self, stack::eventually, wire::Wire},
};
use darkroom_shared::{
    database::{self, Database, is_passing, is_statement_timeout},
    settings::DatabaseSettings,
};
use futures::future::join_all;
use sqlx::{PgConnection, PgPool};

const CONNECTIONS: u32 = 4;

fn settings(url: &str) -> DatabaseSettings {
    DatabaseSettings {
        statement_timeout: Duration::from_secs(1),
        search_timeout: Duration::from_secs(1),
        ..DatabaseSettings::direct(url, CONNECTIONS)
    }
}

/// Without timeouts that end a test's statements.
fn patient(url: &str) -> DatabaseSettings {
    let hour = Duration::from_hours(1);
    DatabaseSettings { statement_timeout: hour, search_timeout: hour, ..DatabaseSettings::direct(url, CONNECTIONS) }
}

async fn sleep(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT pg_sleep(600)").execute(connection).await.map(drop)
}

async fn answers(database: &Database) -> Result<i32, sqlx::Error> {
    database.run(async |connection| sqlx::query_scalar("SELECT 1").fetch_one(connection).await).await
}

async fn sleeping(observer: &PgPool) -> i64 {
    let sql = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND state = 'active' AND query = 'SELECT pg_sleep(600)'";
    sqlx::query_scalar(sql).fetch_one(observer).await.unwrap()
}

#[tokio::test]
async fn uses_whose_connections_go_silent_fail_and_the_next_succeed() {
    let url = testing::database().await;
    let observer = PgPool::connect(&url).await.unwrap();
    let wire = Wire::to(&url).await;
    let settings = DatabaseSettings { statement_timeout: Duration::from_secs(2), ..settings(&wire.url(&url)) };
    let database = database::connect(&settings).await.unwrap();
    let uses: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let database = database.clone();
            tokio::spawn(async move { database.run(sleep).await })
        })
        .collect();
    eventually("all connections are in a statement", async || {
        (sleeping(&observer).await == i64::from(CONNECTIONS)).then_some(())
    })
    .await;
    wire.silence();
    for result in join_all(uses).await {
        let error = result.unwrap().unwrap_err();
        assert!(is_passing(&error), "{error}");
    }
    assert_eq!(answers(&database).await.unwrap(), 1);
}

#[tokio::test]
async fn idle_connections_that_went_silent_are_replaced() {
    let url = testing::database().await;
    let wire = Wire::to(&url).await;
    let database = database::connect(&settings(&wire.url(&url))).await.unwrap();
    let open = async || {
        database.run(async |connection| sqlx::query("SELECT pg_sleep(0.1)").execute(connection).await.map(drop)).await
    };
    for result in join_all((0..CONNECTIONS).map(|_| open())).await {
        result.unwrap();
    }
    wire.silence();
    eventually("a use succeeds", async || answers(&database).await.ok()).await;
    for result in join_all((0..CONNECTIONS).map(|_| answers(&database))).await {
        assert_eq!(result.unwrap(), 1);
    }
}

#[tokio::test]
async fn an_abandoned_use_frees_its_connection_and_ends_on_the_server() {
    let url = testing::database().await;
    let observer = PgPool::connect(&url).await.unwrap();
    let database = database::connect(&patient(&url)).await.unwrap();
    for _ in 0..2 {
        let uses: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                let database = database.clone();
                tokio::spawn(async move { database.run(sleep).await })
            })
            .collect();
        eventually("all connections are in a statement", async || {
            (sleeping(&observer).await >= i64::from(CONNECTIONS)).then_some(())
        })
        .await;
        for abandoned in uses {
            abandoned.abort();
        }
    }
    assert_eq!(answers(&database).await.unwrap(), 1);
    eventually("no statement runs", async || (sleeping(&observer).await == 0).then_some(())).await;
}

#[tokio::test]
async fn searches_leave_half_of_the_connections_to_others() {
    let url = testing::database().await;
    let observer = PgPool::connect(&url).await.unwrap();
    let database = database::connect(&patient(&url)).await.unwrap();
    let searches: Vec<_> = (0..2 * CONNECTIONS)
        .map(|_| {
            let database = database.clone();
            tokio::spawn(async move { database.search(sleep).await })
        })
        .collect();
    eventually("the searches run", async || (sleeping(&observer).await == i64::from(CONNECTIONS / 2)).then_some(()))
        .await;
    assert_eq!(answers(&database).await.unwrap(), 1);
    assert_eq!(sleeping(&observer).await, i64::from(CONNECTIONS / 2));
    for search in searches {
        search.abort();
    }
}

#[tokio::test]
async fn a_slow_search_is_ended_by_the_server() {
    let database = database::connect(&settings(&testing::database().await)).await.unwrap();
    let error = database.search(sleep).await.unwrap_err();
    assert!(is_statement_timeout(&error) && is_passing(&error), "{error}");
    assert_eq!(answers(&database).await.unwrap(), 1);
}

#[tokio::test]
async fn a_transaction_commits_after_ok_and_is_rolled_back_after_an_error() {
    let database = database::connect(&settings(&testing::database().await)).await.unwrap();
    let create = |sql: &'static str, result: Result<(), sqlx::Error>| {
        let database = database.clone();
        async move {
            database
                .transaction(async |connection| {
                    sqlx::query(sql).execute(connection).await?;
                    result
                })
                .await
        }
    };
    create("CREATE TABLE kept (n int)", Ok(())).await.unwrap();
    create("CREATE TABLE dropped (n int)", Err(sqlx::Error::RowNotFound)).await.unwrap_err();
    let sql = "SELECT to_regclass('kept') IS NOT NULL, to_regclass('dropped') IS NULL";
    let there: (bool, bool) =
        database.run(async |connection| sqlx::query_as(sql).fetch_one(connection).await).await.unwrap();
    assert_eq!(there, (true, true));
}

#[tokio::test]
async fn the_locks_of_a_transaction_that_nobody_ends_are_released() {
    let url = testing::database().await;
    let database = database::connect(&settings(&url)).await.unwrap();
    sqlx::raw_sql("CREATE TABLE note (n int); INSERT INTO note VALUES (1)").execute(database.pool()).await.unwrap();
    // As if its host had lost its power: the connection stays open, and nothing more is sent.
    let mut dead = database.pool().begin().await.unwrap();
    sqlx::query("UPDATE note SET n = 2").execute(&mut *dead).await.unwrap();
    let update =
        async |connection: &mut PgConnection| sqlx::query("UPDATE note SET n = 3").execute(connection).await.map(drop);
    eventually("the row can be updated", async || match database.transaction(update).await {
        Ok(()) => Some(()),
        Err(error) => {
            assert!(is_passing(&error), "{error}");
            None
        }
    })
    .await;
}

#[tokio::test]
async fn a_server_that_becomes_read_only_is_left_until_it_accepts_writes() {
    let cluster = Cluster::throwaway().await.unwrap();
    let url = cluster.create_database("failover").await.unwrap();
    let observer = PgPool::connect(&url).await.unwrap();
    let database = database::connect(&settings(&url)).await.unwrap();
    sqlx::query("CREATE TABLE note (n int)").execute(database.pool()).await.unwrap();
    let set = async |value: &str| {
        let sql = format!("ALTER SYSTEM SET default_transaction_read_only = {value}");
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&observer).await.unwrap();
        sqlx::query("SELECT pg_reload_conf()").execute(&observer).await.unwrap();
    };
    let insert = async || {
        let insert = async |connection: &mut PgConnection| {
            sqlx::query("INSERT INTO note VALUES (1)").execute(connection).await.map(drop)
        };
        database.transaction(insert).await
    };
    insert().await.unwrap();
    set("on").await;
    let error = eventually("a write fails", async || insert().await.err()).await;
    assert!(is_passing(&error), "{error}");
    assert!(is_passing(&database.probe().await.unwrap_err()), "no connection to a read-only server is used");
    set("off").await;
    eventually("a write succeeds", async || insert().await.ok()).await;
}
