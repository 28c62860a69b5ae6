//! The catalog: every SQL statement about images and renditions. All of them are checked against the schema when this
//! is compiled (`sqlx::query!`).
//!
//! Functions take a connection, so that callers decide what is one transaction. Updates are guarded by the status
//! they start from; one that meets another status changes nothing and says so.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use darkroom_model::{Failure, FailureCode, ImageId, Rendition, Source, SourceFormat, Status, Title, recipe::Recipe};

use crate::{
    lifecycle::{Failed, Processing, Ready},
    search::{fold, grams},
};

/// A statement failed, or a row holds what this binary does not know.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// Postgres refused, or is away.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
    /// A word in a row is unknown here: a newer binary wrote it.
    #[error("a row of the catalog cannot be read: {0}")]
    Row(String),
}

/// An image to be accepted.
#[derive(Debug)]
pub struct NewImage {
    /// Also the name of its staged file.
    pub id: ImageId,
    /// What a person calls it.
    pub title: Title,
    /// What to render.
    pub recipe: Recipe,
    /// What its header said.
    pub source: Source,
}

/// An image as the catalog has it.
#[derive(Debug, Clone)]
pub struct Image {
    /// Its id.
    pub id: ImageId,
    /// What a person calls it.
    pub title: String,
    /// Where it stands.
    pub status: Status,
    /// What its header said.
    pub source: Source,
    /// How often a worker has taken it up.
    pub attempts: u32,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
    /// `ThumbHash`, once rendered.
    pub placeholder: Option<Vec<u8>>,
    /// The colour that most of it has, in sRGB, once rendered; `None` if an older worker did it.
    pub dominant_colour: Option<[u8; 3]>,
    /// Difference hash, once rendered; `None` if an older worker did it.
    pub perceptual_hash: Option<u64>,
    /// When it was accepted, by the database's clock.
    pub created_at: DateTime<Utc>,
    /// When the latest attempt began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it became ready or failed.
    pub finished_at: Option<DateTime<Utc>>,
}

/// Which images to list.
#[derive(Debug, Default)]
pub struct Filter {
    /// Part of the title, in any case.
    pub title: Option<String>,
    /// Only these.
    pub status: Option<Status>,
    /// Only images older than this one.
    pub before: Option<ImageId>,
    /// At most so many.
    pub limit: i64,
}

/// The database's clock: the one that all replicas share.
pub async fn now(db: &mut PgConnection) -> Result<DateTime<Utc>, CatalogError> {
    Ok(sqlx::query_scalar!(r#"SELECT now() AS "now!""#).fetch_one(db).await?)
}

/// Adds an image as `queued`, and returns when by the database's clock.
pub async fn insert(db: &mut PgConnection, image: &NewImage) -> Result<DateTime<Utc>, CatalogError> {
    let folded = fold(image.title.as_str());
    let source = &image.source;
    let created_at = sqlx::query_scalar!(
        "INSERT INTO images (id, title, title_folded, title_grams, recipe, source_format, source_width, source_height,
                             source_frames, source_bytes, source_sha256)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         RETURNING created_at",
        image.id.as_uuid(),
        image.title.as_str(),
        folded,
        &grams(&folded),
        Json(&image.recipe) as _,
        source.format.as_str(),
        integer(source.width)?,
        integer(source.height)?,
        integer(source.frames)?,
        bigint(source.bytes)?,
        &source.sha256,
    )
    .fetch_one(db)
    .await?;
    Ok(created_at)
}

/// An image that is not being deleted.
pub async fn get(db: &mut PgConnection, id: ImageId) -> Result<Option<Image>, CatalogError> {
    let row = sqlx::query_as!(
        Row,
        "SELECT id, title, status, source_format, source_width, source_height, source_frames, source_bytes,
                source_sha256, attempts, failure_code, failure_detail, placeholder, dominant_colour, perceptual_hash,
                created_at, started_at, finished_at
         FROM images WHERE id = $1 AND status <> 'deleting'",
        id.as_uuid()
    )
    .fetch_optional(db)
    .await?;
    row.map(Image::try_from).transpose()
}

/// Images that are not being deleted, newest first.
pub async fn list(db: &mut PgConnection, filter: &Filter) -> Result<Vec<Image>, CatalogError> {
    let title = filter.title.as_deref().map(fold);
    let title_grams = title.as_deref().map(grams);
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, title, status, source_format, source_width, source_height, source_frames, source_bytes,
                source_sha256, attempts, failure_code, failure_detail, placeholder, dominant_colour, perceptual_hash,
                created_at, started_at, finished_at
         FROM images
         WHERE status <> 'deleting'
           AND ($1::text[] IS NULL OR title_grams @> $1)
           AND ($2::text IS NULL OR strpos(title_folded, $2) > 0)
           AND ($3::text IS NULL OR status = $3)
           AND ($4::uuid IS NULL OR id < $4)
         ORDER BY id DESC LIMIT $5",
        title_grams.as_deref(),
        title.as_deref(),
        filter.status.map(Status::as_str),
        filter.before.map(ImageId::as_uuid),
        filter.limit,
    )
    .fetch_all(db)
    .await?;
    rows.into_iter().map(Image::try_from).collect()
}

