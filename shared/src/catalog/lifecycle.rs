//! The image lifecycle as types.
//!
//! ```text
//! queued ──▶ processing ──▶ ready
//!    │           ├────────▶ failed
//!    │           └────────▶ queued      (an error that may pass; the queue tries again)
//!    ├────────▶ failed                  (its job failed for good before an attempt began)
//!    └──────── any ───────▶ deleting ──▶ gone
//! ```
//!
//! Only [`start`](super::start) makes a [`Processing`], and a [`Ready`] comes only from a [`Processing`]: the fields
//! and the constructor are private to the catalog. The schema enforces the same rules with CHECK constraints.

use darkroom_model::{Failure, ImageAnalysis, ImageId, OwnedImage, Owner, Rendition, recipe::Recipe};

use super::PutIntent;

/// An image that an attempt is rendering.
#[derive(Debug)]
pub struct Processing {
    intent: PutIntent,
    recipe: Recipe,
}

impl Processing {
    pub(super) fn new(intent: PutIntent, recipe: Recipe) -> Self {
        Self { intent, recipe }
    }

    /// The record that this attempt may store objects.
    pub fn intent(&self) -> PutIntent {
        self.intent
    }

    /// What to render.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The image with its renditions. All of them must be in the bucket.
    #[must_use]
    pub fn ready(self, renditions: Vec<Rendition>, analysis: ImageAnalysis) -> Ready {
        Ready { intent: self.intent, renditions, analysis }
    }

    /// The image as failed: it cannot be rendered, and another attempt would not help.
    #[must_use]
    pub fn failed(self, failure: Failure) -> Failed {
        Failed { image: self.intent.image(), failure }
    }
}

/// A rendered image, for [`save_ready`](super::save_ready).
#[derive(Debug)]
pub struct Ready {
    pub(super) intent: PutIntent,
    pub(super) renditions: Vec<Rendition>,
    pub(super) analysis: ImageAnalysis,
}

impl Ready {
    /// Which image it is.
    pub fn image(&self) -> OwnedImage {
        self.intent.image()
    }
}

/// A failed image, for [`save_failed`](super::save_failed).
#[derive(Debug)]
pub struct Failed {
    pub(super) image: OwnedImage,
    pub(super) failure: Failure,
}

impl Failed {
    /// An image whose job failed for good, whether or not an attempt at it has begun.
    #[must_use]
    pub fn by_job(owner: Owner, id: ImageId, failure: Failure) -> Self {
        Self { image: OwnedImage { owner, id }, failure }
    }

    /// Which image it is.
    pub fn image(&self) -> OwnedImage {
        self.image
    }

    /// Why it failed.
    pub fn failure(&self) -> &Failure {
        &self.failure
    }
}
