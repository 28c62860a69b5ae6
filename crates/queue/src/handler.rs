//! The code that runs a queue's jobs.

use sqlx::PgConnection;

use crate::{
    job::{BoxError, Job},
    lease::Lease,
    outcome::{Failure, JobError},
};

/// Runs the jobs of a queue. Implemented by every `async fn(J, Lease) -> Result<(), JobError>` and every closure like it;
/// implement it for a struct where the handler needs state and a failure hook.
///
/// ```
/// use darkroom_queue::{BoxError, Failure, Handler, Job, JobError, Lease, sqlx};
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Import { file: String }
/// impl Job for Import { const QUEUE: &'static str = "import"; }
///
/// struct Importer { db: sqlx::PgPool }
///
/// impl Handler<Import> for Importer {
///     async fn run(&self, job: Import, lease: Lease) -> Result<(), JobError> {
///         let mut tx = self.db.begin().await?;
///         lease.complete(&mut tx).await?;
///         sqlx::query("INSERT INTO files (name) VALUES ($1)").bind(job.file).execute(&mut *tx).await?;
///         Ok(tx.commit().await?)
///     }
///
///     async fn failed(&self, tx: &mut sqlx::PgConnection, job: &Import, why: &Failure) -> Result<(), BoxError> {
///         let sql = "INSERT INTO rejected (name, reason) VALUES ($1, $2)";
///         sqlx::query(sql).bind(&job.file).bind(why.reason.as_str()).execute(tx).await?;
///         Ok(())
///     }
/// }
/// ```
pub trait Handler<J: Job>: Send + Sync + 'static {
    /// One attempt. `Ok` completes the job, unless [`Lease::complete`] has done so already.
    ///
    /// The future is dropped at its deadline, and where it does not stop after it was asked to. It runs in a task of its
    /// own; a panic counts as an error of the attempt.
    fn run(&self, job: J, lease: Lease) -> impl Future<Output = Result<(), JobError>> + Send;

    /// The failure hook: runs in the transaction that marks the job as Killed, for whatever reason, in any process that
    /// works on the queue. By default nothing.
    ///
    /// Not called for a job that cannot be decoded.
    ///
    /// # Errors
    /// Both the hook's writes and the end of the job are rolled back, and the hook is called again after a second. So
    /// return an error only where another call may succeed.
    fn failed(
        &self,
        _tx: &mut PgConnection,
        _job: &J,
        _why: &Failure,
    ) -> impl Future<Output = Result<(), BoxError>> + Send {
        async { Ok(()) }
    }
}

impl<J, F, Fut> Handler<J> for F
where
    J: Job,
    F: Fn(J, Lease) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), JobError>> + Send,
{
    fn run(&self, job: J, lease: Lease) -> impl Future<Output = Result<(), JobError>> + Send {
        self(job, lease)
    }
}
