//! Both binaries as real processes, on a real Postgres and a real S3 server: from an upload to the picture behind its
//! URL, and what remains when either is killed half-way.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod crashes;
mod lifecycle;
mod operators;
mod pictures;

use darkroom_dev::testing::stack;
