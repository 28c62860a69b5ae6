//! Accepting an upload: from a complete, valid file to the commit.

use chrono::{DateTime, Utc};
use darkroom_model::{ImageId, Owner};
use darkroom_queue::Job as _;
use darkroom_shared::{
    access::{KeyId, take_upload_token},
    catalog::{self, NewImage},
    idempotency::Answer,
    jobs::{ProcessImage, process_image_options},
    staging::{Received, Reservation},
};
use poem_openapi::types::ToJSON as _;
use sqlx::{
    PgConnection,
    postgres::{PgDatabaseError, PgSeverity},
};
use tracing::Instrument as _;

use super::{
    fields::FormValues,
    upload::{File, Upload},
    wire::{self, Image},
};
use crate::{
    App,
    auth::{Caller, refusal::Refusal},
    error::ApiError,
    idempotency::{Fingerprint, RequestKey},
    limits::Admission,
};

/// How an upload was accepted.
pub(super) enum Accepted {
    /// As a new image.
    New(Image),
    /// Another upload with the same `Idempotency-Key` was accepted meanwhile.
    Duplicate(Answer),
}

/// Accepts an upload: makes the staged file durable, then inserts the image and its job in one transaction, and with a `key` the
/// answer.
///
/// A database that is away is noticed before the file is kept. When the database refuses afterwards, the file is removed
/// again. A crash in between, or a commit with an unknown outcome, leaves a staged file that may not belong to an image;
/// the sweep deletes it if it does not.
pub(super) async fn accept(
    upload: Upload,
    key: Option<(RequestKey, Fingerprint)>,
    caller: Caller,
    app: &App,
) -> Result<Accepted, ApiError> {
    let (source, title) = (upload.source(), upload.title());
    let Upload { file: File { received, room, header, .. }, values, recipe, admission } = upload;
    let FormValues { tags, metadata, lane, .. } = values;
    let image = NewImage { id: ImageId::now(), title, tags, metadata, recipe, source, header };
    // A key has no uses to count.
    let token = caller.upload.and(caller.key);
    let new = New { owner: caller.owner, image, lane, token, key };
    let app = app.clone();
    // A task of its own, so that a client that goes away cannot stop it between the file and the commit.
    let accepting = async move { accept_file(received, room, admission, new, &app).await };
    tokio::spawn(accepting.in_current_span()).await.map_err(|error| ApiError::Internal(error.into()))?
}

/// An image to insert.
struct New {
    owner: Owner,
    image: NewImage,
    lane: Option<String>,
    /// The upload token of which a use is taken.
    token: Option<KeyId>,
    key: Option<(RequestKey, Fingerprint)>,
}

async fn accept_file(
    received: Received,
    room: Reservation,
    admission: Admission,
    new: New,
    app: &App,
) -> Result<Accepted, ApiError> {
    let (owner, id, bytes) = (new.owner, new.image.id, new.image.source.bytes);
    // No connection is held while the file is kept.
    app.db.probe().await?;
    if let Err(error) = app.staging.keep(received, owner, id).await {
        // It may be there all the same, for example after a lost answer of the bucket.
        remove_staged(app, owner, id).await;
        return Err(error.into());
    }
    // A volume may have been unmounted or replaced meanwhile; then no worker would find the file.
    if let Err(error) = app.installation.check_kept().await {
        remove_staged(app, owner, id).await;
        return Err(error.into());
    }
    room.keep(bytes);
    match insert(&new, app).await {
        Ok(Some(created_at)) => {
            app.notifier.notify(ProcessImage::QUEUE);
            app.backlog.add();
            admission.accept(bytes);
            Ok(Accepted::New(Image::accepted(&new.image, created_at)))
        }
        Ok(None) => {
            remove_staged(app, owner, id).await;
            // It was answered a moment ago; only an expired one is not found.
            let Some((key, fingerprint)) = &new.key else { return Err(ApiError::IdempotencyKeyInUse) };
            let answered = key.find(&app.db).await?.ok_or(ApiError::IdempotencyKeyInUse)?;
            Ok(Accepted::Duplicate(fingerprint.answer(answered)?))
        }
        Err(InsertError::NotCommitted(error)) => {
            remove_staged(app, owner, id).await;
            Err(error)
        }
        Err(InsertError::Unknown(error)) => {
            tracing::warn!(image = %id, %error, "the outcome of a commit is unknown: the staged file is kept");
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

/// Inserts the image and its job, takes a use of the upload token, and records the answer if the request has a key, in one
/// transaction. `None`: a request with the same
/// key was answered, and nothing was written.
async fn insert(new: &New, app: &App) -> Result<Option<DateTime<Utc>>, InsertError> {
    let New { owner, image, lane, token, key } = new;
    let mut is_commit_due = false;
    let insert = async |tx: &mut PgConnection| {
        let not_committed = |error: ApiError| InsertError::NotCommitted(error);
        if let Some((key, fingerprint)) = key {
            // The time of the transaction, which the image will have.
            let created_at = catalog::now(tx).await.map_err(|error| not_committed(error.into()))?;
            let body = Image::accepted(image, created_at).to_json_string();
            let answer = Answer { body, location: wire::location(image.id) };
            if !key.claim(tx, fingerprint, &answer).await.map_err(not_committed)? {
                is_commit_due = true;
                return Ok(None);
            }
        }
        let created_at = catalog::insert(tx, *owner, image).await.map_err(|error| not_committed(error.into()))?;
        let job = ProcessImage { owner: *owner, image: image.id };
        let options = process_image_options(*owner, image.id, lane.as_deref());
        let enqueued = darkroom_queue::enqueue(tx, &job, &options).await;
        enqueued.map_err(|error| not_committed(error.into()))?;
        // Last, because other uploads with this token wait from here to the commit.
        if let Some(token) = token
            && !take_upload_token(tx, *token).await.map_err(|error| not_committed(error.into()))?
        {
            return Err(not_committed(Refusal::Expired.into()));
        }
        is_commit_due = true;
        Ok(Some(created_at))
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
