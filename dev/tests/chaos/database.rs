//! The SQL of the chaos tests.

use std::{collections::BTreeMap, collections::BTreeSet, time::Duration};

use darkroom_dev::testing::stack::eventually;
use sqlx::{AssertSqlSafe, PgExecutor, PgPool, postgres::PgPoolOptions};

/// Maximum wait for a condition.
const TIMEOUT: Duration = Duration::from_mins(5);

/// Triggers that log every end of a job and of an image, so that a second end is found even if it leaves the rows as
/// they are.
const LOG_ENDS: &str = "
    CREATE TABLE ended (n bigserial PRIMARY KEY, what text, id text, status text, lane text);
    CREATE FUNCTION log_job_end() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO ended (what, id, status, lane) VALUES ('job', NEW.id, NEW.status, NEW.lane); RETURN NULL;
    END $$;
    CREATE TRIGGER log_end AFTER UPDATE ON apalis.jobs FOR EACH ROW
        WHEN (NEW.status IN ('Done', 'Killed')) EXECUTE FUNCTION log_job_end();
    CREATE FUNCTION log_image_end() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO ended (what, id, status) VALUES ('image', NEW.id, NEW.status); RETURN NULL;
    END $$;
    CREATE TRIGGER log_end AFTER UPDATE ON image_states FOR EACH ROW
        WHEN (NEW.status IN ('ready', 'failed')) EXECUTE FUNCTION log_image_end()";

/// A trigger that logs the order of claims. The order of ends would depend on which worker was killed.
const LOG_CLAIMS: &str = "
    CREATE TABLE claimed (n bigserial PRIMARY KEY, lane text);
    CREATE FUNCTION log_claim() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO claimed (lane) VALUES (NEW.lane); RETURN NULL;
    END $$;
    CREATE TRIGGER log_claim AFTER UPDATE ON apalis.jobs FOR EACH ROW
        WHEN (OLD.status = 'Pending' AND NEW.status = 'Running') EXECUTE FUNCTION log_claim()";

/// A query that takes a snapshot of the jobs, for a transaction that then blocks vacuum.
pub(crate) const READ_JOBS: &str = "SELECT count(*) FROM apalis.jobs";

/// A query that locks every pending job until its transaction ends.
pub(crate) const LOCK_PENDING_JOBS: &str = "SELECT id FROM apalis.jobs WHERE status = 'Pending' FOR UPDATE";

/// The database of a stack, through connections of its own.
pub(crate) struct Database {
    pub(crate) pool: PgPool,
}

/// The job of an image.
#[derive(sqlx::FromRow)]
pub(crate) struct Job {
    /// The worker that claimed it last.
    pub(crate) worker: String,
    pub(crate) reason: Option<String>,
    pub(crate) crashes: i32,
}

impl Database {
    /// Connects, and logs every end of a job and of an image from now on.
    pub(crate) async fn open(url: &str) -> Self {
        let pool = PgPoolOptions::new().max_connections(4).connect(url).await.unwrap();
        sqlx::raw_sql(LOG_ENDS).execute(&pool).await.unwrap();
        Self { pool }
    }

    /// Connects again to a database that logs ends already.
    pub(crate) async fn reopen(url: &str) -> Self {
        Self { pool: PgPoolOptions::new().max_connections(4).connect(url).await.unwrap() }
    }

