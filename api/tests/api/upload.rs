//! Uploads: accepted and refused ones, and what they leave in staging and the database.

use darkroom_model::{Failure, FailureCode, ImageId, Owner};
use darkroom_shared::catalog;
use reqwest::{
    Method,
    multipart::{Form, Part},
};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::{
    harness::{Api, file, png, png_of},
    images::render,
};

#[tokio::test]
async fn an_accepted_upload_shows_its_properties() {
    let api = Api::start().await;
    let content = png(640, 480);
    let response = api.post(file(content.clone())).await;
    assert_eq!(response.status, 202);
    let image = response.json();
    let id = image["id"].as_str().unwrap();
    assert_eq!(response.header("location"), Some(format!("/v1/images/{id}").as_str()));
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!((&image["title"], &image["status"]), (&json!("picture.png"), &json!("queued")));
    let sha256 = hex::encode(Sha256::digest(&content));
    let source = json!({
        "format": "png", "width": 640, "height": 480, "frames": 1, "bytes": content.len(), "sha256": sha256,
    });
    assert_eq!(image["source"], source);
    assert_eq!(image["links"], json!({ "self": format!("/v1/images/{id}") }));
    let again = api.get(&format!("/v1/images/{id}")).await.json();
    assert_eq!(again["created_at"], image["created_at"]);
}

#[tokio::test]
async fn an_accepted_upload_is_staged_under_its_id_and_has_a_job() {
    let api = Api::start().await;
    let content = png_of(3, 2, 300_000);
    let response = api.post(file(content.clone())).await;
    let id = response.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(api.staged(), [format!("1-{id}")], "the file and no draft");
    let image = darkroom_model::ImageId::from_uuid(id.parse().unwrap());
    assert_eq!(api.app.staging.read(Owner::DEFAULT, image).await.unwrap(), content);
    let jobs: Vec<serde_json::Value> =
        sqlx::query_scalar("SELECT convert_from(job, 'UTF8')::jsonb FROM apalis.jobs WHERE job_type = 'process-image'")
            .fetch_all(api.db())
            .await
            .unwrap();
    assert_eq!(jobs, [json!({ "owner": 1, "image": id })]);
}

#[tokio::test]
async fn the_title_is_the_clients_or_the_files_name() {
    let api = Api::start().await;
    for (form, title) in [
        (file(png(1, 1)).text("title", "  Ha\u{308}fen 東京 100% "), "Häfen 東京 100%"),
        (file(png(1, 1)).text("title", ""), "picture.png"),
        (Form::new().part("file", Part::bytes(png(1, 1)).file_name("/home/me/Käse.png")), "Käse.png"),
        (Form::new().part("file", Part::bytes(png(1, 1))), "untitled"),
    ] {
        assert_eq!(api.post(form).await.json()["title"], title);
    }
}

#[tokio::test]
async fn recipe_fields_request_one_rendition_and_none_the_standard_set() {
    let api = Api::start().await;
    let cover = file(png(9, 9)).text("width", "1200").text("fit", "cover").text("format", "webp").text("quality", "70");
    let cover_recipe = json!({
        "recipe": "resize", "width": 1200, "height": null, "fit": "cover", "format": "webp", "quality": 70,
    });
    // Fields may come before the file.
    let before = Form::new().text("height", "5").part("file", Part::bytes(png(9, 9)).file_name("x"));
    let before_recipe = json!({
        "recipe": "resize", "width": null, "height": 5, "fit": "inside", "format": null, "quality": 80,
    });
    let fields = [
        ("fit", "contain"),
        ("width", "40"),
        ("height", "30"),
        ("position", "top-left"),
        ("enlarge", "true"),
        ("crop", "1,2,3,4"),
        ("rotate", "90"),
        ("flip", "true"),
        ("flop", "true"),
        ("grayscale", "true"),
        ("blur", "1.5"),
        ("sharpen", "0.5"),
        ("background", "#fff"),
        ("gamut", "p3"),
        ("keep", "public"),
        ("max_bytes", "9000"),
    ];
    let all = fields.into_iter().fold(file(png(9, 9)), |form, (name, value)| form.text(name, value));
    let all_recipe = json!({
        "recipe": "resize", "width": 40, "height": 30, "fit": "contain", "position": "top-left", "enlarge": true,
        "crop": { "x": 1, "y": 2, "width": 3, "height": 4 }, "rotate": "90", "flip": true, "flop": true,
        "grayscale": true, "blur": 1.5, "sharpen": 0.5, "background": "#ffffff", "gamut": "p3", "keep": "public",
        "format": null, "quality": 100, "max_bytes": 9000,
    });
    let none = file(png(9, 9));
    for (form, recipe) in
        [(none, json!({ "recipe": "standard" })), (cover, cover_recipe), (before, before_recipe), (all, all_recipe)]
    {
        let id: uuid::Uuid = api.post(form).await.json()["id"].as_str().unwrap().parse().unwrap();
        let stored: serde_json::Value =
            sqlx::query_scalar("SELECT recipe FROM images WHERE id = $1").bind(id).fetch_one(api.db()).await.unwrap();
        assert_eq!(stored, recipe);
    }
}

