//! Receiving an upload and accepting it: from the first byte to the commit.

use std::io::{BufReader, Cursor};

use chrono::{DateTime, Utc};
use darkroom_container::header::{self, Header, HeaderError, HeaderLimits};
use darkroom_model::{
    ImageId, Source, Status, Title,
    recipe::{InvalidField, Recipe},
};
use darkroom_shared::{
    catalog::{self, NewImage},
    jobs::{ProcessImage, process_image_options},
    settings::UploadLimits,
    staging::{Received, Staging},
};

use sqlx::PgConnection;

use super::{
    fields::{FILE, FormField, FormValues},
    form::{Form, Part},
};
use crate::{App, error::ApiError};

/// Maximum size of a form without its file, in bytes.
const FORM_OVERHEAD: u64 = 64 << 10;
/// Size of the buffer for reading a header, in bytes.
const HEADER_BUFFER: usize = 16 << 10;
/// Minimum length of a first chunk whose header is checked at once, in bytes; a shorter one may end within the magic bytes.
const EARLY_CHECK_MIN: usize = 64;

/// A complete, valid upload. Not durable yet.
pub(super) struct Upload {
    file: File,
    values: FormValues,
    recipe: Recipe,
}

struct File {
    received: Received,
    header: Header,
    /// The file's name on the client's machine.
    name: Option<String>,
}

/// Reads a form into staging. Refuses it as early as possible, before the rest is received.
pub(super) async fn receive(mut form: Form, app: &App) -> Result<Upload, ApiError> {
    let limit = app.limits.bytes;
    if form.content_length().is_some_and(|length| length > limit + FORM_OVERHEAD) {
        return Err(ApiError::UploadTooLarge { limit });
    }
    let (mut file, mut values) = (None, FormValues::default());
    while let Some(part) = form.next().await? {
        match values.expect(part.name())? {
            FormField::File => file = Some(receive_file(part, &app.staging, &app.limits).await?),
            FormField::Text(field) => values.set(field, &part.text().await?)?,
        }
    }
    let file = file.ok_or_else(|| ApiError::Form(format!("The field {FILE} is missing.")))?;
    let recipe = values.recipe()?;
    if let Some(overlay) = recipe.overlay() {
        check_overlay(overlay.image, app).await?;
    }
    Ok(Upload { file, values, recipe })
}

/// Refuses an overlay that is not a ready image. It may still be deleted before the worker reads it.
async fn check_overlay(image: ImageId, app: &App) -> Result<(), ApiError> {
    let found = app.db.run(async |db| catalog::get(db, image).await).await?;
    let reason = match found.map(|image| image.status) {
        Some(Some(Status::Ready)) => return Ok(()),
        Some(None) => "must be an image that is ready.".to_owned(),
        Some(Some(status)) => format!("must be an image that is ready; this one is {status}."),
        None => "There is no such image.".to_owned(),
    };
    Err(InvalidField { field: "overlay", reason }.into())
}

async fn receive_file(mut part: Part<'_>, staging: &Staging, limits: &UploadLimits) -> Result<File, ApiError> {
    let name = part.file_name().map(str::to_owned);
    let header_limits = HeaderLimits::from(*limits);
    let mut draft = staging.draft().await?;
    while let Some(chunk) = part.chunk().await? {
        if draft.bytes() == 0 {
            check_header_early(&chunk, &header_limits)?;
        }
        if draft.bytes() + chunk.len() as u64 > limits.bytes {
            return Err(ApiError::UploadTooLarge { limit: limits.bytes });
        }
        draft.write(&chunk).await?;
    }
    if draft.bytes() == 0 {
        return Err(InvalidField { field: FILE, reason: "The file is empty.".to_owned() }.into());
    }
    let received = draft.finish().await?;
    let read = move |file| header::read(&mut BufReader::with_capacity(HEADER_BUFFER, file), &header_limits);
    let header = received.read(read).await??;
    Ok(File { received, header, name })
}

/// Refuses an unsupported format or a too large image by its first chunk, before the rest is received.
fn check_header_early(chunk: &[u8], limits: &HeaderLimits) -> Result<(), ApiError> {
    match header::read(&mut Cursor::new(chunk), limits) {
        Err(error @ (HeaderError::Unsupported { .. } | HeaderError::TooLarge { .. }))
            if chunk.len() >= EARLY_CHECK_MIN =>
        {
            Err(error.into())
        }
        // Other errors may only mean that the header continues in the next chunk.
        _ => Ok(()),
    }
}

/// Accepts an upload: makes the staged file durable, then inserts the image and its job in one transaction.
///
/// A crash in between, or a commit with an unknown outcome, leaves a staged file that may not belong to an image. The sweep
/// deletes it if it does not.
pub(super) async fn accept(upload: Upload, app: &App) -> Result<(NewImage, DateTime<Utc>), ApiError> {
    let Upload { file: File { received, header, name }, values, recipe } = upload;
    let source = Source {
        format: header.format,
        width: header.width,
        height: header.height,
        frames: header.frames,
        bytes: received.bytes,
        sha256: received.sha256,
    };
    let id = ImageId::now();
    let lane = values.lane;
    let title = values.title.unwrap_or_else(|| Title::from_file_name(name.as_deref()));
    let image = NewImage { id, title, recipe, source };

    app.staging.keep(received, id).await?;
    let insert = async |db: &mut PgConnection| -> Result<_, ApiError> {
        let created_at = catalog::insert(db, &image).await?;
        darkroom_queue::enqueue(db, &ProcessImage { image: id }, &process_image_options(id, lane)).await?;
        Ok(created_at)
    };
    let created_at = app.db.transaction(insert).await?;
    Ok((image, created_at))
}
