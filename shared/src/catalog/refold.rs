//! Indexes stored images again after the rules of folding or of the terms have changed.

use darkroom_model::{ImageId, Owner};
use serde_json::{Map, Value};
use sqlx::{PgConnection, types::Json};

use super::{
    CatalogError,
    search_index::{FOLDING, Labels, SearchIndex},
};

/// Folds up to `limit` titles that an older version has folded, and returns how many those were; fewer than the limit: no
/// more are left. Call it in a transaction. What a newer version has folded stays as it is.
///
/// Where nothing has changed it reads an empty index. During a deploy an older binary may go on adding titles of the older
/// folding; a later call finds those too.
pub async fn refold_titles(tx: &mut PgConnection, limit: i64) -> Result<usize, CatalogError> {
    // The number is that of the index `images_unfolded`, which the planner uses for no other.
    let rows = sqlx::query!(
        r#"SELECT owner, id, title, source_format, tags, metadata AS "metadata: Json<Map<String, Value>>"
           FROM images WHERE folding < 2 ORDER BY owner, id LIMIT $1 FOR UPDATE SKIP LOCKED"#,
        limit,
    )
    .fetch_all(&mut *tx)
    .await?;
    for row in &rows {
        let tags: Vec<&str> = row.tags.iter().map(String::as_str).collect();
        let labels = Labels { format: &row.source_format, tags: &tags, metadata: Some(&row.metadata.0) };
        let index = SearchIndex::new(Owner::from_id(row.owner), ImageId::from_uuid(row.id), &row.title, &labels);
        let update = sqlx::query!(
            "UPDATE images SET title_folded = $3, terms = $4, folding = $5 WHERE owner = $1 AND id = $2",
            row.owner,
            row.id,
            index.folded,
            &index.terms,
            FOLDING,
        );
        update.execute(&mut *tx).await?;
    }
    Ok(rows.len())
}
