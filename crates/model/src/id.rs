//! Ids.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The id of an image: a `UUIDv7` (RFC 9562, section 5.7), so ids sort by the time of upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageId(Uuid);

impl ImageId {
    /// A new id for an image that is accepted now.
    pub fn now() -> Self {
        Self(Uuid::now_v7())
    }

    /// An id that a client, the database or a file name gave. It need not belong to an image.
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// When the image was accepted, in milliseconds after the start of 1970 in UTC, by the clock of the api that made the id.
    /// `None`: the id is not a `UUIDv7`.
    pub fn unix_millis(self) -> Option<u64> {
        let (seconds, nanos) = self.0.get_timestamp()?.to_unix();
        Some(seconds * 1000 + u64::from(nanos) / 1_000_000)
    }

    /// The id as a UUID, for the database.
    pub const fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ImageId {
    type Err = uuid::Error;

    /// Parses every text form that [`Uuid::try_parse`] accepts.
    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::try_parse(text).map(Self)
    }
}
