//! The catalog on a real Postgres: the lifecycle, the search, and requeueing failed images.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support;

use chrono::{Duration, Utc};
use darkroom_container::header::Header;
use darkroom_model::{
    Failure, FailureCode, ImageAnalysis, ImageId, Metadata, OwnedImage, Owner, Rendition, RenditionFormat, Source,
    SourceFormat, Status, Tags, Title, recipe::Recipe,
};
use darkroom_queue::enqueue;
use darkroom_shared::{
    catalog::{self, CatalogError, Filter, NewImage, Page, StoredFailure},
    database::{self, DatabaseError},
    jobs::{self, ProcessImage, process_image_options},
    lifecycle::Failed,
    settings::DatabaseSettings,
};
use sqlx::PgConnection;

use support::{
    Database, exhaust_job, finished_hours_ago, has_fresh_job, kill_deletions, prune_job, too_large_hours_ago,
};

/// The owner of most images here.
const OWNER: Owner = Owner::DEFAULT;
/// Another owner.
const OTHER: Owner = Owner::from_id(2);

/// An image of [`OWNER`].
fn owned(id: ImageId) -> OwnedImage {
    OwnedImage { owner: OWNER, id }
}

async fn accept(db: &mut PgConnection, title: &str) -> ImageId {
    accept_of(db, OWNER, title).await
}

async fn accept_of(db: &mut PgConnection, owner: Owner, title: &str) -> ImageId {
    let id = ImageId::now();
    let source = Source { format: SourceFormat::Jpeg, width: 4000, height: 3000, frames: 1, bytes: 9, sha256: [7; 32] };
    let Source { format, width, height, frames, .. } = source;
    let header = Header { format, width, height, frames, scans: 10, bits_per_pixel: 24, decoded_pixels: 12_000_000 };
    let image = NewImage {
        id,
        title: Title::parse(title).unwrap(),
        tags: Tags::default(),
        metadata: Metadata::default(),
        recipe: Recipe::Standard,
        source,
        header,
    };
    catalog::insert(db, owner, &image).await.unwrap();
    id
}

fn rendition(name: &str) -> Rendition {
    Rendition {
        name: name.to_owned(),
        format: RenditionFormat::Webp,
        width: 800,
        height: 600,
        bytes: 5,
        sha256: [9; 32],
    }
}

fn analysis() -> ImageAnalysis {
    ImageAnalysis { placeholder: vec![1], dominant_colour: [0, 128, 255], perceptual_hash: u64::MAX - 4 }
}

/// The failure as the catalog returns it.
fn stored(failure: &Failure) -> StoredFailure {
    StoredFailure { code: Some(failure.code), detail: failure.detail.clone() }
}

async fn search(db: &mut PgConnection, part: &str) -> Vec<String> {
    let page = catalog::list(db, OWNER, &titled(part)).await.unwrap();
    assert_eq!(page.next, None);
    titles(&page)
}

/// A search for this text.
fn titled(part: &str) -> Filter {
    Filter { title: Some(part.to_owned()), limit: 100, ..Filter::default() }
}

fn titles(page: &Page) -> Vec<String> {
    page.images.iter().map(|image| image.title.clone()).collect()
}

