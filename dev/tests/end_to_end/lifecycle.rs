//! From the upload of an image to its deletion.

use std::time::{Duration, SystemTime};

use image::{GenericImageView as _, ImageFormat, Rgb, Rgba, RgbaImage};
use reqwest::StatusCode;
use serde_json::Value;

use crate::{
    pictures,
    stack::{Stack, eventually, id},
};

/// Names of an image's renditions.
fn names(image: &Value) -> Vec<&str> {
    image["renditions"].as_array().unwrap().iter().map(|rendition| rendition["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn every_format_becomes_ready_and_is_fetched_by_its_url() {
    let stack = Stack::start(1).await;
    let photo = pictures::photo(1000, 700, 1);
    for (what, picture, plain) in [
        ("jpeg", pictures::jpeg(&photo), "full.jpeg"),
        ("png", pictures::transparent_png(900, 600), "full.png"),
        ("webp", pictures::webp(photo.clone()), "full.jpeg"),
        ("gif", pictures::gif(&pictures::photo(400, 300, 2), 1), "full."),
    ] {
        let size = picture.len();
        let id = stack.upload(picture, &[("title", what)]).await;
        let image = stack.wait_for_status(&id, "ready").await;
        assert_eq!((&image["source"]["format"], &image["attempts"]), (&what.into(), &1.into()));
        assert!(image["placeholder"].is_string() && image["processing_ms"].is_number(), "{image}");
        assert!(names(&image).contains(&"full.webp"), "{image}");
        assert!(names(&image).iter().any(|name| name.starts_with(plain)), "{image}");

        for rendition in image["renditions"].as_array().unwrap() {
            let (kind, bytes) = stack.fetch(&id, rendition["name"].as_str().unwrap()).await;
            assert_eq!(kind, format!("image/{}", rendition["format"].as_str().unwrap()));
            assert_eq!(bytes.len(), usize::try_from(rendition["bytes"].as_u64().unwrap()).unwrap());
            let picture = image::load_from_memory(&bytes).unwrap();
            assert_eq!(Value::from(picture.width()), rendition["width"]);
            assert_eq!(Value::from(picture.height()), rendition["height"]);
            let url = rendition["url"].as_str().unwrap();
            assert_eq!(stack.http.get(url).send().await.unwrap().bytes().await.unwrap(), bytes);
            if what == "jpeg" {
                assert!(bytes.len() < size, "{rendition} is no smaller than the upload");
            }
        }
    }
    stack.wait_for_empty_staging().await;
}

#[tokio::test]
async fn all_eight_orientations_come_out_upright_and_without_metadata() {
    let stack = Stack::start(1).await;
    let upright = pictures::quarters(360, 240);
    for orientation in 1..=8 {
        let picture = pictures::jpeg_with_exif(&pictures::stored(&upright, orientation), orientation);
        assert!(picture.windows(4).any(|four| four == b"Exif"));
        let id = stack.upload(picture, &[]).await;
        let image = stack.wait_for_status(&id, "ready").await;
        for name in names(&image) {
            let (_, bytes) = stack.fetch(&id, name).await;
            for secret in [b"Exif".as_slice(), b"EXIF", b"eXIf"] {
                assert!(!bytes.windows(4).any(|four| four == secret), "{name} has metadata");
            }
            let picture = image::load_from_memory(&bytes).unwrap();
            let (width, height) = picture.dimensions();
            assert!(width > height, "orientation {orientation}: {name} lies on its side");
            for (x, y, colour) in [(1, 1, [220, 20, 20]), (3, 1, [20, 200, 20]), (1, 3, [20, 20, 220])] {
                let Rgb(found) = picture.to_rgb8()[(width * x / 4, height * y / 4)];
                let off = found.iter().zip(colour).map(|(a, b): (&u8, u8)| a.abs_diff(b)).max().unwrap();
                assert!(off < 24, "orientation {orientation}: {name} has {found:?} where {colour:?} belongs");
            }
        }
    }
}

#[tokio::test]
async fn a_recipe_with_a_size_makes_exactly_one_rendition() {
    let stack = Stack::start(1).await;
    let fields = [("width", "200"), ("height", "200"), ("fit", "cover"), ("format", "png"), ("title", "square")];
    let id = stack.upload(pictures::jpeg(&pictures::photo(640, 480, 3)), &fields).await;
    let image = stack.wait_for_status(&id, "ready").await;
    assert_eq!(names(&image), ["resized.png"]);
    let (_, bytes) = stack.fetch(&id, "resized.png").await;
    assert_eq!(image::load_from_memory(&bytes).unwrap().dimensions(), (200, 200));
}

#[tokio::test]
async fn an_overlay_is_composited_and_its_deletion_fails_later_images() {
    let mut stack = Stack::start(1).await;
    let logo = RgbaImage::from_fn(64, 64, |x, _| if x < 32 { Rgba([250, 10, 20, 255]) } else { Rgba([0; 4]) });
    let logo = stack.upload(pictures::encoded(&logo.into(), ImageFormat::Png), &[("title", "logo")]).await;
    stack.wait_for_status(&logo, "ready").await;

    let photo = pictures::quarters(400, 400);
    let fields = [
        ("overlay", &*logo),
        ("overlay_position", "centre"),
        ("overlay_opacity", "0.5"),
        ("format", "png"),
        ("quality", "100"),
    ];
    let id = stack.upload(pictures::encoded(&photo.clone().into(), ImageFormat::Png), &fields).await;
    let image = stack.wait_for_status(&id, "ready").await;
    assert_eq!(names(&image), ["resized.png"]);
    let (_, bytes) = stack.fetch(&id, "resized.png").await;
    let picture = image::load_from_memory(&bytes).unwrap().to_rgb8();
    // The overlay has 64 × 64 pixels in the centre; its right half is transparent.
    let mixed =
        |x, y| photo.get_pixel(x, y).0.map(u16::from).iter().zip([250, 10, 20]).map(|(a, b)| (a + b) / 2).collect();
    for (x, y) in [(169, 169), (169, 230), (190, 190), (198, 210)] {
        let expected: Vec<u16> = mixed(x, y);
        let off = picture.get_pixel(x, y).0.iter().zip(expected).map(|(a, b)| u16::from(*a).abs_diff(b)).max();
        assert!(off <= Some(2), "{x},{y}: {off:?}");
    }
    for (x, y) in [(166, 200), (169, 166), (169, 233), (202, 200), (230, 190)] {
        assert_eq!(picture.get_pixel(x, y), photo.get_pixel(x, y), "{x},{y}");
    }

    // The overlay is deleted while a photograph waits for a worker.
    for worker in &mut stack.workers {
        worker.process.kill().await.unwrap();
    }
    let late = stack.upload(pictures::jpeg(&photo), &[("overlay", &logo)]).await;
    let url = format!("{}/v1/images/{logo}", stack.url);
    assert_eq!(stack.http.delete(&url).send().await.unwrap().status(), StatusCode::ACCEPTED);
    stack.start_worker();
    let image = stack.wait_for_status(&late, "failed").await;
    assert_eq!(image["error"]["code"], "unsatisfiable");
    assert_eq!(image["error"]["detail"], "The overlay has been deleted.");
    stack.wait_for_empty_staging().await;
}

#[tokio::test]
async fn an_image_is_retried_while_its_overlay_cannot_be_fetched() {
    let stack = Stack::start(1).await;
    let logo = stack.upload(pictures::transparent_png(64, 64), &[("format", "png")]).await;
    stack.wait_for_status(&logo, "ready").await;
    let object = stack.objects().remove(0);
    let hidden = object.with_file_name(".hidden");
    std::fs::rename(&object, &hidden).unwrap();
    let photo = stack.upload(pictures::jpeg(&pictures::photo(300, 200, 9)), &[("overlay", &logo)]).await;
    eventually("an attempt has failed", async || {
        let image = stack.image(&photo).await?;
        (image["status"] == "queued" && image["attempts"] != 0).then_some(())
    })
    .await;
    std::fs::rename(&hidden, &object).unwrap();
    stack.wait_for_status(&photo, "ready").await;
}

#[tokio::test]
async fn a_broken_picture_fails_at_once_and_says_why() {
    let stack = Stack::start(1).await;
    let mut picture = pictures::jpeg(&pictures::photo(640, 480, 4));
    picture.truncate(picture.len() / 3);
    let id = stack.upload(picture, &[]).await;
    let image = stack.wait_for_status(&id, "failed").await;
    assert_eq!((&image["error"]["code"], &image["attempts"]), (&"broken_image".into(), &1.into()), "{image}");
    assert!(image["error"]["detail"].as_str().unwrap().ends_with('.'), "a sentence: {image}");
    assert!(stack.objects().is_empty());
    stack.wait_for_empty_staging().await;
}

#[tokio::test]
async fn two_workers_never_process_an_image_twice() {
    let stack = Stack::start(2).await;
    let mut ids = Vec::new();
    for seed in 0..40 {
        ids.push(stack.upload(pictures::jpeg(&pictures::photo(200, 150, seed)), &[]).await);
    }
    for id in &ids {
        assert_eq!(stack.wait_for_status(id, "ready").await["attempts"], 1);
    }
    stack.wait_for_empty_staging().await;
}

#[tokio::test]
async fn a_deleted_image_leaves_nothing() {
    let stack = Stack::start(1).await;
    let deleted = stack.upload(pictures::jpeg(&pictures::photo(400, 300, 5)), &[]).await;
    let kept = stack.upload(pictures::jpeg(&pictures::photo(400, 300, 6)), &[]).await;
    let renditions = names(&stack.wait_for_status(&kept, "ready").await).len();
    stack.wait_for_status(&deleted, "ready").await;

    let url = format!("{}/v1/images/{deleted}", stack.url);
    assert_eq!(stack.http.delete(&url).send().await.unwrap().status(), StatusCode::ACCEPTED);
    assert_eq!(stack.http.delete(&url).send().await.unwrap().status(), StatusCode::NOT_FOUND);
    assert!(stack.image(&deleted).await.is_none());
    eventually("its objects are gone", async || (stack.objects().len() == renditions).then_some(())).await;
    assert_eq!(stack.list().await.iter().map(id).collect::<Vec<_>>(), [kept]);
}

#[tokio::test]
async fn the_sweep_removes_orphans_and_nothing_else() {
    let mut stack = Stack::start(1).await;
    let ready = stack.upload(pictures::jpeg(&pictures::photo(300, 200, 7)), &[]).await;
    stack.wait_for_status(&ready, "ready").await;
    stack.wait_for_empty_staging().await;
    let objects = stack.objects().len();

    // Without a worker the accepted image waits, and its file becomes old.
    for worker in &mut stack.workers {
        worker.process.kill().await.unwrap();
    }
    let queued = stack.upload(pictures::jpeg(&pictures::photo(300, 200, 8)), &[]).await;
    let stray = "0193a000-0000-7000-8000-000000000000";
    for orphan in [format!("1-{stray}"), format!("incoming/{stray}")] {
        std::fs::write(stack.staging.join(orphan), "left by a crash").unwrap();
    }
    std::fs::write(stack.staging.join("1-0193a000-0000-7000-8000-000000000001"), "an upload of this moment").unwrap();
    let finished = stack.staging.join(format!("1-{ready}"));
    std::fs::write(&finished, "of an image that is ready").unwrap();
    let folder = stack.objects()[0].parent().unwrap().to_path_buf();
    let object = folder.join("w1-0011223344556677.webp");
    std::fs::write(&object, "left by an attempt").unwrap();
    let bucket = stack.bucket.dir.path().join(&stack.bucket.name);
    let deleted = bucket.join("images/00/1").join(stray).join("w1-0011223344556677.webp");
    std::fs::create_dir_all(deleted.parent().unwrap()).unwrap();
    std::fs::write(&deleted, "left by an attempt at an image that was deleted meanwhile").unwrap();
    let long_ago = SystemTime::now() - Duration::from_hours(72);
    let young = stack.staging.join("1-0193a000-0000-7000-8000-000000000001");
    for path in stack.staged().into_iter().chain(stack.objects()).filter(|path| ![&young, &finished].contains(&path)) {
        std::fs::File::options().write(true).open(path).unwrap().set_modified(long_ago).unwrap();
    }

    // No attempt has said that it would store them.
    assert!(stack.worker_command(&["sweep"]).await.success());
    assert!(object.exists() && deleted.exists());
    let db = sqlx::PgPool::connect(&stack.database).await.unwrap();
    let died = "INSERT INTO put_intents (owner, image_id, attempt, since)
        SELECT 1, image::uuid, gen_random_uuid(), now() - make_interval(days => days)
        FROM (VALUES ($1, 3), ($2, 0)) AS died (image, days)";
    sqlx::query(died).bind(&ready).bind(stray).execute(&db).await.unwrap();
    assert!(stack.worker_command(&["sweep"]).await.success());
    assert!(!object.exists() && deleted.exists(), "the other attempt is young");
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM put_intents").fetch_one(&db).await.unwrap();
    assert_eq!(left, 1);

    assert!(stack.worker_command(&["compare"]).await.success());
    assert!(deleted.exists(), "it only counts");
    assert!(stack.worker_command(&["compare", "--remove"]).await.success());
    assert_eq!(stack.objects().len(), objects);
    let mut left = stack.staged();
    left.sort();
    assert_eq!(left, [young, stack.staging.join(format!("1-{queued}"))]);

    stack.start_worker();
    stack.wait_for_status(&queued, "ready").await;
}
