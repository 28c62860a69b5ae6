//! The queue.
#![forbid(unsafe_code)]

mod backoff;
pub mod control;
mod enqueue;
mod handler;
mod job;
mod lease;
mod migrate;
#[cfg(test)]
mod model;
mod options;
mod outcome;
mod schema;
#[cfg(test)]
mod statements;
mod status;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(test)]
#[path = "../tests/queue/database.rs"]
mod test_database;
mod text_enum;
mod timeout;
mod worker;

pub use sqlx;

pub use backoff::Backoff;
pub use enqueue::{Enqueue, Enqueued, QueueError, enqueue, enqueue_all};
pub use handler::Handler;
pub use job::{BoxError, InvalidJobId, Job, JobId};
pub use lease::{CompleteError, Lease, StopReason};
pub use migrate::{MigrateError, Migration, SchemaError, migrate, migrations, verify};
pub use options::{QueueOptions, Retention, SupervisorOptions, Thresholds};
pub use outcome::{ErrorKind, Failure, FailureReason, JobError, OrFail};
pub use schema::{InvalidSchema, Schema};
pub use text_enum::UnknownValue;
pub use worker::{
    registry::AlreadyWorked,
    schedule::ScheduleError,
    supervisor::{Drained, Supervisor},
};
