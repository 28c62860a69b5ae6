//! A stack for a test with faults, and the invariants that must hold afterwards.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Mutex,
    time::{Duration, SystemTime},
};

use darkroom_dev::{
    bound_child::BoundChild,
    testing::stack::{Setup, Stack, UploadAnswer, eventually, id},
};
use darkroom_test_pictures::{self as pictures, Jpeg};
use futures::{StreamExt as _, stream};
use rand::{SeedableRng as _, rngs::StdRng};

use crate::database::Database;

/// A recipe with one small rendition, which takes milliseconds.
pub(crate) const SMALL: &[(&str, &str)] = &[("width", "16"), ("format", "jpeg")];

/// A recipe that takes about a second with a large picture.
pub(crate) const LARGE: &[(&str, &str)] = &[("width", "1600"), ("format", "webp")];

/// Uploads at once.
const CONCURRENT_UPLOADS: usize = 8;

/// A stack for a test with faults.
pub(crate) struct ChaosTest {
    pub(crate) stack: Stack,
    pub(crate) db: Database,
    /// The expected end of each accepted image: `None` for `ready`, or the code of its failure.
    expected: Mutex<BTreeMap<String, Option<&'static str>>>,
}

/// A random number generator with the seed in `CHAOS_SEED`, or a new one that is printed.
pub(crate) fn seeded_rng() -> StdRng {
    let given = std::env::var("CHAOS_SEED").ok().map(|seed| seed.parse().expect("CHAOS_SEED is a number"));
    let seed = given.unwrap_or_else(rand::random::<u32>);
    eprintln!("to repeat the random choices: CHAOS_SEED={seed}");
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

/// A square picture of noise with this side, which does not compress: about 3 bytes a pixel.
pub(crate) fn noise(seed: u64, side: u32) -> Vec<u8> {
    let mut samples = vec![0; (side * side * 3) as usize];
    rand::Rng::fill_bytes(&mut StdRng::seed_from_u64(seed), &mut samples);
    pictures::png(side, side, png::ColorType::Rgb, png::BitDepth::Eight, &samples)
}

/// The lowest eight bits.
pub(crate) fn byte(value: usize) -> u8 {
    u8::try_from(value % 256).unwrap()
}

impl ChaosTest {
    /// Starts a stack with leases of 3 s, the minimum, and without logs unless `CHAOS_LOG` is set.
    pub(crate) async fn start(mut setup: Setup) -> Self {
        let log = std::env::var("CHAOS_LOG").unwrap_or_else(|_| "off".to_owned());
        setup.settings.splice(0..0, [("LEASE_SECONDS", "3".to_owned()), ("LOG", log)]);
        let workers = std::mem::take(&mut setup.workers);
        let mut stack = Stack::start_with(setup).await;
        let db = Database::open(&stack.database).await;
        for _ in 0..workers {
            stack.start_worker();
        }
        Self { stack, db, expected: Mutex::default() }
    }

    /// Uploads a picture once. `Some`: it was accepted, and must become ready. A refusal must say that the service is
    /// unavailable.
    pub(crate) async fn upload_once(&self, picture: Vec<u8>, fields: &[(&'static str, &str)]) -> Option<String> {
        match self.stack.upload_once(picture, fields).await {
            UploadAnswer::Accepted(image) => {
                let image = id(&image);
                self.expect(&image, None);
                Some(image)
            }
            UploadAnswer::Refused(status, problem) => {
                assert!([503, 507].contains(&status.as_u16()) && problem["status"] == status.as_u16(), "{problem}");
                None
            }
            UploadAnswer::Broken => None,
        }
    }

    /// Uploads a small picture again and again until it is accepted.
    pub(crate) async fn upload_small(&self, seed: usize) -> String {
        eventually("an upload is accepted", async || self.upload_once(small(seed), SMALL).await).await
    }

    /// Uploads this number of small pictures, several at a time.
    pub(crate) async fn upload_many(&self, count: usize) {
        let uploads = stream::iter(0..count);
        uploads.for_each_concurrent(CONCURRENT_UPLOADS, async |seed| drop(self.upload_small(seed).await)).await;
    }

    /// Sets the expected end of an image: `None` for `ready`, or the code of its failure.
    pub(crate) fn expect(&self, image: &str, failure: Option<&'static str>) {
        self.expected.lock().unwrap().insert(image.to_owned(), failure);
    }

    /// Waits until every job has ended, then checks every promise of the service.
    pub(crate) async fn assert_invariants(&mut self) {
        self.db.wait_until_settled().await;
        assert_alive(&mut self.stack.workers);
        assert!(self.stack.api.process.try_wait().unwrap().is_none(), "the api has exited");
        self.assert_images_ended_as_expected().await;
        self.assert_everything_ended_once().await;
        self.assert_attempts_are_counted().await;
        self.assert_no_orphans_remain().await;
    }

    async fn assert_images_ended_as_expected(&self) {
        let images = self.db.images().await;
        let expected = self.expected.lock().unwrap();
        for (image, failure) in &*expected {
            let end = images.get(image).map(String::as_str);
            assert_eq!(end, Some(failure.unwrap_or("ready")), "{image}");
        }
        // Other images were committed, but the connection broke before the answer.
        for (image, end) in images.iter().filter(|(image, _)| !expected.contains_key(*image)) {
            assert_eq!(end, "ready", "{image}");
        }
    }

    async fn assert_everything_ended_once(&self) {
        assert_eq!(self.db.ended_again().await, BTreeMap::new(), "these ended more than once");
        assert_eq!(self.db.images_without_one_job().await, BTreeMap::new());
    }

    async fn assert_attempts_are_counted(&self) {
        assert_eq!(self.db.miscounted_jobs().await, BTreeMap::new());
        let without_claim = self.db.images_started_without_claim().await;
        assert_eq!(without_claim, BTreeMap::new(), "only an attempt that claimed the job starts its image");
    }

    /// Makes everything that attempts may have left old, sweeps, and compares the rest with the catalog.
    async fn assert_no_orphans_remain(&self) {
        let long_ago = SystemTime::now() - Duration::from_hours(72);
        for path in [self.stack.staged(), self.stack.objects()].concat() {
            // A worker may be removing a staged file.
            if let Ok(file) = std::fs::File::options().write(true).open(path) {
                file.set_modified(long_ago).unwrap();
            }
        }
        self.db.make_put_intents_old().await;
        assert!(self.stack.worker_command(&["sweep"]).await.success());
        assert_eq!(self.db.put_intents().await, 0, "intents after the sweep");
        assert_eq!(self.stack.staged(), Vec::<std::path::PathBuf>::new(), "in staging after the sweep");

        let root = self.stack.bucket.dir.path().join(&self.stack.bucket.name);
        let objects: BTreeSet<(String, i64)> = self.stack.objects().iter().map(|path| object(&root, path)).collect();
        assert_eq!(objects, self.db.renditions().await, "objects in the bucket, and renditions in the catalog");
        assert_eq!(self.db.ready_images_without_renditions().await, 0, "ready images without renditions");
    }
}

/// Key and length of an object.
fn object(root: &Path, path: &Path) -> (String, i64) {
    let key = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
    (key, std::fs::metadata(path).unwrap().len().try_into().unwrap())
}

/// Asserts that none of these workers has exited.
pub(crate) fn assert_alive(workers: &mut [BoundChild]) {
    for worker in workers {
        assert_eq!(worker.process.try_wait().unwrap(), None, "a worker has exited");
    }
}
