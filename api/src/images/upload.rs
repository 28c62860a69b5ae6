//! Receiving an upload and accepting it: from the first byte to the commit.

use std::io::{BufReader, Cursor};

use bytes::BytesMut;
use chrono::{DateTime, Utc};
use darkroom_container::header::{self, Header, HeaderError, HeaderLimits};
use darkroom_model::{
    ImageId, Owner, Source, Status, Title,
    recipe::{InvalidField, Recipe},
};
use darkroom_queue::Job as _;
use darkroom_shared::{
    access::{KeyId, UploadGrant, take_upload_token},
    catalog::{self, NewImage},
    jobs::{ProcessImage, process_image_options},
    staging::{Received, Reservation},
};

use sqlx::{
    PgConnection,
    postgres::{PgDatabaseError, PgSeverity},
};
use tracing::Instrument as _;

use super::{
    fields::{FILE, FormField, FormValues},
    form::{Form, Part},
};
use crate::{
    App,
    auth::{Caller, refusal::Refusal},
    error::ApiError,
};

/// Maximum size of a form without its file, in bytes.
const FORM_OVERHEAD: u64 = 64 << 10;
/// Size of the buffer for reading a header, in bytes.
const HEADER_BUFFER: usize = 16 << 10;
/// How many bytes of a file are gathered before they are written: every write is a task of the pool for file I/O.
const WRITE_BUFFER: usize = 64 << 10;
/// The header is checked early if the first chunk has at least this many bytes. A shorter chunk may end within the magic
/// bytes.
const EARLY_CHECK_MIN: usize = 64;

/// A complete, valid upload. Not durable yet.
pub(super) struct Upload {
    file: File,
    values: FormValues,
    recipe: Recipe,
}

struct File {
    received: Received,
    room: Reservation,
    header: Header,
    /// The file's name on the client's machine.
    name: Option<String>,
}

/// Reads a form into staging. Refuses it as early as possible, before the rest is received.
pub(super) async fn receive(mut form: Form, caller: &Caller, app: &App) -> Result<Upload, ApiError> {
    app.installation.check_uploads().await?;
    let grant = caller.upload.as_deref();
    let limit = grant.and_then(|grant| grant.max_bytes).map_or(app.limits.bytes, |max| max.min(app.limits.bytes));
    if form.content_length().is_some_and(|length| length > limit + FORM_OVERHEAD) {
        return Err(ApiError::UploadTooLarge { limit });
    }
    app.backlog.check().await?;
    // Without a length, the file reserves what it needs while it arrives.
    let mut room = Some(app.room.reserve(form.content_length().unwrap_or(0)).await?);
    let (mut file, mut values) = (None, FormValues::default());
    while let Some(part) = form.next().await? {
        let field = values.expect(part.name())?;
        check_granted(grant, field)?;
        match field {
            FormField::File => {
                // `expect` refuses a second file.
                let Some(room) = room.take() else { continue };
                file = Some(receive_file(part, room, limit, app).await?);
            }
            FormField::Text(field) => values.set(field, &part.text().await?)?,
        }
    }
    let file = file.ok_or_else(|| ApiError::Form(format!("The field {FILE} is missing.")))?;
    let recipe = values.recipe()?;
    if let Some(overlay) = recipe.overlay() {
        check_overlay(caller.owner, overlay.image, app).await?;
    }
    Ok(Upload { file, values, recipe })
}

/// Refuses an overlay that is not a ready image of the same owner. It may still be deleted before the worker reads it.
async fn check_overlay(owner: Owner, image: ImageId, app: &App) -> Result<(), ApiError> {
    let found = app.db.run(async |db| catalog::get(db, owner, image).await).await?;
    let reason = match found.map(|image| image.status) {
        Some(Some(Status::Ready)) => return Ok(()),
        Some(None) => "must be an image that is ready.".to_owned(),
        Some(Some(status)) => format!("must be an image that is ready; this one is {status}."),
        None => "There is no such image.".to_owned(),
    };
    Err(InvalidField { field: "overlay", reason }.into())
}

/// Refuses a field that the upload token does not allow.
fn check_granted(grant: Option<&UploadGrant>, field: FormField) -> Result<(), ApiError> {
    let Some(fields) = grant.and_then(|grant| grant.fields.as_ref()) else { return Ok(()) };
    if matches!(field, FormField::File) || fields.iter().any(|allowed| allowed == field.name()) {
        return Ok(());
    }
    Err(ApiError::NotGranted(format!("The upload token does not allow the field {}.", field.name())))
}

