//! Jobs and their images: what brings a failed image back.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use chrono::{Duration, Utc};
use darkroom_shared::{
    catalog::{self, NewImage},
    config::Database,
    database,
    image::{Failed, Failure, FailureCode, ImageId, Recipe, Source, SourceFormat, Status, Title},
    jobs::{self, ProcessImage, process_image_options},
    queue::enqueue,
};
use sqlx::{PgConnection, PgPool};

async fn migrated() -> PgPool {
    let pool = database::connect(&Database::direct(&darkroom_dev::testing::database().await, 4)).await.unwrap();
    database::migrate(&pool).await.unwrap();
    pool
}

/// An image whose job has used up its attempts.
async fn failed(db: &mut PgConnection, code: FailureCode) -> ImageId {
    let id = ImageId::now();
    let source = Source { format: SourceFormat::Jpeg, width: 4000, height: 3000, frames: 1, bytes: 9, sha256: [7; 32] };
    let image = NewImage { id, title: Title::parse("a").unwrap(), recipe: Recipe::Standard, source };
    catalog::insert(db, &image).await.unwrap();
    enqueue(db, &ProcessImage { image: id }, &process_image_options(id, None)).await.unwrap();
    sqlx::query(
        "UPDATE apalis.jobs SET status = 'Killed', reason = 'exhausted', done_at = now(), attempts = 10, fence = 10
         WHERE idempotency_key = $1",
    )
    .bind(id.to_string())
    .execute(&mut *db)
    .await
    .unwrap();
    let failure = Failure { code, detail: "It was tried.".to_owned() };
    assert!(catalog::save_failed(db, &Failed::given_up(id, failure)).await.unwrap());
    id
}

#[tokio::test]
async fn an_image_that_an_outage_failed_is_brought_back_with_its_job() {
    let pool = migrated().await;
    let mut db = pool.acquire().await.unwrap();
    let away = failed(&mut db, FailureCode::Unavailable).await;
    failed(&mut db, FailureCode::BrokenImage).await;
    let since = Utc::now() - Duration::hours(1);
    assert_eq!(catalog::unavailable(&mut db, since, 10).await.unwrap(), [away], "a broken picture stays broken");
    assert!(catalog::unavailable(&mut db, Utc::now() + Duration::hours(1), 10).await.unwrap().is_empty());

    assert!(jobs::retry_image(&mut db, away).await.unwrap());
    let image = catalog::get(&mut db, away).await.unwrap().unwrap();
    assert_eq!((image.status, image.failure), (Status::Queued, None));
    let pending = "SELECT status = 'Pending' AND attempts = 0 FROM apalis.jobs WHERE idempotency_key = $1";
    assert!(sqlx::query_scalar::<_, bool>(pending).bind(away.to_string()).fetch_one(&mut *db).await.unwrap());

    assert!(!jobs::retry_image(&mut db, away).await.unwrap(), "once is enough");
    assert!(!jobs::retry_image(&mut db, ImageId::now()).await.unwrap(), "there is no such job");
}
