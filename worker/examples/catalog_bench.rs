//! The catalog with many images: `make bench-catalog ROWS=1000000`. Prints the p50 and p99 of what the api and the worker ask of
//! Postgres, and the sweep with nothing to remove.
//!
//! It fills a database of its own. There are 1,000 owners, and one has half of the images; the measured images and searches are
//! the large owner's, unless it says otherwise. `ROWS` is the number of images, by default 1,000,000, and `ROUNDS` how often each
//! query runs, by default 300. Each query runs alone; connections and transactions are the api's own.
#![allow(clippy::unwrap_used, missing_docs, reason = "a measurement that cannot go on says so by panicking")]

use std::{
    collections::HashMap,
    env,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use darkroom_container::header::Header;
use darkroom_dev::testing;
use darkroom_model::{ImageId, Metadata, Owner, Source, SourceFormat, Status, Tags, Title, recipe::Recipe};
use darkroom_queue::{Handler, JobError, Lease, QueueOptions, Retention, Supervisor, SupervisorOptions, enqueue};
use darkroom_shared::{
    catalog::{self, CatalogError, Filter, Labels, MemberFilter, NewImage, Position, SearchIndex, Sort},
    database::{self, Database},
    jobs::{ProcessImage, process_image_options},
    settings::{DatabaseSettings, Settings},
};
use darkroom_worker::{App, jobs::sweep::sweep};
use serde_json::json;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, postgres::PgConnectOptions};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use uuid::Uuid;

const OWNERS: u32 = 1_000;
/// Half of the images are this owner's.
const LARGE: Owner = Owner::DEFAULT;
/// Runs of a query that are not counted.
const WARM_UP: u32 = 10;
/// Images that one statement adds.
const BATCH: u32 = 10_000;
/// In five titles of the large owner.
const RARE: &str = "heliotrope";
/// Half of the titles have it.
const COMMON: &str = ".jpg";
const ABSENT: &str = "chartreuse";
/// A quarter of the titles has each of its n-grams, and none has it.
const ADVERSARIAL: &str = "abcabcabc";
/// As above, of digits: titles have all n-grams of them, some more often than others.
const DIGITS: &str = "_000100010001";

/// A third of the images has this tag.
const COMMON_TAG: &str = "print";

const WORDS: [&str; 32] = [
    "beach",
    "holiday",
    "sunset",
    "mountain",
    "river",
    "birthday",
    "wedding",
    "garden",
    "portrait",
    "product",
    "invoice",
    "receipt",
    "poster",
    "banner",
    "harbour",
    "winter",
    "summer",
    "spring",
    "autumn",
    "family",
    "office",
    "kitchen",
    "concert",
    "forest",
    "bridge",
    "castle",
    "market",
    "museum",
    "train",
    "airport",
    "東京",
    "Österreich",
];

#[tokio::main]
async fn main() {
    let number = |name: &str, default: u32| env::var(name).ok().map_or(default, |text| text.parse().unwrap());
    let (rows, rounds) = (number("ROWS", 1_000_000), number("ROUNDS", 300));
    let statements = Arc::<AtomicUsize>::default();
    let subscriber = tracing_subscriber::registry().with(CountStatements(Arc::clone(&statements)));
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let url = testing::database().await;
    let db = database::connect(&DatabaseSettings::direct(&url, 10)).await.unwrap();
    database::migrate(&db).await.unwrap();
    let begin = Instant::now();
    fill(db.pool(), rows).await;
    eprintln!("filled in {:.0} s", begin.elapsed().as_secs_f64());
    sizes(db.pool()).await;

    println!("| {rows} images | p50 ms | p99 ms |\n|---|--:|--:|");
    lists(&db, rows, rounds).await;
    searches(&db, rounds).await;
    filters(&db, rounds).await;
    rows_of_one_image(&db, rounds).await;
    claims(&db, &url, rounds).await;
    sweeps(&db, &url, &statements).await;
}

/// Counts the statements that sqlx logs.
struct CountStatements(Arc<AtomicUsize>);

