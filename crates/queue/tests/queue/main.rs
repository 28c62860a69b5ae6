//! The queue against a real Postgres.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod checking;
mod control;
mod database;
mod draining;
mod enqueueing;
mod leases;
mod migrating;
mod notifying;
mod outages;
mod outcomes;
mod pruning;
mod schedules;
mod support;