/// The renditions of an image, widest first.
pub async fn renditions(db: &mut PgConnection, id: ImageId) -> Result<Vec<Rendition>, CatalogError> {
    let rows = sqlx::query!(
        "SELECT name, format, width, height, bytes, sha256 FROM renditions WHERE image_id = $1
         ORDER BY width DESC, name",
        id.as_uuid()
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Rendition {
                name: row.name,
                format: word(&row.format)?,
                width: unsigned(row.width)?,
                height: unsigned(row.height)?,
                bytes: length(row.bytes)?,
                sha256: hash(row.sha256)?,
            })
        })
        .collect()
}

/// Takes an image up for rendering. `None`: it is finished, being deleted, or gone, and there is nothing to do.
pub async fn start(db: &mut PgConnection, id: ImageId) -> Result<Option<Processing>, CatalogError> {
    let recipe = sqlx::query_scalar!(
        r#"UPDATE images SET status = 'processing', started_at = clock_timestamp(), attempts = attempts + 1
           WHERE id = $1 AND status IN ('queued', 'processing')
           RETURNING recipe AS "recipe: Json<Recipe>""#,
        id.as_uuid()
    )
    .fetch_optional(db)
    .await?;
    Ok(recipe.map(|Json(recipe)| Processing { id, recipe }))
}

/// Puts an image back to `queued` after a transient fault. `false`: it was not `processing`.
pub async fn requeue(db: &mut PgConnection, id: ImageId) -> Result<bool, CatalogError> {
    let done =
        sqlx::query!("UPDATE images SET status = 'queued' WHERE id = $1 AND status = 'processing'", id.as_uuid());
    Ok(done.execute(db).await?.rows_affected() == 1)
}

/// Puts a failed image back to `queued`, to be tried again. `false`: it was not `failed`.
pub async fn revive(db: &mut PgConnection, id: ImageId) -> Result<bool, CatalogError> {
    let done = sqlx::query!(
        "UPDATE images SET status = 'queued', failure_code = NULL, failure_detail = NULL, finished_at = NULL
         WHERE id = $1 AND status = 'failed'",
        id.as_uuid()
    );
    Ok(done.execute(db).await?.rows_affected() == 1)
}

/// Makes an image `ready`, with its renditions. `false`: it is finished, being deleted or gone, and nothing was written.
///
/// From `queued`, too: an attempt that has lost its lease may have put the image back under the one that holds it. Which
/// attempt may write is the lease's to say, in the same transaction.
pub async fn save_ready(db: &mut PgConnection, ready: &Ready) -> Result<bool, CatalogError> {
    let done = sqlx::query!(
        "UPDATE images SET status = 'ready', placeholder = $2, dominant_colour = $3, perceptual_hash = $4,
                finished_at = clock_timestamp()
         WHERE id = $1 AND status IN ('queued', 'processing')",
        ready.id.as_uuid(),
        ready.facts.placeholder,
        &ready.facts.dominant_colour,
        // The same bits; Postgres has no unsigned integers.
        ready.facts.perceptual_hash.cast_signed(),
    );
    if done.execute(&mut *db).await?.rows_affected() == 0 {
        return Ok(false);
    }
    for rendition in &ready.renditions {
        sqlx::query!(
            "INSERT INTO renditions (image_id, name, format, width, height, bytes, sha256)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            ready.id.as_uuid(),
            rendition.name,
            rendition.format.as_str(),
            integer(rendition.width)?,
            integer(rendition.height)?,
            bigint(rendition.bytes)?,
            &rendition.sha256,
        )
        .execute(&mut *db)
        .await?;
    }
    Ok(true)
}

/// Makes an image `failed`. `false`: it is neither `queued` nor `processing`, and nothing was written.
pub async fn save_failed(db: &mut PgConnection, failed: &Failed) -> Result<bool, CatalogError> {
    let done = sqlx::query!(
        "UPDATE images SET status = 'failed', failure_code = $2, failure_detail = $3, finished_at = clock_timestamp()
         WHERE id = $1 AND status IN ('queued', 'processing')",
        failed.id.as_uuid(),
        failed.failure.code.as_str(),
        failed.failure.detail,
    );
    Ok(done.execute(db).await?.rows_affected() == 1)
}

