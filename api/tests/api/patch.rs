//! Changing an image, and requests with conditions on its version.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::{
    harness::{Api, ApiResponse, file, png},
    images::render,
};

const MERGE_PATCH: &str = "application/merge-patch+json";

fn request(api: &Api, method: Method, path: &str) -> RequestBuilder {
    api.http.request(method, format!("{}{path}", api.url))
}

async fn patch(api: &Api, path: &str, patch: &Value) -> ApiResponse {
    let request = request(api, Method::PATCH, path).header("content-type", MERGE_PATCH).body(patch.to_string());
    api.send(request).await
}

#[tokio::test]
async fn an_upload_has_tags_and_metadata() {
    let api = Api::start().await;
    let form = file(png(3, 2))
        .text("tags", "sea, boat,sea")
        .text("metadata", r#"{"order": 17, "no": null, "a": {"b": [1.5]}}"#);
    let accepted = api.post(form).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    let accepted = accepted.json();
    let image = api.get(accepted["links"]["self"].as_str().unwrap()).await.json();
    for answer in [&accepted, &image, &api.get("/v1/images").await.json()["items"][0]] {
        assert_eq!(answer["tags"], json!(["boat", "sea"]));
        assert_eq!(answer["metadata"], json!({ "order": 17, "a": { "b": [1.5] } }));
    }
    for (field, value) in [("tags", "a,,b"), ("metadata", "[]"), ("metadata", "{"), ("metadata", r#"{"a": "\u0000"}"#)]
    {
        let problem = api.post(file(png(3, 2)).text(field, value)).await.problem(422, "/problems/invalid-field");
        assert_eq!(problem["field"], field);
    }
}

#[tokio::test]
async fn a_patch_changes_what_it_names() {
    let api = Api::start().await;
    let path = format!("/v1/images/{}", api.upload("before").await);
    let changed =
        patch(&api, &path, &json!({ "title": " after ", "tags": ["b", "a"], "metadata": { "x": { "y": 1 } } })).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    let changed = patch(&api, &path, &json!({ "metadata": { "x": { "y": null, "z": "new" } } })).await.json();
    let image = api.get(&path).await.json();
    for answer in [changed, image] {
        assert_eq!(
            (&answer["title"], &answer["tags"], &answer["metadata"]),
            (&json!("after"), &json!(["a", "b"]), &json!({ "x": { "z": "new" } }))
        );
    }
    let emptied = patch(&api, &path, &json!({ "tags": null, "metadata": null })).await.json();
    assert_eq!((&emptied["tags"], &emptied["metadata"]), (&json!([]), &json!({})));
}

#[tokio::test]
async fn a_changed_image_is_found_by_what_it_has_now() {
    let api = Api::start().await;
    let path = format!("/v1/images/{}", api.upload("before").await);
    patch(&api, &path, &json!({ "title": "after", "tags": ["sea"], "metadata": { "order": 17 } })).await;
    let found =
        async |query: &str| api.get(&format!("/v1/images?{query}")).await.json()["items"].as_array().unwrap().len();
    for query in ["title=after", "tag=sea", "metadata_key=order&metadata_value=17"] {
        assert_eq!(found(query).await, 1, "{query}");
    }
    patch(&api, &path, &json!({ "tags": ["lake"], "metadata": { "order": 18 } })).await;
    for query in ["title=before", "tag=sea", "metadata_key=order&metadata_value=17"] {
        assert_eq!(found(query).await, 0, "{query}");
    }
}

#[tokio::test]
async fn an_invalid_patch_changes_nothing() {
    let api = Api::start().await;
    let path = format!("/v1/images/{}", api.upload("before").await);
    let before = api.get(&path).await;
    for (body, field) in [
        (json!({ "title": "" }), "title"),
        (json!({ "title": "x".repeat(201) }), "title"),
        (json!({ "title": "after", "tags": ["a,b"] }), "tags"),
        (json!({ "tags": (0..33).map(|n| n.to_string()).collect::<Vec<_>>() }), "tags"),
        (json!({ "metadata": { "a": "x".repeat(5000) } }), "metadata"),
        (json!({ "metadata": { "a": { "b": { "c": { "d": {} } } } } }), "metadata"),
    ] {
        let problem = patch(&api, &path, &body).await.problem(422, "/problems/invalid-field");
        assert_eq!(problem["field"], field, "{body}");
    }
    for body in [json!({ "title": null }), json!({ "status": "ready" }), json!([]), json!("x"), json!({ "tags": "a" })]
    {
        patch(&api, &path, &body).await.problem(400, "/problems/invalid-json");
    }
    let text = request(&api, Method::PATCH, &path).header("content-type", "text/plain").body("{}");
    api.send(text).await.problem(415, "/problems/unsupported-media-type");
    let after = api.get(&path).await;
    assert_eq!((after.header("etag"), after.json()), (before.header("etag"), before.json()));
    patch(&api, "/v1/images/01890a5d-ac96-774b-bcce-b302099a8057", &json!({}))
        .await
        .problem(404, "/problems/not-found");
}

#[tokio::test]
async fn a_change_and_a_deletion_need_the_version_that_they_name() {
    let api = Api::start().await;
    let path = format!("/v1/images/{}", api.upload("x").await);
    let first = api.get(&path).await.header("etag").unwrap().to_owned();
    assert!(first.starts_with('"') && first.ends_with('"'), "{first}");
    let rename = |title: &str| request(&api, Method::PATCH, &path).json(&json!({ "title": title }));
    let renamed = api.send(rename("y").header("if-match", &first)).await;
    let second = renamed.header("etag").unwrap().to_owned();
    assert_ne!(first, second);
    api.send(rename("z").header("if-match", &first)).await.problem(412, "/problems/precondition-failed");
    let same = api.send(rename("y").header("if-match", format!("{first}, {second}"))).await;
    assert_eq!(same.header("etag"), Some(second.as_str()), "nothing has changed");

    let delete = || request(&api, Method::DELETE, &path);
    api.send(delete().header("if-match", &first)).await.problem(412, "/problems/precondition-failed");
    assert_eq!(api.get(&path).await.json()["title"], "y");
    assert_eq!(api.send(delete().header("if-match", second)).await.status, 202);
    api.send(delete().header("if-match", "*")).await.problem(404, "/problems/not-found");
}

#[tokio::test]
async fn an_image_is_sent_again_only_after_a_change() {
    let api = Api::start().await;
    let id = api.upload("x").await;
    let path = format!("/v1/images/{id}");
    let mut tags = vec![api.get(&path).await.header("etag").unwrap().to_owned()];
    for method in [Method::GET, Method::HEAD] {
        let known = api.send(request(&api, method, &path).header("if-none-match", &tags[0])).await;
        assert_eq!((known.status.as_u16(), known.header("etag"), &*known.text), (304, Some(&*tags[0]), ""));
        assert_eq!(known.header("retry-after"), Some("1"));
    }
    render(&api, &id, b"webp").await;
    let changed = api.send(request(&api, Method::GET, &path).header("if-none-match", &tags[0])).await;
    assert_eq!(changed.status, 200);
    tags.push(changed.header("etag").unwrap().to_owned());
    assert_ne!(tags[0], tags[1]);
    let known = api.send(request(&api, Method::GET, &path).header("if-none-match", tags.join(", "))).await;
    assert_eq!((known.status.as_u16(), known.header("retry-after")), (304, None));
}

#[tokio::test]
async fn changes_at_once_are_all_kept() {
    let api = Api::start().await;
    let path = format!("/v1/images/{}", api.upload("x").await);
    let bodies: Vec<Value> = (0..8).map(|n| json!({ "metadata": { n.to_string(): n } })).collect();
    let changes = bodies.iter().map(|body| patch(&api, &path, body));
    assert!(futures::future::join_all(changes).await.iter().all(|changed| changed.status == 200));
    assert_eq!(api.get(&path).await.json()["metadata"].as_object().unwrap().len(), 8);
}
