//! From the first byte of an upload to the commit that accepts it.

use std::io::{BufReader, Cursor};

use chrono::{DateTime, Utc};
use darkroom_container::header::{self, Header, HeaderError, HeaderLimits};
use darkroom_model::{ImageId, Source, Status, Title, recipe::Recipe};
use darkroom_shared::{
    catalog::{self, NewImage},
    jobs::{ProcessImage, process_image_options},
    settings::UploadLimits,
    staging::{Received, Staging},
};

use super::{
    fields::{FILE, Fields, OVERLAY},
    form::{Form, Part},
};
use crate::{App, error::ApiError};

/// What a form may have beside the bytes of its file.
const FRAMING: u64 = 64 << 10;
/// Buffer for reading a header, in bytes.
const HEADER_BUFFER: usize = 16 << 10;
/// A first chunk from this length on is judged at once; a shorter one may end within the magic bytes.
const TELLING: usize = 64;

/// A whole upload that may be accepted. Not durable yet.
pub(super) struct Upload {
    file: File,
    fields: Fields,
    recipe: Recipe,
}

struct File {
    received: Received,
    header: Header,
    name: Option<String>,
}

/// Reads a form into staging, and refuses it as early as can be told.
pub(super) async fn receive(mut form: Form, app: &App) -> Result<Upload, ApiError> {
    let limit = app.limits.bytes;
    if form.length().is_some_and(|length| length > limit + FRAMING) {
        return Err(ApiError::UploadTooLarge { limit });
    }
    let (mut file, mut fields) = (None, Fields::default());
    while let Some(part) = form.next().await? {
        match fields.expect(part.name())? {
            FILE => file = Some(receive_file(part, &app.staging, &app.limits).await?),
            name => fields.set(name, &part.text().await?)?,
        }
    }
    let file = file.ok_or_else(|| ApiError::Form(format!("The field {FILE} is missing.")))?;
    let recipe = fields.recipe()?;
    if let Some(overlay) = recipe.overlay() {
        check_overlay(overlay.image, app).await?;
    }
    Ok(Upload { file, fields, recipe })
}

/// Refuses an overlay that could not be laid on. It may be deleted later, which the worker finds.
async fn check_overlay(image: ImageId, app: &App) -> Result<(), ApiError> {
    let found = catalog::get(&mut *app.db.acquire().await?, image).await?;
    let reason = match found.map(|image| image.status) {
        Some(Status::Ready) => return Ok(()),
        Some(status) => format!("must be an image that is ready; this one is {status}."),
        None => "There is no such image.".to_owned(),
    };
    Err(ApiError::Field { field: OVERLAY, reason })
}

async fn receive_file(mut part: Part<'_>, staging: &Staging, limits: &UploadLimits) -> Result<File, ApiError> {
    let name = part.file_name().map(str::to_owned);
    let header_limits = HeaderLimits::from(*limits);
    let mut draft = staging.draft().await?;
    while let Some(chunk) = part.chunk().await? {
        if draft.bytes() == 0 {
            judge_beginning(&chunk, &header_limits)?;
        }
        if draft.bytes() + chunk.len() as u64 > limits.bytes {
            return Err(ApiError::UploadTooLarge { limit: limits.bytes });
        }
        draft.write(&chunk).await?;
    }
    if draft.bytes() == 0 {
        return Err(ApiError::Field { field: FILE, reason: "The file is empty.".to_owned() });
    }
    let received = draft.finish().await?;
    let read = move |file| header::read(&mut BufReader::with_capacity(HEADER_BUFFER, file), &header_limits);
    let header = received.read(read).await??;
    Ok(File { received, header, name })
}

/// Refuses what the first chunk shows to be no picture, or to be too large a one, before the rest has come.
fn judge_beginning(chunk: &[u8], limits: &HeaderLimits) -> Result<(), ApiError> {
    match header::read(&mut Cursor::new(chunk), limits) {
        Err(error @ (HeaderError::Unsupported { .. } | HeaderError::TooLarge { .. })) if chunk.len() >= TELLING => {
            Err(error.into())
        }
        // All else needs the whole file.
        _ => Ok(()),
    }
}

/// Accepts an upload: makes it durable, then the image and its job true in one transaction.
///
/// A crash in between, or a commit of unknown outcome, leaves a staged file that perhaps no image claims. It is not
/// removed here, because perhaps one does; the sweep knows.
pub(super) async fn accept(upload: Upload, app: &App) -> Result<(NewImage, DateTime<Utc>), ApiError> {
    let Upload { file: File { received, header, name }, fields, recipe } = upload;
    let source = Source {
        format: header.format,
        width: header.width,
        height: header.height,
        frames: header.frames,
        bytes: received.bytes,
        sha256: received.sha256,
    };
    let id = ImageId::now();
    let lane = fields.lane;
    let title = fields.title.unwrap_or_else(|| Title::from_file_name(name.as_deref()));
    let image = NewImage { id, title, recipe, source };

    app.staging.keep(received, id).await?;
    let mut transaction = app.db.begin().await?;
    let created_at = catalog::insert(&mut transaction, &image).await?;
    darkroom_queue::enqueue(&mut transaction, &ProcessImage { image: id }, &process_image_options(id, lane)).await?;
    transaction.commit().await?;
    Ok((image, created_at))
}