    /// Number of statements that wait for a lock.
    pub(crate) async fn waiting_for_locks(&self) -> i64 {
        self.value("count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
            .await
    }

    /// Makes the server refuse writes in all sessions but this test's, or accept them again.
    pub(crate) async fn set_read_only(&self, read_only: bool) {
        let mut connection = self.pool.acquire().await.unwrap();
        let value = if read_only { "on" } else { "off" };
        let sql = format!("ALTER SYSTEM SET default_transaction_read_only = {value}");
        sqlx::query(AssertSqlSafe(sql)).execute(&mut *connection).await.unwrap();
        sqlx::query("SELECT pg_reload_conf()").execute(&mut *connection).await.unwrap();
    }

    /// Logs every claim of a job from now on.
    pub(crate) async fn log_claims(&self) {
        sqlx::raw_sql(LOG_CLAIMS).execute(&self.pool).await.unwrap();
    }

    /// The value of this expression. Waits while the database cannot be reached.
    async fn value<T>(&self, expression: &str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        let sql = format!("SELECT {expression}");
        eventually(expression, async || {
            match sqlx::query_scalar(AssertSqlSafe(sql.clone())).fetch_one(&self.pool).await {
                Ok(value) => Some(value),
                Err(error) => {
                    assert!(is_unavailable(&error), "{sql}: {error}");
                    None
                }
            }
        })
        .await
    }

    async fn wait_until(&self, condition: &str) {
        let condition_holds = async {
            while !self.value::<Option<bool>>(condition).await.unwrap_or(false) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let is_in_time = tokio::time::timeout(TIMEOUT, condition_holds).await.is_ok();
        assert!(is_in_time, "timed out waiting until {condition}\n{}", self.unfinished_jobs().await);
    }

    /// Ten of the jobs that have not ended, for error messages.
    async fn unfinished_jobs(&self) -> String {
        let rows = "(SELECT string_agg((to_jsonb(unfinished) - 'job')::text, E'\\n') FROM (
            SELECT * FROM apalis.jobs WHERE status IN ('Pending', 'Running') LIMIT 10) AS unfinished)";
        self.value::<Option<String>>(rows).await.unwrap_or_default()
    }

    /// Waits until every job has ended.
    pub(crate) async fn wait_until_settled(&self) {
        self.wait_until("NOT EXISTS (SELECT FROM apalis.jobs WHERE status IN ('Pending', 'Running'))").await;
    }

    /// Waits until at least this number of images is finished.
    pub(crate) async fn wait_for_finished(&self, count: usize) {
        let condition = format!("(SELECT count(*) >= {count} FROM image_states WHERE status IN ('ready', 'failed'))");
        self.wait_until(&condition).await;
    }

    /// Waits until at least this number of jobs is running.
    pub(crate) async fn wait_for_running_jobs(&self, count: usize) {
        self.wait_until(&format!("(SELECT count(*) >= {count} FROM apalis.jobs WHERE status = 'Running')")).await;
    }

    /// Waits until an image has this status.
    pub(crate) async fn wait_for_image_status(&self, image: &str, status: &str) {
        self.wait_until(&format!("(SELECT status = '{status}' FROM image_states WHERE id = '{image}')")).await;
    }

    /// Waits until an attempt at an image has begun.
    pub(crate) async fn wait_for_image_start(&self, image: &str) {
        self.wait_until(&format!("(SELECT attempts > 0 FROM image_states WHERE id = '{image}')")).await;
    }

    /// Waits until no job runs.
    pub(crate) async fn wait_for_no_running_jobs(&self) {
        self.wait_until("NOT EXISTS (SELECT FROM apalis.jobs WHERE status = 'Running')").await;
    }

    /// Waits until every job of a queue has ended.
    pub(crate) async fn wait_until_queue_settled(&self, queue: &str) {
        let unfinished = "SELECT FROM apalis.jobs WHERE status IN ('Pending', 'Running')";
        self.wait_until(&format!("NOT EXISTS ({unfinished} AND job_type = '{queue}')")).await;
    }

    /// Makes the intents of all attempts look old enough for the sweep.
    pub(crate) async fn make_put_intents_old(&self) {
        sqlx::query("UPDATE put_intents SET since = now() - interval '3 days'").execute(&self.pool).await.unwrap();
    }

    /// Number of attempts that may have left objects.
    pub(crate) async fn put_intents(&self) -> i64 {
        self.value("count(*) FROM put_intents").await
    }

    /// Number of images that are being deleted.
    pub(crate) async fn deleting_images(&self) -> i64 {
        self.value("count(*) FROM image_states WHERE status = 'deleting'").await
    }

    /// Number of queued images.
    pub(crate) async fn queued_images(&self) -> i64 {
        self.value("count(*) FROM image_states WHERE status = 'queued'").await
    }

