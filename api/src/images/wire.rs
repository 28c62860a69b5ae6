//! Images as clients see them: the JSON of requests and answers.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use chrono::{DateTime, Utc};
use darkroom_model::{self, FailureCode};
use darkroom_shared::catalog;
use poem_openapi::{Enum, Object, types::Example};
use url::Url;
use uuid::{Uuid, uuid};

/// Where an image stands.
///
/// `queued`: accepted and safe, waits for a worker. `processing`: being rendered. `ready`: every rendition can be
/// fetched. `failed`: it will not be rendered, and `error` says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub(crate) enum Status {
    Queued,
    Processing,
    Ready,
    Failed,
}

/// What kind of file was uploaded, told from its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(remote = "darkroom_model::SourceFormat", rename_all = "lowercase")]
pub(crate) enum SourceFormat {
    Jpeg,
    Png,
    Webp,
    Gif,
    Avif,
    Jxl,
    Tiff,
    Bmp,
}

/// What a rendition is encoded as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(remote = "darkroom_model::RenditionFormat", rename_all = "lowercase")]
pub(crate) enum RenditionFormat {
    Jpeg,
    Png,
    Webp,
    Avif,
}

/// The uploaded file.
#[derive(Clone, Debug, Object)]
pub(crate) struct Source {
    /// Told from its first bytes, whatever its name or its declared type said.
    format: SourceFormat,
    /// Pixels, as stored: before the orientation in its metadata is applied.
    width: u32,
    /// Pixels, as stored: before the orientation in its metadata is applied.
    height: u32,
    /// Frames of an animation; 1 for a still picture.
    frames: u32,
    /// Length of the file.
    bytes: u64,
    /// SHA-256 of the file, in hexadecimal.
    #[oai(validator(pattern = "^[0-9a-f]{64}$"))]
    sha256: String,
}

/// Addresses that belong to an image.
#[derive(Clone, Debug, Object)]
pub(crate) struct Links {
    /// This image, with its renditions once it is ready.
    #[oai(rename = "self")]
    this: String,
}

/// An image, without its renditions.
#[derive(Clone, Debug, Object)]
#[oai(example)]
pub(crate) struct Image {
    /// A `UUIDv7`: ids sort by the time of upload.
    id: Uuid,
    /// What a person calls it: 1 to 200 characters.
    title: String,
    /// Where it stands.
    status: Status,
    /// The uploaded file.
    source: Source,
    /// When it was accepted.
    created_at: DateTime<Utc>,
    /// Where to go from here.
    links: Links,
}

/// A picture made from the image, in the bucket.
#[derive(Clone, Debug, Object)]
pub(crate) struct Rendition {
    /// Unique within the image; for example `w800.webp`.
    name: String,
    /// What it is encoded as.
    format: RenditionFormat,
    /// Pixels.
    width: u32,
    /// Pixels.
    height: u32,
    /// Length of the file.
    bytes: u64,
    /// Where to fetch it. Unless the bucket is public this is a presigned URL and expires; for a lasting address use
    /// `/v1/images/{id}/renditions/{name}`.
    url: String,
    /// SHA-256 of the file, in hexadecimal.
    #[oai(validator(pattern = "^[0-9a-f]{64}$"))]
    sha256: String,
}

/// Why an image failed.
#[derive(Clone, Debug, Object)]
pub(crate) struct Failure {
    /// For programs. More codes may come: treat one you do not know as "it failed".
    code: String,
    /// For people: a sentence.
    detail: String,
}

/// An image with everything known of it.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub(crate) struct ImageDetail {
    /// A `UUIDv7`: ids sort by the time of upload.
    id: Uuid,
    /// What a person calls it: 1 to 200 characters.
    title: String,
    /// Where it stands.
    status: Status,
    /// The uploaded file.
    source: Source,
    /// When it was accepted.
    created_at: DateTime<Utc>,
    /// Where to go from here.
    links: Links,
    /// What can be fetched; empty until the image is ready.
    renditions: Vec<Rendition>,
    /// Once ready: a `ThumbHash` (<https://evanw.github.io/thumbhash/>) in base64, to show while a rendition loads.
    placeholder: Option<String>,
    /// Once ready: the colour that most of the picture has, as `#rrggbb` in sRGB; a background for where it will appear.
    #[oai(validator(pattern = "^#[0-9a-f]{6}$"))]
    dominant_colour: Option<String>,
    /// Once ready: a difference hash (dHash) of 64 bits, in hexadecimal. The number of bits in which two differ says how
    /// unlike their pictures are: 0 for copies, up to about 10 for the same picture resized or compressed, about 32 for
    /// pictures that have nothing in common.
    #[oai(validator(pattern = "^[0-9a-f]{16}$"))]
    perceptual_hash: Option<String>,
    /// How often a worker has begun to render it.
    attempts: u32,
    /// Once failed: why.
    error: Option<Failure>,
    /// Once ready or failed: how long the last attempt took, in milliseconds.
    processing_ms: Option<u64>,
}

