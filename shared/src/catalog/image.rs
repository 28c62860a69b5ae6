//! An image, and how its row becomes one.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use darkroom_model::{Failure, FailureCode, ImageId, Source, SourceFormat, Status, Title, recipe::Recipe};

use super::{
    CatalogError,
    columns::{colour, from_bigint, from_integer, sha256, string_enum},
};

/// An image to add.
#[derive(Debug)]
pub struct NewImage {
    /// Also the name of its staged file.
    pub id: ImageId,
    /// The title that its owner gave it.
    pub title: Title,
    /// What to render.
    pub recipe: Recipe,
    /// What the header of its file says.
    pub source: Source,
}

/// An image in the catalog.
#[derive(Debug, Clone)]
pub struct Image {
    /// Its id.
    pub id: ImageId,
    /// The title that its owner gave it.
    pub title: String,
    /// Its state in the lifecycle.
    pub status: Status,
    /// What the header of its file says.
    pub source: Source,
    /// How many attempts at rendering it have begun.
    pub attempts: u32,
    /// Why it failed, if its status is `failed`.
    pub failure: Option<Failure>,
    /// `ThumbHash`, once rendered.
    pub placeholder: Option<Vec<u8>>,
    /// Its most frequent colour in sRGB, once rendered; `None` if a version without this column rendered it.
    pub dominant_colour: Option<[u8; 3]>,
    /// Difference hash, once rendered; `None` if a version without this column rendered it.
    pub perceptual_hash: Option<u64>,
    /// When it was accepted, by the database's clock.
    pub created_at: DateTime<Utc>,
    /// When the latest attempt began, by the database's clock.
    pub started_at: Option<DateTime<Utc>>,
    /// When it became ready or failed, by the database's clock.
    pub finished_at: Option<DateTime<Utc>>,
}

/// The columns of an image.
pub(super) struct Row {
    pub(super) id: Uuid,
    pub(super) title: String,
    pub(super) status: String,
    pub(super) source_format: String,
    pub(super) source_width: i32,
    pub(super) source_height: i32,
    pub(super) source_frames: i32,
    pub(super) source_bytes: i64,
    pub(super) source_sha256: Vec<u8>,
    pub(super) attempts: i32,
    pub(super) failure_code: Option<String>,
    pub(super) failure_detail: Option<String>,
    pub(super) placeholder: Option<Vec<u8>>,
    pub(super) dominant_colour: Option<Vec<u8>>,
    pub(super) perceptual_hash: Option<i64>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) started_at: Option<DateTime<Utc>>,
    pub(super) finished_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for Image {
    type Error = CatalogError;

    fn try_from(row: Row) -> Result<Self, CatalogError> {
        let failure = match (row.failure_code, row.failure_detail) {
            (Some(code), Some(detail)) => Some(Failure { code: string_enum::<FailureCode>(&code)?, detail }),
            _ => None,
        };
        Ok(Self {
            id: ImageId::from_uuid(row.id),
            title: row.title,
            status: string_enum(&row.status)?,
            source: Source {
                format: string_enum::<SourceFormat>(&row.source_format)?,
                width: from_integer(row.source_width)?,
                height: from_integer(row.source_height)?,
                frames: from_integer(row.source_frames)?,
                bytes: from_bigint(row.source_bytes)?,
                sha256: sha256(row.source_sha256)?,
            },
            attempts: from_integer(row.attempts)?,
            failure,
            placeholder: row.placeholder,
            dominant_colour: row.dominant_colour.map(colour).transpose()?,
            perceptual_hash: row.perceptual_hash.map(i64::cast_unsigned),
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
        })
    }
}
