//! The tasks of a process that works on queues. [`supervisor`] starts them; each has a connection of its own.
//!
//! | file | what it does |
//! |---|---|
//! | `supervisor.rs` | starts the tasks, drains them |
//! | `claim.rs`, `claim_query.rs`, `frontier.rs` | claims due jobs, as many as there are free slots |
//! | `inbox.rs`, `erased_handler.rs`, `attempt.rs`, `backend.rs` | one queue: hands claimed jobs to the handler, by an apalis worker |
//! | `acknowledge.rs`, `final_failure.rs` | writes what becomes of jobs after their attempts, many in one commit |
//! | `heartbeat.rs` | keeps the leases, on a thread of its own |
//! | `rescue.rs` | requeues the jobs of dead workers, releases delayed jobs when they are due |
//! | `schedule.rs` | enqueues jobs by cron expressions |
//! | `listen.rs` | receives notifications of new jobs |
//! | `maintenance.rs` | prunes, and logs warnings |
//! | `vital_task.rs` | notices when one of these tasks has ended too early |
//! | `registry.rs`, `roster.rs`, `ack_sender.rs`, `health.rs`, `shutdown.rs` | what several tasks share |
//! | `connection.rs` | a connection that reconnects |

pub(crate) mod ack_sender;
pub(crate) mod acknowledge;
pub(crate) mod attempt;
mod backend;
pub(crate) mod claim;
pub(crate) mod claim_query;
pub(crate) mod connection;
pub(crate) mod erased_handler;
pub(crate) mod final_failure;
mod frontier;
pub(crate) mod health;
pub(crate) mod heartbeat;
pub(crate) mod inbox;
mod listen;
mod maintenance;
pub(crate) mod registry;
pub(crate) mod rescue;
pub(crate) mod roster;
pub(crate) mod schedule;
mod shutdown;
pub(crate) mod supervisor;
mod vital_task;