/// Some images, newest first.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub(crate) struct Page {
    /// The images.
    items: Vec<Image>,
    /// Where the next page begins, for the parameter `cursor`. Missing on the last page.
    next_cursor: Option<String>,
}

impl Page {
    pub(super) fn new(images: Vec<catalog::Image>, next_cursor: Option<String>) -> Self {
        Self { items: images.into_iter().map(Image::from).collect(), next_cursor }
    }
}

impl From<Status> for darkroom_model::Status {
    fn from(status: Status) -> Self {
        match status {
            Status::Queued => Self::Queued,
            Status::Processing => Self::Processing,
            Status::Ready => Self::Ready,
            Status::Failed => Self::Failed,
        }
    }
}

impl From<darkroom_model::Status> for Status {
    fn from(status: darkroom_model::Status) -> Self {
        match status {
            darkroom_model::Status::Queued => Self::Queued,
            darkroom_model::Status::Processing => Self::Processing,
            darkroom_model::Status::Ready => Self::Ready,
            // An image that is being deleted is no longer shown; it would end up like this.
            darkroom_model::Status::Failed | darkroom_model::Status::Deleting => Self::Failed,
        }
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
            status: image.status.into(),
            source: image.source.into(),
            created_at: image.created_at,
            links: Links { this: super::location(image.id) },
        }
    }
}

impl Image {
    /// An image that has just been accepted.
    pub(super) fn accepted(image: catalog::NewImage, created_at: DateTime<Utc>) -> Self {
        Self {
            id: image.id.as_uuid(),
            title: image.title.as_str().to_owned(),
            status: Status::Queued,
            source: image.source.into(),
            created_at,
            links: Links { this: super::location(image.id) },
        }
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
        let took = image.started_at.zip(image.finished_at).map(|(from, to)| (to - from).num_milliseconds());
        let placeholder = image.placeholder.as_ref().map(|hash| BASE64_STANDARD.encode(hash));
        let dominant_colour = image.dominant_colour.map(|colour| darkroom_model::recipe::Colour(colour).to_string());
        let perceptual_hash = image.perceptual_hash.map(|hash| format!("{hash:016x}"));
        let error = image.failure.clone().map(|failure| Failure { code: code(failure.code), detail: failure.detail });
        let attempts = image.attempts;
        let Image { id, title, status, source, created_at, links } = image.into();
        let processing_ms = took.and_then(|ms| ms.try_into().ok());
        Self {
            id,
            title,
            status,
            source,
            created_at,
            links,
            renditions,
            placeholder,
            dominant_colour,
            perceptual_hash,
            attempts,
            error,
            processing_ms,
        }
    }

    /// Whether another look will show something else.
    pub(super) fn is_pending(&self) -> bool {
        matches!(self.status, Status::Queued | Status::Processing)
    }
}

fn code(code: FailureCode) -> String {
    code.as_str().to_owned()
}

impl Example for Image {
    fn example() -> Self {
        let id = uuid!("01890a5d-ac96-774b-bcce-b302099a8057");
        Self {
            id,
            title: "Harbour at dawn".to_owned(),
            status: Status::Queued,
            source: Source {
                format: SourceFormat::Jpeg,
                width: 4000,
                height: 3000,
                frames: 1,
                bytes: 3_145_728,
                sha256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned(),
            },
            created_at: DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(1_700_000_000),
            links: Links { this: super::location(darkroom_model::ImageId::from_uuid(id)) },
        }
    }
}

impl Example for ImageDetail {
    fn example() -> Self {
        let Image { id, title, source, created_at, links, .. } = Image::example();
        let url = format!("https://pictures.example/images/{id}/w800-0a1b2c3d4e5f6071.webp");
        Self {
            id,
            title,
            status: Status::Ready,
            source,
            created_at,
            links,
            renditions: vec![Rendition {
                name: "w800.webp".to_owned(),
                format: RenditionFormat::Webp,
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