/// `limit`: the maximum size of the file in bytes.
async fn receive_file(mut part: Part<'_>, mut room: Reservation, limit: u64, app: &App) -> Result<File, ApiError> {
    let name = part.file_name().map(str::to_owned);
    let header_limits = HeaderLimits::from(app.limits);
    let mut draft = app.staging.draft().await?;
    let (mut buffer, mut is_first) = (BytesMut::new(), true);
    while let Some(chunk) = part.chunk().await? {
        if std::mem::take(&mut is_first) {
            check_header_early(&chunk, &header_limits)?;
        }
        let bytes = draft.bytes() + (buffer.len() + chunk.len()) as u64;
        if bytes > limit {
            return Err(ApiError::UploadTooLarge { limit });
        }
        buffer.extend_from_slice(&chunk);
        if buffer.len() >= WRITE_BUFFER {
            room.grow(bytes)?;
            draft.write(&buffer).await?;
            buffer.clear();
        }
    }
    room.grow(draft.bytes() + buffer.len() as u64)?;
    draft.write(&buffer).await?;
    if draft.bytes() == 0 {
        return Err(InvalidField { field: FILE, reason: "The file is empty.".to_owned() }.into());
    }
    let received = draft.finish().await?;
    let read = move |file| header::read(&mut BufReader::with_capacity(HEADER_BUFFER, file), &header_limits);
    let header = received.read(read).await??;
    Ok(File { received, room, header, name })
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
/// A database that is away is noticed before the file is kept. When the database refuses afterwards, the file is removed
/// again. A crash in between, or a commit with an unknown outcome, leaves a staged file that may not belong to an image;
/// the sweep deletes it if it does not.
pub(super) async fn accept(upload: Upload, caller: Caller, app: &App) -> Result<(NewImage, DateTime<Utc>), ApiError> {
    let Upload { file: File { received, room, header, name }, values, recipe } = upload;
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
    let FormValues { tags, metadata, .. } = values;
    let image = NewImage { id, title, tags, metadata, recipe, source, header };
    let owner = caller.owner;
    // A key has no uses to count.
    let token = caller.upload.and(caller.key);
    let app = app.clone();
    // A task of its own, so that a client that goes away cannot stop it between the file and the commit.
    let accepting = async move { accept_file(received, room, owner, image, lane.as_deref(), token, &app).await };
    tokio::spawn(accepting.in_current_span()).await.map_err(|error| ApiError::Internal(error.into()))?
}

async fn accept_file(
    received: Received,
    room: Reservation,
    owner: Owner,
    image: NewImage,
    lane: Option<&str>,
    token: Option<KeyId>,
    app: &App,
) -> Result<(NewImage, DateTime<Utc>), ApiError> {
    // No connection is held while the file is kept.
    app.db.probe().await?;
    if let Err(error) = app.staging.keep(received, owner, image.id).await {
        // It may be there all the same, for example after a lost answer of the bucket.
        remove_staged(app, owner, image.id).await;
        return Err(error.into());
    }
    // A volume may have been unmounted or replaced meanwhile; then no worker would find the file.
    if let Err(error) = app.installation.check_kept().await {
        remove_staged(app, owner, image.id).await;
        return Err(error.into());
    }
    room.keep(image.source.bytes);
    match insert(owner, &image, lane, token, app).await {
        Ok(created_at) => {
            app.notifier.notify(ProcessImage::QUEUE);
            app.backlog.add();
            Ok((image, created_at))
        }
        Err(InsertError::NotCommitted(error)) => {
            remove_staged(app, owner, image.id).await;
            Err(error)
        }
        Err(InsertError::Unknown(error)) => {
            tracing::warn!(image = %image.id, %error, "the outcome of a commit is unknown: the staged file is kept");
            Err(error.into())
        }
    }
}

/// Why an image was not inserted.
enum InsertError {
    /// It is certainly not in the catalog.
    NotCommitted(ApiError),
    /// The commit may have been sent, and its answer is not known.
    Unknown(sqlx::Error),
}

impl From<sqlx::Error> for InsertError {
    fn from(error: sqlx::Error) -> Self {
        Self::Unknown(error)
    }
}

/// Inserts the image and its job, and takes a use of the upload token, in one transaction.
async fn insert(
    owner: Owner,
    image: &NewImage,
    lane: Option<&str>,
    token: Option<KeyId>,
    app: &App,
) -> Result<DateTime<Utc>, InsertError> {
    let mut is_commit_due = false;
    let insert = async |tx: &mut PgConnection| {
        let not_committed = |error: ApiError| InsertError::NotCommitted(error);
        let created_at = catalog::insert(tx, owner, image).await.map_err(|error| not_committed(error.into()))?;
        let job = ProcessImage { owner, image: image.id };
        let enqueued = darkroom_queue::enqueue(tx, &job, &process_image_options(owner, image.id, lane)).await;
        enqueued.map_err(|error| not_committed(error.into()))?;
        // Last, because other uploads with this token wait from here to the commit.
        if let Some(token) = token
            && !take_upload_token(tx, token).await.map_err(|error| not_committed(error.into()))?
        {
            return Err(not_committed(Refusal::Expired.into()));
        }
        is_commit_due = true;
        Ok(created_at)
    };
    let inserted = app.db.transaction(insert).await;
    inserted.map_err(|error| match error {
        InsertError::Unknown(error) if !is_commit_due || has_certainly_failed(&error) => {
            InsertError::NotCommitted(error.into())
        }
        error => error,
    })
}

/// Whether Postgres has answered a COMMIT with an error that means that nothing was committed. An answer that ends the
/// session (severity FATAL or PANIC) may come after the commit became durable, as may those of the SQLSTATE classes 08
/// and 57 and of 40003 (`statement_completion_unknown`).
fn has_certainly_failed(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>()) else {
        return false;
    };
    let code = error.code();
    let is_unknown = code == "40003" || code.starts_with("08") || code.starts_with("57");
    matches!(error.severity(), PgSeverity::Error) && !is_unknown
}

/// Removes the staged file of an image that was not accepted. If that fails, the sweep removes it.
async fn remove_staged(app: &App, owner: Owner, image: ImageId) {
    if let Err(error) = app.staging.remove(owner, image).await {
        tracing::warn!(%image, %error, "cannot remove the staged file of a refused upload, the sweep will");
    }
}