#[tokio::test]
async fn an_image_goes_from_queued_to_ready_once() {
    let pool = Database::migrated().await;
    let mut db = pool.acquire().await.unwrap();
    let id = accept(&mut db, "a").await;
    assert_eq!(catalog::get(&mut db, OWNER, id).await.unwrap().unwrap().status, Some(Status::Queued));

    let ready =
        catalog::start(&mut db, OWNER, id).await.unwrap().unwrap().ready(vec![rendition("w800.webp")], analysis());
    assert_eq!(catalog::get(&mut db, OWNER, id).await.unwrap().unwrap().status, Some(Status::Processing));
    assert!(catalog::save_ready(&mut db, &ready).await.unwrap());

    let image = catalog::get(&mut db, OWNER, id).await.unwrap().unwrap();
    assert_eq!((image.status, image.attempts, image.placeholder), (Some(Status::Ready), 1, Some(vec![1])));
    assert_eq!((image.dominant_colour, image.perceptual_hash), (Some([0, 128, 255]), Some(u64::MAX - 4)));
    assert!(image.finished_at.unwrap() >= image.started_at.unwrap());
    assert_eq!(catalog::renditions(&mut db, OWNER, id).await.unwrap(), [rendition("w800.webp")]);

    assert!(catalog::start(&mut db, OWNER, id).await.unwrap().is_none(), "a finished image is not started again");
    assert!(!catalog::save_ready(&mut db, &ready).await.unwrap(), "nor saved again");
    assert_eq!(catalog::get(&mut db, OWNER, id).await.unwrap().unwrap().attempts, 1);
}

#[tokio::test]
async fn a_failed_image_says_why() {
    let pool = Database::migrated().await;
    let mut db = pool.acquire().await.unwrap();
    let id = accept(&mut db, "a").await;
    let failure = Failure { code: FailureCode::BrokenImage, detail: "The file is cut short.".to_owned() };
    let failed = catalog::start(&mut db, OWNER, id).await.unwrap().unwrap().failed(failure.clone());
    assert!(catalog::save_failed(&mut db, &failed).await.unwrap());
    let image = catalog::get(&mut db, OWNER, id).await.unwrap().unwrap();
    assert_eq!((image.status, image.failure), (Some(Status::Failed), Some(stored(&failure))));
    assert!(!catalog::save_failed(&mut db, &failed).await.unwrap());
}

#[tokio::test]
async fn an_interrupted_image_is_started_again() {
    let pool = Database::migrated().await;
    let mut db = pool.acquire().await.unwrap();
    let id = accept(&mut db, "a").await;
    assert!(catalog::start(&mut db, OWNER, id).await.unwrap().is_some());
    assert!(catalog::start(&mut db, OWNER, id).await.unwrap().is_some(), "after a crash it is still processing");
    assert!(catalog::requeue(&mut db, OWNER, id).await.unwrap());
    assert_eq!(catalog::get(&mut db, OWNER, id).await.unwrap().unwrap().attempts, 2);
    let statuses = catalog::statuses(&mut db, &[owned(id), owned(ImageId::now())]).await.unwrap();
    assert_eq!(statuses.into_iter().collect::<Vec<_>>(), [(owned(id), Some(Status::Queued))]);
}

#[tokio::test]
async fn an_attempt_leaves_its_intent_unless_all_its_objects_are_known() {
    let pool = Database::migrated().await;
    let mut db = pool.acquire().await.unwrap();
    let id = accept(&mut db, "a").await;
    let died = catalog::start(&mut db, OWNER, id).await.unwrap().unwrap().intent();
    let second = catalog::start(&mut db, OWNER, id).await.unwrap().unwrap();
    let later = Utc::now() + Duration::hours(1);
    let intents = async |db: &mut PgConnection| catalog::list_put_intents(db, later, None, 10).await.unwrap();
    assert_eq!(intents(&mut db).await, [died, second.intent()]);
    assert_eq!(catalog::list_put_intents(&mut db, later, Some(died), 10).await.unwrap(), [second.intent()]);
    let earlier = Utc::now() - Duration::hours(1);
    assert!(catalog::list_put_intents(&mut db, earlier, None, 10).await.unwrap().is_empty());

    assert!(catalog::save_ready(&mut db, &second.ready(vec![rendition("w800.webp")], analysis())).await.unwrap());
    assert_eq!(intents(&mut db).await, [died]);
    assert!(catalog::mark_deleting(&mut db, OWNER, id).await.unwrap());
    assert!(catalog::has_unfinished_attempt(&mut db, OWNER, id).await.unwrap());
    catalog::delete(&mut db, OWNER, id).await.unwrap();
    assert_eq!(intents(&mut db).await, [died], "it outlives its image");
    catalog::remove_put_intents(&mut db, &[owned(id)], earlier).await.unwrap();
    assert_eq!(intents(&mut db).await, [died], "it is not old enough");
    catalog::remove_put_intents(&mut db, &[owned(id)], later).await.unwrap();
    assert!(intents(&mut db).await.is_empty());

    let late = accept(&mut db, "b").await;
    let late = catalog::start(&mut db, OWNER, late).await.unwrap().unwrap();
    assert!(catalog::mark_deleting(&mut db, OWNER, late.intent().image().id).await.unwrap());
    let intent = late.intent();
    assert!(!catalog::save_ready(&mut db, &late.ready(vec![rendition("w800.webp")], analysis())).await.unwrap());
    assert_eq!(intents(&mut db).await, [intent], "its objects are no renditions");
    catalog::remove_put_intent(&mut db, intent).await.unwrap();
    assert!(intents(&mut db).await.is_empty());
}

