//! Usage and idempotency keys in the database.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::time::Duration;

use darkroom_model::Owner;
use darkroom_shared::{
    database,
    idempotency::{self, Answer, IdempotencyKey},
    quotas::{BytesIn, OwnerLimits, count_other_processes, leave, read_owners, settle_bytes_in, sum_stored},
    settings::DatabaseSettings,
};
use sqlx::PgPool;
use uuid::Uuid;

const HOUR: Duration = Duration::from_hours(1);

/// The connections of a new database with the schema of this version.
async fn migrated() -> PgPool {
    let url = darkroom_dev::testing::database().await;
    let database = database::connect(&DatabaseSettings::direct(&url, 4)).await.unwrap();
    database::migrate(&database).await.unwrap();
    database.pool().clone()
}

fn owner(id: i32) -> Owner {
    Owner::from_id(id)
}

#[tokio::test]
async fn processes_see_each_other_until_they_leave() {
    let database = migrated().await;
    let mut db = database.acquire().await.unwrap();
    let [first, second] = [Uuid::now_v7(), Uuid::now_v7()];
    assert_eq!(count_other_processes(&mut db, first).await.unwrap(), 0);
    assert_eq!(count_other_processes(&mut db, second).await.unwrap(), 1);
    assert_eq!(count_other_processes(&mut db, first).await.unwrap(), 1);
    sqlx::query("UPDATE api_processes SET seen_at = now() - interval '6 seconds'").execute(&mut *db).await.unwrap();
    assert_eq!(count_other_processes(&mut db, first).await.unwrap(), 0, "one that is silent does not count");
    assert_eq!(count_other_processes(&mut db, second).await.unwrap(), 1);
    leave(&mut db, second).await.unwrap();
    assert_eq!(count_other_processes(&mut db, first).await.unwrap(), 0);
}

#[tokio::test]
async fn the_bytes_of_all_processes_are_summed_for_an_hour() {
    let database = migrated().await;
    let mut db = database.acquire().await.unwrap();
    let sent = |id, bytes| BytesIn { owner: owner(id), bytes };
    settle_bytes_in(&mut db, &[sent(1, 10), sent(2, 5)]).await.unwrap();
    settle_bytes_in(&mut db, &[sent(1, 7)]).await.unwrap();
    let defaults = OwnerLimits { stored_images: Some(3), ..OwnerLimits::default() };
    let mut usage = read_owners(&mut db, &[owner(1), owner(2), owner(3)], &defaults, 10).await.unwrap();
    usage.sort_by_key(|usage| usage.owner);
    assert_eq!(usage.iter().map(|usage| usage.bytes_this_hour).collect::<Vec<_>>(), [17, 5, 0]);
    assert!(usage.iter().all(|usage| usage.limits == defaults));

    sqlx::query("UPDATE bytes_in SET hour = hour - interval '2 hours'").execute(&mut *db).await.unwrap();
    let usage = read_owners(&mut db, &[owner(1)], &defaults, 10).await.unwrap();
    assert_eq!(usage[0].bytes_this_hour, 0);
    settle_bytes_in(&mut db, &[sent(3, 1)]).await.unwrap();
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM bytes_in").fetch_one(&mut *db).await.unwrap();
    assert_eq!(rows, 1, "past hours are forgotten");
}

#[tokio::test]
async fn stored_images_are_those_of_the_rows_whatever_transactions_do() {
    let database = migrated().await;
    let mut db = database.acquire().await.unwrap();
    let images = "INSERT INTO images (owner, id, title, title_folded, terms, folding, recipe, source_format, source_width,
            source_height, source_frames, source_bytes, source_sha256, source_scans, source_bits_per_pixel,
            source_decoded_pixels)
        SELECT 1, gen_random_uuid(), n::text, n::text, '{}', 1, '{}', 'png', 1, 1, 1, n, decode(repeat('00', 32), 'hex'), 1, 24, 1
        FROM generate_series(1, 30) AS n";
    sqlx::query(images).execute(&mut *db).await.unwrap();
    sqlx::query("DELETE FROM images WHERE title IN ('3', '4')").execute(&mut *db).await.unwrap();
    sqlx::raw_sql("BEGIN; DELETE FROM images; ROLLBACK").execute(&mut *db).await.unwrap();
    // In parts.
    while sum_stored(&mut db, 1).await.unwrap() > 0 {}
    let usage = read_owners(&mut db, &[Owner::DEFAULT], &OwnerLimits::default(), 7).await.unwrap();
    let sum = "SELECT count(*), sum(source_bytes)::bigint FROM images";
    let (images, bytes): (i64, i64) = sqlx::query_as(sum).fetch_one(&mut *db).await.unwrap();
    let found = (usage[0].stored_images, usage[0].stored_bytes);
    assert_eq!(found, (u64::try_from(images).unwrap(), u64::try_from(bytes).unwrap()));
    assert_eq!(images, 28);
}

