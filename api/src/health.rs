//! Liveness and readiness probes.

use std::{
    future::Future,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use darkroom_shared::{
    database,
    installation::{Installation, Mismatch},
};
use poem_openapi::{ApiResponse, Object, OpenApi, payload::Json};
use tokio::{sync::Mutex, time::timeout};

use crate::{
    App, Tag,
    error::ApiError,
    http::problem::{self, Check, Dependency, ProblemType},
    operation_error::{DocumentedProblems, Result},
};

/// How long one check may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the results of the checks are cached: `/readyz` is public, and every check sends a request to the bucket.
const CACHE_TIME: Duration = Duration::from_secs(1);

/// The process is alive.
#[derive(Debug, Object)]
pub(crate) struct Alive {
    /// The version of the process.
    pub(crate) version: String,
}

/// All dependencies work.
#[derive(Debug, Object)]
pub(crate) struct Readiness {
    /// The result of every check.
    pub(crate) checks: Vec<Check>,
}

#[derive(ApiResponse)]
enum AliveResponse {
    /// The process is alive.
    #[oai(status = 200, content_type = "application/json")]
    Alive(Json<Alive>),
}

#[derive(ApiResponse)]
enum ReadyResponse {
    /// All dependencies work.
    #[oai(status = 200, content_type = "application/json")]
    Ready(Json<Readiness>),
}

struct LivenessProblems;

impl DocumentedProblems for LivenessProblems {
    const LIST: &'static [(&'static ProblemType, &'static str)] = &[(
        &problem::UNAVAILABLE,
        "A task of the process has ended that it cannot work without; it has to be restarted.",
    )];
}

struct ReadinessProblems;

impl DocumentedProblems for ReadinessProblems {
    const LIST: &'static [(&'static ProblemType, &'static str)] =
        &[(&problem::UNAVAILABLE, "A dependency does not work; `checks` has the result of every check.")];
}

/// The resources `/healthz` and `/readyz`.
pub(crate) struct Health {
    app: App,
    cached: Mutex<Option<(Instant, Vec<Check>)>>,
}

#[OpenApi(tag = "Tag::Service")]
impl Health {
    /// Liveness
    ///
    /// Responds as long as the process can serve requests, whether or not Postgres, the bucket and staging work. For liveness
    /// probes: a process that does not respond, or whose status is 503, should be restarted.
    #[expect(clippy::unused_async, reason = "the macro takes only async functions")]
    #[oai(path = "/healthz", method = "get", operation_id = "healthz")]
    async fn healthz(&self) -> Result<AliveResponse, LivenessProblems> {
        match self.app.critical.ended() {
            Some(task) => Err(ApiError::TaskEnded(task).into()),
            None => Ok(AliveResponse::Alive(Json(Alive { version: env!("CARGO_PKG_VERSION").to_owned() }))),
        }
    }

    /// Readiness
    ///
    /// Checks Postgres, its migrations, the bucket, staging, and whether these belong to one installation. For readiness
    /// probes: while the status is 503, also after SIGTERM, requests should be routed to another replica.
    #[oai(path = "/readyz", method = "get", operation_id = "readyz")]
    async fn readyz(&self) -> Result<ReadyResponse, ReadinessProblems> {
        if self.app.stopping.load(Ordering::Relaxed) {
            return Err(ApiError::Stopping.into());
        }
        let checks = Box::pin(self.checks()).await;
        if checks.iter().all(|check| check.ok) {
            return Ok(ReadyResponse::Ready(Json(Readiness { checks })));
        }
        Err(ApiError::NotReady(checks).into())
    }
}

impl Health {
    pub(crate) fn new(app: App) -> Self {
        Self { app, cached: Mutex::new(None) }
    }

    async fn checks(&self) -> Vec<Check> {
        let mut cached = self.cached.lock().await;
        if let Some((time, checks)) = &*cached
            && time.elapsed() < CACHE_TIME
        {
            return checks.clone();
        }
        let App { db, bucket, staging, installation, .. } = &self.app;
        let (postgres, migrations, bucket, staging, installation) = tokio::join!(
            check(Dependency::Postgres, db.probe()),
            check(Dependency::Migrations, db.run(async |connection| database::verify(connection).await)),
            check(Dependency::Bucket, bucket.probe()),
            check(Dependency::Staging, staging.probe()),
            check(Dependency::Installation, belong_together(installation)),
        );
        let checks = vec![postgres, migrations, bucket, staging, installation];
        *cached = Some((Instant::now(), checks.clone()));
        checks
    }
}

/// Fails on a mismatch. Where the identities cannot be compared, another check says why.
async fn belong_together(installation: &Installation) -> std::result::Result<(), Mismatch> {
    let _ = timeout(CHECK_TIMEOUT / 2, installation.check_all()).await;
    installation.mismatches().into_iter().next().map_or(Ok(()), Err)
}

async fn check<T, E: std::fmt::Display>(
    name: Dependency,
    probe: impl Future<Output = std::result::Result<T, E>>,
) -> Check {
    let error = match timeout(CHECK_TIMEOUT, probe).await {
        Ok(Ok(_)) => return Check { name, ok: true },
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no response within {} s", CHECK_TIMEOUT.as_secs()),
    };
    tracing::warn!("not ready: {}: {error}", name.as_str());
    Check { name, ok: false }
}
