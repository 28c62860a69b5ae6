//! Staging and the bucket, with a real disk and a real S3 server over HTTP.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::HashMap;

use bytes::Bytes;
use darkroom_dev::testing;
use darkroom_model::{ImageId, OwnedImage, Owner, Rendition, RenditionFormat};
use darkroom_shared::{
    bucket::Bucket,
    settings::Settings,
    staging::{Staging, StagingError},
};
use futures::TryStreamExt as _;
use sha2::{Digest as _, Sha256};

/// The owner of all images here but one.
const OWNER: Owner = Owner::DEFAULT;

fn settings(bucket: &testing::Bucket, more: &[(&str, String)]) -> Settings {
    let env: HashMap<&str, String> = bucket.env().into_iter().chain(more.iter().cloned()).collect();
    let lookup = |name: &str| match name {
        "DATABASE_URL" => Some("postgres://unused/unused".to_owned()),
        _ => env.get(name).cloned(),
    };
    Settings::read(&lookup).unwrap()
}

fn rendition(name: &str, bytes: &[u8]) -> Rendition {
    Rendition {
        name: name.to_owned(),
        format: RenditionFormat::Webp,
        width: 8,
        height: 6,
        bytes: bytes.len() as u64,
        sha256: Sha256::digest(bytes).into(),
    }
}

/// Both kinds of staging, empty.
async fn stagings(bucket: &testing::Bucket) -> Vec<Staging> {
    let directory = bucket.dir.path().join("staging");
    let urls = [format!("file://{}", directory.display()), format!("s3://{}/staged", bucket.name)];
    let mut stagings = Vec::new();
    for url in urls {
        let settings = settings(bucket, &[("STAGING_URL", url)]);
        stagings.push(Staging::open(&settings.staging, &settings.bucket.access).await.unwrap());
    }
    stagings
}

async fn staged(staging: &Staging) -> Vec<Option<OwnedImage>> {
    let listed: Vec<_> = staging.list().await.unwrap().try_collect().await.unwrap();
    listed.into_iter().map(|staged| staged.image).collect()
}

#[tokio::test]
async fn a_kept_upload_is_read_listed_and_removed() {
    let bucket = testing::bucket().await;
    for staging in stagings(&bucket).await {
        staging.probe().await.unwrap();
        let image = ImageId::now();
        let mut draft = staging.draft().await.unwrap();
        // More than one part of a multipart upload.
        let part = vec![42; 1 << 20];
        for _ in 0..7 {
            draft.write(&part).await.unwrap();
        }
        let received = draft.finish().await.unwrap();
        let sha256: [u8; 32] = Sha256::digest(vec![42; 7 << 20]).into();
        assert_eq!((received.bytes, received.sha256), (7 << 20, sha256));
        assert_eq!(received.read(|file| file.metadata().unwrap().len()).await.unwrap(), 7 << 20);

        staging.keep(received, OWNER, image).await.unwrap();
        assert_eq!(staging.read(OWNER, image).await.unwrap(), vec![42; 7 << 20]);
        let owned = OwnedImage { owner: OWNER, id: image };
        assert_eq!(staged(&staging).await.into_iter().flatten().collect::<Vec<_>>(), [owned]);
        let other = staging.read(Owner::from_id(2), image).await;
        assert!(matches!(other, Err(StagingError::Missing)), "it is of another owner");

        staging.remove(OWNER, image).await.unwrap();
        staging.remove(OWNER, image).await.unwrap();
        assert!(matches!(staging.read(OWNER, image).await, Err(StagingError::Missing)));
        assert!(!staged(&staging).await.contains(&Some(owned)));
    }
}

#[tokio::test]
async fn a_dropped_draft_is_removed() {
    let bucket = testing::bucket().await;
    let staging = stagings(&bucket).await.remove(0);
    let mut draft = staging.draft().await.unwrap();
    draft.write(b"half a picture").await.unwrap();
    assert_eq!(staged(&staging).await, [None], "a draft is listed while it is written");
    drop(draft);
    assert!(staged(&staging).await.is_empty());
}

