//! Wrong environments: another staging, another or a restored database, another bucket. Nothing is lost, and nothing of
//! another installation is touched.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, SystemTime},
};

use darkroom_dev::{
    bucket::Fault,
    testing::{
        self,
        stack::{Setup, eventually},
    },
};
use reqwest::StatusCode;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::harness::{ChaosTest, SMALL, small};

/// Makes every object and staged file look old enough for the sweep.
pub(crate) fn make_everything_old(test: &ChaosTest) {
    for path in [test.stack.staged(), test.stack.objects()].concat() {
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_hours(72)).unwrap();
    }
}

async fn detail_of_readiness(test: &ChaosTest) -> Option<String> {
    let answer = test.stack.http.get(format!("{}/readyz", test.stack.url)).send().await.unwrap();
    let is_ready = answer.status() == StatusCode::OK;
    let answer: serde_json::Value = answer.json().await.unwrap();
    (!is_ready).then(|| answer["detail"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_second_worker_with_another_staging_loses_nothing() {
    let mut test = ChaosTest::start(Setup::default()).await;
    let other = format!("file://{}", test.stack.bucket.dir.path().join("other-staging").display());
    test.stack.workers.push(test.stack.new_worker(&[("STAGING_URL", other)]));
    test.upload_many(12).await;
    assert_eq!(test.stack.staged().len(), 12);
    test.stack.start_worker();
    test.assert_invariants().await;
}

#[tokio::test]
async fn a_replaced_staging_refuses_uploads_and_loses_none() {
    let mut test = ChaosTest::start(Setup { workers: 1, ..Setup::default() }).await;
    test.upload_many(2).await;
    test.stack.queue_command(&["pause", "process-image"]).await;
    test.upload_many(6).await;
    let away = test.stack.staging.with_extension("away");
    fs::rename(&test.stack.staging, &away).unwrap();
    fs::create_dir_all(test.stack.staging.join("incoming")).unwrap();
    test.stack.queue_command(&["resume", "process-image"]).await;

    // The worker misses files, and doubts staging.
    eventually("the api is not ready", async || {
        detail_of_readiness(&test).await.map(|detail| {
            assert_eq!(detail, "Not ready: installation.");
        })
    })
    .await;
    assert_eq!(test.upload_once(small(50), SMALL).await, None, "uploads are refused");
    let sweep = test.stack.failing_worker_command(&["sweep"], &[]).await;
    assert!(sweep.contains("staging has lost the marker"), "{sweep}");

    fs::remove_dir_all(&test.stack.staging).unwrap();
    fs::rename(&away, &test.stack.staging).unwrap();
    test.upload_small(51).await;
    test.assert_invariants().await;
}

#[tokio::test]
async fn a_read_only_staging_loses_nothing() {
    let disk = tempfile::tempdir().unwrap();
    let mount = |options: &[&str]| {
        let mounted = Command::new("mount").args(options).arg(disk.path()).output();
        mounted.is_ok_and(|output| output.status.success())
    };
    if !mount(&["-t", "tmpfs", "tmpfs"]) {
        eprintln!("SKIPPED: a disk cannot be mounted here; run it as root");
        return;
    }
    let staging = Some(disk.path().join("staging"));
    let mut test = ChaosTest::start(Setup { workers: 1, staging, ..Setup::default() }).await;
    test.stack.queue_command(&["pause", "process-image"]).await;
    test.upload_many(4).await;
    assert!(mount(&["-o", "remount,ro"]));
    assert_eq!(test.upload_once(small(50), SMALL).await, None, "uploads are refused");
    test.stack.queue_command(&["resume", "process-image"]).await;
    test.db.wait_for_finished(4).await;
    assert!(mount(&["-o", "remount,rw"]));
    test.upload_small(51).await;
    test.assert_invariants().await;
    drop(test);
    let _ = Command::new("umount").arg("-l").arg(disk.path()).status();
}

/// Staging on a mount that goes away leaves an empty directory in its place.
#[tokio::test]
async fn an_unmounted_staging_loses_nothing() {
    let disk = tempfile::tempdir().unwrap();
    let mount_point = tempfile::tempdir().unwrap();
    let run = |command: &str, arguments: &[&Path]| {
        let done = Command::new(command).args(arguments).output();
        done.is_ok_and(|output| output.status.success())
    };
    let mount = || run("mount", &["--bind".as_ref(), disk.path(), mount_point.path()]);
    // Lazily, because the processes have open files on it.
    let unmount = || run("umount", &["-l".as_ref(), mount_point.path()]);
    if !mount() {
        eprintln!("SKIPPED: a directory cannot be mounted here; run it as root");
        return;
    }
    let staging = Some(mount_point.path().join("staging"));
    let mut test = ChaosTest::start(Setup { workers: 1, staging, ..Setup::default() }).await;
    test.stack.queue_command(&["pause", "process-image"]).await;
    test.upload_many(4).await;

    assert!(unmount());
    eventually("the api is not ready", async || detail_of_readiness(&test).await).await;
    assert_eq!(test.upload_once(small(50), SMALL).await, None, "uploads are refused");
    test.stack.queue_command(&["resume", "process-image"]).await;
    eventually("the worker has claimed jobs whose files are missing", async || {
        (test.db.claims().await > 0).then_some(())
    })
    .await;
    let images = test.stack.list().await;
    assert!(images.iter().all(|image| image["status"] == "queued" || image["status"] == "processing"), "{images:?}");

    assert!(mount());
    test.upload_small(51).await;
    test.assert_invariants().await;
    drop(test);
    assert!(unmount());
}

#[tokio::test]
async fn a_gateway_that_answers_404_loses_nothing() {
    let mut test = ChaosTest::start(Setup { staging_in_bucket: true, ..Setup::default() }).await;
    test.upload_many(8).await;
    test.stack.bucket.server.inject(Fault::Answer(StatusCode::NOT_FOUND));
    test.stack.start_worker();
    eventually("the api is not ready", async || detail_of_readiness(&test).await).await;
    let sweep = test.stack.failing_worker_command(&["sweep"], &[]).await;
    assert!(sweep.contains("has lost the marker"), "{sweep}");
    test.stack.bucket.server.inject(None);
    test.assert_invariants().await;
}

#[tokio::test]
async fn a_missing_file_fails_its_image_at_last_and_can_be_retried() {
    let test = ChaosTest::start(Setup { workers: 1, ..Setup::default() }).await;
    test.stack.queue_command(&["pause", "process-image"]).await;
    let image = test.upload_small(1).await;
    let staged = test.stack.staging.join(format!("1-{image}"));
    let away = test.stack.bucket.dir.path().join("away");
    fs::rename(&staged, &away).unwrap();
    // The next attempt is the last.
    let last =
        "UPDATE apalis.jobs SET attempts = max_attempts - 1, fence = max_attempts - 1 WHERE idempotency_key = $1";
    sqlx::query(last).bind(&image).execute(&test.db.pool).await.unwrap();
    test.stack.queue_command(&["resume", "process-image"]).await;
    let failed = test.stack.wait_for_status(&image, "failed").await;
    assert_eq!(failed["error"]["code"], "source_missing", "{failed}");

    let jobs = test.stack.queue_command(&["list", "--status", "killed"]).await;
    fs::rename(&away, &staged).unwrap();
    test.stack.queue_command(&["retry", jobs[0]["id"].as_str().unwrap()]).await;
    test.stack.wait_for_status(&image, "ready").await;
}

#[tokio::test]
async fn an_empty_database_on_a_living_bucket_removes_nothing() {
    let test = ChaosTest::start(Setup { workers: 1, ..Setup::default() }).await;
    test.upload_many(5).await;
    test.db.wait_for_finished(5).await;
    test.stack.wait_for_empty_staging().await;
    make_everything_old(&test);
    let objects = test.stack.objects();
    let other = [("DATABASE_URL", testing::database().await)];

    let sweep = test.stack.failing_worker_command(&["sweep"], &other).await;
    assert!(sweep.contains("belongs to installation"), "{sweep}");
    let compare = test.stack.failing_worker_command(&["compare", "--remove"], &other).await;
    assert!(compare.contains("belongs to installation"), "{compare}");
    assert!(!test.stack.api_command(&["adopt"], &other).await.0, "without --yes");
    assert_eq!(test.stack.objects(), objects);
    assert!(test.stack.worker_command(&["sweep"]).await.success(), "the living installation goes on");
    assert_eq!(test.stack.objects(), objects);

    // Knowingly, the other database takes over: to it, everything is an orphan.
    assert!(test.stack.api_command(&["adopt", "--yes"], &other).await.0);
    let sweep = test.stack.failing_worker_command(&["sweep"], &[]).await;
    assert!(sweep.contains("belongs to installation"), "{sweep}");
    assert_eq!(test.stack.objects(), objects);
}

#[tokio::test]
async fn a_restored_database_removes_nothing_until_it_adopts() {
    let mut test = ChaosTest::start(Setup { workers: 1, ..Setup::default() }).await;
    test.upload_many(3).await;
    test.db.wait_for_finished(3).await;

    // A backup: a copy of the database. Postgres copies only databases without sessions.
    let backup = format!("{}_backup", test.stack.database);
    let name = |url: &str| url.rsplit_once('/').unwrap().1.to_owned();
    test.stack.workers.clear();
    test.stack.api.process.kill().await.unwrap();
    test.db.pool.close().await;
    let maintenance = test.stack.database.replace(&name(&test.stack.database), "postgres");
    let mut server = PgConnection::connect(&maintenance).await.unwrap();
    let copy = format!("CREATE DATABASE {} TEMPLATE {}", name(&backup), name(&test.stack.database));
    eventually("every session has ended", async || {
        sqlx::raw_sql(AssertSqlSafe(copy.clone())).execute(&mut server).await.ok()
    })
    .await;

    // The database goes on, and its generation advances.
    test.db = crate::database::Database::reopen(&test.stack.database).await;
    let due = "UPDATE installation SET advanced_at = now() - interval '1 hour'";
    sqlx::query(due).execute(&test.db.pool).await.unwrap();
    test.stack.restart_api().await;
    test.stack.start_worker();
    for seed in 10..13 {
        test.upload_small(seed).await;
    }
    test.db.wait_for_finished(6).await;
    test.stack.wait_for_empty_staging().await;
    eventually("the marker has advanced", async || {
        let marker = fs::read_to_string(test.stack.staging.join(".darkroom-staging.json")).unwrap();
        marker.contains("\"generation\":2").then_some(())
    })
    .await;
    test.stack.workers.clear();
    make_everything_old(&test);
    let objects = test.stack.objects();

    let restored = [("DATABASE_URL", backup)];
    let sweep = test.stack.failing_worker_command(&["sweep"], &restored).await;
    assert!(sweep.contains("restored from a backup"), "{sweep}");
    assert_eq!(test.stack.objects(), objects);
    let (ok, report) = test.stack.api_command(&["doctor"], &restored).await;
    assert!(!ok && report.contains("restored from a backup"), "{report}");

    assert!(test.stack.api_command(&["adopt", "--yes"], &restored).await.0);
    assert!(test.stack.api_command(&["doctor"], &restored).await.0);
    let sweep = test.stack.failing_worker_command(&["sweep"], &[]).await;
    assert!(sweep.contains("another was marked or adopted") || sweep.contains("restored"), "{sweep}");
    assert_eq!(test.stack.objects(), objects, "the database that was left removes nothing either");
}
