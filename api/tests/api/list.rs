//! The list of images: filters and pages.

use serde_json::Value;

use crate::harness::{Api, ApiResponse};

fn titles(page: &Value) -> Vec<String> {
    page["items"].as_array().unwrap().iter().map(|item| item["title"].as_str().unwrap().to_owned()).collect()
}

async fn search(api: &Api, title: &str) -> Vec<String> {
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("title", title).finish();
    titles(&api.get(&format!("/v1/images?{query}")).await.json())
}

/// The address in a `Link` header.
fn next(response: &ApiResponse) -> Option<String> {
    let (address, rel) = response.header("link")?.split_once('>')?;
    assert_eq!(rel, "; rel=\"next\"");
    Some(address.trim_start_matches('<').to_owned())
}

#[tokio::test]
async fn the_title_filter_takes_every_character_literally() {
    let api = Api::start().await;
    for title in
        ["100% cotton", "snake_case", "it's \"quoted\"; --", "Ärger im Café", "東京タワー", "back\\slash", "a+b&c=d"]
    {
        api.upload(title).await;
    }
    for (part, found) in [
        ("%", "100% cotton"),
        ("_", "snake_case"),
        ("'s \"", "it's \"quoted\"; --"),
        ("ärger", "Ärger im Café"),
        ("A\u{308}RGER", "Ärger im Café"),
        ("cafe\u{301}", "Ärger im Café"),
        ("京タ", "東京タワー"),
        ("塔", ""),
        ("\\", "back\\slash"),
        ("+b&c=", "a+b&c=d"),
    ] {
        let expected: Vec<_> = Some(found).filter(|found| !found.is_empty()).into_iter().collect();
        assert_eq!(search(&api, part).await, expected, "{part}");
    }
    assert_eq!(search(&api, "").await.len(), 7, "an empty filter is none");
}

#[tokio::test]
async fn pages_are_stable_while_images_are_added() {
    let api = Api::start().await;
    for number in 1..=7 {
        api.upload(&format!("old {number}")).await;
    }
    let mut seen = Vec::new();
    let mut address = Some("/v1/images?limit=3&title=old&status=queued".to_owned());
    let mut pages = 0;
    while let Some(path) = address {
        let response = api.get(&path).await;
        let page = response.json();
        seen.extend(titles(&page));
        address = next(&response);
        match (&address, page["next_cursor"].as_str()) {
            (Some(address), Some(cursor)) => {
                assert_eq!(*address, format!("/v1/images?title=old&status=queued&limit=3&cursor={cursor}"));
            }
            (None, None) => {}
            other => panic!("header and body disagree: {other:?}"),
        }
        pages += 1;
        api.upload(&format!("old and new {pages}")).await;
    }
    let expected: Vec<_> = (1..=7).rev().map(|number| format!("old {number}")).collect();
    assert_eq!((seen, pages), (expected, 3));
}

#[tokio::test]
async fn images_are_listed_by_status_newest_first() {
    let api = Api::start().await;
    let (first, second) = (api.upload("first").await, api.upload("second").await);
    let all = api.get("/v1/images").await.json();
    assert_eq!(titles(&all), ["second", "first"]);
    assert!(all["items"][0].get("renditions").is_none() && all.get("next_cursor").is_none());
    let failed = "UPDATE image_states SET status = 'failed', failure_code = 'crashed', failure_detail = 'x', \
                  finished_at = now() WHERE id = $1::uuid";
    sqlx::query(failed).bind(&first).execute(api.db()).await.unwrap();
    assert_eq!(titles(&api.get("/v1/images?status=failed").await.json()), ["first"]);
    assert_eq!(api.get("/v1/images?status=queued").await.json()["items"][0]["id"], second);
    assert!(titles(&api.get("/v1/images?status=ready").await.json()).is_empty());
}

#[tokio::test]
async fn a_full_last_page_has_no_next_page() {
    let api = Api::start().await;
    for _ in 0..4 {
        api.upload("x").await;
    }
    let first = api.get("/v1/images?limit=2").await;
    let last = api.get(&next(&first).unwrap()).await;
    assert_eq!((titles(&last.json()).len(), next(&last)), (2, None));
}

#[tokio::test]
async fn an_invalid_parameter_is_named() {
    let api = Api::start().await;
    let long = format!("title={}", "x".repeat(201));
    for (query, parameter) in [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=many", "limit"),
        ("limit=", "limit"),
        ("cursor=nonsense", "cursor"),
        ("cursor=", "cursor"),
        ("status=lost", "status"),
        ("status=deleting", "status"),
        ("title=a%00b", "title"),
        (long.as_str(), "title"),
    ] {
        let response = api.get(&format!("/v1/images?{query}")).await;
        let problem = response.problem(400, "/problems/invalid-parameter");
        assert_eq!(problem["parameter"], parameter, "{query}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.starts_with(parameter) && !detail.contains("pars"), "{detail}");
    }
}

#[tokio::test]
async fn a_value_of_a_newer_version_is_unknown_and_breaks_no_page() {
    let api = Api::start().await;
    let (other, newer) = (api.upload("other").await, api.upload("newer").await);
    let write = "ALTER TABLE image_states DROP CONSTRAINT image_states_status_known,
            DROP CONSTRAINT image_states_failed_says_why;
        UPDATE images SET source_format = 'jxl9' WHERE title = 'newer';
        UPDATE image_states AS state SET status = 'resting', failure_code = 'too_dull', failure_detail = 'x'
        FROM images WHERE images.id = state.id AND title = 'newer'";
    sqlx::raw_sql(write).execute(api.db()).await.unwrap();
    let page = api.get("/v1/images").await.json();
    assert_eq!((&page["items"][0]["id"], &page["items"][1]["id"]), (&newer.clone().into(), &other.into()));
    assert_eq!(
        (&page["items"][0]["status"], &page["items"][0]["source"]["format"]),
        (&"unknown".into(), &"unknown".into())
    );
    let image = api.get(&format!("/v1/images/{newer}")).await.json();
    assert_eq!((&image["status"], &image["error"]["code"]), (&"unknown".into(), &"unknown".into()));
    api.get("/v1/images?status=unknown").await.problem(400, "/problems/invalid-parameter");
}

#[tokio::test]
async fn a_search_that_takes_too_long_is_answered_with_a_problem() {
    let api = Api::start().await;
    api.upload("slow").await;
    let mut lock = api.db().begin().await.unwrap();
    sqlx::query("LOCK TABLE images IN ACCESS EXCLUSIVE MODE").execute(&mut *lock).await.unwrap();
    let response = api.get("/v1/images?title=slow").await;
    response.problem(503, "/problems/search-timeout");
    assert!(response.header("retry-after").is_some());
    lock.rollback().await.unwrap();
    assert_eq!(search(&api, "slow").await, ["slow"]);
}
