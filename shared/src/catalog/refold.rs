//! Folds the titles of stored images again after the rules of folding have changed.

use darkroom_model::{ImageId, Owner};
use sqlx::PgConnection;

use super::{
    CatalogError,
    title_index::{FOLDING, TitleIndex},
};

/// Folds up to `limit` titles that an older version has folded, and returns how many those were; fewer than the limit: no
/// more are left. Call it in a transaction. What a newer version has folded stays as it is.
///
/// Where nothing has changed it reads an empty index. During a deploy an older binary may go on adding titles of the older
/// folding; a later call finds those too.
pub async fn refold_titles(tx: &mut PgConnection, limit: i64) -> Result<usize, CatalogError> {
    // The number is that of the index `images_unfolded`, which the planner uses for no other.
    let rows = sqlx::query!(
        "SELECT owner, id, title FROM images WHERE folding < 1 ORDER BY owner, id LIMIT $1 FOR UPDATE SKIP LOCKED",
        limit,
    )
    .fetch_all(&mut *tx)
    .await?;
    for row in &rows {
        let index = TitleIndex::new(Owner::from_id(row.owner), ImageId::from_uuid(row.id), &row.title);
        let update = sqlx::query!(
            "UPDATE images SET title_folded = $3, title_grams = $4, folding = $5 WHERE owner = $1 AND id = $2",
            row.owner,
            row.id,
            index.folded,
            &index.grams,
            FOLDING,
        );
        update.execute(&mut *tx).await?;
    }
    Ok(rows.len())
}
