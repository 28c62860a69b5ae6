//! Which pages of other sites may use the api.

use reqwest::Method;
use serde_json::Value;

use crate::harness::{Api, ApiResponse};

const LISTED: &str = "https://app.example";
const OTHER: &str = "https://evil.example";

async fn api() -> Api {
    Api::start_with(&[("ALLOWED_ORIGINS", LISTED)], |_| {}).await
}

/// What a browser asks before a page of `origin` sends a request with this method.
async fn preflight(api: &Api, path: &str, origin: &str, method: &str) -> ApiResponse {
    let request = api.http.request(Method::OPTIONS, format!("{}{path}", api.url));
    let request = request.header("origin", origin).header("access-control-request-method", method);
    api.send_as(None, request.header("access-control-request-headers", "authorization")).await
}

#[tokio::test]
async fn a_preflight_of_a_listed_page_is_answered_without_a_key() {
    let api = api().await;
    for (path, methods) in [
        ("/v1/images", "POST, GET, HEAD"),
        ("/v1/images/01890a5d-ac96-774b-bcce-b302099a8057", "GET, PATCH, DELETE, HEAD"),
    ] {
        let response = preflight(&api, path, LISTED, "GET").await;
        assert_eq!((response.status.as_u16(), response.text.as_str()), (204, ""));
        assert_eq!(response.header("access-control-allow-origin"), Some(LISTED));
        assert_eq!(response.header("access-control-allow-methods"), Some(methods));
        assert!(response.header("access-control-allow-headers").unwrap().contains("Authorization"));
        assert!(response.header("access-control-max-age").is_some());
        assert_eq!(response.header("access-control-allow-credentials"), None);
    }
}

#[tokio::test]
async fn a_page_that_is_not_listed_is_allowed_nothing() {
    let api = api().await;
    for origin in [OTHER, "null", "https://app.example.evil.example", "http://app.example", "https://app.example:8443"]
    {
        let response = preflight(&api, "/v1/images", origin, "POST").await;
        assert_eq!(response.status, 204);
        let names: Vec<_> =
            response.headers.keys().filter(|name| name.as_str().starts_with("access-control")).collect();
        assert!(names.is_empty(), "{names:?}");
        let get = api.send(api.http.get(format!("{}/v1/images", api.url)).header("origin", origin)).await;
        assert_eq!((get.status.as_u16(), get.header("access-control-allow-origin")), (200, None));
    }
}

#[tokio::test]
async fn a_listed_page_may_read_responses_and_errors() {
    let api = api().await;
    let get = |path: &str| api.http.get(format!("{}{path}", api.url)).header("origin", LISTED);
    for response in
        [api.send(get("/v1/images")).await, api.send(get("/nothing")).await, api.send_as(None, get("/v1/images")).await]
    {
        assert_eq!(response.header("access-control-allow-origin"), Some(LISTED), "{}", response.status);
        assert!(response.header("access-control-expose-headers").unwrap().contains("X-Request-Id"));
        assert_eq!(response.header("access-control-allow-credentials"), None);
    }
}

#[tokio::test]
async fn every_documented_header_may_be_read() {
    let api = api().await;
    let response = api.send(api.http.get(format!("{}/v1/images", api.url)).header("origin", LISTED)).await;
    let exposed = response.header("access-control-expose-headers").unwrap().to_lowercase();
    // Those that need no permission: WHATWG Fetch, CORS-safelisted response-header name.
    let exposed: Vec<_> = exposed.split(", ").chain(["cache-control"]).collect();
    let spec: Value = serde_json::from_str(&darkroom_api::spec_json()).unwrap();
    let operations = spec["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values());
    let responses = operations.flat_map(|operation| operation["responses"].as_object().unwrap().values());
    let headers = responses.filter_map(|response| response["headers"].as_object()).flat_map(|headers| headers.keys());
    for header in headers {
        assert!(exposed.contains(&header.to_lowercase().as_str()), "{header} is not exposed: add it to cors.rs");
    }
}

#[tokio::test]
async fn all_pages_can_be_allowed() {
    let api = Api::start_with(&[("ALLOWED_ORIGINS", "*")], |_| {}).await;
    let response = preflight(&api, "/v1/images", OTHER, "POST").await;
    assert_eq!(response.header("access-control-allow-origin"), Some("*"));
    let response = api.send(api.http.get(format!("{}/v1/images", api.url)).header("origin", OTHER)).await;
    assert_eq!(response.header("access-control-allow-origin"), Some("*"));
}

#[tokio::test]
async fn options_without_a_preflight_is_a_method_like_others() {
    let api = api().await;
    let request = api.http.request(Method::OPTIONS, format!("{}/v1/images", api.url)).header("origin", LISTED);
    api.send(request).await.problem(405, "/problems/method-not-allowed");
}
