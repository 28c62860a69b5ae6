//! One image: its state, its renditions, its deletion.

use bytes::Bytes;
use darkroom_model::{Failure, FailureCode, ImageAnalysis, ImageId, Owner, Rendition, RenditionFormat};
use darkroom_shared::catalog;
use reqwest::Method;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::harness::Api;

/// Marks an image of the owner `default` as ready as a worker does, with one rendition of these bytes.
pub(crate) async fn render(api: &Api, id: &str, bytes: &'static [u8]) {
    render_of(api, Owner::DEFAULT, id, bytes).await;
}

/// The same for an image of any owner.
pub(crate) async fn render_of(api: &Api, owner: Owner, id: &str, bytes: &'static [u8]) {
    let image = ImageId::from_uuid(id.parse().unwrap());
    let rendition = Rendition {
        name: "w320.webp".to_owned(),
        format: RenditionFormat::Webp,
        width: 320,
        height: 200,
        bytes: bytes.len() as u64,
        sha256: Sha256::digest(bytes).into(),
    };
    api.app.bucket.put(owner, image, &rendition, Bytes::from_static(bytes)).await.unwrap();
    let mut db = api.db().acquire().await.unwrap();
    let processing = catalog::start(&mut db, owner, image).await.unwrap().unwrap();
    let analysis = ImageAnalysis { placeholder: vec![1, 2, 3], dominant_colour: [1, 0xAB, 255], perceptual_hash: 0xF0 };
    assert!(catalog::save_ready(&mut db, &processing.ready(vec![rendition], analysis)).await.unwrap());
}

#[tokio::test]
async fn an_image_shows_its_progress() {
    let api = Api::start().await;
    let id = api.upload("x").await;
    let path = format!("/v1/images/{id}");
    let queued = api.get(&path).await;
    assert_eq!((queued.header("retry-after"), queued.header("cache-control")), (Some("1"), Some("no-store")));
    let queued = queued.json();
    assert_eq!(
        (&queued["status"], &queued["attempts"], &queued["renditions"]),
        (&json!("queued"), &json!(0), &json!([]))
    );
    assert!(queued.get("error").is_none() && queued.get("placeholder").is_none());
    assert!(queued.get("dominant_colour").is_none() && queued.get("perceptual_hash").is_none());

    render(&api, &id, b"webp").await;
    let ready = api.get(&path).await;
    assert_eq!(ready.header("retry-after"), None);
    let ready = ready.json();
    assert_eq!(
        (&ready["status"], &ready["placeholder"], &ready["attempts"]),
        (&json!("ready"), &json!("AQID"), &json!(1))
    );
    assert_eq!((&ready["dominant_colour"], &ready["perceptual_hash"]), (&json!("#01abff"), &json!("00000000000000f0")));
    assert!(ready["processing_ms"].is_u64());
    let rendition = &ready["renditions"][0];
    assert_eq!(
        (&rendition["name"], &rendition["width"], &rendition["bytes"]),
        (&json!("w320.webp"), &json!(320), &json!(4))
    );
    assert_eq!(reqwest::get(rendition["url"].as_str().unwrap()).await.unwrap().text().await.unwrap(), "webp");
}

#[tokio::test]
async fn a_failed_image_has_its_reason() {
    let api = Api::start().await;
    let id = api.upload("x").await;
    let mut db = api.db().acquire().await.unwrap();
    let processing =
        catalog::start(&mut db, Owner::DEFAULT, ImageId::from_uuid(id.parse().unwrap())).await.unwrap().unwrap();
    let failure = Failure { code: FailureCode::BrokenImage, detail: "The file is cut short.".to_owned() };
    assert!(catalog::save_failed(&mut db, &processing.failed(failure)).await.unwrap());
    let image = api.get(&format!("/v1/images/{id}")).await.json();
    assert_eq!(image["status"], "failed");
    assert_eq!(image["error"], json!({ "code": "broken_image", "detail": "The file is cut short." }));
}

#[tokio::test]
async fn a_rendition_has_a_stable_url_that_redirects_to_the_bucket() {
    let api = Api::start().await;
    let id = api.upload("x").await;
    let path = format!("/v1/images/{id}/renditions/w320.webp");
    api.get(&path).await.problem(404, "/problems/not-found");
    render(&api, &id, b"webp").await;
    let response = api.get(&path).await;
    assert_eq!((response.status.as_u16(), response.header("cache-control")), (307, Some("private, max-age=1800")));
    let file = reqwest::get(response.header("location").unwrap()).await.unwrap();
    assert_eq!(file.headers()["content-type"], "image/webp");
    assert_eq!(file.headers()["cache-control"], "public, max-age=31536000, immutable");
    assert_eq!(file.text().await.unwrap(), "webp");
    api.get(&format!("/v1/images/{id}/renditions/w9.webp")).await.problem(404, "/problems/not-found");
}

#[tokio::test]
async fn a_public_bucket_is_linked_without_signatures() {
    let api = Api::start_with(&[("PUBLIC_BUCKET_URL", "https://cdn.example/pics")], |_| {}).await;
    let id = api.upload("x").await;
    render(&api, &id, b"webp").await;
    let image = api.get(&format!("/v1/images/{id}")).await.json();
    let url = image["renditions"][0]["url"].as_str().unwrap();
    let start = format!("https://cdn.example/pics/images/{}/1/{id}/w320-", &id[34..]);
    assert!(url.starts_with(&start) && !url.contains('?'), "{url}");
}

#[tokio::test]
async fn a_deleted_image_is_gone_immediately() {
    let api = Api::start().await;
    let id = api.upload("x").await;
    render(&api, &id, b"webp").await;
    let path = format!("/v1/images/{id}");
    assert_eq!(api.request(Method::DELETE, &path).await.status, 202);
    api.request(Method::DELETE, &path).await.problem(404, "/problems/not-found");
    api.get(&path).await.problem(404, "/problems/not-found");
    api.get(&format!("{path}/renditions/w320.webp")).await.problem(404, "/problems/not-found");
    assert_eq!(api.get("/v1/images").await.json()["items"], json!([]));
    let jobs: Vec<serde_json::Value> =
        sqlx::query_scalar("SELECT convert_from(job, 'UTF8')::jsonb FROM apalis.jobs WHERE job_type = 'delete-image'")
            .fetch_all(api.db())
            .await
            .unwrap();
    assert_eq!(jobs, [json!({ "owner": 1, "image": id, "recheck": false })], "one job for several requests");
}

#[tokio::test]
async fn an_invalid_id_is_not_found() {
    let api = Api::start().await;
    for id in ["0", "not-an-id", "01890a5d-ac96-774b-bcce-b302099a8057", "%00", "..%2f"] {
        api.get(&format!("/v1/images/{id}")).await.problem(404, "/problems/not-found");
        api.request(Method::DELETE, &format!("/v1/images/{id}")).await.problem(404, "/problems/not-found");
    }
}
