//! What Darkroom's two binaries share. The map:
//!
//! | module | what it holds |
//! |---|---|
//! | [`image`] | the image lifecycle as types, and recipes; no I/O |
//! | [`header`] | format, dimensions and frames of an upload, from its bytes alone |
//! | [`queue`] | the Postgres queue on apalis: enqueue, claim, lease, retry, schedule, prune |
//! | [`database`] | the pool and the migrations |

pub mod database;
pub mod header;
pub mod image;
pub mod queue;
