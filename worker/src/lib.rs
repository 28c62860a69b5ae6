//! The worker: claims jobs, renders images, writes them to the bucket.

pub mod pipeline;
