//! Ends a job for good, with its queue's failure hook, in one transaction.

use sqlx::{Acquire as _, FromRow, PgConnection};
use tracing::warn;

use super::inbox::Inbox;
use crate::{
    job::{BoxError, JobId},
    outcome::{AttemptError, Failure, FailureReason},
    schema::Schema,
    status::JobStatus,
    timeout::with_timeout,
};

/// A final failure that is to be written.
#[derive(Debug)]
pub(crate) struct FinalFailure {
    pub(crate) id: JobId,
    pub(crate) fence: i32,
    /// The state it is in: Running, or Pending for a job that is cancelled before it runs.
    pub(crate) from: JobStatus,
    pub(crate) reason: FailureReason,
    pub(crate) error: AttemptError,
    pub(crate) source: Option<BoxError>,
}

/// Why a final failure was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FinalFailureError {
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
    #[error("the failure hook failed: {0}")]
    Hook(BoxError),
}

pub(crate) const KILL: &str = "
    UPDATE apalis.jobs SET status = 'Killed', done_at = now(), reason = $4, hold_reason = NULL,
        crashes = crashes + CASE WHEN $5 = 'crash' THEN 1 ELSE 0 END,
        errors = apalis.append_error(errors, attempts, lock_by, $5, $6),
        last_result = jsonb_build_object('Err', $6)
    WHERE id = $1 AND fence = $2 AND status = $3
    RETURNING attempts, job AS payload";

#[derive(FromRow)]
struct KilledRow {
    attempts: i32,
    payload: Vec<u8>,
}

impl FinalFailure {
    /// Writes it and calls the failure hook, in one transaction. `false`: the job is no longer in that state.
    pub(crate) async fn write(
        &mut self,
        schema: &Schema,
        conn: &mut PgConnection,
        queue: &Inbox,
    ) -> Result<bool, FinalFailureError> {
        let mut tx = with_timeout(conn.begin()).await?;
        let killed = with_timeout(self.kill(schema, &mut tx)).await?;
        let Some(KilledRow { attempts, payload }) = killed else { return Ok(false) };
        let mut failure = Failure {
            id: self.id,
            attempts: attempts.unsigned_abs(),
            reason: self.reason,
            kind: self.error.kind,
            message: self.error.message.clone(),
            source: self.source.take(),
        };
        let hook = with_timeout(async { Ok(queue.handler.failed(&mut tx, &payload, &failure).await) }).await;
        self.source = failure.source.take();
        hook?.map_err(FinalFailureError::Hook)?;
        with_timeout(tx.commit()).await?;
        warn!(job = %self.id, queue = queue.queue(), attempts, reason = %self.reason, error = self.error.message,
            "job failed");
        Ok(true)
    }

    async fn kill(&self, schema: &Schema, conn: &mut PgConnection) -> Result<Option<KilledRow>, sqlx::Error> {
        let query = sqlx::query_as(schema.sql(KILL)).bind(self.id.to_string()).bind(self.fence).bind(self.from);
        query.bind(self.reason).bind(self.error.kind).bind(&self.error.message).fetch_optional(conn).await
    }
}
