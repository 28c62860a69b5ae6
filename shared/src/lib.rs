//! What Darkroom's two binaries share.
//!
//! | module | what it holds |
//! |---|---|
//! | [`lifecycle`] | the states of an image as types |
//! | [`catalog`] | every SQL statement about images |
//! | [`access`] | every SQL statement about owners, API keys and the audit log |
//! | [`bucket`] | the S3 bucket of the renditions: object keys, presigned URLs |
//! | [`staging`] | where an upload waits until it is rendered |
//! | [`installation`] | whether the database, the bucket and staging belong together |
//! | [`jobs`] | every job: its payload, its queue, its attempts |
//! | [`quotas`] | what owners may use and what they use |
//! | [`idempotency`] | answers to requests that may be sent again |
//! | [`database`] | the connection pool and the migrations |
//! | [`settings`] | every setting, from the environment, checked at start |
//! | [`telemetry`] | logs |
//! | [`signals`] | the signals that stop a process |
#![forbid(unsafe_code)]

pub mod access;
pub mod bucket;
pub mod catalog;
pub mod database;
pub mod idempotency;
pub mod installation;
pub mod jobs;
pub mod quotas;
mod s3;
pub mod settings;
pub mod signals;
pub mod staging;
pub mod telemetry;

pub use catalog::lifecycle;