    /// Makes every delayed job due.
    pub(crate) async fn make_delayed_jobs_due(&self) {
        let sql = "UPDATE apalis.jobs SET run_at = now() WHERE status = 'Pending' AND hold_reason = 'delayed'";
        sqlx::query(sql).execute(&self.pool).await.unwrap();
    }

    /// Waits for the retry of the only deletion, and makes it look as if this number of attempts had failed.
    pub(crate) async fn pretend_failed_deletions(&self, attempts: i32) {
        let sql = "UPDATE apalis.jobs SET attempts = $1, fence = $1, run_at = now()
            WHERE job_type = 'delete-image' AND status = 'Pending'";
        eventually("the deletion waits", async || {
            let done = sqlx::query(sql).bind(attempts).execute(&self.pool).await.unwrap();
            (done.rows_affected() == 1).then_some(())
        })
        .await;
    }

    /// Removes every job that deletes an image.
    pub(crate) async fn remove_deletions(&self) {
        sqlx::query("DELETE FROM apalis.jobs WHERE job_type = 'delete-image'").execute(&self.pool).await.unwrap();
    }

    /// Runs statements in one transaction, again where it met a deadlock with the stack.
    pub(crate) async fn migrate(&self, statements: &str) {
        eventually("a migration is through", async || {
            let run = async {
                let mut tx = self.pool.begin().await?;
                sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut *tx).await?;
                tx.commit().await
            };
            let result = run.await;
            let is_deadlock =
                |error: &sqlx::Error| error.as_database_error().is_some_and(|e| e.code() == Some("40P01".into()));
            match result {
                Err(error) if is_deadlock(&error) => None,
                result => {
                    result.unwrap();
                    Some(())
                }
            }
        })
        .await;
    }

    /// Removes the image and the job that `upgrade` wrote as a newer version. The job must be untouched.
    pub(crate) async fn remove_written_by_newer(&self) {
        sqlx::query(
            "DELETE FROM images USING image_states AS state
            WHERE state.owner = images.owner AND state.id = images.id AND status = 'resting'",
        )
        .execute(&self.pool)
        .await
        .unwrap();
        let removed = "DELETE FROM apalis.jobs WHERE job_type = 'dream-image' AND status = 'Pending' AND fence = 0";
        assert_eq!(sqlx::query(removed).execute(&self.pool).await.unwrap().rows_affected(), 1);
    }

    /// Adds images that an outage has failed: every second with its killed job, the others after that was pruned.
    pub(crate) async fn add_unavailable_images(&self, count: i64) {
        let sql = "
            CREATE TEMPORARY TABLE outage ON COMMIT DROP AS
                SELECT n, (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint), 12, '0') || '7000'
                    || '8000' || lpad(to_hex(n), 12, '0'))::uuid AS id
                FROM generate_series(1, $COUNT) AS n;
            INSERT INTO images (owner, id, title, title_folded, terms, folding, recipe, source_format, source_width,
                source_height, source_frames, source_bytes, source_sha256, source_scans, source_bits_per_pixel,
                source_decoded_pixels)
            SELECT 1, id, 'a', 'a', '{}', 2, '{}', 'png', 1, 1, 1, 1, decode(repeat('00', 32), 'hex'), 1, 24, 1 FROM outage;
            INSERT INTO image_states (owner, id, status, attempts, started_at, finished_at, failure_code, failure_detail)
            SELECT 1, id, 'failed', 10, now(), now(), 'unavailable', 'It was tried.' FROM outage;
            INSERT INTO apalis.jobs (id, job_type, job, status, attempts, fence, max_attempts, done_at, reason,
                idempotency_key, lane)
            SELECT '01ARZ3NDEK' || lpad(n::text, 16, '0'), 'process-image',
                convert_to(json_build_object('owner', 1, 'image', id)::text, 'UTF8'), 'Killed', 10, 10, 10, now(), 'exhausted',
                id::text, ''
            FROM outage WHERE n % 2 = 0;";
        let sql = format!("BEGIN; {} COMMIT", sql.replace("$COUNT", &count.to_string()));
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&self.pool).await.unwrap();
    }

    /// Waits until this number of attempts at an image have begun.
    pub(crate) async fn wait_for_image_attempts(&self, image: &str, attempts: u32) {
        self.wait_until(&format!("(SELECT attempts = {attempts} FROM image_states WHERE id = '{image}')")).await;
    }

    /// Waits until the job of an image runs under its claim of this number.
    pub(crate) async fn wait_for_claim(&self, image: &str, claim: u32) {
        let condition =
            "(SELECT status = 'Running' AND fence = {claim} FROM apalis.jobs WHERE idempotency_key = '{image}')";
        self.wait_until(&condition.replace("{claim}", &claim.to_string()).replace("{image}", image)).await;
    }

    /// Waits until more errors of attempts are recorded than this number.
    pub(crate) async fn wait_for_more_errors_than(&self, errors: i64) {
        self.wait_until(&format!("{ERRORS} > {errors}")).await;
    }

    /// Number of errors of attempts that are recorded.
    pub(crate) async fn errors(&self) -> i64 {
        self.value(ERRORS).await
    }

    /// The job of an image.
    pub(crate) async fn job(&self, image: &str) -> Job {
        let sql = "SELECT lock_by AS worker, reason, crashes FROM apalis.jobs WHERE idempotency_key = $1";
        sqlx::query_as(sql).bind(image).fetch_one(&self.pool).await.unwrap()
    }

    /// Every column of an image, its renditions and its job, as text.
    pub(crate) async fn rows_of(&self, image: &str) -> String {
        let rows = format!(
            "concat(
                (SELECT images::text FROM images WHERE id = '{image}'),
                (SELECT state::text FROM image_states AS state WHERE id = '{image}'),
                (SELECT string_agg(renditions::text, '' ORDER BY name) FROM renditions WHERE image_id = '{image}'),
                (SELECT job::text FROM apalis.jobs AS job WHERE idempotency_key = '{image}'))"
        );
        self.value(&rows).await
    }

    /// Number of running jobs.
    pub(crate) async fn running_jobs(&self) -> i64 {
        self.value("count(*) FROM apalis.jobs WHERE status = 'Running'").await
    }

    /// Number of jobs that failed for good.
    pub(crate) async fn killed_jobs(&self) -> i64 {
        self.value("count(*) FROM apalis.jobs WHERE status = 'Killed'").await
    }

    /// Number of pending jobs that render an image.
    pub(crate) async fn pending_image_jobs(&self) -> i64 {
        self.value("count(*) FROM apalis.jobs WHERE job_type = 'process-image' AND status = 'Pending'").await
    }

    /// Number of jobs with a crash.
    pub(crate) async fn crashed_jobs(&self) -> i64 {
        self.value("count(*) FROM apalis.jobs WHERE crashes > 0").await
    }

    /// Number of jobs with a second attempt or a crash.
    pub(crate) async fn jobs_with_failed_attempts(&self) -> i64 {
        self.value("count(*) FROM apalis.jobs WHERE attempts > 1 OR crashes > 0").await
    }

    /// Number of jobs that were claimed more than once.
    pub(crate) async fn jobs_claimed_again(&self) -> i64 {
        self.value("count(*) FROM apalis.jobs WHERE fence > 1").await
    }

    /// Number of claims, over all jobs of images.
    pub(crate) async fn claims(&self) -> i64 {
        self.value("sum(fence)::bigint FROM apalis.jobs WHERE job_type = 'process-image'").await
    }

    /// Number of images with more than one attempt.
    pub(crate) async fn images_started_again(&self) -> i64 {
        self.value("count(*) FROM image_states WHERE attempts > 1").await
    }

    /// The images in the order in which they ended, and whether each has more than a million pixels.
    pub(crate) async fn ends_of_images(&self) -> Vec<(String, bool)> {
        let sql = "SELECT ended.id, source_width::bigint * source_height > 1000000 FROM ended
            JOIN images ON images.id::text = ended.id WHERE what = 'image' ORDER BY n";
        sqlx::query_as(sql).fetch_all(&self.pool).await.unwrap()
    }

    /// The images of more than a million pixels in the order in which their first attempts began.
    pub(crate) async fn starts_of_large_images(&self) -> Vec<String> {
        let sql = "SELECT id::text FROM images JOIN image_states USING (owner, id)
            WHERE source_width::bigint * source_height > 1000000 ORDER BY started_at";
        sqlx::query_scalar(sql).fetch_all(&self.pool).await.unwrap()
    }

    /// The most images of more than a million pixels that began after a smaller one and ended before it.
    pub(crate) async fn large_images_before_a_small_one(&self) -> i64 {
        let sql = "WITH sized AS (SELECT *, source_width::bigint * source_height > 1000000 AS is_large
                FROM images JOIN image_states USING (owner, id))
            SELECT count(*) FROM sized AS small JOIN sized AS large
                ON large.started_at > small.started_at AND large.finished_at < small.finished_at
            WHERE large.is_large AND NOT small.is_large GROUP BY small.id ORDER BY count(*) DESC LIMIT 1";
        sqlx::query_scalar(sql).fetch_optional(&self.pool).await.unwrap().unwrap_or(0)
    }

    /// The longest times in seconds from the start to the end of an image: of those of more than a million pixels, and of the
    /// others.
    pub(crate) async fn longest_seconds(&self) -> (f64, f64) {
        let sql = "SELECT coalesce(max(seconds) FILTER (WHERE is_large), 0), coalesce(max(seconds) FILTER (WHERE NOT is_large), 0)
            FROM (SELECT extract(epoch FROM finished_at - started_at)::float8 AS seconds,
                source_width::bigint * source_height > 1000000 AS is_large
                FROM images JOIN image_states USING (owner, id)) AS sized";
        sqlx::query_as(sql).fetch_one(&self.pool).await.unwrap()
    }

    /// Number of running jobs that have not begun to work: they wait for memory.
    pub(crate) async fn idle_jobs(&self) -> i64 {
        self.value("count(*) FROM apalis.jobs WHERE status = 'Running' AND idle_fence = fence").await
    }

    /// The images with a running attempt that has begun.
    pub(crate) async fn begun_images(&self) -> BTreeSet<String> {
        let sql = "SELECT idempotency_key FROM apalis.jobs
            WHERE job_type = 'process-image' AND status = 'Running' AND idle_fence IS DISTINCT FROM fence";
        sqlx::query_scalar::<_, String>(sql).fetch_all(&self.pool).await.unwrap().into_iter().collect()
    }

    /// The images whose jobs were charged with a crash.
    pub(crate) async fn crashed_images(&self) -> BTreeSet<String> {
        let sql = "SELECT idempotency_key FROM apalis.jobs WHERE job_type = 'process-image' AND crashes > 0";
        sqlx::query_scalar::<_, String>(sql).fetch_all(&self.pool).await.unwrap().into_iter().collect()
    }

    /// Number of workers that claimed a job of an image.
    pub(crate) async fn workers_of_images(&self) -> i64 {
        self.value("count(DISTINCT lock_by) FROM apalis.jobs WHERE job_type = 'process-image'").await
    }

    /// Number of registered workers.
    pub(crate) async fn registered_workers(&self) -> i64 {
        self.value("count(*) FROM apalis.workers").await
    }

    /// Number of ends of jobs of this lane.
    pub(crate) async fn ends_of_lane(&self, lane: &str) -> i64 {
        self.value(&format!("count(*) FROM ended WHERE lane = '{lane}'")).await
    }

    /// Number of claims before the first claim of this lane.
    pub(crate) async fn claims_before_lane(&self, lane: &str) -> i64 {
        self.value(&format!("count(*) FROM claimed WHERE n < (SELECT min(n) FROM claimed WHERE lane = '{lane}')")).await
    }

    /// The result of a query with two columns, the first unique.
    async fn map(&self, sql: &str) -> BTreeMap<String, String> {
        let rows = sqlx::query_as::<_, (String, String)>(AssertSqlSafe(sql.to_owned()));
        rows.fetch_all(&self.pool).await.unwrap().into_iter().collect()
    }

    /// The status of every image, or the code of its failure.
    pub(crate) async fn images(&self) -> BTreeMap<String, String> {
        self.map("SELECT id::text, coalesce(failure_code, status) FROM image_states").await
    }

    /// Jobs and images that ended more than once.
    pub(crate) async fn ended_again(&self) -> BTreeMap<String, String> {
        self.map(
            "SELECT what || ' ' || id, string_agg(status, ' then ' ORDER BY n) FROM ended GROUP BY what, id
             HAVING count(*) > 1",
        )
        .await
    }

    /// Images without exactly one job that renders them.
    pub(crate) async fn images_without_one_job(&self) -> BTreeMap<String, String> {
        self.map(
            "SELECT images.id::text, 'has ' || count(job.id) || ' jobs' FROM images
             LEFT JOIN apalis.jobs AS job ON job.job_type = 'process-image' AND job.idempotency_key = images.id::text
             GROUP BY images.id HAVING count(job.id) <> 1",
        )
        .await
    }

    /// Jobs with a failed attempt that left no error, or with a crash that was not counted.
    pub(crate) async fn miscounted_jobs(&self) -> BTreeMap<String, String> {
        self.map(
            "SELECT id, status || ': ' || attempts || ' attempts, ' || crashes || ' crashes, ' || coalesce(errors, '[]')
             FROM (
                 SELECT *, coalesce(jsonb_array_length(errors), 0) AS failures,
                     (SELECT count(*) FROM jsonb_array_elements(errors) AS error WHERE error ->> 'kind' = 'crash') AS died
                 FROM apalis.jobs
             ) AS job
             WHERE crashes <> died OR attempts <> failures + CASE status WHEN 'Done' THEN 1 ELSE 0 END",
        )
        .await
    }

    /// Images with more attempts than claims of their job.
    pub(crate) async fn images_started_without_claim(&self) -> BTreeMap<String, String> {
        self.map(
            "SELECT images.id::text, images.attempts || ' starts, claimed ' || job.fence || ' times' FROM image_states AS images
             JOIN apalis.jobs AS job ON job.job_type = 'process-image' AND job.idempotency_key = images.id::text
             WHERE images.attempts > job.fence",
        )
        .await
    }

    /// Key and length of every rendition of a ready image.
    pub(crate) async fn renditions(&self) -> BTreeSet<(String, i64)> {
        let sql = "SELECT format('images/%s/%s/%s/%s-%s.%s', right(image_id::text, 2), owner, image_id, split_part(name, '.', 1),
                    encode(substring(sha256 FOR 8), 'hex'), format), bytes
             FROM renditions JOIN image_states AS state USING (owner) WHERE state.id = image_id AND status = 'ready'";
        sqlx::query_as(sql).fetch_all(&self.pool).await.unwrap().into_iter().collect()
    }

    /// Number of ready images without renditions.
    pub(crate) async fn ready_images_without_renditions(&self) -> i64 {
        let expression = "count(*) FROM image_states WHERE status = 'ready' AND NOT EXISTS (
            SELECT FROM renditions WHERE image_id = id)";
        self.value(expression).await
    }
}

/// Errors of attempts, summed over all jobs.
const ERRORS: &str = "(SELECT coalesce(sum(jsonb_array_length(errors)), 0) FROM apalis.jobs)";

/// Terminates every connection of the api and the workers, including their listeners. Returns how many.
pub(crate) async fn terminate_connections(db: impl PgExecutor<'_>) -> i64 {
    let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name IN ('darkroom', 'queue')";
    sqlx::query_scalar(sql).fetch_one(db).await.unwrap()
}

/// Whether Postgres cannot be reached, in contrast to a statement that is wrong.
fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut => true,
        // SQLSTATE classes (PostgreSQL manual, appendix A): operator intervention, insufficient resources.
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| ["57", "53"].iter().any(|class| code.starts_with(class)))
        }
        _ => false,
    }
}
