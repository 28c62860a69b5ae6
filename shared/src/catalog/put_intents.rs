//! Put intents: the records of attempts that may store objects. [`start`](super::start) writes one, in the transaction that
//! makes the image `processing`, and [`save_ready`](super::save_ready) removes it in that which makes all objects renditions.
//! Every other end of an attempt removes it when the attempt has left no object.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use darkroom_model::OwnedImage;

use super::{
    CatalogError,
    columns::{columns_of, owned},
};

/// The record of an attempt at an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PutIntent {
    pub(super) image: OwnedImage,
    pub(super) attempt: Uuid,
}

impl PutIntent {
    pub(super) fn new(image: OwnedImage) -> Self {
        Self { image, attempt: Uuid::now_v7() }
    }

    /// The image for which the attempt may store objects in the bucket.
    pub fn image(&self) -> OwnedImage {
        self.image
    }
}

/// Removes the intent of an attempt that stores nothing more and has left no object.
pub async fn remove_put_intent(db: &mut PgConnection, intent: PutIntent) -> Result<(), CatalogError> {
    let PutIntent { image, attempt } = intent;
    let remove = sqlx::query!(
        "DELETE FROM put_intents WHERE owner = $1 AND image_id = $2 AND attempt = $3",
        image.owner.id(),
        image.id.as_uuid(),
        attempt
    );
    remove.execute(db).await?;
    Ok(())
}

/// The intents of all owners from before `since`, at most `limit`. `after`: the last of the page before.
pub async fn list_put_intents(
    db: &mut PgConnection,
    since: DateTime<Utc>,
    after: Option<PutIntent>,
    limit: i64,
) -> Result<Vec<PutIntent>, CatalogError> {
    let rows = sqlx::query!(
        "SELECT owner, image_id, attempt FROM put_intents
         WHERE (owner, image_id, attempt) > ($1, $2, $3) AND since < $4
         ORDER BY owner, image_id, attempt LIMIT $5",
        after.map_or(0, |intent| intent.image.owner.id()),
        after.map_or(Uuid::nil(), |intent| intent.image.id.as_uuid()),
        after.map_or(Uuid::nil(), |intent| intent.attempt),
        since,
        limit,
    );
    let rows = rows.fetch_all(db).await?;
    Ok(rows.into_iter().map(|row| PutIntent { image: owned(row.owner, row.image_id), attempt: row.attempt }).collect())
}

/// Removes the intents from before `since` of these images, which have no object but their renditions.
pub async fn remove_put_intents(
    db: &mut PgConnection,
    images: &[OwnedImage],
    since: DateTime<Utc>,
) -> Result<(), CatalogError> {
    let (owners, ids) = columns_of(images);
    let remove = sqlx::query!(
        "DELETE FROM put_intents AS intent USING unnest($1::integer[], $2::uuid[]) AS done (owner, image_id)
         WHERE intent.owner = done.owner AND intent.image_id = done.image_id AND since < $3",
        &owners,
        &ids,
        since
    );
    remove.execute(db).await?;
    Ok(())
}
