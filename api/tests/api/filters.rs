//! The filters, orders and fields of the list of images.

use serde_json::{Value, json};

use crate::{
    harness::{Api, file, png},
    images::render,
};

async fn add(api: &Api, title: &str, tags: &str, metadata: &Value) -> String {
    let form = file(png(3, 2)).text("title", title.to_owned()).text("tags", tags.to_owned());
    let accepted = api.post(form.text("metadata", metadata.to_string())).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    accepted.json()["id"].as_str().unwrap().to_owned()
}

async fn titles(api: &Api, query: &str) -> Vec<String> {
    let page = api.get(&format!("/v1/images?{query}")).await;
    assert_eq!(page.status, 200, "{query}: {}", page.text);
    let page = page.json();
    page["items"].as_array().unwrap().iter().map(|item| item["title"].as_str().unwrap().to_owned()).collect()
}

/// The titles of all pages.
async fn all_titles(api: &Api, query: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut path = Some(format!("/v1/images?{query}"));
    while let Some(address) = path {
        let page = api.get(&address).await;
        all.extend(
            page.json()["items"].as_array().unwrap().iter().map(|item| item["title"].as_str().unwrap().to_owned()),
        );
        path = page.header("link").map(|link| link.strip_prefix('<').unwrap().split_once('>').unwrap().0.to_owned());
    }
    all
}

#[tokio::test]
async fn every_filter_finds_its_images_alone_and_with_others() {
    let api = Api::start().await;
    let ready = add(&api, "harbour", "sea,boat", &json!({ "order": 17, "site": "north" })).await;
    add(&api, "beach", "sea", &json!({ "order": 18, "note": "a b", "deep": { "x": [1] }, "yes": true })).await;
    add(&api, "forest", "", &json!({})).await;
    render(&api, &ready, b"webp").await;
    for (query, found) in [
        ("tag=sea", vec!["beach", "harbour"]),
        ("tag=boat", vec!["harbour"]),
        ("tag=Sea", vec![]),
        ("tag=%20sea%20", vec!["beach", "harbour"]),
        ("metadata_key=order", vec!["beach", "harbour"]),
        ("metadata_key=order&metadata_value=17", vec!["harbour"]),
        ("metadata_key=note&metadata_value=a%20b", vec!["beach"]),
        ("metadata_key=yes&metadata_value=true", vec!["beach"]),
        ("metadata_key=deep&metadata_value=%7B%22x%22%3A%5B1%5D%7D", vec!["beach"]),
        ("metadata_key=site&metadata_value=", vec![]),
        ("metadata_key=absent", vec![]),
        ("format=png", vec!["forest", "beach", "harbour"]),
        ("format=jpeg", vec![]),
        ("tag=sea&status=ready", vec!["harbour"]),
        ("tag=sea&status=queued&format=png&title=BEA", vec!["beach"]),
        ("tag=sea&metadata_key=order&metadata_value=18&title=harbour", vec![]),
        ("created_after=2020-01-01T00:00:00Z&created_before=2100-01-01T00:00:00%2B02:00&tag=boat", vec!["harbour"]),
        ("created_after=2100-01-01T00:00:00Z", vec![]),
        ("created_before=2020-01-01T00:00:00Z", vec![]),
        ("created_before=2020-01-01T00:00:00Z&tag=sea&sort=title", vec![]),
    ] {
        assert_eq!(titles(&api, query).await, found, "{query}");
    }
}

#[tokio::test]
async fn the_time_of_the_upload_is_compared_exactly() {
    let api = Api::start().await;
    for title in ["a", "b", "c"] {
        api.upload(title).await;
    }
    let page = api.get("/v1/images").await.json();
    let middle = page["items"][1]["created_at"].as_str().unwrap().replace('+', "%2B");
    assert_eq!(titles(&api, &format!("created_after={middle}")).await, ["c", "b"]);
    assert_eq!(titles(&api, &format!("created_before={middle}")).await, ["a"]);
    assert_eq!(titles(&api, &format!("created_after={middle}&created_before={middle}")).await, Vec::<String>::new());
}

#[tokio::test]
async fn pages_follow_the_order_of_the_list() {
    let api = Api::start().await;
    for title in ["beta", "Alpha", "gamma", "alpha", "Ärger"] {
        api.upload(title).await;
    }
    for (sort, order) in [
        ("newest", ["Ärger", "alpha", "gamma", "Alpha", "beta"]),
        ("oldest", ["beta", "Alpha", "gamma", "alpha", "Ärger"]),
        ("title", ["Alpha", "alpha", "beta", "gamma", "Ärger"]),
    ] {
        for filter in ["", "&status=queued", "&format=png", "&title=a", "&created_after=2020-01-01T00:00:00Z"] {
            let expected: Vec<_> =
                order.into_iter().filter(|title| filter != "&title=a" || *title != "Ärger").collect();
            assert_eq!(all_titles(&api, &format!("limit=2&sort={sort}{filter}")).await, expected, "{sort}{filter}");
        }
    }
}

#[tokio::test]
async fn a_cursor_is_for_one_order() {
    let api = Api::start().await;
    for title in ["a", "b"] {
        api.upload(title).await;
    }
    let cursor = api.get("/v1/images?limit=1").await.json()["next_cursor"].as_str().unwrap().to_owned();
    let problem = api.get(&format!("/v1/images?sort=title&cursor={cursor}")).await;
    assert_eq!(problem.problem(400, "/problems/invalid-parameter")["parameter"], "cursor");
}

#[tokio::test]
async fn a_list_has_the_fields_that_are_asked_for() {
    let api = Api::start().await;
    let id = api.upload("x").await;
    let page = api.get("/v1/images?fields=title,id").await.json();
    assert_eq!(page["items"], json!([{ "id": id, "title": "x" }]));
    assert!(api.get("/v1/images").await.json()["items"][0]["source"].is_object());
}

#[tokio::test]
async fn an_invalid_filter_is_named() {
    let api = Api::start().await;
    for (query, parameter) in [
        ("tag=", "tag"),
        ("tag=a,b", "tag"),
        ("tag=a%00b", "tag"),
        ("metadata_key=", "metadata_key"),
        ("metadata_value=x", "metadata_value"),
        ("metadata_key=x&metadata_value=%00", "metadata_value"),
        ("format=exe", "format"),
        ("created_after=yesterday", "created_after"),
        ("created_before=2026-01-01", "created_before"),
        ("sort=random", "sort"),
        ("fields=id,secret", "fields"),
        ("fields=", "fields"),
    ] {
        let problem = api.get(&format!("/v1/images?{query}")).await.problem(400, "/problems/invalid-parameter");
        assert_eq!(problem["parameter"], parameter, "{query}");
    }
}
