//! Receiving an upload: from the first byte to a complete, valid file.

use std::io::{BufReader, Cursor};

use bytes::BytesMut;
use darkroom_container::header::{self, Header, HeaderError, HeaderLimits};
use darkroom_model::{
    ImageId, Owner, Source, Status, Title,
    recipe::{InvalidField, Recipe},
};
use darkroom_shared::{
    access::UploadGrant,
    catalog,
    staging::{Received, Reservation},
};

use super::{
    fields::{FILE, FormField, FormValues},
    form::{Form, Part},
};
use crate::{
    App,
    auth::Caller,
    error::ApiError,
    idempotency::Fingerprint,
    limits::{Admission, Purpose},
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
    pub(super) file: File,
    pub(super) values: FormValues,
    pub(super) recipe: Recipe,
    pub(super) admission: Admission,
}

/// The file of an upload.
pub(super) struct File {
    pub(super) received: Received,
    pub(super) room: Reservation,
    pub(super) header: Header,
    /// The file's name on the client's machine.
    name: Option<String>,
}

impl Upload {
    /// Whether nothing is to be stored.
    pub(super) fn is_dry_run(&self) -> bool {
        self.values.is_dry_run
    }

    /// The title of the image.
    pub(super) fn title(&self) -> Title {
        let from_file = || Title::from_file_name(self.file.name.as_deref());
        self.values.title.clone().unwrap_or_else(from_file)
    }

    /// The file, as its header and its bytes describe it.
    pub(super) fn source(&self) -> Source {
        let File { received, header, .. } = &self.file;
        Source {
            format: header.format,
            width: header.width,
            height: header.height,
            frames: header.frames,
            bytes: received.bytes,
            sha256: received.sha256,
        }
    }

    /// What the same upload has again, however its form is written.
    pub(super) fn fingerprint(&self) -> Result<Fingerprint, ApiError> {
        let recipe = serde_json::to_vec(&self.recipe).map_err(|error| ApiError::Internal(error.into()))?;
        let FormValues { tags, metadata, lane, .. } = &self.values;
        // A tag has no comma.
        let (tags, metadata) = (tags.iter().collect::<Vec<_>>().join(","), metadata.to_json());
        let (title, lane) = (self.title(), lane.as_deref().unwrap_or_default());
        let fields = [title.as_str(), &tags, &metadata, lane].map(str::as_bytes);
        let fields = [&fields[..], &[&recipe, &self.file.received.sha256]].concat();
        Ok(Fingerprint::new("upload_image", &fields))
    }

    /// The most renditions that the image may have: the orientation of the file is not known from its header.
    fn max_renditions(&self) -> u64 {
        let Header { width, height, frames, .. } = self.file.header;
        let count = |size| {
            self.recipe
                .sizes(size, frames)
                .map_or(0, |sizes| sizes.iter().map(|size| size.formats.of_renditions().len() as u64).sum())
        };
        count((width, height)).max(count((height, width)))
    }
}

/// Reads a form into staging. Refuses it as early as possible, before the rest is received.
pub(super) async fn receive(mut form: Form, caller: &Caller, purpose: Purpose, app: &App) -> Result<Upload, ApiError> {
    app.installation.check_uploads().await?;
    let grant = caller.upload.as_deref();
    let limit = grant.and_then(|grant| grant.max_bytes).map_or(app.limits.bytes, |max| max.min(app.limits.bytes));
    if form.content_length().is_some_and(|length| length > limit + FORM_OVERHEAD) {
        return Err(ApiError::UploadTooLarge { limit });
    }
    let admitted = app.limiter.admit_upload(caller.owner, form.content_length(), purpose, &caller.quotas);
    let mut admission = admitted.await?;
    if purpose == Purpose::Image {
        app.backlog.check().await?;
    }
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
                file = Some(receive_file(part, room, limit, &mut admission, app).await?);
            }
            FormField::Text(field) => values.set(field, &part.text().await?)?,
        }
    }
    let file = file.ok_or_else(|| ApiError::Form(format!("The field {FILE} is missing.")))?;
    let recipe = values.recipe()?;
    Ok(Upload { file, values, recipe, admission })
}

/// Refuses an upload whose recipe cannot be followed.
pub(super) async fn check_recipe(upload: &Upload, owner: Owner, app: &App) -> Result<(), ApiError> {
    let count = upload.max_renditions();
    if let Some(max) = app.limiter.max_renditions(owner).filter(|max| count > *max) {
        return Err(ApiError::TooManyRenditions { count, max });
    }
    if let Some(overlay) = upload.recipe.overlay() {
        check_overlay(owner, overlay.image, app).await?;
    }
    Ok(())
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
async fn receive_file(
    mut part: Part<'_>,
    mut room: Reservation,
    limit: u64,
    admission: &mut Admission,
    app: &App,
) -> Result<File, ApiError> {
    let name = part.file_name().map(str::to_owned);
    let header_limits = HeaderLimits::from(app.limits);
    let mut draft = app.staging.draft().await?;
    let (mut buffer, mut is_first) = (BytesMut::new(), true);
    while let Some(chunk) = part.chunk().await? {
        admission.receive(chunk.len());
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
