//! Every job there is: what it carries, its queue and how often it may fail. The only declaration of each.

use serde::{Deserialize, Serialize};

use crate::{image::ImageId, queue::Job};

/// Renders an image, from its staged upload into the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessImage {
    /// Which image.
    pub image: ImageId,
}

impl Job for ProcessImage {
    const QUEUE: &'static str = "process-image";
    const MAX_ATTEMPTS: u32 = 10;
}

/// Removes an image: its objects, its staged upload and its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteImage {
    /// Which image.
    pub image: ImageId,
}

impl Job for DeleteImage {
    const QUEUE: &'static str = "delete-image";
    // More than for rendering: nobody watches a deletion, so it outlasts a long outage of the bucket.
    const MAX_ATTEMPTS: u32 = 20;
}

/// Removes what no image claims. Periodic: the place of Celery Beat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sweep {}

impl Job for Sweep {
    const QUEUE: &'static str = "sweep";
    const MAX_ATTEMPTS: u32 = 5;
}
