//! Whether the process lives, and whether it can do its work.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use darkroom_shared::database;
use poem_openapi::{ApiResponse, Enum, Object, OpenApi, payload::Json};
use tokio::{sync::Mutex, time::timeout};

use crate::{
    App, Tag,
    error::UNAVAILABLE,
    problem::{Problem, ProblemBody},
};

/// How long one check may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a report holds: anyone may ask, and each asking costs a request to the bucket.
const FRESH: Duration = Duration::from_secs(1);

/// Something that the api needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "Need", rename_all = "lowercase")]
pub(crate) enum Need {
    /// The database answers.
    Postgres,
    /// The database's schema is this binary's.
    Migrations,
    /// The bucket can be listed.
    Bucket,
    /// Uploads can be written.
    Staging,
}

/// Whether one thing that the api needs works.
#[derive(Clone, Debug, Object)]
pub(crate) struct Check {
    /// What was looked at.
    pub(crate) name: Need,
    /// Whether it works.
    pub(crate) ok: bool,
}

/// The process is alive.
#[derive(Debug, Object)]
pub(crate) struct Alive {
    /// The version that is running.
    pub(crate) version: String,
}

/// Everything works.
#[derive(Debug, Object)]
pub(crate) struct Readiness {
    /// What was looked at.
    pub(crate) checks: Vec<Check>,
}

#[derive(ApiResponse)]
enum AliveAnswer {
    /// The process is alive.
    #[oai(status = 200, content_type = "application/json")]
    Alive(Json<Alive>),
}

#[derive(ApiResponse)]
enum ReadyAnswer {
    /// Everything that requests need works.
    #[oai(status = 200, content_type = "application/json")]
    Ready(Json<Readiness>),
    /// Something is missing; `checks` says what.
    #[oai(status = 503)]
    Unavailable(ProblemBody),
}

pub(crate) struct Health {
    app: App,
    latest: Mutex<Option<(Instant, Vec<Check>)>>,
}

#[OpenApi(tag = "Tag::Service")]
impl Health {
    /// Alive?
    ///
    /// Answers as long as the process runs. For liveness probes: a process that does not answer should be restarted.
    #[allow(clippy::unused_async, reason = "the macro takes only async functions")]
    #[oai(path = "/healthz", method = "get", operation_id = "healthz")]
    async fn healthz(&self) -> AliveAnswer {
        AliveAnswer::Alive(Json(Alive { version: env!("CARGO_PKG_VERSION").to_owned() }))
    }

    /// Ready?
    ///
    /// Looks at Postgres, its migrations, the bucket and staging. For readiness probes: while it answers 503, requests
    /// should go to another replica.
    #[oai(path = "/readyz", method = "get", operation_id = "readyz")]
    async fn readyz(&self) -> ReadyAnswer {
        let checks = self.checks().await;
        let missing: Vec<_> = checks.iter().filter(|check| !check.ok).map(|check| word(check.name)).collect();
        if missing.is_empty() {
            return ReadyAnswer::Ready(Json(Readiness { checks }));
        }
        let problem = Problem::new(&UNAVAILABLE, format!("Not ready: {}.", missing.join(", ")));
        ReadyAnswer::Unavailable(Problem { checks: Some(checks), ..problem }.into())
    }
}

impl Health {
    pub(crate) fn new(app: App) -> Self {
        Self { app, latest: Mutex::new(None) }
    }

    async fn checks(&self) -> Vec<Check> {
        let mut latest = self.latest.lock().await;
        if let Some((made, checks)) = &*latest
            && made.elapsed() < FRESH
        {
            return checks.clone();
        }
        let App { db, bucket, staging, .. } = &self.app;
        let (postgres, migrations, bucket, staging) = tokio::join!(
            check(Need::Postgres, async { sqlx::query("SELECT 1").execute(db).await }),
            check(Need::Migrations, async { database::verify(&mut *db.acquire().await?).await }),
            check(Need::Bucket, bucket.probe()),
            check(Need::Staging, staging.probe()),
        );
        let checks = vec![postgres, migrations, bucket, staging];
        *latest = Some((Instant::now(), checks.clone()));
        checks
    }
}

async fn check<T, E: std::fmt::Display>(name: Need, asked: impl Future<Output = Result<T, E>>) -> Check {
    let missing = match timeout(PATIENCE, asked).await {
        Ok(Ok(_)) => return Check { name, ok: true },
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
    };
    tracing::warn!("not ready: {}: {missing}", word(name));
    Check { name, ok: false }
}

fn word(need: Need) -> &'static str {
    match need {
        Need::Postgres => "postgres",
        Need::Migrations => "migrations",
        Need::Bucket => "bucket",
        Need::Staging => "staging",
    }
}
