//! The queue: jobs in Postgres, claimed with `FOR UPDATE SKIP LOCKED`, run by apalis workers.
//!
//! The table is `apalis.jobs`, so what reads it (apalis' board) works. Claiming, leases, retries and rescue are our own:
//! an apalis [`Backend`](apalis_core::backend::Backend) whose errors cannot reach apalis, so no fault of the database
//! ends a worker. `docs/queue.md` draws the state machine.
//!
//! | file | what it holds |
//! |---|---|
//! | `job.rs` | what a job is, and how its attempt may end |
//! | `enqueue.rs` | adding jobs, in the caller's transaction |
//! | `supervisor.rs` | one per process: starts and drains the tasks below |
//! | `claim.rs`, `frontier.rs` | takes due jobs, as many as there is room for; where a busy queue's next claim begins |
//! | `lease.rs`, `roster.rs` | the right to finish a job; all leases of this process |
//! | `heartbeat.rs` | keeps the leases, on a thread of its own |
//! | `acknowledge.rs` | writes how attempts ended, many in one commit |
//! | `failure.rs` | ends a job for good, with its queue's hook, in one transaction |
//! | `rescue.rs` | takes jobs back from dead workers; releases delayed jobs when they are due |
//! | `schedule.rs` | queues jobs by the clock |
//! | `prune.rs` | removes what has ended long ago |
//! | `control.rs` | what an operator sees, and can say |
//! | `check.rs` | what will hurt soon: late jobs, queues without workers, a horizon that is held back |
//! | `listen.rs` | hears of new jobs |
//! | `backend.rs`, `inbox.rs`, `attempt.rs` | the apalis side: hands jobs to handlers and judges their results |
//! | `backoff.rs`, `link.rs` | how long to wait; a connection that heals |

mod acknowledge;
mod attempt;
mod backend;
mod backoff;
mod check;
mod claim;
pub mod control;
mod enqueue;
mod failure;
mod frontier;
mod heartbeat;
mod inbox;
mod job;
mod lease;
mod link;
mod listen;
#[cfg(test)]
mod model;
mod prune;
mod rescue;
mod roster;
mod schedule;
mod supervisor;

pub use backend::Queue;
pub use backoff::Backoff;
pub use check::{Thresholds, Warning, check};
pub use enqueue::{Enqueue, Enqueued, QueueError, enqueue, enqueue_all};
pub use failure::{ErrorKind, Failure, FailureReason};
pub use inbox::QueueOptions;
pub use job::{BoxError, Job, JobError, JobId};
pub use lease::{CompleteError, Lease, StopReason};
pub use prune::{Pruned, Retention, prune};
pub use schedule::{NextRun, ScheduleError, next_runs};
pub use supervisor::{Drained, Supervisor, SupervisorOptions};
