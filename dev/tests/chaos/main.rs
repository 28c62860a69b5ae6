//! Tests with faults while real processes work: killed and frozen workers, outages of Postgres and the S3 server, full
//! disks, wrong clocks. After each, [`harness::ChaosTest::assert_invariants`] checks every promise of the service.
//!
//! Long tests are ignored and run by `make chaos`. Random choices come from a seed that is printed;
//! `CHAOS_SEED=… make chaos` repeats them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod blocked_vacuum;
mod bucket;
mod burst;
mod clock;
mod connections;
mod database;
mod deletion;
mod drain;
mod harness;
mod hostile;
mod identity;
mod kill;
mod liveness;
mod memory;
mod outage;
mod pause;
mod poison;
mod pooler;
mod restore;
mod silence;
mod slow_clients;
mod staging;
mod upgrade;
mod worker_sizes;
