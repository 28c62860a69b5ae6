//! Changing what clients said of an image: its title, tags and metadata.

use darkroom_model::{ImageId, Metadata, Owner, Tags, Title};
use serde_json::{Map, Value};
use sqlx::{PgConnection, types::Json};

use super::{
    CatalogError,
    search_index::{FOLDING, Labels, SearchIndex},
};

/// What clients said of an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Details {
    /// The title.
    pub title: Title,
    /// The tags.
    pub tags: Tags,
    /// The metadata.
    pub metadata: Metadata,
}

/// The version of an image, which is locked until the transaction ends; `None` if there is none, or it is being deleted.
pub async fn lock_version(db: &mut PgConnection, owner: Owner, id: ImageId) -> Result<Option<i32>, CatalogError> {
    let version = sqlx::query_scalar!(
        "SELECT version FROM image_states WHERE owner = $1 AND id = $2 AND status <> 'deleting' FOR NO KEY UPDATE",
        owner.id(),
        id.as_uuid()
    );
    Ok(version.fetch_optional(db).await?)
}

/// What clients said of an image, and its version. Locks as [`lock_version`] does.
pub async fn lock(db: &mut PgConnection, owner: Owner, id: ImageId) -> Result<Option<(Details, i32)>, CatalogError> {
    // Both rows are locked, so that both are the newest after another change was waited for.
    let row = sqlx::query!(
        r#"SELECT version, title, tags, metadata AS "metadata: Json<Map<String, Value>>"
           FROM image_states JOIN images USING (owner, id)
           WHERE owner = $1 AND id = $2 AND status <> 'deleting' FOR NO KEY UPDATE"#,
        owner.id(),
        id.as_uuid()
    )
    .fetch_optional(db)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let invalid = |what: &str| CatalogError::Row(format!("the {what} of an image violate their rules"));
    let details = Details {
        title: Title::parse(&row.title).map_err(|_| invalid("title"))?,
        tags: Tags::parse(row.tags.iter().map(String::as_str)).map_err(|_| invalid("tags"))?,
        metadata: Metadata::from_stored(row.metadata.0),
    };
    Ok(Some((details, row.version)))
}

/// Replaces what clients said of an image, and advances its version. Call it in the transaction that has locked the image.
pub async fn save_details(
    db: &mut PgConnection,
    owner: Owner,
    id: ImageId,
    details: &Details,
) -> Result<(), CatalogError> {
    let format = sqlx::query_scalar!(
        "UPDATE image_states SET version = version + 1 FROM images
         WHERE image_states.owner = $1 AND image_states.id = $2 AND images.owner = $1 AND images.id = $2
         RETURNING source_format",
        owner.id(),
        id.as_uuid()
    );
    let Some(format) = format.fetch_optional(&mut *db).await? else { return Ok(()) };
    let tags: Vec<&str> = details.tags.iter().collect();
    let metadata = details.metadata.as_object();
    let labels = Labels { format: &format, tags: &tags, metadata: Some(metadata) };
    let index = SearchIndex::new(owner, id, details.title.as_str(), &labels);
    let update = sqlx::query!(
        "UPDATE images SET title = $3, tags = $4, metadata = $5::text::json, title_folded = $6, terms = $7, folding = $8
         WHERE owner = $1 AND id = $2",
        owner.id(),
        id.as_uuid(),
        details.title.as_str(),
        &tags as &[&str],
        details.metadata.to_json(),
        index.folded,
        &index.terms,
        FOLDING,
    );
    update.execute(db).await?;
    Ok(())
}
