//! Uploads that are only checked.

use serde_json::{Value, json};

use crate::harness::{Api, file, png, png_of};

async fn dry_run(api: &Api, content: Vec<u8>, fields: &[(&'static str, &'static str)]) -> Value {
    let form = fields.iter().fold(file(content), |form, (name, value)| form.text(*name, *value));
    let response = api.post(form.text("dry_run", "true")).await;
    assert_eq!((response.status.as_u16(), response.header("location")), (200, None), "{}", response.text);
    response.json()
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_made_and_stores_nothing() {
    let api = Api::start().await;
    let standard = dry_run(&api, png(1000, 500), &[("title", "harbour")]).await;
    assert_eq!((&standard["title"], &standard["source"]["width"]), (&json!("harbour"), &json!(1000)));
    let (webp, fallback) = (json!(["webp"]), json!(["jpeg", "png"]));
    let planned = |name, formats: &Value, width, height| json!({ "name": name, "formats": formats, "width": width, "height": height });
    let expected = json!([
        planned("full", &webp, 1000, 500),
        planned("full", &fallback, 1000, 500),
        planned("w800", &webp, 800, 400),
        planned("w800", &fallback, 800, 400),
        planned("w320", &webp, 320, 160),
        planned("w320", &fallback, 320, 160),
    ]);
    assert_eq!(standard["renditions"], expected);
    let one = dry_run(&api, png(1000, 500), &[("width", "100"), ("rotate", "90"), ("format", "avif")]).await;
    assert_eq!(one["renditions"], json!([planned("resized", &json!(["avif"]), 100, 200)]));

    let jobs: i64 = sqlx::query_scalar("SELECT count(*) FROM apalis.jobs").fetch_one(api.db()).await.unwrap();
    assert_eq!((api.images().await, api.staged().len(), jobs), (0, 0, 0));
}

#[tokio::test]
async fn a_dry_run_is_refused_as_the_upload_would_be() {
    let api = Api::start_with(&[("MAX_PIXELS", "1000000"), ("MAX_RENDITIONS_PER_IMAGE", "4")], |_| {}).await;
    let dry =
        |content, name: &'static str, value: &'static str| file(content).text("dry_run", "true").text(name, value);
    let mut cut_short = png_of(9, 9, 5000);
    cut_short.truncate(4000);
    api.post(dry(cut_short, "width", "1")).await.problem(422, "/problems/broken-image");
    api.post(dry(png(1001, 1000), "width", "1")).await.problem(422, "/problems/image-too-large");
    let outside = api.post(dry(png(9, 9), "crop", "9,0,1,1")).await.problem(422, "/problems/invalid-field");
    assert_eq!(
        (&outside["field"], &outside["detail"]),
        (&json!("crop"), &json!("crop: The crop lies outside of the picture."))
    );
    let overlay = "01890a5d-ac96-774b-bcce-b302099a8057";
    api.post(dry(png(9, 9), "overlay", overlay)).await.problem(422, "/problems/invalid-field");
    let many = api.post(dry(png(1000, 9), "title", "x")).await.problem(422, "/problems/too-many-renditions");
    assert_eq!(many["max_renditions"], 4);
    assert_eq!(api.post(dry(png(300, 9), "title", "x")).await.status, 200);
    assert!(api.staged().is_empty());
}
