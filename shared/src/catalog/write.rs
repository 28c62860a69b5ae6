//! Adding images and changing their status. Every update is guarded by the status that it starts from.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, types::Json};

use darkroom_model::{ImageId, OwnedImage, Owner, recipe::Recipe};

use super::{
    CatalogError, NewImage,
    columns::{to_bigint, to_integer},
    lifecycle::{Failed, Processing, Ready},
    put_intents::PutIntent,
    search_index::{FOLDING, Labels, SearchIndex},
};

/// Adds an image as `queued`, and returns when it was added, by the database's clock.
pub async fn insert(db: &mut PgConnection, owner: Owner, image: &NewImage) -> Result<DateTime<Utc>, CatalogError> {
    let NewImage { source, header, metadata, .. } = image;
    let tags: Vec<&str> = image.tags.iter().collect();
    let labels = Labels { format: source.format.as_str(), tags: &tags, metadata: Some(metadata.as_object()) };
    let index = SearchIndex::new(owner, image.id, image.title.as_str(), &labels);
    let created_at = sqlx::query_scalar!(
        "WITH state AS (INSERT INTO image_states (owner, id) VALUES ($1, $2))
         INSERT INTO images (owner, id, title, title_folded, terms, folding, recipe, source_format, source_width, source_height,
                             source_frames, source_bytes, source_sha256, source_scans, source_bits_per_pixel,
                             source_decoded_pixels, tags, metadata)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18::text::json)
         RETURNING created_at",
        owner.id(),
        image.id.as_uuid(),
        image.title.as_str(),
        index.folded,
        &index.terms,
        FOLDING,
        Json(&image.recipe) as _,
        source.format.as_str(),
        to_integer(source.width)?,
        to_integer(source.height)?,
        to_integer(source.frames)?,
        to_bigint(source.bytes)?,
        &source.sha256,
        to_integer(header.scans)?,
        to_integer(header.bits_per_pixel)?,
        to_bigint(header.decoded_pixels)?,
        &tags as &[&str],
        metadata.to_json(),
    )
    .fetch_one(db)
    .await?;
    Ok(created_at)
}

/// Makes an image `processing`, counts an attempt, and records that the attempt may store objects. `None`: it is finished,
/// being deleted, or gone, and there is nothing to do.
pub async fn start(db: &mut PgConnection, owner: Owner, id: ImageId) -> Result<Option<Processing>, CatalogError> {
    let intent = PutIntent::new(OwnedImage { owner, id });
    let recipe = sqlx::query_scalar!(
        r#"WITH started AS (
               UPDATE image_states SET version = version + 1, status = 'processing', started_at = clock_timestamp(), attempts = attempts + 1
               WHERE owner = $1 AND id = $2 AND status IN ('queued', 'processing')
               RETURNING owner, id
           ), intent AS (
               INSERT INTO put_intents (owner, image_id, attempt) SELECT owner, id, $3 FROM started
           )
           SELECT recipe AS "recipe: Json<Recipe>" FROM images JOIN started USING (owner, id)"#,
        owner.id(),
        id.as_uuid(),
        intent.attempt,
    )
    .fetch_optional(db)
    .await?;
    Ok(recipe.map(|Json(recipe)| Processing::new(intent, recipe)))
}

/// Makes a `processing` image `queued` again, after an error that may pass. `false`: it was not `processing`.
pub async fn requeue(db: &mut PgConnection, owner: Owner, id: ImageId) -> Result<bool, CatalogError> {
    let done = sqlx::query!(
        "UPDATE image_states SET version = version + 1, status = 'queued' WHERE owner = $1 AND id = $2 AND status = 'processing'",
        owner.id(),
        id.as_uuid()
    );
    Ok(done.execute(db).await?.rows_affected() == 1)
}

/// Makes a `failed` image `queued` again, for an operator: its revivals are counted anew. `false`: it was not `failed`.
pub async fn requeue_failed(db: &mut PgConnection, owner: Owner, id: ImageId) -> Result<bool, CatalogError> {
    let done = sqlx::query!(
        "UPDATE image_states SET version = version + 1, status = 'queued', failure_code = NULL, failure_detail = NULL, finished_at = NULL,
                revivals = 0, too_large_since = NULL
         WHERE owner = $1 AND id = $2 AND status = 'failed'",
        owner.id(),
        id.as_uuid()
    );
    Ok(done.execute(db).await?.rows_affected() == 1)
}