#[tokio::test]
async fn an_overlay_must_be_a_ready_image() {
    let api = Api::start().await;
    let (ready, queued, failed) = (api.upload("ready").await, api.upload("queued").await, api.upload("failed").await);
    render(&api, &ready, b"webp").await;
    let mut db = api.db().acquire().await.unwrap();
    let processing =
        catalog::start(&mut db, Owner::DEFAULT, ImageId::from_uuid(failed.parse().unwrap())).await.unwrap().unwrap();
    let failure = Failure { code: FailureCode::BrokenImage, detail: "The file is cut short.".to_owned() };
    assert!(catalog::save_failed(&mut db, &processing.failed(failure)).await.unwrap());
    drop(db);

    let form = file(png(9, 9)).text("overlay", ready.clone()).text("overlay_opacity", "0.5");
    let id: uuid::Uuid = api.post(form).await.json()["id"].as_str().unwrap().parse().unwrap();
    let stored: serde_json::Value =
        sqlx::query_scalar("SELECT recipe FROM images WHERE id = $1").bind(id).fetch_one(api.db()).await.unwrap();
    let overlay = json!({
        "image": ready, "position": "bottom-right", "scale": 0.25, "opacity": 0.5, "margin": 0.02,
    });
    assert_eq!(stored["overlay"], overlay);

    let before = (api.images().await, api.staged().len());
    let unknown = uuid::Uuid::now_v7().to_string();
    for (overlay, detail) in [
        (&unknown, "overlay: There is no such image."),
        (&queued, "overlay: must be an image that is ready; this one is queued."),
        (&failed, "overlay: must be an image that is ready; this one is failed."),
    ] {
        let form = file(png(9, 9)).text("overlay", overlay.clone());
        let problem = api.post(form).await.problem(422, "/problems/invalid-field");
        assert_eq!((&problem["field"], &problem["detail"]), (&json!("overlay"), &json!(detail)));
    }
    assert_eq!(api.request(Method::DELETE, &format!("/v1/images/{ready}")).await.status, 202);
    let form = file(png(9, 9)).text("overlay", ready);
    assert_eq!(api.post(form).await.problem(422, "/problems/invalid-field")["field"], "overlay");
    assert_eq!((api.images().await, api.staged().len()), before, "nothing remains of the refused uploads");
}

#[tokio::test]
async fn the_image_of_another_owner_is_no_overlay() {
    let api = Api::start().await;
    let other = api.upload("of another owner").await;
    render(&api, &other, b"webp").await;
    let give_away = "ALTER TABLE renditions DROP CONSTRAINT renditions_owner_image_id_fkey;
        ALTER TABLE image_states DROP CONSTRAINT image_states_owner_id_fkey;
        UPDATE renditions SET owner = 2; UPDATE image_states SET owner = 2; UPDATE images SET owner = 2";
    sqlx::raw_sql(give_away).execute(api.db()).await.unwrap();
    let problem = api.post(file(png(9, 9)).text("overlay", other)).await.problem(422, "/problems/invalid-field");
    assert_eq!(problem["detail"], "overlay: There is no such image.");
}

#[tokio::test]
async fn an_upload_waits_in_a_lane_of_its_owner() {
    let api = Api::start().await;
    api.post(file(png(1, 1))).await;
    api.post(file(png(1, 1)).text("lane", "bulk")).await;
    let sql = "SELECT lane FROM apalis.jobs WHERE job_type = 'process-image' ORDER BY id";
    let lanes: Vec<String> = sqlx::query_scalar(sql).fetch_all(api.db()).await.unwrap();
    assert_eq!(lanes, ["1", "1/bulk"]);
}

