//! `/healthz` while dependencies are silent or searches are abandoned, and normal service soon afterwards.

use std::time::Duration;

use darkroom_dev::{
    bucket::Fault,
    testing::{self, stack::Setup, stack::eventually, wire::Wire},
};
use darkroom_model::{ImageId, Owner};
use darkroom_shared::catalog::{Labels, SearchIndex};
use reqwest::StatusCode;
use sqlx::PgConnection;
use tokio::{
    io::AsyncWriteExt as _,
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::harness::ChaosTest;

/// How long a probe may take: several times the second that an orchestrator waits, because this machine may be busy.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long after a fault the service may take until it works as before: several times the 15 s that are promised.
const RECOVERY_TIMEOUT: Duration = Duration::from_mins(1);
/// How long a fault lasts: longer than every deadline of the api.
const FAULT: Duration = Duration::from_secs(40);
/// Images that the searches look through.
const IMAGES: u32 = 1_000_000;
/// Images that one statement adds.
const BATCH: u32 = 10_000;

/// Probes `/healthz` again and again until `until` resolves.
async fn assert_alive_until<T>(test: &ChaosTest, what: &str, until: impl Future<Output = T>) -> T {
    let probe = reqwest::Client::builder().pool_max_idle_per_host(0).timeout(PROBE_TIMEOUT).build().unwrap();
    let (mut probes, mut slowest) = (0, Duration::ZERO);
    let probing = async {
        loop {
            let start = Instant::now();
            let answer = probe.get(format!("{}/healthz", test.stack.url)).send().await;
            let status = answer.map(|answer| answer.status());
            assert_eq!(status.as_ref().ok(), Some(&StatusCode::OK), "while {what}: {status:?}");
            (probes, slowest) = (probes + 1, slowest.max(start.elapsed()));
            sleep(Duration::from_millis(50)).await;
        }
    };
    let value = tokio::select! {
        never = probing => never,
        value = until => value,
    };
    eprintln!("{what}: {probes} probes, the slowest took {} ms", slowest.as_millis());
    value
}

/// Waits until the service is ready, lists images and accepts an upload.
async fn assert_recovers(test: &ChaosTest, what: &str) {
    let start = Instant::now();
    let recovers = async {
        eventually("the api is ready", async || {
            let answer = test.stack.http.get(format!("{}/readyz", test.stack.url)).send().await.ok()?;
            (answer.status() == StatusCode::OK).then_some(())
        })
        .await;
        eventually("images are listed", async || {
            let answer = test.stack.http.get(format!("{}/v1/images?limit=1", test.stack.url)).send().await.ok()?;
            (answer.status() == StatusCode::OK).then_some(())
        })
        .await;
        test.upload_small(9).await;
    };
    timeout(RECOVERY_TIMEOUT, recovers).await.unwrap();
    eprintln!("{what}: normal service {} ms after its end", start.elapsed().as_millis());
}

/// Sends this number of requests that will find no answer, and keeps them coming until the returned set is dropped.
fn clients(test: &ChaosTest, number: usize, path: &str) -> JoinSet<()> {
    let mut clients = JoinSet::new();
    for _ in 0..number {
        let (http, url) = (test.stack.http.clone(), format!("{}{path}", test.stack.url));
        clients.spawn(async move {
            loop {
                let _ = http.get(&url).send().await;
                sleep(Duration::from_millis(20)).await;
            }
        });
    }
    clients
}

#[tokio::test]
#[ignore = "takes a minute: make chaos"]
async fn the_api_is_alive_while_postgres_is_silent_and_recovers() {
    let url = testing::database().await;
    let wire = Wire::to(&url).await;
    let mut test = ChaosTest::start(Setup { workers: 1, database: Some(wire.url(&url)), ..Setup::default() }).await;
    test.db = crate::database::Database::reopen(&url).await;
    test.upload_many(4).await;
    test.db.wait_for_finished(4).await;
    wire.mute();
    let requests = clients(&test, 200, "/v1/images");
    assert_alive_until(&test, "Postgres is silent", sleep(FAULT)).await;
    drop(requests);
    wire.unmute();
    assert_recovers(&test, "Postgres is silent").await;
    test.assert_invariants().await;
}

#[tokio::test]
#[ignore = "takes a minute: make chaos"]
async fn the_api_is_alive_while_the_bucket_is_silent_and_recovers() {
    let mut test = ChaosTest::start(Setup { workers: 1, staging_in_bucket: true, ..Setup::default() }).await;
    test.upload_many(4).await;
    test.stack.bucket.server.inject(Fault::Slow(Duration::from_hours(1)));
    let uploads = async {
        let uploads =
            async { while test.upload_once(crate::harness::small(1), crate::harness::SMALL).await.is_none() {} };
        let _ = timeout(FAULT, uploads).await;
    };
    let requests = clients(&test, 50, "/readyz");
    assert_alive_until(&test, "the bucket is silent", uploads).await;
    drop(requests);
    test.stack.bucket.server.inject(None);
    assert_recovers(&test, "the bucket is silent").await;
    test.assert_invariants().await;
}

#[tokio::test]
#[ignore = "takes minutes: make chaos"]
async fn the_api_is_alive_while_searches_among_a_million_images_are_abandoned() {
    let test = ChaosTest::start(Setup::default()).await;
    add_images(&test).await;
    let address = test.stack.url.strip_prefix("http://").unwrap();
    let searches = async {
        let mut lists = Vec::new();
        for round in 0..10 {
            // Each three characters of the first are common, and the whole does not occur.
            let title = ["0001000", "jpg.jpg", "000000", "g.j"][round % 4];
            let request = format!("GET /v1/images?title={title} HTTP/1.1\r\nHost: x\r\n\r\n");
            for _ in 0..40 {
                let mut stream = TcpStream::connect(address).await.unwrap();
                stream.write_all(request.as_bytes()).await.unwrap();
                // The api has read the request before the connection is closed.
                sleep(Duration::from_millis(5)).await;
            }
            let start = Instant::now();
            let list = test.stack.http.get(format!("{}/v1/images?limit=10", test.stack.url)).send().await.unwrap();
            assert_eq!(list.status(), StatusCode::OK);
            lists.push(start.elapsed().as_millis());
        }
        lists
    };
    let lists = assert_alive_until(&test, "searches are abandoned", searches).await;
    eprintln!("another client's lists took {lists:?} ms");
    assert_recovers(&test, "searches are abandoned").await;
}

/// Adds a million ready images with titles such as `0012345.jpg`.
async fn add_images(test: &ChaosTest) {
    let mut connection = test.db.pool.acquire().await.unwrap();
    sqlx::query("SET synchronous_commit = off").execute(&mut *connection).await.unwrap();
    for batch in 0..IMAGES / BATCH {
        let images = (batch * BATCH..(batch + 1) * BATCH).map(|n| (ImageId::now(), format!("{n:07}.jpg")));
        add_ready_images(&mut connection, images).await;
    }
    sqlx::query("ANALYZE images, image_states").execute(&mut *connection).await.unwrap();
}

/// Adds images by one statement.
async fn add_ready_images(db: &mut PgConnection, images: impl Iterator<Item = (ImageId, String)>) {
    let (mut ids, mut titles, mut grams) = (Vec::new(), Vec::new(), Vec::new());
    for (id, title) in images {
        let index = SearchIndex::new(Owner::DEFAULT, id, &title, &Labels::default());
        grams.push(format!("{:?}", index.terms).replace('[', "{").replace(']', "}"));
        ids.push(id.as_uuid());
        titles.push(title);
    }
    let sql = "WITH state AS (
            INSERT INTO image_states (owner, id, status, attempts, started_at, finished_at, placeholder)
            SELECT 1, unnest($1), 'ready', 1, now(), now(), '\\x00')
        INSERT INTO images (owner, id, title, title_folded, terms, folding, recipe, source_format, source_width,
            source_height, source_frames, source_bytes, source_sha256, source_scans, source_bits_per_pixel,
            source_decoded_pixels)
        SELECT 1, id, title, title, grams::bigint[], 2, '{}', 'png', 1, 1, 1, 1, decode(repeat('00', 32), 'hex'), 1, 24, 1
        FROM unnest($1, $2::text[], $3::text[]) AS image (id, title, grams)";
    sqlx::query(sql).bind(ids).bind(titles).bind(grams).execute(db).await.unwrap();
}
