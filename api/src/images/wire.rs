//! Images in JSON, as clients see them.

use std::collections::HashMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use chrono::{DateTime, Utc};
use darkroom_model::{ImageId, recipe::Colour};
use darkroom_shared::catalog;
use poem_openapi::{Enum, Object, types::Example};
use serde_json::{Map, Value};
use url::Url;
use uuid::{Uuid, uuid};

use super::projection::{Fields, ListedImage};
use crate::{
    error::ApiError,
    formats::{RenditionFormat, SourceFormat, UNKNOWN},
};

/// A JSON object as a field of a wire type.
fn members(object: &Map<String, Value>) -> HashMap<String, Value> {
    object.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The path of an image.
pub(super) fn location(id: ImageId) -> String {
    format!("/v1/images/{id}")
}

/// The state of an image.
///
/// `queued`: accepted and durable, waits for a worker. `processing`: being rendered. `ready`: every rendition can be
/// downloaded. `failed`: it will not be rendered; `error` has the reason. `unknown`: only a newer version of the service, which
/// is being deployed, knows the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub(crate) enum Status {
    Queued,
    Processing,
    Ready,
    Failed,
    Unknown,
}

/// The order of a list: by the time of the upload, descending or ascending, or by the first 64 characters of the title, ignoring
/// case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub(crate) enum Sort {
    #[default]
    Newest,
    Oldest,
    Title,
}

impl Sort {
    /// As in the URL.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Newest => "newest",
            Self::Oldest => "oldest",
            Self::Title => "title",
        }
    }
}

impl From<Sort> for catalog::Sort {
    fn from(sort: Sort) -> Self {
        match sort {
            Sort::Newest => Self::Newest,
            Sort::Oldest => Self::Oldest,
            Sort::Title => Self::Title,
        }
    }
}

/// The uploaded file.
#[derive(Clone, Debug, Object)]
pub(crate) struct Source {
    /// The format, detected from the content; name and media type are ignored.
    format: SourceFormat,
    /// Width in pixels as stored, before the orientation in its metadata is applied.
    width: u32,
    /// Height in pixels as stored, before the orientation in its metadata is applied.
    height: u32,
    /// Frames of an animation; 1 for a still image.
    frames: u32,
    /// Size of the file in bytes.
    bytes: u64,
    /// SHA-256 of the file, in hexadecimal.
    #[oai(validator(pattern = "^[0-9a-f]{64}$"))]
    sha256: String,
}

/// Paths of related resources.
#[derive(Clone, Debug, Object)]
pub(crate) struct Links {
    /// The image, with its renditions once it is ready.
    #[oai(rename = "self")]
    this: String,
}

/// An image, without its renditions.
#[derive(Clone, Debug, Object)]
#[oai(example)]
pub(crate) struct Image {
    /// A `UUIDv7` (RFC 9562): ids sort by the time of upload.
    id: Uuid,
    /// The title: 1 to 200 characters.
    title: String,
    /// The tags, sorted.
    tags: Vec<String>,
    /// What clients keep with the image: a JSON object.
    metadata: HashMap<String, Value>,
    /// The state of the image.
    status: Status,
    /// The uploaded file.
    source: Source,
    /// The time at which the upload was accepted.
    created_at: DateTime<Utc>,
    /// Paths of related resources.
    links: Links,
}

/// A rendition of the image: a file in the bucket.
#[derive(Clone, Debug, Object)]
pub(crate) struct Rendition {
    /// The name, unique within the image; for example `w800.webp`.
    name: String,
    /// The file format.
    format: RenditionFormat,
    /// Width in pixels.
    width: u32,
    /// Height in pixels.
    height: u32,
    /// Size of the file in bytes.
    bytes: u64,
    /// The URL of the file. Unless the bucket is public it is presigned and expires; `/v1/images/{id}/renditions/{name}` does
    /// not expire.
    url: String,
    /// SHA-256 of the file, in hexadecimal.
    #[oai(validator(pattern = "^[0-9a-f]{64}$"))]
    sha256: String,
}

