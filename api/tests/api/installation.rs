//! The api beside a staging or a bucket that is not its database's.

use std::{fs, path::PathBuf, process::Command};

use crate::harness::{Api, file, png};

fn staging(api: &Api) -> PathBuf {
    api.bucket.dir.path().join(".staging")
}

/// Replaces staging with an empty directory, as an unmounted volume shows it. Returns where it went.
fn replace_staging(api: &Api) -> PathBuf {
    let away = api.bucket.dir.path().join(".away");
    fs::rename(staging(api), &away).unwrap();
    fs::create_dir_all(staging(api).join("incoming")).unwrap();
    away
}

#[tokio::test]
async fn uploads_into_a_replaced_staging_are_refused() {
    let api = Api::start().await;
    let first = api.upload("before").await;
    let away = replace_staging(&api);

    // Nothing has compared staging since it was replaced.
    api.post(file(png(3, 2))).await.problem(503, "/problems/unavailable");
    api.post(file(png(3, 2))).await.problem(503, "/problems/unavailable");
    let problem = api.get("/readyz").await.problem(503, "/problems/unavailable");
    assert_eq!(problem["detail"], "Not ready: installation.");
    assert_eq!(api.images().await, 1);

    fs::remove_dir_all(staging(&api)).unwrap();
    fs::rename(&away, staging(&api)).unwrap();
    assert_eq!(api.get("/readyz").await.status, 503, "cached for a second");
    api.app.installation.check_all().await.unwrap();
    api.upload("after").await;
    assert!(api.staged().contains(&format!("1-{first}")));
}

#[tokio::test]
async fn doctor_names_the_mismatch_and_adopt_ends_it() {
    let api = Api::start().await;
    let command = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_darkroom-api"));
        command.env_clear().envs(api.env()).args(arguments);
        async move {
            let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
            (output.status.success(), String::from_utf8(output.stdout).unwrap())
        }
    };
    let (ok, report) = command(&["doctor"]).await;
    assert!(ok && report.lines().count() == 6 && report.lines().all(|line| line.starts_with("ok ")), "{report}");

    replace_staging(&api);
    let (ok, report) = command(&["doctor"]).await;
    assert!(!ok && report.contains("FAILED  installation of staging: staging has lost the marker"), "{report}");

    let (ok, plan) = command(&["adopt"]).await;
    assert!(!ok && plan.contains("epoch 1") && plan.contains("no marker"), "{plan}");
    assert!(!command(&["doctor"]).await.0, "without --yes nothing is changed");

    let (ok, adopted) = command(&["adopt", "--yes"]).await;
    assert!(ok && adopted.contains("adopted: epoch 2"), "{adopted}");
    assert!(command(&["doctor"]).await.0);
    api.app.installation.check_all().await.unwrap();
    api.upload("after").await;
}