#[tokio::test]
async fn a_draft_that_a_crash_left_can_be_removed() {
    let bucket = testing::bucket().await;
    let staging = stagings(&bucket).await.remove(0);
    std::mem::forget(staging.draft().await.unwrap());
    let listed: Vec<_> = staging.list().await.unwrap().try_collect().await.unwrap();
    staging.remove_listed(&listed[0]).await.unwrap();
    assert!(staged(&staging).await.is_empty());
}

#[tokio::test]
async fn a_rendition_is_fetched_by_its_url_with_the_right_headers() {
    let server = testing::bucket().await;
    let bucket = Bucket::new(&settings(&server, &[]).bucket).unwrap();
    let (image, rendition) = (ImageId::now(), rendition("w800.webp", b"picture"));
    bucket.put(OWNER, image, &rendition, Bytes::from_static(b"picture")).await.unwrap();
    bucket.put(OWNER, image, &rendition, Bytes::from_static(b"picture")).await.unwrap();

    let url = bucket.url(OWNER, image, &rendition).await.unwrap();
    let answer = testing::http().get(url.clone()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "image/webp");
    assert_eq!(answer.headers()["cache-control"], "public, max-age=31536000, immutable");
    assert_eq!(answer.bytes().await.unwrap(), "picture");

    let mut forged = url;
    forged.set_query(Some(&forged.query().unwrap().replace("X-Amz-Expires=3600", "X-Amz-Expires=99999")));
    assert_eq!(testing::http().get(forged).send().await.unwrap().status(), 403);
}

#[tokio::test]
async fn a_public_base_url_replaces_presigned_urls() {
    let server = testing::bucket().await;
    let more = [
        ("PUBLIC_BUCKET_URL", "https://cdn.example/pictures/".to_owned()),
        ("BUCKET_URL", format!("s3://{}/site a", server.name).replace(' ', "-")),
    ];
    let bucket = Bucket::new(&settings(&server, &more).bucket).unwrap();
    let (image, rendition) = (ImageId::now(), rendition("full.webp", b"x"));
    let url = bucket.url(OWNER, image, &rendition).await.unwrap();
    let hash = hex::encode(&rendition.sha256[..8]);
    let shard = &image.to_string()[34..];
    assert_eq!(url.as_str(), format!("https://cdn.example/pictures/site-a/images/{shard}/1/{image}/full-{hash}.webp"));
}

#[tokio::test]
async fn the_objects_of_an_image_are_listed_and_deleted_below_a_prefix() {
    let server = testing::bucket().await;
    let prefixed = [("BUCKET_URL", format!("s3://{}/site/a", server.name))];
    let bucket = Bucket::new(&settings(&server, &prefixed).bucket).unwrap();
    let (one, other) = (ImageId::now(), ImageId::now());
    for (image, bytes) in [(one, b"1"), (one, b"2"), (other, b"3")] {
        bucket.put(OWNER, image, &rendition("full.webp", bytes), Bytes::from_static(bytes)).await.unwrap();
    }
    let owned = |id| OwnedImage { owner: OWNER, id };
    assert!(bucket.list_image(Owner::from_id(2), one).await.unwrap().is_empty(), "they are of another owner");
    let keys = bucket.list_image(OWNER, one).await.unwrap();
    let keys: Vec<_> = keys.into_iter().map(|object| object.key).collect();
    assert_eq!(keys.len(), 2);
    assert!(keys.iter().all(|key| key.image() == owned(one)));
    bucket.delete(&keys).await.unwrap();
    bucket.delete(&keys).await.unwrap();
    let left: Vec<_> = bucket.list_all(None).try_collect().await.unwrap();
    assert_eq!(left.iter().map(|object| object.key.image()).collect::<Vec<_>>(), [owned(other)]);
}

#[tokio::test]
async fn a_missing_bucket_fails_the_probe() {
    let server = testing::bucket().await;
    let missing = [("BUCKET_URL", "s3://not-there".to_owned())];
    let bucket = Bucket::new(&settings(&server, &missing).bucket).unwrap();
    bucket.probe().await.unwrap_err();
    Bucket::new(&settings(&server, &[]).bucket).unwrap().probe().await.unwrap();
}
