//! Who is served: with keys, without any, and with `AUTH=off`.

use darkroom_api::Token;
use darkroom_shared::access::Scope;
use reqwest::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::Duration,
};

use crate::{
    harness::{Api, KEY, file, png},
    process::{Process, darkroom_api},
};

/// Sends requests until one has this status.
async fn until_status(api: &Api, url: &str, key: Option<&str>, status: u16) {
    loop {
        let request = api.http.get(format!("{url}/v1/images"));
        let request = if let Some(key) = key { request.bearer_auth(key) } else { request };
        if request.send().await.unwrap().status() == status {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_body_of_a_stranger_is_not_read() {
    let api = Api::start().await;
    for (line, status) in [("", "401"), ("Authorization: Bearer dk_x\r\n", "401")] {
        let mut stream = TcpStream::connect(api.address()).await.unwrap();
        let head = "POST /v1/images HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n\
                    Content-Length: 1000\r\nExpect: 100-continue\r\n";
        stream.write_all(format!("{head}{line}\r\n").as_bytes()).await.unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).await.unwrap();
        assert_eq!(start, *format!("HTTP/1.1 {status}").as_bytes(), "instead of 100 Continue");
    }
    assert!(api.staged().is_empty());
}

#[tokio::test]
async fn a_refused_request_is_told_why() {
    let api = Api::start().await;
    let get = || api.http.get(format!("{}/v1/images", api.url));
    let response = api.send_as(None, get()).await;
    response.problem(401, "/problems/unauthenticated");
    assert_eq!(response.header("www-authenticate"), Some("Bearer realm=\"darkroom\""));
    let response = api.send_as(Some("dk_typo"), get()).await;
    let problem = response.problem(401, "/problems/unauthenticated");
    assert!(problem["detail"].as_str().unwrap().contains("mistyped"), "{problem}");
    assert_eq!(response.header("www-authenticate"), Some("Bearer realm=\"darkroom\", error=\"invalid_token\""));
    let write = api.key(&[Scope::Write]).await;
    let response = api.send_as(Some(write.expose()), get()).await;
    let problem = response.problem(403, "/problems/missing-scope");
    assert_eq!((&problem["required_scope"], &problem["held_scopes"]), (&json!("read"), &json!(["write"])));
    let challenge = "Bearer realm=\"darkroom\", error=\"insufficient_scope\", scope=\"read\"";
    assert_eq!(response.header("www-authenticate"), Some(challenge));
}

#[tokio::test]
async fn without_a_database_a_key_is_not_called_wrong() {
    let api = Api::start().await;
    api.db().close().await;
    let response = api.send_as(Some(Token::generate().expose()), api.http.get(format!("{}/v1/images", api.url))).await;
    response.problem(503, "/problems/unavailable");
    assert!(response.header("retry-after").is_some());
}

#[tokio::test]
async fn a_revocation_is_seen_by_another_process() {
    let api = Api::start().await;
    let key = api.key(&[Scope::Read]).await;
    let other = Process::start(&api, &[]).await;
    until_status(&api, &other.url, Some(key.expose()), 200).await;
    let id = api.get("/v1/keys?limit=1").await.json()["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(api.request(Method::DELETE, &format!("/v1/keys/{id}")).await.status, 204);
    until_status(&api, &other.url, Some(key.expose()), 401).await;
    until_status(&api, &api.url, Some(key.expose()), 401).await;
    until_status(&api, &other.url, Some(KEY), 200).await;
}

#[tokio::test]
async fn when_a_key_was_used_is_recorded_and_the_log_has_its_beginning_only() {
    let api = Api::start().await;
    let used_at = async || api.get("/v1/keys").await.json()["items"][0]["last_used_at"].clone();
    assert!(used_at().await.is_null());
    let process = Process::start(&api, &[("LOG", "trace")]).await;
    let form = file(png(1, 1));
    let upload = api.http.post(format!("{}/v1/images", process.url)).bearer_auth(KEY).multipart(form);
    assert_eq!(upload.send().await.unwrap().status(), 202);
    let wrong = Token::generate();
    let get = api.http.get(format!("{}/v1/images", process.url)).bearer_auth(wrong.expose());
    assert_eq!(get.send().await.unwrap().status(), 401);
    let made = api.http.post(format!("{}/v1/keys", process.url)).bearer_auth(KEY);
    let made = made.json(&json!({ "name": "new", "scopes": ["read"] })).send().await.unwrap();
    let made: serde_json::Value = made.json().await.unwrap();
    let log = process.stop().await;
    assert!(log.contains("key=\"dk_3qP16c\"") && log.contains("owner=1"), "{log}");
    for secret in [KEY, wrong.expose(), made["key"].as_str().unwrap()] {
        assert!(!log.contains(&secret[9..]), "{log}");
    }
    let used = api.get("/v1/keys").await.json()["items"][1]["last_used_at"].clone();
    assert!(used.is_string(), "{used}");
}

#[tokio::test]
async fn until_the_first_key_requests_of_this_machine_need_none() {
    let api = Api::start_without_key(&[], |_| {}).await;
    let get = || api.http.get(format!("{}/v1/images", api.url));
    assert_eq!(api.send_as(None, get()).await.status, 200);
    for (name, value) in [("host", "rebound.example"), ("x-forwarded-for", "10.0.0.1")] {
        let problem = api.send_as(None, get().header(name, value)).await.problem(401, "/problems/unauthenticated");
        assert!(problem["detail"].as_str().unwrap().contains("no API key yet"), "{problem}");
    }
    api.send_as(Some(KEY), get()).await.problem(401, "/problems/unauthenticated");

    let other = Process::start(&api, &[]).await;
    until_status(&api, &other.url, None, 200).await;
    let new = json!({ "name": "first", "scopes": ["admin"] });
    let made = api.send_as(None, api.http.post(format!("{}/v1/keys", api.url)).json(&new)).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let key = made.json()["key"].as_str().unwrap().to_owned();
    for url in [&api.url, &other.url] {
        until_status(&api, url, None, 401).await;
        until_status(&api, url, Some(&key), 200).await;
    }
    let log = other.stop().await;
    assert!(log.contains("there is no API key") && log.contains("the first API key was made"), "{log}");
}

#[tokio::test]
async fn an_api_without_keys_starts_on_a_loopback_address_only() {
    let api = Api::start_without_key(&[], |_| {}).await;
    let mut command = darkroom_api();
    command.envs(api.env()).env("BIND", "0.0.0.0:0");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("there is no API key, and 0.0.0.0:0 is not a loopback address"), "{stderr}");

    let off = Process::start(&api, &[("BIND", "0.0.0.0:0"), ("AUTH", "off")]).await;
    until_status(&api, &off.url, None, 200).await;
    assert!(off.stop().await.contains("AUTH=off: everyone who reaches this api may do everything"));

    api.key(&[Scope::Read]).await;
    let on = Process::start(&api, &[("BIND", "0.0.0.0:0")]).await;
    until_status(&api, &on.url, None, 401).await;
}

#[tokio::test]
async fn with_auth_off_nobody_is_asked_for_a_key() {
    let api = Api::start_with(&[("AUTH", "off")], |_| {}).await;
    for key in [None, Some("garbage"), Some(KEY)] {
        let request = api.http.get(format!("{}/v1/keys", api.url)).header("host", "api.example");
        assert_eq!(api.send_as(key, request).await.status, 200, "{key:?}");
    }
}

#[tokio::test]
async fn all_keys_revoked_open_nothing() {
    let api = Api::start().await;
    sqlx::query("UPDATE api_keys SET revoked_at = now()").execute(api.db()).await.unwrap();
    let other = Process::start(&api, &[]).await;
    until_status(&api, &other.url, None, 401).await;
    until_status(&api, &other.url, Some(KEY), 401).await;
}
