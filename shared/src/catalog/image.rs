//! An image, and how its row becomes one.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sqlx::types::Json;
use uuid::Uuid;

use darkroom_container::header::Header;
use darkroom_model::{FailureCode, ImageId, Metadata, Source, SourceFormat, Status, Tags, Title, recipe::Recipe};

use super::{
    CatalogError,
    columns::{colour, from_bigint, from_integer, known, sha256},
};

/// An image to add.
#[derive(Debug)]
pub struct NewImage {
    /// Also the name of its staged file.
    pub id: ImageId,
    /// The title that its owner gave it.
    pub title: Title,
    /// Its tags.
    pub tags: Tags,
    /// Its metadata.
    pub metadata: Metadata,
    /// What to render.
    pub recipe: Recipe,
    /// Its file.
    pub source: Source,
    /// The header of its file.
    pub header: Header,
}

/// An uploaded file, as its row describes it: a [`Source`] of any version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSource {
    /// The format; `None` if only a newer version knows it.
    pub format: Option<SourceFormat>,
    /// Width in pixels as stored, before the orientation is applied.
    pub width: u32,
    /// Height in pixels as stored, before the orientation is applied.
    pub height: u32,
    /// Frames of an animation; 1 for a still image.
    pub frames: u32,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
}

/// Why an image failed, as its row describes it: a [`Failure`](darkroom_model::Failure) of any version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFailure {
    /// The reason for programs; `None` if only a newer version knows it.
    pub code: Option<FailureCode>,
    /// The reason for people: one sentence.
    pub detail: String,
}

/// An image in the catalog. During a deploy a newer version may have written its row: a value that only that version knows
/// is `None` here.
#[derive(Debug, Clone)]
pub struct Image {
    /// Its id.
    pub id: ImageId,
    /// The title that its owner gave it.
    pub title: String,
    /// Its tags, sorted.
    pub tags: Vec<String>,
    /// Its metadata.
    pub metadata: Map<String, Value>,
    /// The version of what clients see of it: every change advances it.
    pub version: i32,
    /// Its state in the lifecycle; `None` if only a newer version knows it.
    pub status: Option<Status>,
    /// What the header of its file says.
    pub source: StoredSource,
    /// How many attempts at rendering it have begun.
    pub attempts: u32,
    /// Why it failed, if its status is `failed`.
    pub failure: Option<StoredFailure>,
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
    pub(super) tags: Vec<String>,
    pub(super) metadata: Json<Map<String, Value>>,
    pub(super) version: i32,
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
            (Some(code), Some(detail)) => Some(StoredFailure { code: known(&code), detail }),
            _ => None,
        };
        Ok(Self {
            id: ImageId::from_uuid(row.id),
            title: row.title,
            tags: row.tags,
            metadata: row.metadata.0,
            version: row.version,
            status: known(&row.status),
            source: StoredSource {
                format: known(&row.source_format),
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
