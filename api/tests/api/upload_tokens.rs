//! Upload tokens.

use chrono::{DateTime, TimeDelta, Utc};
use darkroom_api::Token;
use darkroom_model::Owner;
use darkroom_shared::access::{Scope, Scopes, prune_upload_tokens};
use futures::future::join_all;
use reqwest::{Method, multipart::Form};
use serde_json::{Value, json};

use crate::harness::{Api, ApiResponse, file, png, png_of};

async fn post(api: &Api, key: Option<&str>, body: &Value) -> ApiResponse {
    let request = api.http.post(format!("{}/v1/upload-tokens", api.url)).json(body);
    match key {
        None => api.send(request).await,
        key => api.send_as(key, request).await,
    }
}

/// Makes a token.
async fn make(api: &Api, body: Value) -> String {
    let made = post(api, None, &body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.json()["token"].as_str().unwrap().to_owned()
}

async fn upload(api: &Api, token: &str, form: Form) -> ApiResponse {
    api.send_as(Some(token), api.http.post(format!("{}/v1/images", api.url)).multipart(form)).await
}

#[tokio::test]
async fn a_token_uploads_as_often_as_it_may_and_nothing_else() {
    let api = Api::start().await;
    let token = make(&api, json!({ "uses": 3 })).await;
    assert!(token.starts_with("du_") && token.parse::<Token>().is_ok());
    upload(&api, &token, file(b"no image".to_vec())).await.problem(415, "/problems/unsupported-format");
    let uploads = join_all((0..8).map(|_| upload(&api, &token, file(png(1, 1))))).await;
    let statuses = |status| uploads.iter().filter(|response| response.status == status).count();
    assert_eq!((statuses(202), statuses(401)), (3, 5), "a refused file has taken no use");
    assert_eq!((api.images().await, api.staged().len()), (3, 3));
    assert_eq!(upload(&api, &token, file(png(1, 1))).await.status, 401);
    let other = make(&api, json!({})).await;
    for path in ["/v1/images", "/v1/keys", "/v1/audit"] {
        let response = api.send_as(Some(&other), api.http.get(format!("{}{path}", api.url))).await;
        response.problem(403, "/problems/missing-scope");
    }
    assert!(!api.get("/v1/keys").await.text.contains("du_"), "tokens are not listed as keys");
}

#[tokio::test]
async fn a_token_limits_size_fields_and_page() {
    let api = Api::start_with(&[("ALLOWED_ORIGINS", "https://app.example")], |_| {}).await;
    let small = make(&api, json!({ "max_bytes": 1000 })).await;
    let problem = upload(&api, &small, file(png_of(1, 1, 2000))).await.problem(413, "/problems/upload-too-large");
    assert_eq!(problem["limit_bytes"], 1000);
    assert_eq!(upload(&api, &small, file(png_of(1, 1, 100))).await.status, 202);

    let titled = make(&api, json!({ "fields": ["title"] })).await;
    let problem =
        upload(&api, &titled, file(png(1, 1)).text("width", "16")).await.problem(403, "/problems/upload-token");
    assert!(problem["detail"].as_str().unwrap().contains("the field width"), "{problem}");
    assert_eq!(upload(&api, &titled, file(png(1, 1)).text("title", "x")).await.status, 202);

    let paged = make(&api, json!({ "origin": "https://app.example" })).await;
    let from = |origin: &str| {
        let request = api.http.post(format!("{}/v1/images", api.url)).header("origin", origin.to_owned());
        api.send_as(Some(&paged), request.multipart(file(png(1, 1))))
    };
    from(&api.url).await.problem(403, "/problems/upload-token");
    upload(&api, &paged, file(png(1, 1))).await.problem(403, "/problems/upload-token");
    assert_eq!(from("https://app.example").await.status, 202);
    assert_eq!((api.images().await, api.staged().len()), (3, 3));
}

#[tokio::test]
async fn a_token_ends_with_the_key_that_made_it() {
    let api = Api::start().await;
    let (maker, end) = (Token::generate(), Utc::now() + TimeDelta::minutes(1));
    let scopes: Scopes = [Scope::Write].into_iter().collect();
    let id = api.add_key(&maker, Owner::DEFAULT, scopes, Some(end)).await;
    let made = post(&api, Some(maker.expose()), &json!({ "expires_in": 3600, "uses": 100 })).await.json();
    let expires_at: DateTime<Utc> = made["expires_at"].as_str().unwrap().parse().unwrap();
    assert_eq!(expires_at.timestamp(), end.timestamp());
    let token = made["token"].as_str().unwrap();
    assert_eq!(upload(&api, token, file(png(1, 1))).await.status, 202);
    assert_eq!(post(&api, Some(token), &json!({})).await.status, 403, "a token makes no token");
    assert_eq!(api.request(Method::DELETE, &format!("/v1/keys/{id}")).await.status, 204);
    while upload(&api, token, file(png(1, 1))).await.status != 401 {}
}

#[tokio::test]
async fn a_token_can_be_revoked_and_is_removed_a_day_after_its_end() {
    let api = Api::start().await;
    let made = post(&api, None, &json!({ "uses": 100 })).await.json();
    let token = made["token"].as_str().unwrap();
    assert_eq!(upload(&api, token, file(png(1, 1))).await.status, 202);
    let path = format!("/v1/keys/{}", made["id"].as_str().unwrap());
    assert_eq!(api.request(Method::DELETE, &path).await.status, 204);
    assert_eq!(api.request(Method::DELETE, &path).await.status, 204, "again");
    while upload(&api, token, file(png(1, 1))).await.status != 401 {}

    let mut db = api.db().acquire().await.unwrap();
    assert_eq!(prune_upload_tokens(&mut db, 10).await.unwrap(), 0);
    let old = "UPDATE api_keys SET expires_at = now() - interval '25 hours' WHERE kind = 'upload'";
    sqlx::query(old).execute(&mut *db).await.unwrap();
    assert_eq!(prune_upload_tokens(&mut db, 10).await.unwrap(), 1);
}

#[tokio::test]
async fn a_token_that_is_not_as_expected_is_refused() {
    let api = Api::start().await;
    for (body, field) in [
        (json!({ "uses": 0 }), "uses"),
        (json!({ "uses": 1001 }), "uses"),
        (json!({ "expires_in": 0 }), "expires_in"),
        (json!({ "expires_in": 86_401 }), "expires_in"),
        (json!({ "max_bytes": 0 }), "max_bytes"),
        (json!({ "fields": ["widht"] }), "fields"),
        (json!({ "origin": "https://app.example/" }), "origin"),
        (json!({ "origin": "*" }), "origin"),
    ] {
        assert_eq!(post(&api, None, &body).await.problem(422, "/problems/invalid-field")["field"], field);
    }
    for body in [json!({ "use": 1 }), json!({ "uses": -1 }), json!([])] {
        post(&api, None, &body).await.problem(400, "/problems/invalid-json");
    }
}