#[tokio::test]
async fn an_incomplete_form_is_refused() {
    let api = Api::start().await;
    let twice = file(png(1, 1)).part("file", Part::bytes(png(1, 1)));
    for (form, detail) in [
        (Form::new().text("title", "x"), "file is missing"),
        (file(png(1, 1)).text("widht", "3"), "no field \"widht\""),
        (twice, "field file occurs twice"),
        (file(png(1, 1)).text("title", "x").text("title", "y"), "field title occurs twice"),
        (file(png(1, 1)).text("title", "x".repeat(17_000)), "field title has more than 16384 bytes"),
        (file(png(1, 1)).part("title", Part::bytes(&[0xff, 0xfe][..])), "field title is not text in UTF-8"),
    ] {
        let problem = api.post(form).await.problem(400, "/problems/invalid-form");
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{problem}");
    }
    assert_eq!((api.images().await, api.staged().len()), (0, 0), "nothing remains");
}

#[tokio::test]
async fn an_invalid_field_is_named() {
    let api = Api::start().await;
    for (field, value) in [
        ("title", "a\u{7}b".to_owned()),
        ("title", "x".repeat(201)),
        ("width", "0".to_owned()),
        ("width", "16385".to_owned()),
        ("height", "ten".to_owned()),
        ("fit", "outside".to_owned()),
        ("position", "top".to_owned()),
        ("crop", "0,0,5".to_owned()),
        ("rotate", "45".to_owned()),
        ("blur", "0".to_owned()),
        ("background", "red".to_owned()),
        ("max_bytes", "0".to_owned()),
        ("format", "bmp".to_owned()),
        ("quality", "101".to_owned()),
    ] {
        let response = api.post(file(png(1, 1)).text(field, value.clone())).await;
        assert_eq!(response.problem(422, "/problems/invalid-field")["field"], field, "{value}");
    }
    let empty = api.post(file(Vec::new())).await;
    assert_eq!(empty.problem(422, "/problems/invalid-field")["field"], "file");
    assert_eq!((api.images().await, api.staged().len()), (0, 0), "nothing remains");
}

#[tokio::test]
async fn an_unsupported_file_is_refused_whatever_its_name() {
    let api = Api::start().await;
    for bytes in [b"%PDF-1.7 and so on".to_vec(), b"x".to_vec(), vec![0; 1 << 20], b"<svg xmlns=".to_vec()] {
        let form = Form::new().part("file", Part::bytes(bytes).file_name("cat.jpg").mime_str("image/jpeg").unwrap());
        let problem = api.post(form).await.problem(415, "/problems/unsupported-format");
        assert_eq!(
            problem["supported_formats"],
            json!(["jpeg", "png", "webp", "gif", "avif", "heic", "jxl", "tiff", "bmp"])
        );
    }
    let mut cut_short = png_of(9, 9, 5000);
    cut_short.truncate(4000);
    api.post(file(cut_short)).await.problem(422, "/problems/broken-image");
    assert_eq!((api.images().await, api.staged().len()), (0, 0), "nothing remains");
}

#[tokio::test]
async fn an_image_over_a_limit_is_refused_with_the_limit() {
    let api = Api::start_with(&[("MAX_PIXELS", "1000000"), ("MAX_UPLOAD_BYTES", "100000")], |_| {}).await;
    let pixels = api.post(file(png(1001, 1000))).await.problem(422, "/problems/image-too-large");
    assert_eq!(pixels["max_pixels"], 1_000_000);
    let width = api.post(file(png(70_000, 1))).await.problem(422, "/problems/image-too-large");
    assert_eq!(width["max_width"], 65_535);

    let overhead = png_of(1, 1, 0).len();
    assert_eq!(api.post(file(png_of(1, 1, 100_000 - overhead))).await.status, 202, "exactly the limit");
    let bytes = api.post(file(png_of(1, 1, 100_001 - overhead))).await.problem(413, "/problems/upload-too-large");
    assert_eq!(bytes["limit_bytes"], 100_000);
    assert_eq!((api.images().await, api.staged().len()), (1, 1));
}
