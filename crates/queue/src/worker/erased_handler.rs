//! The handler of a queue without the type of its jobs, so that all other code of a worker is compiled once, and not once for
//! each job type.

use std::{marker::PhantomData, sync::Arc};

use futures::future::BoxFuture;
use sqlx::PgConnection;
use tracing::error;

use crate::{
    handler::Handler,
    job::{BoxError, Job},
    lease::Lease,
    outcome::{Failure, JobError},
};

/// Runs one attempt at a job that has been decoded.
pub(crate) type RunAttempt = Box<dyn FnOnce(Lease) -> BoxFuture<'static, Result<(), JobError>> + Send>;

/// A [`Handler`] of any job type.
pub(crate) trait ErasedHandler: Send + Sync {
    /// Decodes a job for one attempt.
    fn decode(self: Arc<Self>, payload: &[u8]) -> Result<RunAttempt, serde_json::Error>;

    /// Calls the failure hook, unless the job cannot be decoded.
    fn failed<'a>(
        &'a self,
        tx: &'a mut PgConnection,
        payload: &'a [u8],
        failure: &'a Failure,
    ) -> BoxFuture<'a, Result<(), BoxError>>;
}

struct TypedHandler<J, H> {
    handler: H,
    job: PhantomData<fn() -> J>,
}

/// Erases the type of the jobs.
pub(crate) fn erase<J: Job>(handler: impl Handler<J>) -> Arc<dyn ErasedHandler> {
    Arc::new(TypedHandler { handler, job: PhantomData })
}

impl<J: Job, H: Handler<J>> ErasedHandler for TypedHandler<J, H> {
    fn decode(self: Arc<Self>, payload: &[u8]) -> Result<RunAttempt, serde_json::Error> {
        let job: J = serde_json::from_slice(payload)?;
        Ok(Box::new(move |lease| Box::pin(async move { self.handler.run(job, lease).await })))
    }

    fn failed<'a>(
        &'a self,
        tx: &'a mut PgConnection,
        payload: &'a [u8],
        failure: &'a Failure,
    ) -> BoxFuture<'a, Result<(), BoxError>> {
        Box::pin(async move {
            match serde_json::from_slice(payload) {
                Ok(job) => self.handler.failed(tx, &job, failure).await,
                Err(cause) => {
                    error!(job = %failure.id, queue = J::QUEUE, %cause, "a job that cannot be decoded has failed: no hook");
                    Ok(())
                }
            }
        })
    }
}
