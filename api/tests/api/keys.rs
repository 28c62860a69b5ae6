//! The resource `/v1/keys`.

use chrono::{TimeDelta, Utc};
use darkroom_api::Token;
use darkroom_model::Owner;
use darkroom_shared::access::{Actor, Scopes, create_owner};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Duration;

use crate::harness::{Api, ApiResponse, KEY};

async fn post(api: &Api, body: &Value) -> ApiResponse {
    api.send(api.http.post(format!("{}/v1/keys", api.url)).json(body)).await
}

async fn patch(api: &Api, path: &str, body: &Value) -> ApiResponse {
    api.send(api.http.patch(format!("{}{path}", api.url)).json(body)).await
}

/// The status of a list of images with this key.
async fn status(api: &Api, key: &str) -> u16 {
    api.send_as(Some(key), api.http.get(format!("{}/v1/images", api.url))).await.status.as_u16()
}

async fn until_refused(api: &Api, key: &str) {
    while status(api, key).await != 401 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_key_is_made_shown_once_renamed_and_revoked() {
    let api = Api::start().await;
    let expires_at = Utc::now() + TimeDelta::days(30);
    let made = post(&api, &json!({ "name": " shop ", "scopes": ["read", "write"], "expires_at": expires_at })).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let (path, made) = (made.header("location").unwrap().to_owned(), made.json());
    let key = text(&made["key"]);
    assert_eq!((&made["name"], &made["scopes"]), (&json!("shop"), &json!(["read", "write"])));
    assert_eq!((text(&made["prefix"]), status(&api, &key).await), (key[..9].to_owned(), 200));

    let got = api.get(&path).await.json();
    assert_eq!((&got["id"], got.get("key")), (&made["id"], None));
    let renamed = patch(&api, &path, &json!({ "name": "shop 2" })).await.json();
    assert_eq!((&renamed["name"], &renamed["scopes"]), (&json!("shop 2"), &made["scopes"]));

    let list = api.get("/v1/keys").await;
    assert_eq!(list.json()["items"].as_array().unwrap().len(), 2);
    assert!(!list.text.contains(&key[9..]) && !list.text.contains(&KEY[9..]), "{}", list.text);

    assert_eq!(api.request(Method::DELETE, &path).await.status, 204);
    until_refused(&api, &key).await;
    assert_eq!(api.request(Method::DELETE, &path).await.status, 204, "again");
    assert!(api.get(&path).await.json()["revoked_at"].is_string());
    api.request(Method::POST, &format!("{path}/rotate")).await.problem(409, "/problems/key-ended");
    assert_eq!(status(&api, &key).await, 401);
}

#[tokio::test]
async fn a_rotated_key_has_a_new_secret_and_the_old_one_ends() {
    let api = Api::start().await;
    let made = post(&api, &json!({ "name": "x", "scopes": ["read"] })).await;
    let (path, first) = (made.header("location").unwrap().to_owned(), text(&made.json()["key"]));
    let rotated = api.request(Method::POST, &format!("{path}/rotate?overlap_seconds=3600")).await;
    let second = text(&rotated.json()["key"]);
    assert_eq!(rotated.json()["id"], made.json()["id"]);
    assert!(first != second);
    assert_eq!((status(&api, &first).await, status(&api, &second).await), (200, 200));
    let third = text(&api.request(Method::POST, &format!("{path}/rotate")).await.json()["key"]);
    assert_eq!(status(&api, &third).await, 200);
    for ended in [&first, &second] {
        until_refused(&api, ended).await;
    }
    let problem = api.request(Method::POST, &format!("{path}/rotate?overlap_seconds=604801")).await;
    problem.problem(400, "/problems/invalid-parameter");
    assert_eq!(status(&api, &third).await, 200);
}

#[tokio::test]
async fn a_key_that_is_not_as_expected_is_refused() {
    let api = Api::start().await;
    for body in [
        json!({}),
        json!({ "name": "x" }),
        json!({ "name": "x", "scopes": ["root"] }),
        json!({ "name": "x", "scopes": "read" }),
        json!({ "name": "x", "scopes": ["read"], "expires": "2999-01-01T00:00:00Z" }),
        json!({ "name": "x", "scopes": ["read"], "expires_at": "tomorrow" }),
        json!([]),
        json!({ "name": "x", "scopes": ["read"], "filler": "x".repeat(70_000) }),
    ] {
        let response = post(&api, &body).await;
        response.problem(400, "/problems/invalid-json");
        assert!(response.text.len() < 1000, "{}", response.text);
    }
    for (body, field) in [
        (json!({ "name": "a\nb", "scopes": ["read"] }), "name"),
        (json!({ "name": "  ", "scopes": ["read"] }), "name"),
        (json!({ "name": "", "scopes": ["read"] }), "name"),
        (json!({ "name": "x".repeat(101), "scopes": ["read"] }), "name"),
        (json!({ "name": "x", "scopes": [] }), "scopes"),
        (json!({ "name": "x", "scopes": ["read", "read", "read", "read"] }), "scopes"),
        (json!({ "name": "x", "scopes": ["read"], "expires_at": "2001-01-01T00:00:00Z" }), "expires_at"),
    ] {
        assert_eq!(post(&api, &body).await.problem(422, "/problems/invalid-field")["field"], field);
    }
    let unknown = post(&api, &json!({ "name": "x", "scopes": ["read"], "expires": 1 })).await.json();
    assert!(unknown["detail"].as_str().unwrap().contains("unknown field `expires`"), "{unknown}");
    let url = format!("{}/v1/keys", api.url);
    let body = json!({ "name": "x", "scopes": ["read"] }).to_string();
    for media_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""] {
        let request = api.http.post(&url).body(body.clone()).header("content-type", media_type);
        api.send(request).await.problem(415, "/problems/unsupported-media-type");
    }
    let request = api.http.post(&url).body("{").header("content-type", "application/json; charset=utf-8");
    api.send(request).await.problem(400, "/problems/invalid-json");
    assert_eq!(api.get("/v1/keys").await.json()["items"].as_array().unwrap().len(), 1, "only that of the test");
}

