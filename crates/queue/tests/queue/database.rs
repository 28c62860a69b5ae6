//! A database for each test, on the server that `DATABASE_URL` names.

use std::{
    str::FromStr as _,
    time::{SystemTime, UNIX_EPOCH},
};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, postgres::PgConnectOptions};

/// A new, empty database. It stays until its server is removed.
pub(crate) async fn database() -> PgConnectOptions {
    let url = std::env::var("DATABASE_URL").expect("DATABASE_URL of a server where this user may create databases");
    let server = PgConnectOptions::from_str(&url).expect("DATABASE_URL is a Postgres URL");
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_nanos();
    let name = format!("queue_test_{nanos}_{:08x}", rand::random::<u32>());
    let mut connection = PgConnection::connect_with(&server).await.expect("the server of DATABASE_URL answers");
    let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::raw_sql(create).execute(&mut connection).await.expect("this user may create databases");
    server.database(&name)
}
