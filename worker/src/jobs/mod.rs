//! The handlers of the jobs that [`darkroom_shared::jobs`] declares, one per module.

pub mod delete_image;
pub mod process_image;
pub mod prune_idempotency_keys;
pub mod refold_titles;
pub mod resume_deletions;
pub mod retry_images;
pub mod sweep;