#[tokio::test]
async fn a_key_does_not_outlive_the_one_that_made_it() {
    let api = Api::start().await;
    let (admin, end) = (Token::generate(), Utc::now() + TimeDelta::hours(1));
    api.add_key(&admin, Owner::DEFAULT, Scopes::all(), Some(end)).await;
    let make = async |expires_at: Value| {
        let body = json!({ "name": "x", "scopes": ["admin"], "expires_at": expires_at });
        api.send_as(Some(admin.expose()), api.http.post(format!("{}/v1/keys", api.url)).json(&body)).await
    };
    let later = make(json!(end + TimeDelta::seconds(1))).await;
    assert_eq!(later.problem(422, "/problems/invalid-field")["field"], "expires_at");
    let earlier = make(json!(end - TimeDelta::minutes(1))).await;
    assert_eq!(earlier.status, 201);
    let inherited = text(&make(Value::Null).await.json()["expires_at"]).parse::<chrono::DateTime<Utc>>().unwrap();
    assert_eq!(inherited.timestamp(), end.timestamp());
}

#[tokio::test]
async fn keys_of_another_owner_do_not_exist() {
    let api = Api::start().await;
    let mut db = api.db().acquire().await.unwrap();
    let other = create_owner(&mut db, &Actor::OPERATOR, &"other".parse().unwrap()).await.unwrap().unwrap();
    let theirs = Token::generate();
    let id = api.add_key(&theirs, other, Scopes::all(), None).await;
    let before = row(&api, id.as_uuid()).await;
    let path = format!("/v1/keys/{id}");
    for response in [
        api.get(&path).await,
        patch(&api, &path, &json!({ "name": "mine" })).await,
        api.request(Method::POST, &format!("{path}/rotate")).await,
        api.request(Method::DELETE, &path).await,
    ] {
        response.problem(404, "/problems/not-found");
    }
    assert!(!api.get("/v1/keys").await.text.contains(&id.to_string()));
    assert!(!api.get("/v1/audit").await.text.contains(&id.to_string()));
    assert_eq!(row(&api, id.as_uuid()).await, before);

    let list = api.send_as(Some(theirs.expose()), api.http.get(format!("{}/v1/keys", api.url))).await.json();
    assert_eq!((list["items"].as_array().unwrap().len(), &list["items"][0]["id"]), (1, &json!(id.to_string())));
}

/// A row without the time of its last use.
async fn row(api: &Api, id: uuid::Uuid) -> String {
    let sql = "SELECT (to_jsonb(api_keys) - 'last_used_at')::text FROM api_keys WHERE id = $1";
    sqlx::query_scalar(sql).bind(id).fetch_one(api.db()).await.unwrap()
}

#[tokio::test]
async fn keys_are_listed_in_pages() {
    let api = Api::start().await;
    for name in ["a", "b", "c"] {
        assert_eq!(post(&api, &json!({ "name": name, "scopes": ["read"] })).await.status, 201);
    }
    let first = api.get("/v1/keys?limit=2").await.json();
    let names =
        |page: &Value| page["items"].as_array().unwrap().iter().map(|key| text(&key["name"])).collect::<Vec<_>>();
    assert_eq!(names(&first), ["c", "b"]);
    let second = api.get(&format!("/v1/keys?limit=2&cursor={}", text(&first["next_cursor"]))).await.json();
    assert_eq!((names(&second), second.get("next_cursor")), (vec!["a".to_owned(), "of a test".to_owned()], None));
    api.get("/v1/keys?cursor=x").await.problem(400, "/problems/invalid-parameter");
}
