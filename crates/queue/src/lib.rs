//! A job queue in Postgres: jobs are enqueued in the transaction that makes them necessary, and run at least once, whatever
//! crashes.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use darkroom_queue::{
//!     Enqueue, Job, JobError, Lease, QueueOptions, Supervisor, SupervisorOptions, enqueue, migrate, sqlx::PgPool,
//! };
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Greet { name: String }
//! impl Job for Greet { const QUEUE: &'static str = "greet"; }
//!
//! async fn greet(job: Greet, _: Lease) -> Result<(), JobError> {
//!     println!("hello {}", job.name);
//!     Ok(())
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let db = PgPool::connect(&std::env::var("DATABASE_URL")?).await?;
//!     migrate(&db).await?;
//!     let supervisor = Supervisor::start(SupervisorOptions::new("first"), &db.connect_options())?;
//!     supervisor.work(QueueOptions::new(4), greet)?;
//!     let mut tx = db.begin().await?;
//!     enqueue(&mut tx, &Greet { name: "Ada".into() }, &Enqueue::new()).await?;
//!     tx.commit().await?;
//!     supervisor.notifier().notify(Greet::QUEUE);
//!     tokio::signal::ctrl_c().await?;
//!     supervisor.drain(Duration::from_secs(30)).await;
//!     Ok(())
//! }
//! ```
//!
//! One job type is one queue, with a concurrency, a deadline, lanes, a pause and a limit of its own. Producers need the job
//! type, a connection and [`enqueue`]; they need neither a client object nor the handler's dependencies.
//!
//! # What is promised
//!
//! - **At least once.** A job whose transaction was committed runs until it is Done, or Killed with a reason. A crash of a
//!   process, of Postgres or of the network loses none.
//! - **Exactly once, in Postgres.** What a handler writes in the transaction in which it calls [`Lease::complete`] takes
//!   effect once: a fencing token refuses an attempt whose worker was taken for dead.
//! - **Not before its transaction, and soon after.** A process that has a [`Notifier`] marks the queue after its commit: about a
//!   millisecond later an idle worker starts the job. Without one, or when a notification is lost, the next poll finds the job
//!   within about a second.
//! - **Order.** Higher priorities first, then lanes in turn, then order of arrival. At most 100 ms of a busy queue overtake a
//!   job of a higher priority. Retries and parallel workers reorder.
//! - **A crash costs one lease.** The jobs of a dead process run elsewhere after at most 8 s (a lease of 6 s). A crash is not
//!   an error of the job. A job that kills its workers runs alone at last and is quarantined, without the jobs beside it.
//! - **An outage of Postgres costs nothing else.** Workers wait, running jobs go on, and nothing runs twice because of it.
//! - **The failure hook is part of the end.** [`Handler::failed`] runs in the transaction that ends the job, in whichever
//!   process ends it.
//!
//! # What it is not
//!
//! - Not exactly once outside Postgres: a mail may be sent twice. Use the job's id as the idempotency key of such calls.
//! - Not a workflow engine, not a stream with several consumers, not a store for large payloads (keep them below some 100 kB,
//!   and put the rest elsewhere).
//! - Not for other databases. Postgres 14 or newer.
//!
//! # Limits
//!
//! - Six connections a process, and now and then two more, beside the pool of the application; one for a [`Notifier`] alone. See
//!   [`SupervisorOptions::pooler`] for poolers.
//! - All processes of a schema use the same [`SupervisorOptions::lease`].
//! - The clock is the database's; clocks of workers decide nothing.
//! - Finished jobs are kept for [a week](Retention), and take part in [`Enqueue::key`] until they are pruned.
//!
//! # States
//!
//! ```text
//!             enqueue                      claim: fence + 1, attempts + 1
//!                │        ┌──────────────────────────────────────────────┐
//!                ▼        │                                              ▼
//!     ┌───────────────────┴──────┐                              ┌─────────────────┐  complete   ┌──────┐
//!     │ Pending                  │◀── error, attempts left ─────┤ Running         ├────────────▶│ Done │
//!     │  hold_reason: none       │◀── snooze (attempts − 1) ────┤  lock_by, fence │             └──────┘
//!     │     delayed (run_at)     │◀── handed back (attempts − 1)┤  hold_reason:   │
//!     │     suspect              │◀── worker died (crashes + 1) ┤   none, suspect │
//!     │     cancel               │                              │   cancel        │
//!     └───────────┬──────────────┘                              └────────┬────────┘
//!                 │ cancelled                                            │ failed, exhausted,
//!                 ▼                                                      ▼ quarantined, cancelled
//!                 └────────────────────────▶ Killed ◀────────────────────┘
//! ```
//!
//! # apalis
//!
//! Handlers run on [apalis](https://docs.rs/apalis-core)' worker, over a backend of this crate; the tables have the columns of
//! apalis-postgres 1.0, in its schema `apalis`, so apalis' board reads them. Claims, leases, retries and rescue are this
//! crate's own. Workers of apalis-postgres must not run on the same tables: a CHECK refuses their states. apalis-core is
//! pinned to 1.0; users of this crate need not name it.
//!
//! # The public surface
//!
//! | what | items |
//! |---|---|
//! | jobs | [`Job`], [`JobId`], [`InvalidJobId`] |
//! | enqueue | [`enqueue`](fn@enqueue), [`enqueue_all`], [`Enqueue`], [`Enqueued`], [`QueueError`], [`Notifier`] |
//! | run | [`Handler`], [`Lease`], [`StopReason`], [`CompleteError`], [`JobError`], [`OrFail`], [`BoxError`] |
//! | failures | [`Failure`], [`FailureReason`], [`ErrorKind`] |
//! | processes | [`Supervisor`], [`SupervisorOptions`], [`QueueOptions`], [`Backoff`], [`Retention`], [`Thresholds`], [`Drained`], [`AlreadyWorked`], [`ScheduleError`] |
//! | operators | [`control::Control`] and its results |
//! | tables | [`migrate`](fn@migrate), [`verify`], [`migrations`], [`Migration`], [`MigrateError`], [`SchemaError`], [`Schema`], [`InvalidSchema`], [`UnknownValue`] |
//! | tests | the module `testing`, with the feature of that name |
//! | sqlx | [`sqlx`], the version whose types these are. TLS is the application's choice: add `sqlx` with a TLS feature |
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
mod notifier;
mod options;
mod outcome;
mod schema;
#[cfg(test)]
mod statements;
mod status;
#[cfg(test)]
#[path = "../tests/queue/database.rs"]
mod test_database;
#[cfg(feature = "testing")]
pub mod testing;
mod text_enum;
mod timeout;
mod worker;

pub use sqlx;

pub use backoff::Backoff;
pub use enqueue::{Enqueue, Enqueued, QueueError, enqueue, enqueue_all};
pub use handler::Handler;
pub use job::{BoxError, InvalidJobId, Job, JobId};
pub use lease::{CompleteError, IdleWait, Lease, StopReason};
pub use migrate::{MigrateError, Migration, SchemaError, migrate, migrations, verify};
pub use notifier::Notifier;
pub use options::{QueueOptions, Retention, SupervisorOptions, Thresholds};
pub use outcome::{ErrorKind, Failure, FailureReason, JobError, OrFail};
pub use schema::{InvalidSchema, Schema};
pub use text_enum::UnknownValue;
pub use worker::{
    registry::AlreadyWorked,
    schedule::ScheduleError,
    supervisor::{Drained, Supervisor},
};