/// Makes an image `ready`, adds its renditions and removes the attempt's intent. `false`: it is finished, being deleted or gone, and nothing was
/// written.
///
/// A `queued` image becomes `ready` too: an attempt that has lost its lease may have requeued it while the attempt with
/// the lease still runs. The lease check in this transaction decides who may write.
pub async fn save_ready(db: &mut PgConnection, ready: &Ready) -> Result<bool, CatalogError> {
    let (image, renditions) = (ready.image(), &ready.renditions);
    let names: Vec<&str> = renditions.iter().map(|rendition| rendition.name.as_str()).collect();
    let formats: Vec<&str> = renditions.iter().map(|rendition| rendition.format.as_str()).collect();
    let widths = renditions.iter().map(|rendition| to_integer(rendition.width)).collect::<Result<Vec<_>, _>>()?;
    let heights = renditions.iter().map(|rendition| to_integer(rendition.height)).collect::<Result<Vec<_>, _>>()?;
    let bytes = renditions.iter().map(|rendition| to_bigint(rendition.bytes)).collect::<Result<Vec<_>, _>>()?;
    let hashes: Vec<&[u8]> = renditions.iter().map(|rendition| rendition.sha256.as_slice()).collect();
    // A crash of Postgres may have undone the start of the attempt, which its job has claimed nevertheless.
    let done = sqlx::query_scalar!(
        r#"WITH state AS (
               UPDATE image_states SET version = version + 1, status = 'ready', placeholder = $3, dominant_colour = $4, perceptual_hash = $5,
                   finished_at = clock_timestamp(), attempts = greatest(attempts, 1)
               WHERE owner = $1 AND id = $2 AND status IN ('queued', 'processing')
               RETURNING owner, id
           ), stored AS (
               INSERT INTO renditions (owner, image_id, name, format, width, height, bytes, sha256)
               SELECT owner, id, name, format, width, height, bytes, sha256
               FROM state, unnest($6::text[], $7::text[], $8::integer[], $9::integer[], $10::bigint[], $11::bytea[])
                   AS rendition (name, format, width, height, bytes, sha256)
           ), intent AS (
               DELETE FROM put_intents USING state
               WHERE put_intents.owner = state.owner AND image_id = state.id AND attempt = $12
           )
           SELECT count(*) AS "count!" FROM state"#,
        image.owner.id(),
        image.id.as_uuid(),
        ready.analysis.placeholder,
        &ready.analysis.dominant_colour,
        // The same bits; Postgres has no unsigned integers.
        ready.analysis.perceptual_hash.cast_signed(),
        &names as &[&str],
        &formats as &[&str],
        &widths,
        &heights,
        &bytes,
        &hashes as &[&[u8]],
        ready.intent.attempt,
    );
    Ok(done.fetch_one(db).await? == 1)
}

/// Makes an image `failed`. `false`: it is neither `queued` nor `processing`, and nothing was written.
pub async fn save_failed(db: &mut PgConnection, failed: &Failed) -> Result<bool, CatalogError> {
    let done = sqlx::query!(
        "UPDATE image_states SET version = version + 1, status = 'failed', failure_code = $3, failure_detail = $4, finished_at = clock_timestamp()
         WHERE owner = $1 AND id = $2 AND status IN ('queued', 'processing')",
        failed.image.owner.id(),
        failed.image.id.as_uuid(),
        failed.failure.code.as_str(),
        failed.failure.detail,
    );
    Ok(done.execute(db).await?.rows_affected() == 1)
}

/// Makes an image `deleting`, which hides it from the api; a job then removes it. `false`: there is none, or it is
/// `deleting` already.
pub async fn mark_deleting(db: &mut PgConnection, owner: Owner, id: ImageId) -> Result<bool, CatalogError> {
    let done = sqlx::query!(
        "UPDATE image_states SET status = 'deleting' WHERE owner = $1 AND id = $2 AND status <> 'deleting'",
        owner.id(),
        id.as_uuid()
    );
    Ok(done.execute(db).await?.rows_affected() == 1)
}

/// Deletes all rows of a `deleting` image. Succeeds if there are none.
pub async fn delete(db: &mut PgConnection, owner: Owner, id: ImageId) -> Result<(), CatalogError> {
    let delete = sqlx::query!(
        "DELETE FROM images USING image_states AS state
         WHERE images.owner = $1 AND images.id = $2 AND state.owner = $1 AND state.id = $2 AND status = 'deleting'",
        owner.id(),
        id.as_uuid()
    );
    delete.execute(db).await?;
    Ok(())
}
