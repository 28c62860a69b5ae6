//! The audit log.

use std::time::Duration;

use darkroom_shared::access::prune_audit;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::Api;

#[tokio::test]
async fn what_is_done_with_keys_is_recorded() {
    let api = Api::start().await;
    let url = format!("{}/v1/keys", api.url);
    let ours = |request: reqwest::RequestBuilder, id: &str| request.header("x-request-id", id.to_owned());
    let new = json!({ "name": "shop", "scopes": ["read"] });
    let made = api.send(ours(api.http.post(&url).json(&new), "made")).await.json();
    let key = format!("{url}/{}", made["id"].as_str().unwrap());
    api.send(ours(api.http.patch(&key).json(&json!({ "name": "shop 2" })), "renamed")).await;
    api.send(ours(api.http.post(format!("{key}/rotate")), "rotated")).await;
    api.send(ours(api.http.request(Method::DELETE, &key), "revoked")).await;
    api.send(ours(api.http.request(Method::DELETE, &key), "revoked again")).await;

    let log = api.get("/v1/audit").await;
    let entries = log.json()["items"].as_array().unwrap().clone();
    let found: Vec<_> = entries.iter().map(|entry| (&entry["action"], &entry["request_id"])).collect();
    let expected = json!([
        ["key.revoked", "revoked"],
        ["key.rotated", "rotated"],
        ["key.renamed", "renamed"],
        ["key.created", "made"],
        ["key.created", null]
    ]);
    assert_eq!(json!(found), expected);
    for entry in &entries[..4] {
        assert_eq!((&entry["key_id"], &entry["address"]), (&made["id"], &json!("127.0.0.1")));
        assert_eq!(entry["actor"], "key");
        assert_eq!(entry["actor_key_id"], entries[4]["key_id"]);
    }
    assert_eq!((&entries[4]["actor"], entries[4].get("address")), (&json!("operator"), None));
    assert!(entries[2]["detail"].as_str().unwrap().ends_with("\"shop\" to \"shop 2\""), "{}", entries[2]);
    assert!(!log.text.contains(&made["key"].as_str().unwrap()[9..]), "{}", log.text);
}

#[tokio::test]
async fn the_audit_log_is_read_in_pages_and_kept_by_age() {
    let api = Api::start().await;
    let first = api.get("/v1/audit?limit=1").await.json();
    assert!(first.get("next_cursor").is_none(), "{first}");
    let new = json!({ "name": "x", "scopes": ["read"] });
    api.send(api.http.post(format!("{}/v1/keys", api.url)).json(&new)).await;
    let newest = api.get("/v1/audit?limit=1").await.json();
    let cursor = newest["next_cursor"].as_str().unwrap();
    let next = api.get(&format!("/v1/audit?limit=1&cursor={cursor}")).await.json();
    assert_eq!(next, first);

    let mut db = api.db().acquire().await.unwrap();
    let hour = Duration::from_hours(1);
    assert_eq!(prune_audit(&mut db, hour, 100).await.unwrap(), 0, "all are younger");
    // An id has the time at which it was made.
    let old = "UPDATE audit SET id = '01890a5d-ac96-774b-bcce-b302099a8057' WHERE id = $1";
    let id: uuid::Uuid = first["items"][0]["id"].as_str().unwrap().parse().unwrap();
    sqlx::query(old).bind(id).execute(&mut *db).await.unwrap();
    assert_eq!(prune_audit(&mut db, hour, 100).await.unwrap(), 1);
    let rest: Value = api.get("/v1/audit").await.json();
    assert_eq!(rest["items"], newest["items"]);
}
