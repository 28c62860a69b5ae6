//! Faults, while real processes work: killed and frozen workers, a Postgres and an S3 server that go away, full disks,
//! wrong clocks. After each, [`trial::Trial::verdict`] looks at everything that was promised.
//!
//! What takes long is ignored here and run by `make chaos`. Random choices come from a seed that a failure prints;
//! `CHAOS_SEED=… make chaos` makes them again.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod bucket;
mod burst;
mod clock;
mod connections;
mod drain;
mod horizon;
mod hostile;
mod kill;
mod outage;
mod pause;
mod poison;
mod slow_clients;
mod staging;
mod trial;
