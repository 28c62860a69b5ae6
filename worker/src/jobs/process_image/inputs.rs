//! What a rendering reads: the source with its header, and the overlay.

use std::io::Cursor;

use bytes::Bytes;
use darkroom_container::header::{self, Header};
use darkroom_model::{
    Failure, FailureCode, ImageId, OwnedImage, Owner, Rendition, RenditionFormat, Status, recipe::Recipe,
};
use darkroom_pipeline::{Files, RenderError};
use darkroom_queue::JobError;
use darkroom_shared::{catalog, installation::Store, staging::StagingError};
use sqlx::PgConnection;

use super::Outcome;
use crate::{App, after_installation_error};

/// Maximum length of an overlay's file, in bytes: more than any logo has, and little compared with a large picture.
const MAX_OVERLAY: u64 = 32 << 20;

/// A file and its header.
pub(super) struct Input {
    pub(super) header: Header,
    pub(super) file: Bytes,
}

/// What a rendering reads.
pub(super) struct Inputs {
    pub(super) source: Input,
    pub(super) overlay: Option<Input>,
}

impl Inputs {
    /// Loads the staged upload, and the overlay if the recipe has one.
    pub(super) async fn load(app: &App, image: OwnedImage, recipe: &Recipe) -> Outcome<Self> {
        let source = match load_source(app, image).await? {
            Ok(source) => source,
            Err(failure) => return Ok(Err(failure)),
        };
        let Some(overlay) = recipe.overlay() else { return Ok(Ok(Self { source, overlay: None })) };
        let overlay = load_overlay(app, image.owner, overlay.image).await?;
        Ok(overlay.map(|overlay| Self { source, overlay: Some(overlay) }))
    }

    /// The files, for the pipeline.
    pub(super) fn files(&self) -> Files<'_> {
        Files { source: &self.source.file, overlay: self.overlay.as_ref().map(|overlay| &overlay.file[..]) }
    }
}

async fn load_source(app: &App, image: OwnedImage) -> Outcome<Input> {
    let file = match app.staging.read(image.owner, image.id).await {
        Ok(file) => file,
        Err(StagingError::Missing) => return Err(doubt_missing(app).await),
        Err(error) => return Err(error.into()),
    };
    match header::read(&mut Cursor::new(&file), &app.limits.header) {
        Ok(header) => Ok(Ok(Input { header, file })),
        Err(error) => error.failure().map(Err).ok_or_else(|| JobError::retry(error)),
    }
}

/// No file is staged for the image, in the staging of this installation.
#[derive(Debug, thiserror::Error)]
#[error("no file is staged for this image")]
pub(super) struct SourceMissing;

/// What a missing file means. In a staging that is not this installation's, or beside a restored database, it means
/// nothing: the job waits and no attempt is counted. Otherwise it is tried again, since the file may come back; the
/// image fails with the job's last attempt.
async fn doubt_missing(app: &App) -> JobError {
    match app.installation.check(Store::Staging).await {
        Ok(()) => JobError::retry(SourceMissing),
        Err(error) => after_installation_error(error).await,
    }
}

/// Loads the best rendition of the overlay's image, which is of the same owner. Its file gets no more trust than an upload.
async fn load_overlay(app: &App, owner: Owner, image: ImageId) -> Outcome<Input> {
    let unusable = |detail: &str| Failure { code: FailureCode::Unsatisfiable, detail: detail.to_owned() };
    let Some(renditions) = ready_renditions(app, owner, image).await? else {
        return Ok(Err(unusable("The overlay has been deleted.")));
    };
    let Some(best) = best_overlay(renditions) else { return Ok(Err(unusable("The overlay's file is too large."))) };
    let file = app.bucket.get(owner, image, &best).await?;
    match header::read(&mut Cursor::new(&file), &app.limits.header) {
        Ok(header) => Ok(Ok(Input { header, file })),
        Err(error) => {
            let error = RenderError::from(error).of_overlay();
            error.failure().map(Err).ok_or_else(|| JobError::retry(error))
        }
    }
}

/// The renditions of an image; `None` if it is not ready.
async fn ready_renditions(app: &App, owner: Owner, image: ImageId) -> Result<Option<Vec<Rendition>>, JobError> {
    let find = async |db: &mut PgConnection| -> Result<_, JobError> {
        let found = catalog::get(db, owner, image).await?;
        if found.is_none_or(|image| image.status != Some(Status::Ready)) {
            return Ok(None);
        }
        Ok(Some(catalog::known_renditions(db, owner, image).await?))
    };
    app.db.run(find).await
}

/// The largest rendition that is not too long a file; of several of that size, the one with the least loss.
fn best_overlay(renditions: Vec<Rendition>) -> Option<Rendition> {
    let rank = |rendition: &Rendition| {
        let fidelity = match rendition.format {
            RenditionFormat::Png => 3,
            RenditionFormat::Webp => 2,
            RenditionFormat::Avif => 1,
            RenditionFormat::Jpeg => 0,
        };
        (u64::from(rendition.width) * u64::from(rendition.height), fidelity)
    };
    renditions.into_iter().filter(|rendition| rendition.bytes <= MAX_OVERLAY).max_by_key(rank)
}
