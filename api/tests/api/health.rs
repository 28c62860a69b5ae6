//! Liveness and readiness.

use serde_json::json;

use crate::harness::Api;

#[tokio::test]
async fn a_healthy_api_is_alive_and_ready() {
    let api = Api::start().await;
    assert_eq!(api.get("/healthz").await.json(), json!({ "version": env!("CARGO_PKG_VERSION") }));
    let ready = api.get("/readyz").await;
    assert_eq!(ready.status, 200);
    let ok = |name| json!({ "name": name, "ok": true });
    assert_eq!(ready.json()["checks"], json!(["postgres", "migrations", "bucket", "staging", "installation"].map(ok)));
}

#[tokio::test]
async fn failed_checks_are_named() {
    let api = Api::start().await;
    sqlx::query("UPDATE _sqlx_migrations SET success = false").execute(api.db()).await.unwrap();
    std::fs::remove_dir_all(api.bucket.dir.path().join(".staging")).unwrap();
    let response = api.get("/readyz").await;
    let problem = response.problem(503, "/problems/unavailable");
    assert_eq!(problem["detail"], "Not ready: migrations, staging, installation.");
    let checks = problem["checks"].as_array().unwrap();
    let failed: Vec<_> = checks.iter().filter(|check| check["ok"] == false).map(|check| &check["name"]).collect();
    assert_eq!(failed, ["migrations", "staging", "installation"]);
    assert_eq!(api.get("/healthz").await.status, 200, "liveness does not depend on the checks");
}

#[tokio::test]
async fn an_unreachable_bucket_or_database_is_named() {
    let api = Api::start_with(&[("AWS_ENDPOINT_URL", "http://127.0.0.1:9")], |_| {}).await;
    api.db().close().await;
    let problem = api.get("/readyz").await.problem(503, "/problems/unavailable");
    assert_eq!(problem["detail"], "Not ready: postgres, migrations, bucket.");
}

#[tokio::test]
async fn an_api_that_is_about_to_stop_is_not_ready_but_serves() {
    let api = Api::start().await;
    api.app.stopping.store(true, std::sync::atomic::Ordering::Relaxed);
    let problem = api.get("/readyz").await.problem(503, "/problems/unavailable");
    assert_eq!(problem["detail"], "Not ready: the process is about to stop.");
    assert_eq!((api.get("/v1/images").await.status.as_u16(), api.get("/healthz").await.status.as_u16()), (200, 200));
}

#[tokio::test]
async fn an_api_whose_critical_task_has_ended_is_not_alive() {
    let api = Api::start().await;
    let unfinished = api.app.critical.spawn("one that runs", std::future::pending());
    api.app.critical.spawn("one that panics", async { panic!("a fault") }).await.unwrap();
    let problem = api.get("/healthz").await.problem(503, "/problems/unavailable");
    assert_eq!(problem["detail"], "A task of this process has ended: one that panics. It has to be restarted.");
    unfinished.abort();
}

#[tokio::test]
async fn critical_tasks_may_end_once_the_process_is_about_to_stop() {
    let api = Api::start().await;
    api.app.stopping.store(true, std::sync::atomic::Ordering::Relaxed);
    api.app.critical.spawn("a listener", std::future::ready(())).await.unwrap();
    assert_eq!(api.get("/healthz").await.status, 200);
}