/// Why an image failed.
#[derive(Clone, Debug, Object)]
pub(crate) struct Failure {
    /// The reason for programs. New codes may be added; treat an unknown code as a failure. `unknown`: only a newer version of
    /// the service knows it.
    code: String,
    /// The reason for people: one sentence.
    detail: String,
}

/// An image with its renditions and its analysis.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub(crate) struct ImageDetail {
    #[oai(flatten)]
    image: Image,
    /// The renditions; empty until the image is ready.
    renditions: Vec<Rendition>,
    /// Once ready: a `ThumbHash` (<https://evanw.github.io/thumbhash/>) in base64, a blurred preview to show while a rendition
    /// loads.
    placeholder: Option<String>,
    /// Once ready: the most frequent colour as `#rrggbb` in sRGB, for example as a background while a rendition loads.
    #[oai(validator(pattern = "^#[0-9a-f]{6}$"))]
    dominant_colour: Option<String>,
    /// Once ready: a difference hash (dHash) of 64 bits in hexadecimal. The Hamming distance of two hashes measures how
    /// different their images are: 0 for copies, up to about 10 for the same image resized or compressed, about 32 for
    /// unrelated images.
    #[oai(validator(pattern = "^[0-9a-f]{16}$"))]
    perceptual_hash: Option<String>,
    /// The number of attempts to render it.
    attempts: u32,
    /// Once failed: the reason.
    error: Option<Failure>,
    /// Once ready or failed: the duration of the last attempt in milliseconds.
    processing_ms: Option<u64>,
}

/// A page of images.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub(crate) struct Page {
    /// The images, in the order that `sort` names. With `fields`, each has only those.
    items: Vec<ListedImage>,
    /// The `cursor` of the next page. Absent on the last page.
    next_cursor: Option<String>,
}

impl Page {
    pub(super) fn new(images: Vec<catalog::Image>, fields: Option<&Fields>, next_cursor: Option<String>) -> Self {
        let listed = |image: catalog::Image| ListedImage { image: image.into(), fields: fields.cloned() };
        Self { items: images.into_iter().map(listed).collect(), next_cursor }
    }
}

/// The status by which images are filtered.
pub(super) fn filter_status(status: Status) -> Result<darkroom_model::Status, ApiError> {
    use darkroom_model::Status as Stored;
    Ok(match status {
        Status::Queued => Stored::Queued,
        Status::Processing => Stored::Processing,
        Status::Ready => Stored::Ready,
        Status::Failed => Stored::Failed,
        Status::Unknown => {
            return Err(ApiError::Parameter { name: "status", reason: "unknown is not a filter".to_owned() });
        }
    })
}

impl From<Option<darkroom_model::Status>> for Status {
    fn from(status: Option<darkroom_model::Status>) -> Self {
        use darkroom_model::Status as Stored;
        match status {
            Some(Stored::Queued) => Self::Queued,
            Some(Stored::Processing) => Self::Processing,
            Some(Stored::Ready) => Self::Ready,
            // The catalog returns no image that is being deleted.
            Some(Stored::Failed | Stored::Deleting) => Self::Failed,
            None => Self::Unknown,
        }
    }
}

impl From<catalog::StoredSource> for Source {
    fn from(source: catalog::StoredSource) -> Self {
        let catalog::StoredSource { format, width, height, frames, bytes, sha256 } = source;
        Self { format: SourceFormat(format), width, height, frames, bytes, sha256: hex::encode(sha256) }
    }
}

impl From<darkroom_model::Source> for Source {
    fn from(source: darkroom_model::Source) -> Self {
        let darkroom_model::Source { format, width, height, frames, bytes, sha256 } = source;
        Self { format: format.into(), width, height, frames, bytes, sha256: hex::encode(sha256) }
    }
}

impl From<catalog::Image> for Image {
    fn from(image: catalog::Image) -> Self {
        Self {
            id: image.id.as_uuid(),
            title: image.title,
            tags: image.tags,
            metadata: members(&image.metadata),
            status: image.status.into(),
            source: image.source.into(),
            created_at: image.created_at,
            links: Links { this: location(image.id) },
        }
    }
}