/// Images accepted since then that failed because the bucket or the database was away, oldest first.
pub async fn unavailable(
    db: &mut PgConnection,
    since: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<ImageId>, CatalogError> {
    let ids = sqlx::query_scalar!(
        "SELECT id FROM images WHERE status = 'failed' AND failure_code = 'unavailable' AND created_at > $1
         ORDER BY id LIMIT $2",
        since,
        limit,
    );
    Ok(ids.fetch_all(db).await?.into_iter().map(ImageId::from_uuid).collect())
}

/// Hides an image, to be removed by a job. `false`: there is none, or it is hidden already.
pub async fn mark_deleting(db: &mut PgConnection, id: ImageId) -> Result<bool, CatalogError> {
    let done =
        sqlx::query!("UPDATE images SET status = 'deleting' WHERE id = $1 AND status <> 'deleting'", id.as_uuid());
    Ok(done.execute(db).await?.rows_affected() == 1)
}

/// Removes a hidden image's row and its renditions' rows. That there is none counts as done.
pub async fn forget(db: &mut PgConnection, id: ImageId) -> Result<(), CatalogError> {
    sqlx::query!("DELETE FROM images WHERE id = $1 AND status = 'deleting'", id.as_uuid()).execute(db).await?;
    Ok(())
}

/// Those of `ids` whose staged file is still wanted.
pub async fn waiting(db: &mut PgConnection, ids: &[ImageId]) -> Result<Vec<ImageId>, CatalogError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.as_uuid()).collect();
    let waiting =
        sqlx::query_scalar!("SELECT id FROM images WHERE id = ANY($1) AND status IN ('queued', 'processing')", &ids);
    Ok(waiting.fetch_all(db).await?.into_iter().map(ImageId::from_uuid).collect())
}

/// Locks an image until the transaction ends, and says where it stands. No attempt begins or ends meanwhile.
pub async fn lock(db: &mut PgConnection, id: ImageId) -> Result<Option<Status>, CatalogError> {
    let status = sqlx::query_scalar!("SELECT status FROM images WHERE id = $1 FOR UPDATE", id.as_uuid());
    status.fetch_optional(db).await?.as_deref().map(word).transpose()
}

struct Row {
    id: Uuid,
    title: String,
    status: String,
    source_format: String,
    source_width: i32,
    source_height: i32,
    source_frames: i32,
    source_bytes: i64,
    source_sha256: Vec<u8>,
    attempts: i32,
    failure_code: Option<String>,
    failure_detail: Option<String>,
    placeholder: Option<Vec<u8>>,
    dominant_colour: Option<Vec<u8>>,
    perceptual_hash: Option<i64>,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for Image {
    type Error = CatalogError;

    fn try_from(row: Row) -> Result<Self, CatalogError> {
        let failure = match (row.failure_code, row.failure_detail) {
            (Some(code), Some(detail)) => Some(Failure { code: word::<FailureCode>(&code)?, detail }),
            _ => None,
        };
        Ok(Self {
            id: ImageId::from_uuid(row.id),
            title: row.title,
            status: word(&row.status)?,
            source: Source {
                format: word::<SourceFormat>(&row.source_format)?,
                width: unsigned(row.source_width)?,
                height: unsigned(row.source_height)?,
                frames: unsigned(row.source_frames)?,
                bytes: length(row.source_bytes)?,
                sha256: hash(row.source_sha256)?,
            },
            attempts: unsigned(row.attempts)?,
            failure,
            placeholder: row.placeholder,
            dominant_colour: row.dominant_colour.map(colour).transpose()?,
            perceptual_hash: row.perceptual_hash.map(i64::cast_unsigned),
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
        })
    }
}

fn word<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, CatalogError> {
    text.parse().map_err(|error: T::Err| CatalogError::Row(error.to_string()))
}

fn hash(bytes: Vec<u8>) -> Result<[u8; 32], CatalogError> {
    bytes.try_into().map_err(|_| CatalogError::Row("a hash has the wrong length".to_owned()))
}

fn colour(bytes: Vec<u8>) -> Result<[u8; 3], CatalogError> {
    bytes.try_into().map_err(|_| CatalogError::Row("a colour has the wrong length".to_owned()))
}

fn out_of_range(_: std::num::TryFromIntError) -> CatalogError {
    CatalogError::Row("a number is out of range".to_owned())
}

fn integer(value: u32) -> Result<i32, CatalogError> {
    value.try_into().map_err(out_of_range)
}

fn bigint(value: u64) -> Result<i64, CatalogError> {
    value.try_into().map_err(out_of_range)
}

fn unsigned(value: i32) -> Result<u32, CatalogError> {
    value.try_into().map_err(out_of_range)
}

fn length(value: i64) -> Result<u64, CatalogError> {
    value.try_into().map_err(out_of_range)
}

/// How many images wait to be rendered; counts to `max` and no further.
pub async fn count_queued(db: &mut PgConnection, max: u64) -> Result<u64, CatalogError> {
    let limit = i64::try_from(max).unwrap_or(i64::MAX);
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM (SELECT FROM images WHERE status = 'queued' LIMIT $1) AS queued"#,
        limit
    );
    Ok(u64::try_from(count.fetch_one(db).await?).unwrap_or(0))
}