#[tokio::test]
async fn the_limits_of_one_owner_are_its_own() {
    let database = migrated().await;
    let mut db = database.acquire().await.unwrap();
    let own = "INSERT INTO owner_limits (owner, stored_images, bytes_per_hour) VALUES (2, 9, 0)";
    sqlx::query(own).execute(&mut *db).await.unwrap();
    let defaults = OwnerLimits { stored_images: Some(3), bytes_per_hour: Some(4), ..OwnerLimits::default() };
    let mut usage = read_owners(&mut db, &[owner(1), owner(2)], &defaults, 10).await.unwrap();
    usage.sort_by_key(|usage| usage.owner);
    let limits: Vec<_> = usage.iter().map(|usage| (usage.limits.stored_images, usage.limits.bytes_per_hour)).collect();
    assert_eq!(limits, [(Some(3), Some(4)), (Some(9), None)]);
}

fn answer(body: &str) -> Answer {
    Answer { body: body.to_owned(), location: "/v1/images/1".to_owned() }
}

#[tokio::test]
async fn a_key_is_of_one_owner() {
    let database = migrated().await;
    let mut db = database.acquire().await.unwrap();
    let key = IdempotencyKey::parse("key").unwrap();
    let mut claim = async |id, byte: u8| {
        idempotency::claim(&mut db, owner(id), &key, &[byte; 32], &answer(&byte.to_string()), HOUR).await.unwrap()
    };
    assert!(claim(1, 7).await && claim(2, 8).await);
    assert!(!claim(1, 9).await);
    for (id, expected) in [(1, Some(("7", [7; 32]))), (2, Some(("8", [8; 32]))), (3, None)] {
        let found = idempotency::find(&mut db, owner(id), &key, HOUR).await.unwrap();
        let found = found.as_ref().map(|found| (found.answer.body.as_str(), found.fingerprint.as_slice()));
        assert_eq!(found, expected.as_ref().map(|(body, fingerprint)| (*body, fingerprint.as_slice())));
    }
}

#[tokio::test]
async fn a_claim_that_is_rolled_back_leaves_the_key_free() {
    let database = migrated().await;
    let key = IdempotencyKey::parse("key").unwrap();
    let mut first = database.begin().await.unwrap();
    assert!(idempotency::claim(&mut first, owner(1), &key, &[1; 32], &answer("1"), HOUR).await.unwrap());
    first.rollback().await.unwrap();
    let mut db = database.acquire().await.unwrap();
    assert_eq!(idempotency::find(&mut db, owner(1), &key, HOUR).await.unwrap(), None);
    assert!(idempotency::claim(&mut db, owner(1), &key, &[2; 32], &answer("2"), HOUR).await.unwrap());
}

#[tokio::test]
async fn expired_answers_are_pruned_in_batches_and_others_are_kept() {
    let database = migrated().await;
    let mut db = database.acquire().await.unwrap();
    let rows = "INSERT INTO idempotency_keys (owner, key, fingerprint, answer, location, created_at)
        SELECT n % 3, n::text, decode(repeat('00', 32), 'hex'), '{}', '/', now() - interval '10 minutes' * n
        FROM generate_series(1, 20) AS n";
    sqlx::query(rows).execute(&mut *db).await.unwrap();
    assert_eq!(idempotency::prune(&mut db, HOUR, 10).await.unwrap(), 10);
    assert_eq!(idempotency::prune(&mut db, HOUR, 10).await.unwrap(), 5);
    assert_eq!(idempotency::prune(&mut db, HOUR, 10).await.unwrap(), 0);
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM idempotency_keys").fetch_one(&mut *db).await.unwrap();
    assert_eq!(left, 5);
}
