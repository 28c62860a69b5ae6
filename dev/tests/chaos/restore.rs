//! The commands of `docs/operations.md` that back up and restore an installation.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use darkroom_dev::{
    postgres::Binaries,
    testing::stack::{Setup, eventually},
};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tempfile::TempDir;

use crate::{
    database::Database,
    harness::{ChaosTest, SMALL, small},
    identity::make_everything_old,
};

const OPERATIONS: &str = include_str!("../../../docs/operations.md");

/// Replaces the S3 client of the commands: copies between the folder of the test's bucket and a directory.
const AWS: &str = r#"#!/usr/bin/env bash
set -euo pipefail
test "$1 $2" = 's3 sync'; shift 2
exclude=()
if test "$1" = --exclude; then exclude=("--exclude=./$2"); shift 2; fi
from=${1/#$BUCKET_URL/$BUCKET_DIR} to=${2/#$BUCKET_URL/$BUCKET_DIR}
mkdir -p "$to"
tar -C "$from" "${exclude[@]}" -cf - . | tar -C "$to" -xf -
"#;

/// The scripts below a heading.
fn scripts(heading: &str) -> Vec<&'static str> {
    let section = OPERATIONS.split("\n## ").find(|section| section.starts_with(heading)).unwrap();
    section.split("```sh\n").skip(1).map(|script| script.split("```").next().unwrap()).collect()
}

/// Runs scripts of the documentation.
struct Drill {
    /// Programs that the scripts need.
    programs: TempDir,
    backup: TempDir,
    postgres: Binaries,
}

impl Drill {
    /// `None` where there is no `pg_dump`.
    fn new() -> Option<Self> {
        let postgres = Binaries::find(None)?;
        if !postgres.program("pg_dump").is_file() || !postgres.program("pg_restore").is_file() {
            eprintln!("SKIPPED: there is no pg_dump in {}", postgres.dir.display());
            return None;
        }
        let (programs, backup) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let aws = programs.path().join("aws");
        fs::write(&aws, AWS).unwrap();
        fs::set_permissions(&aws, fs::Permissions::from_mode(0o755)).unwrap();
        Some(Self { programs, backup, postgres })
    }

    async fn run(&self, test: &ChaosTest, script: &str) {
        let bucket = test.stack.bucket.dir.path().join(&test.stack.bucket.name);
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let variables = [
            ("BACKUP", text(self.backup.path())),
            ("STAGING", text(&test.stack.staging)),
            ("BUCKET_DIR", text(&bucket)),
        ];
        test.stack.shell(script, &[self.programs.path(), &self.postgres.dir], &variables).await;
    }
}

/// Replaces the stack's database by an empty one of the same name.
async fn empty_database(test: &ChaosTest) {
    let (server, name) = test.stack.database.rsplit_once('/').unwrap();
    let mut server = PgConnection::connect(&format!("{server}/postgres")).await.unwrap();
    for sql in [format!("DROP DATABASE {name} WITH (FORCE)"), format!("CREATE DATABASE {name}")] {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut server).await.unwrap();
    }
}

#[tokio::test]
async fn the_documented_backup_and_restore_lose_nothing_that_was_backed_up() {
    let Some(drill) = Drill::new() else { return };
    let mut test = ChaosTest::start(Setup { workers: 1, ..Setup::default() }).await;
    test.upload_many(4).await;
    test.db.wait_for_finished(4).await;
    test.stack.wait_for_empty_staging().await;
    let objects = test.stack.objects();
    test.stack.workers.clear();
    // These wait in the backup.
    test.upload_many(4).await;
    for script in scripts("Backup") {
        drill.run(&test, script).await;
    }

    // Work goes on: what waited is rendered, and its files leave staging. Later uploads are not in the backup.
    sqlx::query("UPDATE installation SET advanced_at = now() - interval '1 hour'")
        .execute(&test.db.pool)
        .await
        .unwrap();
    let marker = test.stack.staging.join(".darkroom-staging.json");
    let before = fs::read_to_string(&marker).unwrap();
    test.stack.start_worker();
    test.db.wait_for_finished(8).await;
    let later = test.stack.upload(small(100), SMALL).await;
    test.stack.wait_for_status(&later, "ready").await;
    test.stack.wait_for_empty_staging().await;
    eventually("the generation advances", async || (fs::read_to_string(&marker).unwrap() != before).then_some(()))
        .await;

    // The database and half of the bucket are lost.
    test.stack.workers.clear();
    test.stack.api.process.kill().await.unwrap();
    test.db.pool.close().await;
    empty_database(&test).await;
    for object in &objects {
        fs::remove_file(object).unwrap();
    }
    let mut restore = scripts("Restore").into_iter();
    drill.run(&test, restore.next().unwrap()).await;
    assert!(objects.iter().all(|object| object.exists()));

    let (is_well, report) = test.stack.api_command(&["doctor"], &[]).await;
    assert!(!is_well && report.contains("restored from a backup"), "{report}");
    let all = test.stack.objects();
    let sweep = test.stack.failing_worker_command(&["sweep"], &[]).await;
    assert!(sweep.contains("restored from a backup"), "{sweep}");

    for script in restore {
        drill.run(&test, script).await;
    }
    assert!(test.stack.worker_command(&["sweep"]).await.success());
    assert_eq!(test.stack.objects(), all, "later uploads are not swept at once");
    test.db = Database::reopen(&test.stack.database).await;
    test.stack.restart_api().await;
    test.stack.start_worker();
    assert_eq!(test.stack.image(&later).await, None);
    test.upload_many(4).await;
    test.db.wait_until_settled().await;
    make_everything_old(&test);
    assert!(test.stack.worker_command(&["compare"]).await.success());
    assert_eq!(
        test.stack.objects().iter().filter(|object| all.contains(object)).count(),
        all.len(),
        "it removes nothing"
    );
    // What was uploaded after the backup is unknown to every attempt that the database knows.
    assert!(test.stack.worker_command(&["compare", "--remove"]).await.success());
    test.assert_invariants().await;
}
