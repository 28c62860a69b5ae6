//! A stack under a fault, a witness of everything that ends in it, and the verdict afterwards.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Mutex,
    time::{Duration, SystemTime},
};

use darkroom_dev::{
    guard::Guarded,
    testing::stack::{Offer, Setup, Stack, eventually, id},
};
use darkroom_test_pictures::{self as pictures, Jpeg};
use futures::{StreamExt as _, stream};
use rand::{SeedableRng as _, rngs::StdRng};
use sqlx::{AssertSqlSafe, PgPool, postgres::PgPoolOptions};

/// A recipe of one small rendition: what is tried here is the house, not the codecs.
pub(crate) const SMALL: &[(&str, &str)] = &[("width", "16"), ("format", "jpeg")];

/// A recipe that takes a second or so with a large picture.
pub(crate) const LARGE: &[(&str, &str)] = &[("width", "1600"), ("format", "webp")];

/// Uploads on their way at once.
const UPLOADS: usize = 8;

/// Longest wait for everything to end. Only a broken program meets it.
const PATIENCE: Duration = Duration::from_mins(5);

/// Every end of a job and of an image is written down by triggers of the test's own, so that a second end of the same
/// thing shows, even if it leaves the rows as they are.
const WITNESS: &str = "
    CREATE TABLE witness (n bigserial PRIMARY KEY, what text, id text, status text, lane text);
    CREATE FUNCTION witness_job() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO witness (what, id, status, lane) VALUES ('job', NEW.id, NEW.status, NEW.lane); RETURN NULL;
    END $$;
    CREATE TRIGGER witness AFTER UPDATE ON apalis.jobs FOR EACH ROW
        WHEN (NEW.status IN ('Done', 'Killed')) EXECUTE FUNCTION witness_job();
    CREATE FUNCTION witness_image() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO witness (what, id, status) VALUES ('image', NEW.id, NEW.status); RETURN NULL;
    END $$;
    CREATE TRIGGER witness AFTER UPDATE ON images FOR EACH ROW
        WHEN (NEW.status IN ('ready', 'failed')) EXECUTE FUNCTION witness_image()";

/// A stack under a fault.
pub(crate) struct Trial {
    pub(crate) stack: Stack,
    /// For looking, beside the stack's own connections.
    pub(crate) pool: PgPool,
    /// What each accepted image is to become: `None` for `ready`, else the code of its failure.
    accepted: Mutex<BTreeMap<String, Option<&'static str>>>,
}

/// The source of a test's random choices, and its seed on the test's output.
pub(crate) fn dice() -> StdRng {
    let given = std::env::var("CHAOS_SEED").ok().map(|seed| seed.parse().expect("CHAOS_SEED is a number"));
    let seed = given.unwrap_or_else(rand::random::<u32>);
    eprintln!("to make the same choices again: CHAOS_SEED={seed}");
    StdRng::seed_from_u64(seed.into())
}

/// A picture that takes milliseconds to render.
pub(crate) fn small(seed: usize) -> Vec<u8> {
    Jpeg::new(32, 24).encode_rgb(|x, y| [byte(seed), byte(seed / 256 + x as usize), byte(y as usize * 8)])
}

/// A picture for [`LARGE`].
pub(crate) fn large(seed: usize) -> Vec<u8> {
    Jpeg::new(4000, 3000).encode_rgb(|x, y| [byte(seed), byte(x as usize / 16), byte(y as usize / 16)])
}

/// A picture of about so many bytes, whatever it is compressed with.
pub(crate) fn heavy(seed: u64, side: u32) -> Vec<u8> {
    let mut samples = vec![0; (side * side * 3) as usize];
    rand::Rng::fill_bytes(&mut StdRng::seed_from_u64(seed), &mut samples);
    pictures::png(side, side, png::ColorType::Rgb, png::BitDepth::Eight, &samples)
}

fn byte(value: usize) -> u8 {
    u8::try_from(value % 256).unwrap()
}

impl Trial {
    /// Starts a stack and the witness. Leases last 3 s, the shortest that is allowed; nothing is logged but errors.
    pub(crate) async fn start(mut setup: Setup) -> Self {
        let log = std::env::var("CHAOS_LOG").unwrap_or_else(|_| "off".to_owned());
        setup.settings.splice(0..0, [("LEASE_SECONDS", "3".to_owned()), ("LOG", log)]);
        let workers = std::mem::take(&mut setup.workers);
        let mut stack = Stack::start_with(setup).await;
        let pool = PgPoolOptions::new().max_connections(4).connect(&stack.database).await.unwrap();
        sqlx::raw_sql(WITNESS).execute(&pool).await.unwrap();
        for _ in 0..workers {
            stack.start_worker();
        }
        Self { stack, pool, accepted: Mutex::default() }
    }

