//! The binary: its output and its exit codes.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Output, Stdio},
};

use crate::{harness::Api, process::darkroom_api};

fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn help_lists_the_settings_and_version_the_version() {
    let (code, help, _) = run(darkroom_api().arg("--help"));
    assert_eq!(code, Some(0));
    for word in ["serve", "migrate", "config", "openapi", "DATABASE_URL", "MAX_UPLOAD_BYTES"] {
        assert!(help.contains(word), "{word} in {help}");
    }
    let (code, version, _) = run(darkroom_api().arg("--version"));
    assert_eq!((code, version.trim()), (Some(0), concat!("darkroom-api ", env!("CARGO_PKG_VERSION"))));
    assert_eq!(run(darkroom_api().arg("nonsense")).0, Some(2));
}

#[test]
fn the_spec_is_printed_without_any_setting() {
    let (code, yaml, _) = run(darkroom_api().arg("openapi"));
    assert_eq!((code, yaml), (Some(0), darkroom_api::spec_yaml()));
    let (_, json, _) = run(darkroom_api().args(["openapi", "--json"]));
    assert_eq!(json, darkroom_api::spec_json());
}

#[test]
fn all_missing_settings_are_reported_without_a_backtrace() {
    let (code, _, stderr) = run(darkroom_api().env("RUST_BACKTRACE", "1"));
    assert_eq!(code, Some(1));
    assert!(stderr.contains("DATABASE_URL is not set") && stderr.contains("BUCKET_URL is not set"), "{stderr}");
    assert!(!stderr.contains("backtrace") && !stderr.contains("panicked"), "{stderr}");
}

#[tokio::test]
async fn effective_settings_are_printed_without_secrets() {
    let api = Api::start().await;
    let mut command = darkroom_api();
    command.arg("config").envs(api.env()).env("DATABASE_URL", "postgres://me:hunter2@localhost/x");
    let (code, stdout, _) = run(&mut command);
    assert_eq!(code, Some(0));
    assert!(stdout.contains("DATABASE_URL=postgres://me:***@localhost/x\n"), "{stdout}");
    assert!(stdout.contains("AWS_SECRET_ACCESS_KEY=***\n") && !stdout.contains(api.bucket.server.secret()), "{stdout}");
}

#[tokio::test]
async fn start_waits_for_an_unreachable_database() {
    let api = Api::start().await;
    let mut command = darkroom_api();
    command.envs(api.env()).env("DATABASE_URL", "postgres://me:hunter2@127.0.0.1:9/x").stderr(Stdio::piped());
    let ended = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let stderr = lines.find(|line| line.contains("cannot connect to Postgres")).unwrap();
        assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
        (child.wait().unwrap().code(), stderr)
    });
    let (code, stderr) = ended.await.unwrap();
    assert!(stderr.contains("trying again") && !stderr.contains("hunter2"), "{stderr}");
    assert_eq!(code, Some(0), "it stops on SIGTERM");
}

#[tokio::test]
async fn probes_can_have_a_listener_of_their_own() {
    let api = Api::start().await;
    let mut command = darkroom_api();
    let mut child = command.envs(api.env()).env("HEALTH_BIND", "127.0.0.1:0").stderr(Stdio::piped()).spawn().unwrap();
    let stderr = child.stderr.take().unwrap();
    let url = tokio::task::spawn_blocking(move || {
        let mut lines = BufReader::new(stderr).lines().map(Result::unwrap);
        let line = lines.find(|line| line.contains("listening for probes on ")).unwrap();
        line.split_once("probes on ").unwrap().1.to_owned()
    });
    let url = url.await.unwrap();
    let status = async |path: &str| api.http.get(format!("{url}{path}")).send().await.unwrap().status().as_u16();
    assert_eq!((status("/healthz").await, status("/readyz").await), (200, 200));
    assert_eq!((status("/v1/images").await, status("/docs").await), (404, 404));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test]
async fn a_missing_database_is_reported_in_one_line() {
    let api = Api::start().await;
    let env = api.env();
    let url = &env["DATABASE_URL"];
    let mut command = darkroom_api();
    command.envs(api.env()).env("DATABASE_URL", format!("{url}_not"));
    let (code, _, stderr) = tokio::task::spawn_blocking(move || run(&mut command)).await.unwrap();
    assert_eq!(code, Some(1));
    assert!(stderr.contains("cannot connect to Postgres") && stderr.contains("does not exist"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[tokio::test]
async fn sigterm_shuts_down_gracefully() {
    let api = Api::start().await;
    let mut command = darkroom_api();
    let mut child = command.envs(api.env()).stderr(Stdio::piped()).spawn().unwrap();
    let ended = tokio::task::spawn_blocking(move || {
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.any(|line| line.contains("listening on http://127.0.0.1:")));
        let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
        assert!(killed.success());
        // Read to the end, or the child might block on a full pipe.
        let rest = lines.collect::<Vec<_>>().join("\n");
        (child.wait().unwrap().code(), rest)
    });
    let (code, rest) = ended.await.unwrap();
    assert_eq!(code, Some(0));
    assert!(rest.contains("stopped"), "{rest}");
}
