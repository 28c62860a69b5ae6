//! What Darkroom's two binaries share. The map:
//!
//! | module | what it holds |
//! |---|---|
//! | [`image`] | the image lifecycle as types, and recipes; no I/O |
//! | [`header`] | format, dimensions and frames of an upload, from its bytes alone |
//! | [`catalog`] | every SQL statement about images |
//! | [`bucket`] | the S3 bucket of the renditions, object keys, presigned URLs |
//! | [`staging`] | where an upload waits until it is rendered |
//! | [`jobs`] | every job: what it carries, its queue, its attempts |
//! | [`queue`] | the Postgres queue on apalis: enqueue, claim, lease, retry, schedule, prune |
//! | [`database`] | the pool and the migrations |
//! | [`config`] | every setting, from the environment, checked at start |
//! | [`telemetry`] | logs |

pub mod bucket;
pub mod catalog;
pub mod config;
pub mod database;
pub mod header;
pub mod image;
pub mod jobs;
pub mod queue;
pub mod staging;
pub mod telemetry;
