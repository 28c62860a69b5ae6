//! Owners, keys and the audit log on a real Postgres.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[expect(dead_code, reason = "other tests use the rest")]
mod support;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use darkroom_model::Owner;
use darkroom_shared::access::{
    Actor, Found, Key, KeyChange, KeyId, KeyUse, NewKey, Scope, Scopes, SecretHash, any_key_exists, create_key,
    create_owner, find_credential, find_owner, get_key, list_audit, list_keys, list_owners, record_uses, rename_key,
    revoke_key, rotate_key,
};
use sqlx::PgConnection;

use support::Database;

fn hash(number: u8) -> SecretHash {
    SecretHash { digest: [number; 32], prefix: format!("dk_{number:06}") }
}

async fn make(db: &mut PgConnection, owner: Owner, number: u8, expires_at: Option<DateTime<Utc>>) -> Key {
    let new = NewKey { name: "a key".parse().unwrap(), scopes: Scopes::all(), expires_at };
    create_key(db, &Actor::OPERATOR, owner, &new, &hash(number)).await.unwrap()
}

async fn find(db: &mut PgConnection, number: u8) -> Found {
    find_credential(db, &hash(number).digest).await.unwrap()
}

#[tokio::test]
async fn a_key_is_found_by_its_hash_until_it_ends() {
    let database = Database::migrated().await;
    let mut db = database.acquire().await.unwrap();
    assert!(!any_key_exists(&mut db).await.unwrap());
    let key = make(&mut db, Owner::DEFAULT, 1, None).await;
    assert!(any_key_exists(&mut db).await.unwrap());
    let Found::Valid(found) = find(&mut db, 1).await else { panic!() };
    assert_eq!((found.key, found.owner, found.prefix.as_str()), (key.id, Owner::DEFAULT, "dk_000001"));
    assert!(found.scopes.allow(Scope::Admin));
    assert!(matches!(find(&mut db, 2).await, Found::Unknown));

    make(&mut db, Owner::DEFAULT, 2, Some(Utc::now() - TimeDelta::seconds(1))).await;
    make(&mut db, Owner::DEFAULT, 3, Some(Utc::now() + TimeDelta::hours(1))).await;
    assert!(matches!(find(&mut db, 2).await, Found::Expired));
    assert!(matches!(find(&mut db, 3).await, Found::Valid(_)));

    let revoked = revoke_key(&mut db, &Actor::OPERATOR, Owner::DEFAULT, key.id).await.unwrap();
    assert!(matches!(revoked, KeyChange::Done(key) if key.revoked_at.is_some()));
    assert!(matches!(find(&mut db, 1).await, Found::Revoked));
    assert!(any_key_exists(&mut db).await.unwrap(), "a revoked key is a key");
}

#[tokio::test]
async fn the_secret_before_a_rotation_works_for_the_overlap() {
    let database = Database::migrated().await;
    let mut db = database.acquire().await.unwrap();
    let key = make(&mut db, Owner::DEFAULT, 1, None).await;
    let rotate = async |db: &mut PgConnection, number, overlap| {
        rotate_key(db, &Actor::OPERATOR, Owner::DEFAULT, key.id, &hash(number), overlap).await.unwrap()
    };
    let KeyChange::Done(rotated) = rotate(&mut db, 2, Duration::from_hours(1)).await else { panic!() };
    assert_eq!((rotated.id, rotated.prefix.as_str()), (key.id, "dk_000002"));
    assert!(matches!(find(&mut db, 1).await, Found::Valid(_)) && matches!(find(&mut db, 2).await, Found::Valid(_)));
    rotate(&mut db, 3, Duration::ZERO).await;
    assert!(matches!(find(&mut db, 1).await, Found::Unknown), "only one secret before is kept");
    assert!(matches!(find(&mut db, 2).await, Found::Expired) && matches!(find(&mut db, 3).await, Found::Valid(_)));

    rotate(&mut db, 4, Duration::from_hours(1)).await;
    revoke_key(&mut db, &Actor::OPERATOR, Owner::DEFAULT, key.id).await.unwrap();
    assert!(matches!(find(&mut db, 3).await, Found::Revoked) && matches!(find(&mut db, 4).await, Found::Revoked));
    assert!(matches!(rotate(&mut db, 5, Duration::ZERO).await, KeyChange::Ended));
    assert!(matches!(find(&mut db, 5).await, Found::Unknown));
}

