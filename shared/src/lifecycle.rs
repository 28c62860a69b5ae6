//! The image lifecycle as types.
//!
//! ```text
//! queued ──▶ processing ──▶ ready
//!    │           ├────────▶ failed
//!    │           └────────▶ queued      (a transient fault; the queue tries again)
//!    ├────────▶ failed                  (its job is given up before it began)
//!    └──────── any ───────▶ deleting ──▶ gone
//! ```
//!
//! Only [`crate::catalog::start`] makes a [`Processing`], and only that makes a [`Ready`] or a [`Failed`]. The database
//! repeats this law with CHECK constraints and guarded updates (`migrations/`, [`crate::catalog`]).

use darkroom_model::{Failure, ImageAnalysis, ImageId, Rendition, recipe::Recipe};

/// An image that a worker has taken up: the only way to [`Ready`].
#[derive(Debug)]
pub struct Processing {
    pub(crate) id: ImageId,
    pub(crate) recipe: Recipe,
}

impl Processing {
    /// Which image.
    pub fn id(&self) -> ImageId {
        self.id
    }

    /// What to render.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// All renditions are in the bucket.
    #[must_use]
    pub fn ready(self, renditions: Vec<Rendition>, facts: ImageAnalysis) -> Ready {
        Ready { id: self.id, renditions, facts }
    }

    /// It cannot be rendered, and another attempt would not help.
    #[must_use]
    pub fn failed(self, failure: Failure) -> Failed {
        Failed { id: self.id, failure }
    }
}

/// A rendered image, to be saved by [`crate::catalog::save_ready`].
#[derive(Debug)]
pub struct Ready {
    pub(crate) id: ImageId,
    pub(crate) renditions: Vec<Rendition>,
    pub(crate) facts: ImageAnalysis,
}

impl Ready {
    /// Which image.
    pub fn id(&self) -> ImageId {
        self.id
    }
}

/// An image given up, to be saved by [`crate::catalog::save_failed`].
#[derive(Debug)]
pub struct Failed {
    pub(crate) id: ImageId,
    pub(crate) failure: Failure,
}

impl Failed {
    /// An image whose job is given up, whether or not a worker has taken it up.
    #[must_use]
    pub fn given_up(id: ImageId, failure: Failure) -> Self {
        Self { id, failure }
    }

    /// Which image.
    pub fn id(&self) -> ImageId {
        self.id
    }

    /// Why.
    pub fn failure(&self) -> &Failure {
        &self.failure
    }
}
