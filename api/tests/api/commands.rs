//! `darkroom-api keys`, `owners` and `audit`.

use std::os::unix::fs::PermissionsExt as _;

use darkroom_api::Token;

use crate::{
    harness::{Api, KEY},
    process::darkroom_api,
};

/// Runs a command that must succeed and returns its stdout, without the line end.
async fn run(api: &Api, arguments: &[&str]) -> String {
    let (code, stdout, stderr) = output(api, arguments).await;
    assert_eq!(code, Some(0), "{arguments:?}: {stderr}");
    stdout.trim_end().to_owned()
}

/// Runs a command that must fail and returns its stderr.
async fn fail(api: &Api, arguments: &[&str]) -> String {
    let (code, stdout, stderr) = output(api, arguments).await;
    assert!(code.is_some_and(|code| code > 0) && stdout.is_empty(), "{arguments:?}: {stdout} {stderr}");
    stderr
}

async fn output(api: &Api, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = darkroom_api();
    command.envs(api.env()).env("LOG", "warn").args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// The status of a list of images with this key.
async fn status(api: &Api, key: &str) -> u16 {
    api.send_as(Some(key), api.http.get(format!("{}/v1/images", api.url))).await.status.as_u16()
}

async fn until_status(api: &Api, key: &str, expected: u16) {
    while status(api, key).await != expected {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_operator_makes_lists_renames_rotates_and_revokes_a_key() {
    let api = Api::start().await;
    let key = run(&api, &["keys", "create", "shop", "--scope", "read", "--expires", "90d"]).await;
    assert!(key.parse::<Token>().is_ok(), "only the key is on stdout: {key}");
    assert_eq!(status(&api, &key).await, 200);

    let prefix = &key[..9];
    let line = async || {
        let list = run(&api, &["keys", "list"]).await;
        assert!(!list.contains(&key[9..]), "{list}");
        list.lines().last().unwrap().to_owned()
    };
    let listed = line().await;
    for word in [prefix, "default", "  read  ", "expires ", "\"shop\""] {
        assert!(listed.contains(word), "{word} in {listed}");
    }
    run(&api, &["keys", "rename", prefix, "shop 2"]).await;
    assert!(line().await.contains("\"shop 2\""));

    let id = listed.split(' ').next().unwrap().to_owned();
    let second = run(&api, &["keys", "rotate", &id, "--overlap", "1h"]).await;
    assert_eq!((status(&api, &key).await, status(&api, &second).await), (200, 200));
    run(&api, &["keys", "revoke", &second]).await;
    until_status(&api, &second, 401).await;
    until_status(&api, &key, 401).await;
    assert!(line().await.contains("  revoked "));
    assert!(run(&api, &["keys", "revoke", &id]).await.contains("revoked already"));
    assert!(fail(&api, &["keys", "rotate", &id]).await.contains("revoked or expired"));
}

#[tokio::test]
async fn each_owner_has_keys_of_its_own() {
    let api = Api::start().await;
    run(&api, &["owners", "create", "shop"]).await;
    assert!(fail(&api, &["owners", "create", "shop"]).await.contains("there is an owner shop already"));
    assert!(
        run(&api, &["owners", "list"])
            .await
            .lines()
            .map(|line| line.rsplit(' ').next().unwrap())
            .eq(["default", "shop"])
    );
    let key = run(&api, &["keys", "create", "x", "--owner", "shop", "--scope", "admin"]).await;
    assert_eq!(run(&api, &["keys", "list"]).await.lines().count(), 2);
    assert_eq!(run(&api, &["keys", "list", "--owner", "shop"]).await.lines().count(), 1);
    let keys = api.send_as(Some(&key), api.http.get(format!("{}/v1/keys", api.url))).await.json();
    assert_eq!(keys["items"].as_array().unwrap().len(), 1);

    let log = run(&api, &["audit"]).await;
    assert!(log.contains("owner.created  shop  (owner shop; by operator)"), "{log}");
    assert_eq!((log.lines().count(), run(&api, &["audit", "--owner", "shop"]).await.lines().count()), (3, 2));
    assert_eq!(run(&api, &["audit", "--limit", "1"]).await.lines().count(), 1);
    assert!(!log.contains(&key[9..]), "{log}");
}

#[tokio::test]
async fn mistakes_are_refused_and_change_nothing() {
    let api = Api::start().await;
    for (arguments, word) in [
        (&["keys", "create", "x", "--owner", "nobody"][..], "there is no owner nobody"),
        (&["keys", "create", "x", "--scope", "root"], "unknown scope"),
        (&["keys", "create", "x", "--expires", "90"], "must be a time such as 90d"),
        (&["keys", "create", "x", "--expires", "2001-01-01"], "must be in the future"),
        (&["keys", "create", ""], "must have 1 to 100 characters"),
        (&["keys", "create"], "NAME"),
        (&["keys", "rotate", &KEY[..9], "--overlap", "30d"], "must be at most 7d"),
        (&["keys", "revoke", "dk_none00"], "there is no key dk_none00"),
        (&["keys", "revoke", "%"], "there is no key %"),
        (&["owners", "create", "A b"], "lower-case"),
    ] {
        let stderr = fail(&api, arguments).await;
        assert!(stderr.contains(word), "{arguments:?}: {stderr}");
    }
    assert_eq!((run(&api, &["keys", "list"]).await.lines().count(), status(&api, KEY).await), (1, 200));
}

#[tokio::test]
async fn a_key_in_a_file_is_made_once_and_again_when_it_is_not_valid_any_more() {
    let api = Api::start().await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    let file = path.to_str().unwrap();
    let read = || std::fs::read_to_string(&path).unwrap().trim().to_owned();
    run(&api, &["keys", "ensure", file]).await;
    let first = read();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(status(&api, &first).await, 200);
    let second_run = run(&api, &["keys", "ensure", file]).await;
    assert!(second_run.contains("has a valid key") && !second_run.contains(&first[9..]), "{second_run}");
    assert_eq!(read(), first);
    run(&api, &["keys", "revoke", &first[..9]]).await;
    run(&api, &["keys", "ensure", file]).await;
    assert!(read() != first && status(&api, &read()).await == 200);
}
