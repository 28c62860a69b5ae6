//! Errors of the framework, request ids, and errors without internals.

use reqwest::{Method, header::CONTENT_TYPE};

use crate::harness::{Api, file, png};

#[tokio::test]
async fn an_unknown_path_is_not_found() {
    let api = Api::start().await;
    for path in ["/nothing", "/v1", "/v1/", "/v1/imagesx", "/v1/images/a/b", "/docs/x", "/problems/none"] {
        api.get(path).await.problem(404, "/problems/not-found");
    }
}

#[tokio::test]
async fn a_wrong_method_is_answered_with_the_allowed_ones() {
    let api = Api::start().await;
    let id = "/v1/images/01890a5d-ac96-774b-bcce-b302099a8057";
    for (method, path, allow) in [
        (Method::PUT, "/v1/images", "POST, GET, HEAD"),
        (Method::POST, id, "GET, PATCH, DELETE, HEAD"),
        (Method::DELETE, "/healthz", "GET, HEAD"),
        (Method::POST, "/docs", "GET, HEAD"),
    ] {
        let response = api.request(method, path).await;
        response.problem(405, "/problems/method-not-allowed");
        assert_eq!(response.header("allow"), Some(allow), "{path}");
    }
}

#[tokio::test]
async fn a_body_that_is_not_a_form_is_refused() {
    let api = Api::start().await;
    for content_type in ["application/json", "multipart/form-data", "image/png", "multipart/mixed; boundary=x", ""] {
        let request = api.http.post(format!("{}/v1/images", api.url)).body("{}");
        let request = if content_type.is_empty() { request } else { request.header(CONTENT_TYPE, content_type) };
        api.send(request).await.problem(415, "/problems/unsupported-media-type");
    }
}

#[tokio::test]
async fn a_malformed_form_is_refused() {
    let api = Api::start().await;
    let head = "--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n";
    let endless = format!("--x\r\n{}", "a".repeat(1 << 20));
    for body in
        ["", "nothing", head, &format!("{head}GIF"), &format!("{head}GIF\r\n--x"), "--x\r\n\r\n\r\n--x--\r\n", &endless]
    {
        let request = api.http.post(format!("{}/v1/images", api.url)).body(body.to_owned());
        let request = request.header(CONTENT_TYPE, "multipart/form-data; boundary=x");
        let response = api.send(request).await;
        let problem_type = response.json()["type"].as_str().unwrap().to_owned();
        // A form whose part is complete fails at the file: three bytes are not a GIF.
        assert!(
            ["/problems/invalid-form", "/problems/unsupported-format"].contains(&problem_type.as_str()),
            "{body:.80}: {problem_type}"
        );
    }
    assert_eq!((api.images().await, api.staged().len()), (0, 0), "nothing remains");
}

#[tokio::test]
async fn a_safe_request_id_is_kept_and_any_other_replaced() {
    let api = Api::start().await;
    let ask = |id: &str| api.send(api.http.get(format!("{}/nothing", api.url)).header("x-request-id", id));
    assert_eq!(ask("trace-1_A.b:c").await.header("x-request-id"), Some("trace-1_A.b:c"));
    for id in ["", "with space", "<script>", &"x".repeat(129), "ü"] {
        let response = ask(id).await;
        let given = response.header("x-request-id").unwrap();
        assert!(given != id && given.parse::<uuid::Uuid>().is_ok(), "{id} {given}");
    }
}

#[tokio::test]
async fn without_a_database_errors_reveal_no_internals() {
    let api = Api::start().await;
    api.db().close().await;
    let id = "/v1/images/01890a5d-ac96-774b-bcce-b302099a8057";
    for response in [api.get("/v1/images").await, api.get(id).await, api.request(Method::DELETE, id).await] {
        response.problem(503, "/problems/unavailable");
        assert!(response.header("retry-after").is_some());
        let text = response.text.to_lowercase();
        assert!(!["pool", "sqlx", "postgres", "127.0.0.1"].iter().any(|word| text.contains(word)), "{text}");
    }
    api.post(file(png(1, 1))).await.problem(503, "/problems/unavailable");
    assert!(api.staged().is_empty(), "nothing was committed");
}

/// Runs `action` when a transaction that inserts an image commits.
async fn at_commit(api: &Api, action: &str) {
    let sql = format!(
        "CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {action} RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON images DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION at_commit()"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(api.db()).await.unwrap();
}

#[tokio::test]
async fn an_upload_that_the_database_refuses_is_not_left_in_staging() {
    let api = Api::start().await;
    sqlx::query("ALTER TABLE images RENAME TO renamed").execute(api.db()).await.unwrap();
    assert_eq!(api.post(file(png(1, 1))).await.status, 500);
    assert!(api.staged().is_empty());
}

#[tokio::test]
async fn an_upload_with_a_failed_commit_is_not_left_in_staging() {
    let api = Api::start().await;
    at_commit(&api, "RAISE EXCEPTION 'refused';").await;
    assert_eq!(api.post(file(png(1, 1))).await.status, 500);
    assert!(api.staged().is_empty());
    assert_eq!(api.images().await, 0);
}

#[tokio::test]
async fn an_upload_with_a_commit_of_unknown_outcome_stays_in_staging() {
    let api = Api::start().await;
    at_commit(&api, "PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(60);").await;
    api.post(file(png(1, 1))).await.problem(503, "/problems/unavailable");
    assert_eq!(api.staged().len(), 1, "only the sweep may delete it");
}

#[tokio::test]
async fn problem_types_are_described() {
    let api = Api::start().await;
    let response = api.get("/problems/upload-too-large").await;
    assert_eq!(response.status, 200);
    assert!(response.text.contains("413"), "{}", response.text);
}
