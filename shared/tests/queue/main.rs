//! The queue against a real Postgres: `DARKROOM_TEST_DATABASE_URL` names a server on which databases may be made.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod draining;
mod enqueueing;
mod leases;
mod outages;
mod outcomes;
mod support;