    /// Offers a picture once. `Some`: it was accepted, and the verdict will ask for it. What is refused must be refused
    /// as something that is away for a while.
    pub(crate) async fn offer(&self, picture: Vec<u8>, fields: &[(&'static str, &str)]) -> Option<String> {
        match self.stack.offer(picture, fields).await {
            Offer::Accepted(image) => {
                let image = id(&image);
                self.expect(&image, None);
                Some(image)
            }
            Offer::Refused(status, problem) => {
                assert!([503, 507].contains(&status.as_u16()) && problem["status"] == status.as_u16(), "{problem}");
                None
            }
            Offer::Broken => None,
        }
    }

    /// Offers a small picture until it is accepted.
    pub(crate) async fn upload_small(&self, seed: usize) -> String {
        eventually("an upload is accepted", async || self.offer(small(seed), SMALL).await).await
    }

    /// Uploads so many small pictures, several at a time.
    pub(crate) async fn upload_many(&self, count: usize) {
        stream::iter(0..count).for_each_concurrent(UPLOADS, async |seed| drop(self.upload_small(seed).await)).await;
    }

    /// What an image is to become: `None` for `ready`, else the code of its failure.
    pub(crate) fn expect(&self, image: &str, failure: Option<&'static str>) {
        self.accepted.lock().unwrap().insert(image.to_owned(), failure);
    }

    /// What this expression is in the database; waits while the database is away.
    pub(crate) async fn value<T>(&self, expression: &str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        let sql = format!("SELECT {expression}");
        eventually(expression, async || {
            match sqlx::query_scalar(AssertSqlSafe(sql.clone())).fetch_one(&self.pool).await {
                Ok(value) => Some(value),
                Err(error) => {
                    assert!(is_away(&error), "{sql}: {error}");
                    None
                }
            }
        })
        .await
    }

    /// Waits until this expression is true in the database.
    pub(crate) async fn until(&self, condition: &str) {
        let waited = async {
            while !self.value::<Option<bool>>(condition).await.unwrap_or(false) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let came_true = tokio::time::timeout(PATIENCE, waited).await.is_ok();
        assert!(came_true, "waited in vain: {condition}\n{}", self.unfinished().await);
    }

    /// Waits until every image and every job has ended.
    pub(crate) async fn settle(&self) {
        self.until("NOT EXISTS (SELECT FROM apalis.jobs WHERE status IN ('Pending', 'Running'))").await;
    }

    /// Waits until so many images are finished.
    pub(crate) async fn finished(&self, count: usize) {
        self.until(&format!("(SELECT count(*) >= {count} FROM images WHERE status IN ('ready', 'failed'))")).await;
    }

    async fn unfinished(&self) -> String {
        let rows = "(SELECT string_agg((to_jsonb(job) - 'job')::text, E'\\n') FROM (
            SELECT * FROM apalis.jobs WHERE status IN ('Pending', 'Running') LIMIT 10) AS job)";
        self.value::<Option<String>>(rows).await.unwrap_or_default()
    }

    /// Ids and what is told of them, of this query's two columns.
    async fn told(&self, sql: &str) -> BTreeMap<String, String> {
        let rows = sqlx::query_as::<_, (String, String)>(AssertSqlSafe(sql.to_owned()));
        rows.fetch_all(&self.pool).await.unwrap().into_iter().collect()
    }

    /// Waits for the end of everything, then compares with what was promised.
    pub(crate) async fn verdict(&mut self) {
        self.settle().await;
        assert_alive(&mut self.stack.workers);
        assert!(self.stack.api.process.try_wait().unwrap().is_none(), "the api has exited");
        self.every_image_is_what_it_should_be().await;
        self.everything_ended_once().await;
        self.attempts_add_up().await;
        self.only_renditions_are_left().await;
    }

    async fn every_image_is_what_it_should_be(&self) {
        let images = self.told("SELECT id::text, coalesce(failure_code, status) FROM images").await;
        let accepted = self.accepted.lock().unwrap();
        for (image, failure) in &*accepted {
            let is = images.get(image).map(String::as_str);
            assert_eq!(is, Some(failure.unwrap_or("ready")), "{image}");
        }
        // Images besides were committed while their answers were lost.
        for (image, is) in images.iter().filter(|(image, _)| !accepted.contains_key(*image)) {
            assert_eq!(is, "ready", "{image}");
        }
    }

    async fn everything_ended_once(&self) {
        let twice = self
            .told(
                "SELECT what || ' ' || id, string_agg(status, ' then ' ORDER BY n) FROM witness GROUP BY what, id
                 HAVING count(*) > 1",
            )
            .await;
        assert_eq!(twice, BTreeMap::new(), "these ended twice");
        let wrong = self
            .told(
                "SELECT images.id::text, 'has ' || count(job.id) || ' jobs' FROM images
                 LEFT JOIN apalis.jobs AS job ON job.job_type = 'process-image' AND job.idempotency_key = images.id::text
                 GROUP BY images.id HAVING count(job.id) <> 1",
            )
            .await;
        assert_eq!(wrong, BTreeMap::new());
    }

    /// Every attempt but a job's last left an error that says how it ended, and every crash was counted.
    async fn attempts_add_up(&self) {
        let wrong = self
            .told(
                "SELECT id, status || ': ' || attempts || ' attempts, ' || crashes || ' crashes, ' || coalesce(errors, '[]')
                 FROM (
                     SELECT *, coalesce(jsonb_array_length(errors), 0) AS failures,
                         (SELECT count(*) FROM jsonb_array_elements(errors) AS error WHERE error ->> 'kind' = 'crash') AS died
                     FROM apalis.jobs
                 ) AS job
                 WHERE crashes <> died OR attempts <> failures + CASE status WHEN 'Done' THEN 1 ELSE 0 END",
            )
            .await;
        assert_eq!(wrong, BTreeMap::new());
        let more_starts = self
            .told(
                "SELECT images.id::text, images.attempts || ' starts, claimed ' || job.fence || ' times' FROM images
                 JOIN apalis.jobs AS job ON job.job_type = 'process-image' AND job.idempotency_key = images.id::text
                 WHERE images.attempts > job.fence",
            )
            .await;
        assert_eq!(more_starts, BTreeMap::new(), "only who claimed a job starts its image");
    }

    /// Ages what is in staging and in the bucket, sweeps, and compares what is left with the catalog.
    async fn only_renditions_are_left(&self) {
        let long_ago = SystemTime::now() - Duration::from_hours(72);
        for path in [self.stack.staged(), self.stack.objects()].concat() {
            // A worker may be about to remove a staged file.
            if let Ok(file) = std::fs::File::options().write(true).open(path) {
                file.set_modified(long_ago).unwrap();
            }
        }
        assert!(self.stack.worker_command(&["sweep"]).await.success());
        assert_eq!(self.stack.staged(), Vec::<std::path::PathBuf>::new(), "in staging after the sweep");

        let promised: BTreeSet<(String, i64)> = sqlx::query_as(
            "SELECT format('images/%s/%s-%s.%s', image_id, split_part(name, '.', 1),
                    encode(substring(sha256 FOR 8), 'hex'), format), bytes
             FROM renditions JOIN images ON images.id = image_id AND images.status = 'ready'",
        )
        .fetch_all(&self.pool)
        .await
        .unwrap()
        .into_iter()
        .collect();
        let root = self.stack.bucket.dir.path().join(&self.stack.bucket.name);
        let kept: BTreeSet<(String, i64)> = self.stack.objects().iter().map(|path| object(&root, path)).collect();
        assert_eq!(kept, promised, "objects in the bucket, and renditions in the catalog");
        let bare: i64 = self
            .value("count(*) FROM images WHERE status = 'ready' AND NOT EXISTS (SELECT FROM renditions WHERE image_id = id)")
            .await;
        assert_eq!(bare, 0, "ready images without renditions");
    }
}

/// Whether the database is away, rather than being asked something wrong.
fn is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut => true,
        // Operator intervention; too many connections.
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| ["57", "53"].iter().any(|class| code.starts_with(class)))
        }
        _ => false,
    }
}

/// Key and length of an object.
fn object(root: &Path, path: &Path) -> (String, i64) {
    let key = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
    (key, std::fs::metadata(path).unwrap().len().try_into().unwrap())
}

/// None of these has exited by itself.
pub(crate) fn assert_alive(workers: &mut [Guarded]) {
    for worker in workers {
        assert_eq!(worker.process.try_wait().unwrap(), None, "a worker has exited");
    }
}