impl Image {
    /// An image that has just been accepted.
    pub(super) fn accepted(image: &catalog::NewImage, created_at: DateTime<Utc>) -> Self {
        Self {
            id: image.id.as_uuid(),
            title: image.title.as_str().to_owned(),
            tags: image.tags.iter().map(str::to_owned).collect(),
            metadata: members(image.metadata.as_object()),
            status: Status::Queued,
            source: image.source.clone().into(),
            created_at,
            links: Links { this: location(image.id) },
        }
    }

    /// Its id.
    pub(super) fn id(&self) -> ImageId {
        ImageId::from_uuid(self.id)
    }
}

impl Rendition {
    pub(super) fn new(rendition: darkroom_model::Rendition, url: Url) -> Self {
        let darkroom_model::Rendition { name, format, width, height, bytes, sha256 } = rendition;
        Self { name, format: format.into(), width, height, bytes, url: url.into(), sha256: hex::encode(sha256) }
    }
}

impl ImageDetail {
    pub(super) fn new(image: catalog::Image, renditions: Vec<Rendition>) -> Self {
        let duration = image.started_at.zip(image.finished_at).map(|(start, end)| (end - start).num_milliseconds());
        Self {
            renditions,
            placeholder: image.placeholder.as_ref().map(|hash| BASE64_STANDARD.encode(hash)),
            dominant_colour: image.dominant_colour.map(|colour| Colour(colour).to_string()),
            perceptual_hash: image.perceptual_hash.map(|hash| format!("{hash:016x}")),
            attempts: image.attempts,
            error: image.failure.clone().map(Failure::from),
            processing_ms: duration.and_then(|ms| ms.try_into().ok()),
            image: image.into(),
        }
    }

    /// Whether the image is still going to change.
    pub(super) fn is_pending(&self) -> bool {
        is_pending(self.image.status)
    }
}

/// Whether an image of this status is still going to change.
pub(super) fn is_pending(status: Status) -> bool {
    matches!(status, Status::Queued | Status::Processing)
}

impl From<catalog::StoredFailure> for Failure {
    fn from(failure: catalog::StoredFailure) -> Self {
        let code = failure.code.map_or(UNKNOWN, |code| code.as_str());
        Self { code: code.to_owned(), detail: failure.detail }
    }
}

impl Example for Image {
    fn example() -> Self {
        let id = uuid!("01890a5d-ac96-774b-bcce-b302099a8057");
        Self {
            id,
            title: "Harbour at dawn".to_owned(),
            tags: vec!["harbour".to_owned(), "sunrise".to_owned()],
            metadata: [("order".to_owned(), 17.into())].into(),
            status: Status::Queued,
            source: Source {
                format: darkroom_model::SourceFormat::Jpeg.into(),
                width: 4000,
                height: 3000,
                frames: 1,
                bytes: 3_145_728,
                sha256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned(),
            },
            created_at: DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(1_700_000_000),
            links: Links { this: location(ImageId::from_uuid(id)) },
        }
    }
}

impl Example for ImageDetail {
    fn example() -> Self {
        let image = Image { status: Status::Ready, ..Image::example() };
        let url = format!("https://pictures.example/images/57/{}/w800-0a1b2c3d4e5f6071.webp", image.id);
        Self {
            image,
            renditions: vec![Rendition {
                name: "w800.webp".to_owned(),
                format: darkroom_model::RenditionFormat::Webp.into(),
                width: 800,
                height: 600,
                bytes: 51_234,
                url,
                sha256: "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9".to_owned(),
            }],
            placeholder: Some("1QcSHQRnh493V4dIh4eXh1h4kJUI".to_owned()),
            dominant_colour: Some("#4a6b8c".to_owned()),
            perceptual_hash: Some("3c3e1e1c7c3c1c18".to_owned()),
            attempts: 1,
            error: None,
            processing_ms: Some(412),
        }
    }
}
