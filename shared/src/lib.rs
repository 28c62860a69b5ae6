//! What Darkroom's two binaries share. The map:
//!
//! | module | what it holds |
//! |---|---|
//! | [`lifecycle`] | the image lifecycle as types |
//! | [`catalog`] | every SQL statement about images |
//! | [`bucket`] | the S3 bucket of the renditions, object keys, presigned URLs |
//! | [`staging`] | where an upload waits until it is rendered |
//! | [`jobs`] | every job: what it carries, its queue, its attempts |
//! | [`search`] | how titles are searched |
//! | [`database`] | the pool and the migrations |
//! | [`config`] | every setting, from the environment, checked at start |
//! | [`api_limits`] | settings: what the api takes on before it refuses |
//! | [`telemetry`] | logs |

pub mod api_limits;
pub mod bucket;
pub mod catalog;
pub mod config;
pub mod database;
pub mod jobs;
pub mod lifecycle;
mod search;
pub mod staging;
pub mod telemetry;