impl<S: tracing::Subscriber> Layer<S> for CountStatements {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "sqlx::query" {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The title of image number `n`.
fn title(n: u32) -> String {
    let word = |salt: u32| WORDS[(n.wrapping_mul(2_654_435_761).wrapping_add(salt) >> 7) as usize % WORDS.len()];
    match n % 4 {
        0 => format!("IMG_{:04}{:02}{:02}_{:06}.jpg", 2015 + n % 10, 1 + n / 7 % 12, 1 + n / 5 % 28, n % 1_000_000),
        1 => format!("DSC{n:07}.JPG"),
        2 => format!("{} {} {}", word(1), word(77), n / 4),
        _ => format!("{} abcab bcabc cabca {}", word(5), n % 977),
    }
}

/// Adds the owners, and the images of all owners in turns, as they would come.
async fn fill(pool: &PgPool, rows: u32) {
    let mut connection = pool.acquire().await.unwrap();
    let sql = "INSERT INTO owners (name) SELECT 'owner-' || n FROM generate_series(2, $1) AS n";
    sqlx::query(sql).bind(OWNERS.cast_signed()).execute(&mut *connection).await.unwrap();
    // Rows that are right need no checks of foreign keys, and an index is built in less time than it grows.
    let settings = "SET synchronous_commit = off; SET statement_timeout = 0; SET session_replication_role = replica;
        SET maintenance_work_mem = '512MB'";
    sqlx::raw_sql(settings).execute(&mut *connection).await.unwrap();
    let index = "SELECT pg_get_indexdef('images_terms'::regclass)";
    let index: String = sqlx::query_scalar(index).fetch_one(&mut *connection).await.unwrap();
    sqlx::raw_sql("DROP INDEX images_terms").execute(&mut *connection).await.unwrap();
    let step = rows / 5;
    for batch in 0..rows / BATCH {
        let images = (batch * BATCH..(batch + 1) * BATCH).map(|n| {
            let owner = if n % 2 == 0 { LARGE } else { Owner::from_id((2 + n / 2 % (OWNERS - 1)).cast_signed()) };
            // The large owner has every second image, so its titles are by the half of the number.
            let title = if n % step == 0 { format!("{RARE} {n}") } else { title(n / 2) };
            (owner, ImageId::now(), title, n)
        });
        add(&mut connection, images).await;
    }
    sqlx::raw_sql(AssertSqlSafe(index)).execute(&mut *connection).await.unwrap();
    // The queue keeps finished jobs, up to KEEP_JOBS.
    let sql = "INSERT INTO apalis.jobs (id, job_type, job, status, attempts, fence, max_attempts, done_at, lock_by, lock_at,
            idempotency_key, lane)
        SELECT '01ARZ3NDEK' || lpad(row_number() OVER ()::text, 16, '0'), 'process-image', '{}', 'Done', 1, 1, 10, now(), 'gone',
            now(), id::text, owner::text
        FROM images LIMIT 1000000";
    sqlx::query(sql).execute(&mut *connection).await.unwrap();
    for sql in ["VACUUM (ANALYZE)", "CHECKPOINT"] {
        sqlx::query(sql).execute(&mut *connection).await.unwrap();
    }
    // Its settings are not for others.
    drop(connection.detach());
}

/// The tags of image number `n`: one that a third of the images has, and one that few have.
fn tags(n: u32) -> Vec<String> {
    let mut tags = vec![format!("shoot-{}", n % 9_973)];
    if n.is_multiple_of(3) {
        tags.push(COMMON_TAG.to_owned());
    }
    if n.is_multiple_of(2) && n < 20 {
        tags.push(RARE.to_owned());
    }
    tags
}

/// Adds images by one statement: of a hundred one failed, one is queued, and 98 are ready, with two renditions each. One in
/// fifty is a GIF, all others are JPEGs.
async fn add(db: &mut PgConnection, images: impl Iterator<Item = (Owner, ImageId, String, u32)>) {
    let (mut owners, mut ids, mut titles, mut folded, mut terms) = (vec![], vec![], vec![], vec![], vec![]);
    let (mut formats, mut all_tags, mut all_metadata) = (vec![], vec![], vec![]);
    for (owner, id, title, n) in images {
        let format = if n % 50 < 2 { "gif" } else { "jpeg" };
        let tags = tags(n);
        let metadata = json!({ "order": n / 3, "site": if n % 4 < 2 { "north" } else { "south" } });
        let labels = Labels {
            format,
            tags: &tags.iter().map(String::as_str).collect::<Vec<_>>(),
            metadata: metadata.as_object(),
        };
        let index = SearchIndex::new(owner, id, &title, &labels);
        owners.push(owner.id());
        ids.push(id.as_uuid());
        titles.push(title);
        folded.push(index.folded);
        terms.push(format!("{:?}", index.terms).replace('[', "{").replace(']', "}"));
        formats.push(format);
        all_tags.push(format!("{{{}}}", tags.join(",")));
        all_metadata.push(metadata.to_string());
    }
    let sql = "WITH image AS MATERIALIZED (
            SELECT * FROM unnest($1::integer[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                $8::text[]) WITH ORDINALITY AS image (owner, id, title, folded, terms, format, tags, metadata, n)
        ), state AS (
            INSERT INTO image_states (owner, id, status, attempts, started_at, finished_at, placeholder, dominant_colour,
                perceptual_hash, failure_code, failure_detail)
            SELECT owner, id, CASE n % 100 WHEN 0 THEN 'failed' WHEN 1 THEN 'queued' ELSE 'ready' END, 1, now(),
                CASE WHEN n % 100 <> 1 THEN now() END, decode(repeat('00', 25), 'hex'), decode('000000', 'hex'), n,
                CASE WHEN n % 100 = 0 THEN 'broken_image' END, CASE WHEN n % 100 = 0 THEN 'The file is cut short.' END
            FROM image
        ), rendition AS (
            INSERT INTO renditions (owner, image_id, name, format, width, height, bytes, sha256)
            SELECT owner, id, name, 'webp', 800, 600, 100000, decode(repeat('ab', 32), 'hex')
            FROM image, unnest(ARRAY['w800.webp', 'w1600.webp']) AS name
        )
        INSERT INTO images (owner, id, title, title_folded, terms, folding, recipe, source_format, source_width,
            source_height, source_frames, source_bytes, source_sha256, source_scans, source_bits_per_pixel,
            source_decoded_pixels, tags, metadata)
        SELECT owner, id, title, folded, terms::bigint[], 2, '{\"recipe\": \"standard\"}', format, 4000, 3000, 1, 2500000,
            decode(repeat('cd', 32), 'hex'), 10, 24, 12000000, tags::text[], metadata::json
        FROM image";
    let query = sqlx::query(sql).bind(owners).bind(ids).bind(titles).bind(folded).bind(terms);
    query.bind(formats).bind(all_tags).bind(all_metadata).execute(db).await.unwrap();
}

async fn sizes(pool: &PgPool) {
    let sql = "SELECT relname::text, pg_size_pretty(pg_relation_size(oid)) FROM pg_class
        WHERE relname ~ '^(images|image_states|renditions|put_intents)' AND relkind IN ('r', 'i') ORDER BY 1";
    let sizes: Vec<(String, String)> = sqlx::query_as(sql).fetch_all(pool).await.unwrap();
    for (name, size) in sizes {
        eprintln!("{name}: {size}");
    }
}

/// Runs `work` again and again, and prints its p50 and p99. The first [`WARM_UP`] runs are not counted.
async fn measure<T>(what: &str, rounds: u32, mut work: impl AsyncFnMut() -> T) {
    let mut times = Vec::new();
    for round in 0..rounds + WARM_UP {
        let begin = Instant::now();
        work().await;
        if round >= WARM_UP {
            times.push(begin.elapsed());
        }
    }
    print(what, times);
}

fn print(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: usize| times[(times.len() * share).div_ceil(100) - 1].as_secs_f64() * 1000.0;
    println!("| {what} | {:.1} | {:.1} |", at(50), at(99));
}

async fn list(db: &Database, owner: Owner, filter: &Filter) -> catalog::Page {
    let list = async |db: &mut PgConnection| catalog::list(db, owner, filter).await;
    let page = if filter.is_search() { db.search(list).await } else { db.run(list).await };
    page.unwrap()
}

async fn lists(db: &Database, rows: u32, rounds: u32) {
    let small = Owner::from_id(500);
    let first = Filter { limit: 20, ..Filter::default() };
    measure("list", rounds, async || list(db, LARGE, &first).await).await;
    measure("list, of an owner with few images", rounds, async || list(db, small, &first).await).await;
    let middle = "SELECT id FROM images WHERE owner = $1 ORDER BY id OFFSET $2 LIMIT 1";
    let middle: Uuid =
        sqlx::query_scalar(middle).bind(LARGE.id()).bind(i64::from(rows / 4)).fetch_one(db.pool()).await.unwrap();
    let after = Position { id: ImageId::from_uuid(middle), title: String::new() };
    let deep = Filter { after: Some(after.clone()), limit: 100, ..Filter::default() };
    measure("list, a page of 100 in the middle", rounds, async || list(db, LARGE, &deep).await).await;
    for status in [Status::Ready, Status::Failed, Status::Processing] {
        let filter = Filter { status: Some(status), limit: 20, ..Filter::default() };
        measure(&format!("list, {status}"), rounds, async || list(db, LARGE, &filter).await).await;
    }
}

async fn searches(db: &Database, rounds: u32) {
    let filter = |title: &str| Filter { title: Some(title.to_owned()), limit: 20, ..Filter::default() };
    let mut found = HashMap::new();
    for (what, text) in [
        ("common", COMMON),
        ("rare", RARE),
        ("absent", ABSENT),
        ("one common character", "g"),
        ("two characters", "東京"),
        ("adversarial, a word", ADVERSARIAL),
        ("adversarial, digits", DIGITS),
    ] {
        let filter = filter(text);
        found.insert(text, list(db, LARGE, &filter).await.images.len());
        measure(&format!("search, {what}: `{text}`"), rounds, async || list(db, LARGE, &filter).await).await;
    }
    assert_eq!([found[COMMON], found[RARE], found[ABSENT], found[ADVERSARIAL]], [20, 5, 0, 0]);
    let failed = Filter { status: Some(Status::Failed), ..filter(COMMON) };
    measure("search, common among the failed", rounds, async || list(db, LARGE, &failed).await).await;
    let small = Owner::from_id(500);
    let adversarial = filter(ADVERSARIAL);
    measure("search, adversarial, of an owner with few images", rounds, async || list(db, small, &adversarial).await)
        .await;
}

/// Each filter and each order with values that are common, rare and absent, and combinations.
async fn filters(db: &Database, rounds: u32) {
    let small = Owner::from_id(500);
    let base = || Filter { limit: 20, ..Filter::default() };
    let tag = |tag: &str| Filter { tag: Some(tag.to_owned()), ..base() };
    let member = |name: &str, value: Option<&str>| Filter {
        member: Some(MemberFilter { name: name.to_owned(), value: value.map(str::to_owned) }),
        ..base()
    };
    let times = "SELECT min(created_at) + (max(created_at) - min(created_at)) / 2 FROM images WHERE owner = $1";
    let middle: DateTime<Utc> = sqlx::query_scalar(times).bind(LARGE.id()).fetch_one(db.pool()).await.unwrap();
    let by_title = || Filter { sort: Sort::Title, ..base() };
    for (what, filter) in [
        ("format, common", Filter { format: Some(SourceFormat::Jpeg), ..base() }),
        ("format, less common", Filter { format: Some(SourceFormat::Gif), ..base() }),
        ("format, absent", Filter { format: Some(SourceFormat::Avif), ..base() }),
        ("tag, common", tag(COMMON_TAG)),
        ("tag, rare", tag(RARE)),
        ("tag, of some", tag("shoot-4711")),
        ("tag, absent", tag(ABSENT)),
        ("metadata, common", member("site", Some("north"))),
        ("metadata, rare", member("order", Some("4711"))),
        ("metadata, absent value", member("site", Some("west"))),
        ("metadata, common key", member("order", None)),
        ("metadata, absent key", member("price", None)),
        ("created after", Filter { created_after: Some(middle), ..base() }),
        ("created before", Filter { created_before: Some(middle), ..base() }),
        ("created in the future", Filter { created_after: Some(Utc::now() + TimeDelta::days(1)), ..base() }),
        ("sort by oldest", Filter { sort: Sort::Oldest, ..base() }),
        ("sort by title", by_title()),
        ("sort by title, common tag", Filter { sort: Sort::Title, ..tag(COMMON_TAG) }),
        ("sort by title, tag of some", Filter { sort: Sort::Title, ..tag("shoot-4711") }),
        ("sort by title, failed", Filter { status: Some(Status::Failed), ..by_title() }),
        ("sort by title, absent status", Filter { status: Some(Status::Processing), ..by_title() }),
        ("failed with a common tag", Filter { status: Some(Status::Failed), ..tag(COMMON_TAG) }),
        ("common tag and absent metadata", Filter { member: member("site", Some("west")).member, ..tag(COMMON_TAG) }),
        (
            "common tag, common metadata, adversarial title",
            Filter {
                member: member("site", Some("north")).member,
                title: Some(ADVERSARIAL.to_owned()),
                ..tag(COMMON_TAG)
            },
        ),
    ] {
        measure(&format!("filter: {what}"), rounds, async || list(db, LARGE, &filter).await).await;
    }
    let filter = tag(COMMON_TAG);
    measure("filter: tag, common, of an owner with few images", rounds, async || list(db, small, &filter).await).await;
}

async fn rows_of_one_image(db: &Database, rounds: u32) {
    let some = "SELECT id FROM images TABLESAMPLE SYSTEM (1) WHERE owner = $1 LIMIT 1000";
    let ids: Vec<Uuid> = sqlx::query_scalar(some).bind(LARGE.id()).fetch_all(db.pool()).await.unwrap();
    let mut ids = ids.into_iter().map(ImageId::from_uuid).cycle();
    measure("detail, with its renditions", rounds, async || {
        let id = ids.next().unwrap();
        let find = async |db: &mut PgConnection| -> Result<_, CatalogError> {
            let image = catalog::get(db, LARGE, id).await?;
            Ok((image, catalog::known_renditions(db, LARGE, id).await?))
        };
        db.run(find).await.unwrap()
    })
    .await;
    measure("transaction of an upload", rounds, async || {
        let image = new_image();
        let accept = async |tx: &mut PgConnection| -> anyhow::Result<()> {
            catalog::insert(tx, LARGE, &image).await?;
            let job = ProcessImage { owner: LARGE, image: image.id };
            enqueue(tx, &job, &process_image_options(LARGE, image.id, None)).await?;
            Ok(())
        };
        db.transaction(accept).await.unwrap();
    })
    .await;
    measure("images that wait, counted to 10000", rounds, async || {
        db.run(async |db| catalog::count_queued(db, 10_000).await).await.unwrap()
    })
    .await;
}

fn new_image() -> NewImage {
    let id = ImageId::now();
    let source = Source { format: SourceFormat::Jpeg, width: 4000, height: 3000, frames: 1, bytes: 9, sha256: [7; 32] };
    let Source { format, width, height, frames, .. } = source;
    let header = Header { format, width, height, frames, scans: 10, bits_per_pixel: 24, decoded_pixels: 12_000_000 };
    NewImage {
        id,
        title: Title::parse("IMG_20260101_123456.jpg").unwrap(),
        tags: Tags::parse(["print", "shoot-1"]).unwrap(),
        metadata: Metadata::parse("{\"order\": 17}").unwrap(),
        recipe: Recipe::Standard,
        source,
        header,
    }
}

/// When each job has begun.
#[derive(Clone, Default)]
struct Begun(Arc<Mutex<HashMap<ImageId, Instant>>>);

impl Begun {
    /// Waits until so many have begun.
    async fn wait_for(&self, jobs: u32) {
        while self.0.lock().unwrap().len() < jobs as usize {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Handler<ProcessImage> for Begun {
    async fn run(&self, job: ProcessImage, _: Lease) -> Result<(), JobError> {
        self.0.lock().unwrap().insert(job.image, Instant::now());
        Ok(())
    }
}

/// From the commit that adds a job to the start of its handler in an idle worker, beside the finished jobs.
async fn claims(db: &Database, url: &str, rounds: u32) {
    let begun = Begun::default();
    let options = SupervisorOptions::new("bench").retention(Retention::default().max_jobs(u32::MAX));
    let database: PgConnectOptions = url.parse().unwrap();
    let supervisor = Supervisor::start(options, &database).unwrap();
    supervisor.work(QueueOptions::new(8), begun.clone()).unwrap();
    // The jobs of the uploads before.
    begun.wait_for(rounds + WARM_UP).await;
    let mut committed = HashMap::new();
    for _ in 0..rounds {
        let job = ProcessImage { owner: LARGE, image: ImageId::now() };
        let how = process_image_options(LARGE, job.image, None);
        db.run(async |db| enqueue(db, &job, &how).await.map_err(anyhow::Error::from)).await.unwrap();
        committed.insert(job.image, Instant::now());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    begun.wait_for(2 * rounds + WARM_UP).await;
    supervisor.drain(Duration::from_secs(10)).await;
    let begun = begun.0.lock().unwrap();
    print(
        "claim: from the job's commit to its handler",
        committed.iter().map(|(id, at)| begun[id].saturating_duration_since(*at)).collect(),
    );
}

async fn sweeps(db: &Database, url: &str, statements: &AtomicUsize) {
    let bucket = testing::bucket().await;
    let staging = format!("file://{}", bucket.dir.path().join("staging").display());
    let env: HashMap<&str, String> =
        bucket.env().into_iter().chain([("DATABASE_URL", url.to_owned()), ("STAGING_URL", staging)]).collect();
    let settings = Settings::read(&|name| env.get(name).cloned()).unwrap();
    // As if the stores had been marked when the database was new.
    let app = App::open(&settings, db.clone()).await.unwrap();
    let plan = app.installation.plan_adoption().await.unwrap();
    app.installation.adopt(&plan).await.unwrap();
    let before = statements.load(Ordering::Relaxed);
    sweep(&app).await.unwrap();
    let statements = statements.load(Ordering::Relaxed) - before;
    assert!(statements > 0, "the statements are not counted");
    measure(&format!("sweep with nothing to remove: {statements} statements"), 20, async || sweep(&app).await.unwrap())
        .await;
}
