//! Both binaries as real processes, with a real Postgres and a real S3 server: from an upload to the rendition behind
//! its URL, and recovery after either is killed.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod crashes;
mod lifecycle;
mod operators;
mod pictures;

use darkroom_dev::testing::stack;
