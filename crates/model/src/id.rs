//! Ids.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Names an image. A `UUIDv7` (RFC 9562), so ids sort by the time of their making.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageId(pub Uuid);

impl ImageId {
    /// A new id for an image accepted now.
    #[must_use]
    pub fn now() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