#[tokio::test]
async fn keys_of_another_owner_are_not_found_and_do_not_change() {
    let database = Database::migrated().await;
    let mut db = database.acquire().await.unwrap();
    let actor = Actor::OPERATOR;
    let other = create_owner(&mut db, &actor, &"other".parse().unwrap()).await.unwrap().unwrap();
    assert!(create_owner(&mut db, &actor, &"other".parse().unwrap()).await.unwrap().is_none(), "the name is taken");
    assert_eq!(find_owner(&mut db, &"other".parse().unwrap()).await.unwrap(), Some(other));
    let names: Vec<_> = list_owners(&mut db).await.unwrap().into_iter().map(|row| row.name).collect();
    assert_eq!(names, ["default", "other"]);

    let theirs = make(&mut db, other, 1, None).await.id;
    let ours = Owner::DEFAULT;
    assert!(get_key(&mut db, ours, theirs).await.unwrap().is_none());
    assert!(rename_key(&mut db, &actor, ours, theirs, &"x".parse().unwrap()).await.unwrap().is_none());
    let rotated = rotate_key(&mut db, &actor, ours, theirs, &hash(2), Duration::ZERO).await.unwrap();
    let revoked = revoke_key(&mut db, &actor, ours, theirs).await.unwrap();
    assert!(matches!((rotated, revoked), (KeyChange::NotFound, KeyChange::NotFound)));
    assert!(matches!(find(&mut db, 1).await, Found::Valid(_)));
    assert!(list_keys(&mut db, ours, None, 10).await.unwrap().is_empty());
    assert!(list_audit(&mut db, ours, None, 10).await.unwrap().is_empty(), "nothing was done to ours");
    let actions: Vec<_> =
        list_audit(&mut db, other, None, 10).await.unwrap().into_iter().map(|entry| entry.action).collect();
    assert_eq!(actions, ["key.created", "owner.created"]);
}

#[tokio::test]
async fn the_use_of_a_key_is_written_at_most_once_a_minute() {
    let database = Database::migrated().await;
    let mut db = database.acquire().await.unwrap();
    let key = make(&mut db, Owner::DEFAULT, 1, None).await.id;
    let last = async |db: &mut PgConnection| {
        get_key(db, Owner::DEFAULT, key).await.unwrap().unwrap().last_used_at.map(|time| time.timestamp())
    };
    let used = |at| [KeyUse { key, at }, KeyUse { key: KeyId::now(), at }];
    let first = Utc::now();
    record_uses(&mut db, &used(first)).await.unwrap();
    assert_eq!(last(&mut db).await, Some(first.timestamp()));
    record_uses(&mut db, &used(first + TimeDelta::seconds(30))).await.unwrap();
    assert_eq!(last(&mut db).await, Some(first.timestamp()));
    let earlier = "UPDATE api_keys SET last_used_at = last_used_at - interval '2 minutes'";
    sqlx::query(earlier).execute(&mut *db).await.unwrap();
    record_uses(&mut db, &used(first)).await.unwrap();
    assert_eq!(last(&mut db).await, Some(first.timestamp()));
}

#[tokio::test]
async fn a_lookup_among_many_keys_reads_an_index() {
    let database = Database::migrated().await;
    let sql = "INSERT INTO api_keys (id, owner, name, digest, prefix, scopes)
         SELECT gen_random_uuid(), 1, 'x', sha256(n::text::bytea), 'dk_000000', '{read}' FROM generate_series(1, 10000) n";
    sqlx::query(sql).execute(&*database).await.unwrap();
    sqlx::query("ANALYZE api_keys").execute(&*database).await.unwrap();
    let plan = "EXPLAIN SELECT id FROM api_keys WHERE digest = sha256('7') OR previous_digest = sha256('7')";
    let plan: Vec<String> = sqlx::query_scalar(plan).fetch_all(&*database).await.unwrap();
    assert!(!plan.join("\n").contains("Seq Scan"), "{plan:#?}");
}

#[tokio::test]
async fn the_schema_takes_every_name_of_an_owner_that_the_type_takes() {
    let database = Database::migrated().await;
    let mut db = database.acquire().await.unwrap();
    for name in ["a", "9lives", "shop-2-eu-west", &"x".repeat(63)] {
        assert!(create_owner(&mut db, &Actor::OPERATOR, &name.parse().unwrap()).await.unwrap().is_some(), "{name}");
    }
}
