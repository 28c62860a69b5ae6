//! Reading images and renditions.

use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use darkroom_container::header::Header;
use darkroom_model::{ImageId, Owner, Rendition, RenditionFormat, recipe::Recipe};

use super::{
    CatalogError, Image,
    columns::{from_bigint, from_integer, known, sha256, string_enum},
    image::Row,
};

/// An image; `None` if there is none, or it is being deleted.
pub async fn get(db: &mut PgConnection, owner: Owner, id: ImageId) -> Result<Option<Image>, CatalogError> {
    Ok(read_images(db, owner, &[id.as_uuid()]).await?.pop())
}

/// These images, in this order, without those that are being deleted or gone.
pub(super) async fn read_images(db: &mut PgConnection, owner: Owner, ids: &[Uuid]) -> Result<Vec<Image>, CatalogError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, title, tags, metadata AS "metadata: _", version, status, source_format, source_width, source_height, source_frames, source_bytes,
                source_sha256, attempts, failure_code, failure_detail, placeholder, dominant_colour, perceptual_hash,
                created_at, started_at, finished_at
         FROM images JOIN image_states USING (owner, id)
         WHERE owner = $1 AND id = ANY($2) AND status <> 'deleting'
         ORDER BY array_position($2, id)"#,
        owner.id(),
        ids
    );
    rows.fetch_all(db).await?.into_iter().map(Image::try_from).collect()
}

/// What is known of an image before it is rendered, without its file.
#[derive(Clone, Debug)]
pub struct UnrenderedImage {
    /// The header of its file.
    pub header: Header,
    /// Size of its file in bytes.
    pub bytes: u64,
    /// What to render.
    pub recipe: Recipe,
}

/// An image that is to be rendered; `None` if it is finished, being deleted, or gone.
pub async fn unrendered(
    db: &mut PgConnection,
    owner: Owner,
    id: ImageId,
) -> Result<Option<UnrenderedImage>, CatalogError> {
    let row = sqlx::query!(
        r#"SELECT source_format, source_width, source_height, source_frames, source_bytes, source_scans,
                  source_bits_per_pixel, source_decoded_pixels, recipe AS "recipe: Json<Recipe>"
           FROM images JOIN image_states USING (owner, id)
           WHERE owner = $1 AND id = $2 AND status IN ('queued', 'processing')"#,
        owner.id(),
        id.as_uuid()
    )
    .fetch_optional(db)
    .await?;
    row.map(|row| {
        let Json(recipe) = row.recipe;
        let header = Header {
            format: string_enum(&row.source_format)?,
            width: from_integer(row.source_width)?,
            height: from_integer(row.source_height)?,
            frames: from_integer(row.source_frames)?,
            scans: from_integer(row.source_scans)?,
            bits_per_pixel: from_integer(row.source_bits_per_pixel)?,
            decoded_pixels: from_bigint(row.source_decoded_pixels)?,
        };
        Ok(UnrenderedImage { header, bytes: from_bigint(row.source_bytes)?, recipe })
    })
    .transpose()
}

/// The renditions of an image, widest first.
///
/// # Errors
/// [`CatalogError::Row`] if one has a format that only a newer version knows, so that none of its objects is taken for an
/// orphan.
pub async fn renditions(db: &mut PgConnection, owner: Owner, id: ImageId) -> Result<Vec<Rendition>, CatalogError> {
    rendition_rows(db, owner, id).await?.into_iter().map(Rendition::try_from).collect()
}

/// The renditions of an image whose format this version knows, widest first.
pub async fn known_renditions(
    db: &mut PgConnection,
    owner: Owner,
    id: ImageId,
) -> Result<Vec<Rendition>, CatalogError> {
    let rows = rendition_rows(db, owner, id).await?;
    let known = |row: &RenditionRow| known::<RenditionFormat>(&row.format).is_some();
    rows.into_iter().filter(known).map(Rendition::try_from).collect()
}

struct RenditionRow {
    name: String,
    format: String,
    width: i32,
    height: i32,
    bytes: i64,
    sha256: Vec<u8>,
}

async fn rendition_rows(db: &mut PgConnection, owner: Owner, id: ImageId) -> Result<Vec<RenditionRow>, CatalogError> {
    let rows = sqlx::query_as!(
        RenditionRow,
        "SELECT name, format, width, height, bytes, sha256 FROM renditions
         WHERE owner = $1 AND image_id = $2 ORDER BY width DESC, name",
        owner.id(),
        id.as_uuid()
    );
    Ok(rows.fetch_all(db).await?)
}

impl TryFrom<RenditionRow> for Rendition {
    type Error = CatalogError;

    fn try_from(row: RenditionRow) -> Result<Self, CatalogError> {
        Ok(Self {
            name: row.name,
            format: string_enum(&row.format)?,
            width: from_integer(row.width)?,
            height: from_integer(row.height)?,
            bytes: from_bigint(row.bytes)?,
            sha256: sha256(row.sha256)?,
        })
    }
}

/// How many images of all owners wait to be rendered; counts to `max` and no further.
pub async fn count_queued(db: &mut PgConnection, max: u64) -> Result<u64, CatalogError> {
    let limit = i64::try_from(max).unwrap_or(i64::MAX);
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM (
               SELECT FROM image_states WHERE status = 'queued' LIMIT $1) AS queued"#,
        limit
    );
    Ok(u64::try_from(count.fetch_one(db).await?).unwrap_or(0))
}