#[tokio::test]
async fn an_attempt_without_its_lease_cannot_keep_an_image_from_becoming_ready() {
    let pool = Database::migrated().await;
    let mut db = pool.acquire().await.unwrap();
    let id = accept(&mut db, "a").await;
    let with_lease = catalog::start(&mut db, OWNER, id).await.unwrap().unwrap();
    assert!(catalog::requeue(&mut db, OWNER, id).await.unwrap(), "the attempt without the lease requeues the image");
    assert!(catalog::save_ready(&mut db, &with_lease.ready(vec![rendition("w800.webp")], analysis())).await.unwrap());
    assert_eq!(catalog::get(&mut db, OWNER, id).await.unwrap().unwrap().status, Some(Status::Ready));
}

#[tokio::test]
async fn a_deleted_image_is_hidden_at_once_and_then_gone() {
    let pool = Database::migrated().await;
    let mut db = pool.acquire().await.unwrap();
    let id = accept(&mut db, "a").await;
    let processing = catalog::start(&mut db, OWNER, id).await.unwrap().unwrap();
    catalog::delete(&mut db, OWNER, id).await.unwrap();
    assert!(catalog::get(&mut db, OWNER, id).await.unwrap().is_some(), "only a deleting image is removed");

    assert!(catalog::mark_deleting(&mut db, OWNER, id).await.unwrap());
    assert!(!catalog::mark_deleting(&mut db, OWNER, id).await.unwrap());
    assert!(catalog::get(&mut db, OWNER, id).await.unwrap().is_none());
    assert!(search(&mut db, "a").await.is_empty());
    let ready = processing.ready(vec![rendition("full.webp")], analysis());
    assert!(!catalog::save_ready(&mut db, &ready).await.unwrap(), "the attempt that was running comes too late");

    catalog::delete(&mut db, OWNER, id).await.unwrap();
    assert!(catalog::lock_statuses(&mut db, &[owned(id)]).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_image_of_another_owner_is_not_found() {
    let pool = Database::migrated().await;
    let mut db = pool.acquire().await.unwrap();
    let id = accept(&mut db, "a").await;
    let ready = accept(&mut db, "ready").await;
    let processing = catalog::start(&mut db, OWNER, ready).await.unwrap().unwrap();
    assert!(catalog::save_ready(&mut db, &processing.ready(vec![rendition("w800.webp")], analysis())).await.unwrap());
    let before = pool.rows().await;

    assert!(catalog::get(&mut db, OTHER, ready).await.unwrap().is_none());
    assert!(catalog::renditions(&mut db, OTHER, ready).await.unwrap().is_empty());
    assert!(catalog::known_renditions(&mut db, OTHER, ready).await.unwrap().is_empty());
    assert!(catalog::unrendered(&mut db, OTHER, id).await.unwrap().is_none());
    for status in [None, Some(Status::Queued)] {
        for title in [None, Some("a".to_owned())] {
            let filter = Filter { status, title, limit: 10, ..Filter::default() };
            let page = catalog::list(&mut db, OTHER, &filter).await.unwrap();
            assert!(page.images.is_empty() && page.next.is_none());
        }
    }
    assert!(catalog::start(&mut db, OTHER, id).await.unwrap().is_none());
    assert!(!catalog::requeue(&mut db, OTHER, id).await.unwrap());
    assert!(!catalog::requeue_failed(&mut db, OTHER, id).await.unwrap());
    let failure = Failure { code: FailureCode::Crashed, detail: "It was tried.".to_owned() };
    assert!(!catalog::save_failed(&mut db, &Failed::by_job(OTHER, id, failure)).await.unwrap());
    catalog::mark_too_large(&mut db, OTHER, id).await.unwrap();
    catalog::unmark_too_large(&mut db, OTHER, id).await.unwrap();
    assert!(!catalog::mark_deleting(&mut db, OTHER, id).await.unwrap());
    catalog::delete(&mut db, OTHER, id).await.unwrap();
    let others = [OwnedImage { owner: OTHER, id }, OwnedImage { owner: OTHER, id: ready }];
    assert!(catalog::statuses(&mut db, &others).await.unwrap().is_empty());
    assert!(catalog::lock_statuses(&mut db, &others).await.unwrap().is_empty());
    assert!(catalog::renditions_of_all(&mut db, &others).await.unwrap().is_empty());
    assert_eq!(catalog::requeue_unavailable(&mut db, &others).await.unwrap(), 0);
    assert_eq!(pool.rows().await, before, "nothing is changed");
}

#[tokio::test]
async fn the_schema_enforces_the_lifecycle() {
    let pool = Database::migrated().await;
    let id = accept(&mut pool.acquire().await.unwrap(), "a").await;
    for (table, update, constraint) in [
        ("image_states", "status = 'lost'", "image_states_status_known"),
        ("image_states", "status = 'processing'", "image_states_processing_has_begun"),
        ("image_states", "status = 'failed', finished_at = now()", "image_states_failed_says_why"),
        ("image_states", "status = 'failed', failure_code = 'x', finished_at = now()", "image_states_failure_is_whole"),
        ("image_states", "status = 'ready', finished_at = now()", "image_states_ready_has_placeholder"),
        ("image_states", "status = 'ready', placeholder = ''", "image_states_finished_has_time"),
        ("image_states", "owner = 2", "image_states_owner_id_fkey"),
        ("images", "title = ''", "images_title_length"),
    ] {
        assert_eq!(pool.violated_constraint(id, table, update).await.as_deref(), Some(constraint), "{update}");
    }
}

#[tokio::test]
async fn titles_that_an_older_version_has_folded_are_folded_again_once() {
    let pool = Database::migrated().await;
    let mut db = pool.acquire().await.unwrap();
    for owner in [OTHER, OWNER] {
        for title in ["Straße", "σίσυφος"] {
            accept_of(&mut db, owner, title).await;
        }
    }
    pool.fold_as_an_older_version().await;
    accept(&mut db, "new Straße").await;
    assert_eq!(search(&mut db, "STRASSE").await, ["new Straße"]);

    for batch in [3, 1, 0] {
        assert_eq!(catalog::refold_titles(&mut db, 3).await.unwrap(), batch);
    }
    assert_eq!(search(&mut db, "STRASSE").await, ["new Straße", "Straße"]);
    assert_eq!(search(&mut db, "ΣΊΣΥΦΟΣ").await, ["σίσυφος"]);

    // A newer version has folded them: this one changes nothing.
    pool.fold_as_a_newer_version().await;
    assert_eq!(catalog::refold_titles(&mut db, 3).await.unwrap(), 0);
}

#[tokio::test]
async fn a_refold_reads_the_index_of_its_version() {
    let pool = Database::migrated().await;
    pool.add_numbered_images(20_000).await;
    let plan = pool.refold_plan().await;
    assert!(plan.iter().any(|line| line.contains("images_unfolded")), "{plan:#?}");
}

#[tokio::test]
async fn titles_are_found_by_any_part_in_any_script_and_case() {
    let pool = Database::migrated().await;
    let mut db = pool.acquire().await.unwrap();
    for title in ["100% Ärger_mit 'Quotes'", "東京タワーの夜", "STRASSE über Köln", "Ελλάδα", "a\\b"] {
        accept(&mut db, title).await;
    }
    for (part, found) in [
        ("%", vec!["100% Ärger_mit 'Quotes'"]),
        ("_", vec!["100% Ärger_mit 'Quotes'"]),
        ("'", vec!["100% Ärger_mit 'Quotes'"]),
        ("\\", vec!["a\\b"]),
        ("äRGER", vec!["100% Ärger_mit 'Quotes'"]),
        ("u\u{308}ber k", vec!["STRASSE über Köln"]),
        ("タワー", vec!["東京タワーの夜"]),
        ("京", vec!["東京タワーの夜"]),
        ("ΛΛΆ", vec!["Ελλάδα"]),
        // The title has every unigram and every bigram of it, but not in this order.
        ("の夜東京", vec![]),
        ("köln über", vec![]),
    ] {
        assert_eq!(search(&mut db, part).await, found, "{part}");
    }
}

/// An id whose image is in the sample of titles; ids of greater numbers are newer.
fn sampled_id(number: u32) -> ImageId {
    ImageId::from_uuid(uuid::Uuid::from_u128(u128::from(number) << 80))
}

#[tokio::test]
async fn a_search_for_a_rare_text_finds_every_title_at_once() {
    let pool = Database::migrated().await;
    let mut db = pool.acquire().await.unwrap();
    let oldest = [(sampled_id(1), "a needle".to_owned()), (sampled_id(2), "Needles".to_owned())];
    pool.add_images(OWNER, oldest).await;
    pool.add_images(OWNER, (3..5_000).map(|n| (sampled_id(n), format!("straw {n}.jpg")))).await;
    pool.add_images(OTHER, (3..5_000).map(|n| (sampled_id(n), format!("needle {n}")))).await;
    assert_eq!(search(&mut db, "NEEDLE").await, ["Needles", "a needle"]);
    assert_eq!(search(&mut db, "needle 3").await, Vec::<String>::new(), "it is of another owner");
}

#[tokio::test]
async fn a_search_for_a_common_text_lists_the_newest_page_by_page() {
    let pool = Database::migrated().await;
    let mut db = pool.acquire().await.unwrap();
    pool.add_images(OWNER, (1..=250).map(|n| (sampled_id(n), format!("{n}.jpg")))).await;
    let mut filter = titled("jpg");
    let mut seen = Vec::new();
    loop {
        let page = catalog::list(&mut db, OWNER, &filter).await.unwrap();
        seen.extend(titles(&page));
        filter.after = page.next;
        if filter.after.is_none() {
            break;
        }
    }
    assert_eq!(seen, (1..=250).rev().map(|n| format!("{n}.jpg")).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_search_for_what_many_titles_nearly_have_ends_in_parts() {
    let pool = Database::migrated().await;
    let mut db = pool.acquire().await.unwrap();
    pool.add_images(OWNER, [(sampled_id(1), "the xabx".to_owned())]).await;
    pool.add_images(OWNER, (2..=3_000).map(|n| (sampled_id(n), format!("xab {n} abx")))).await;
    // Every title has `xab` and `abx`.
    let first = catalog::list(&mut db, OWNER, &titled("xabx")).await.unwrap();
    let next = first.next.as_ref().map(|position| position.id);
    assert_eq!((titles(&first), next), (vec![], Some(sampled_id(1_001))), "it looked through 2000");
    let second = Filter { after: first.next.clone(), ..titled("xabx") };
    let second = catalog::list(&mut db, OWNER, &second).await.unwrap();
    assert_eq!((titles(&second), second.next), (vec!["the xabx".to_owned()], None));
    let queued = Filter { status: Some(Status::Queued), ..titled("xabx") };
    assert_eq!(catalog::list(&mut db, OWNER, &queued).await.unwrap().next, first.next);
    let failed = Filter { status: Some(Status::Failed), ..titled("xabx") };
    let none = catalog::list(&mut db, OWNER, &failed).await.unwrap();
    assert_eq!((titles(&none), none.next), (vec![], None), "no image has this status");
}

#[tokio::test]
async fn a_list_passes_over_images_that_are_being_deleted() {
    let pool = Database::migrated().await;
    let mut db = pool.acquire().await.unwrap();
    pool.add_images(OWNER, (1..=1_500).map(|n| (sampled_id(n), n.to_string()))).await;
    pool.delete_images_after(sampled_id(3)).await;
    let filter = Filter { limit: 2, ..Filter::default() };
    let page = catalog::list(&mut db, OWNER, &filter).await.unwrap();
    let next = page.next.as_ref().map(|position| position.id);
    assert_eq!((titles(&page), next), (vec!["3".to_owned(), "2".to_owned()], Some(sampled_id(2))));
}

#[tokio::test]
async fn pages_do_not_move_while_images_are_added() {
    let pool = Database::migrated().await;
    let mut db = pool.acquire().await.unwrap();
    let mut all = Vec::new();
    for n in 0..25 {
        all.push(accept(&mut db, &format!("image {n}")).await);
    }
    all.reverse();
    let mut filter = Filter { limit: 10, ..Filter::default() };
    let mut seen = Vec::new();
    loop {
        let page = catalog::list(&mut db, OWNER, &filter).await.unwrap();
        seen.extend(page.images.iter().map(|image| image.id));
        filter.after = page.next;
        if filter.after.is_none() {
            break;
        }
        accept(&mut db, "added meanwhile").await;
    }
    assert_eq!(seen, all);
}

#[tokio::test]
async fn replicas_that_start_together_migrate_once() {
    let url = darkroom_dev::testing::database().await;
    let migrate = async || {
        let database = database::connect(&DatabaseSettings::direct(&url, 2)).await.unwrap();
        database::migrate(&database).await
    };
    let (a, b, c) = tokio::join!(migrate(), migrate(), migrate());
    a.and(b).and(c).unwrap();
}

#[tokio::test]
async fn a_newer_schema_is_used_unless_its_floor_excludes_this_binary() {
    let pool = Database::migrated().await;
    pool.pretend_newer_schema().await;
    database::verify(&mut pool.acquire().await.unwrap()).await.unwrap();
    pool.set_schema_floor(9999).await;
    let error = database::verify(&mut pool.acquire().await.unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("run a newer Darkroom"), "{error}");
}

#[tokio::test]
async fn a_schema_that_lacks_a_migration_which_this_version_needs_is_refused() {
    let pool = Database::migrated().await;
    pool.forget_migration("refolding").await;
    database::verify(&mut pool.acquire().await.unwrap()).await.unwrap();
    pool.forget_migration("limits").await;
    let error = database::verify(&mut pool.acquire().await.unwrap()).await.unwrap_err();
    assert!(matches!(error, DatabaseError::Behind), "{error}");
}

#[tokio::test]
async fn a_gap_between_migrations_and_a_changed_migration_are_errors() {
    let pool = Database::migrated().await;
    pool.forget_migration("owners").await;
    let error = database::verify(&mut pool.acquire().await.unwrap()).await.unwrap_err();
    assert!(matches!(error, DatabaseError::Gap { version: 2 }), "{error}");

    let pool = Database::migrated().await;
    pool.change_migration("owners").await;
    let error = database::verify(&mut pool.acquire().await.unwrap()).await.unwrap_err();
    assert!(matches!(error, DatabaseError::Changed { version: 2 }), "{error}");
}

#[tokio::test]
async fn values_of_a_newer_version_are_unknown_and_hide_no_other_image() {
    let pool = Database::migrated().await;
    let mut db = pool.acquire().await.unwrap();
    let (other, id) = (accept(&mut db, "other").await, accept(&mut db, "newer").await);
    let ready =
        catalog::start(&mut db, OWNER, id).await.unwrap().unwrap().ready(vec![rendition("w800.webp")], analysis());
    assert!(catalog::save_ready(&mut db, &ready).await.unwrap());
    pool.write_unknown_values(id).await;
    let images = catalog::list(&mut db, OWNER, &Filter { limit: 10, ..Filter::default() }).await.unwrap().images;
    assert_eq!(images.iter().map(|image| image.id).collect::<Vec<_>>(), [id, other]);
    assert_eq!((images[0].status, images[0].source.format), (None, None));
    assert_eq!(images[0].failure.as_ref().unwrap().code, None);
    assert!(catalog::known_renditions(&mut db, OWNER, id).await.unwrap().is_empty());
    // The sweep must not take its object for an orphan.
    assert!(matches!(catalog::renditions(&mut db, OWNER, id).await, Err(CatalogError::Row(_))));
}

#[tokio::test]
async fn an_empty_database_lacks_migrations() {
    let database =
        database::connect(&DatabaseSettings::direct(&darkroom_dev::testing::database().await, 2)).await.unwrap();
    let error = database.run(async |db| database::verify(db).await).await.unwrap_err();
    assert!(matches!(error, DatabaseError::Behind), "{error}");
}

/// An image whose job has used up its attempts.
async fn failed(db: &mut PgConnection, code: FailureCode) -> ImageId {
    let id = accept(db, "a").await;
    enqueue(db, &ProcessImage { owner: OWNER, image: id }, &process_image_options(OWNER, id, None)).await.unwrap();
    exhaust_job(db, id).await;
    let failure = Failure { code, detail: "It was tried.".to_owned() };
    assert!(catalog::save_failed(db, &Failed::by_job(OWNER, id, failure)).await.unwrap());
    id
}

/// Every image that is due for another try, in pages of two.
async fn due(db: &mut PgConnection) -> Vec<OwnedImage> {
    let since = Utc::now() - Duration::hours(24);
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = catalog::list_failed_unavailable(db, since, after, 2).await.unwrap();
        let Some(last) = page.last() else { return all };
        after = Some(*last);
        all.extend(page);
    }
}

#[tokio::test]
async fn images_that_an_outage_failed_are_requeued_with_their_jobs() {
    let pool = Database::migrated().await;
    let mut db = pool.acquire().await.unwrap();
    let mut unavailable = Vec::new();
    for _ in 0..5 {
        unavailable.push(owned(failed(&mut db, FailureCode::Unavailable).await));
    }
    failed(&mut db, FailureCode::BrokenImage).await;
    assert_eq!(due(&mut db).await, unavailable, "all of them, and no broken picture");
    let later = Utc::now() + Duration::hours(1);
    assert!(catalog::list_failed_unavailable(&mut db, later, None, 10).await.unwrap().is_empty());

    assert_eq!(jobs::revive_unavailable(&mut db, &unavailable).await.unwrap(), 5);
    for image in &unavailable {
        let found = catalog::get(&mut db, OWNER, image.id).await.unwrap().unwrap();
        assert_eq!((found.status, found.failure), (Some(Status::Queued), None));
        assert!(has_fresh_job(&mut db, image.id).await);
    }
    assert_eq!(jobs::revive_unavailable(&mut db, &unavailable).await.unwrap(), 0, "they are not requeued twice");
    assert!(due(&mut db).await.is_empty());
}

#[tokio::test]
async fn an_image_that_an_outage_failed_is_requeued_after_its_job_was_pruned() {
    let pool = Database::migrated().await;
    let mut db = pool.acquire().await.unwrap();
    let image = failed(&mut db, FailureCode::Unavailable).await;
    prune_job(&mut db, image).await;
    assert_eq!(jobs::revive_unavailable(&mut db, &[owned(image)]).await.unwrap(), 1);
    assert_eq!(catalog::get(&mut db, OWNER, image).await.unwrap().unwrap().status, Some(Status::Queued));
    assert!(has_fresh_job(&mut db, image).await);
}

#[tokio::test]
async fn an_image_is_revived_a_bounded_number_of_times() {
    let pool = Database::migrated().await;
    let mut db = pool.acquire().await.unwrap();
    let image = failed(&mut db, FailureCode::Unavailable).await;
    let failure = Failure { code: FailureCode::Unavailable, detail: "It was tried.".to_owned() };
    for _ in 0..catalog::MAX_REVIVALS {
        finished_hours_ago(&mut db, image, 3).await;
        assert_eq!(due(&mut db).await, [owned(image)]);
        assert_eq!(jobs::revive_unavailable(&mut db, &[owned(image)]).await.unwrap(), 1);
        exhaust_job(&mut db, image).await;
        assert!(catalog::save_failed(&mut db, &Failed::by_job(OWNER, image, failure.clone())).await.unwrap());
        assert!(due(&mut db).await.is_empty(), "it waits");
    }
    finished_hours_ago(&mut db, image, 3).await;
    assert!(due(&mut db).await.is_empty(), "it is given up");

    assert!(catalog::requeue_failed(&mut db, OWNER, image).await.unwrap(), "an operator may always retry it");
    assert!(catalog::save_failed(&mut db, &Failed::by_job(OWNER, image, failure)).await.unwrap());
    assert_eq!(due(&mut db).await, [owned(image)], "and its revivals are counted anew");
}

#[tokio::test]
async fn a_deletion_without_a_job_is_enqueued_again_and_only_once() {
    let pool = Database::migrated().await;
    let mut db = pool.acquire().await.unwrap();
    let mut deleting = Vec::new();
    for _ in 0..3 {
        let image = accept(&mut db, "a").await;
        assert!(catalog::mark_deleting(&mut db, OWNER, image).await.unwrap());
        deleting.push(owned(image));
    }
    accept(&mut db, "kept").await;
    let page = catalog::list_deleting(&mut db, None, 2).await.unwrap();
    assert_eq!(page, deleting[..2]);
    assert_eq!(catalog::list_deleting(&mut db, page.last().copied(), 2).await.unwrap(), deleting[2..]);

    assert_eq!(jobs::resume_deletions(&mut db, &deleting).await.unwrap(), 3);
    assert_eq!(jobs::resume_deletions(&mut db, &deleting).await.unwrap(), 0, "each has an unfinished job");
    kill_deletions(&mut db).await;
    assert_eq!(jobs::resume_deletions(&mut db, &deleting).await.unwrap(), 3, "a killed job does not carry it out");
}

#[tokio::test]
async fn the_time_without_a_large_enough_worker_is_counted_from_its_first_sight() {
    let pool = Database::migrated().await;
    let mut db = pool.acquire().await.unwrap();
    let image = accept(&mut db, "a").await;
    assert!(catalog::mark_too_large(&mut db, OWNER, image).await.unwrap() < std::time::Duration::from_mins(1));
    too_large_hours_ago(&mut db, image, 2).await;
    assert!(catalog::mark_too_large(&mut db, OWNER, image).await.unwrap() >= std::time::Duration::from_hours(2));
    catalog::unmark_too_large(&mut db, OWNER, image).await.unwrap();
    assert!(catalog::mark_too_large(&mut db, OWNER, image).await.unwrap() < std::time::Duration::from_mins(1));
}
