//! Owners.

use std::{fmt, num::ParseIntError, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::ImageId;

/// The owner of an image or a key: the id of a row of the table `owners`. Having an `Owner` grants no access: callers are
/// authenticated before one is made for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Owner(i32);

impl Owner {
    /// The owner that every installation has from the start, named `default`.
    pub const DEFAULT: Self = Self(1);

    /// The owner with this id. It need not exist.
    #[must_use]
    pub const fn from_id(id: i32) -> Self {
        Self(id)
    }

    /// The id, for the database.
    #[must_use]
    pub const fn id(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Owner {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        text.parse().map(Self)
    }
}

/// An image together with its owner, where images of several owners meet: in a job, in a listing of files, in a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnedImage {
    /// Whose it is.
    pub owner: Owner,
    /// Its id.
    pub id: ImageId,
}

impl fmt::Display for OwnedImage {
    /// `<owner>/<id>`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.id)
    }
}
