//! Folds the titles of stored images again after the rules of folding have changed.

use sqlx::PgConnection;

use super::{
    CatalogError,
    search::{FOLDING, fold, ngrams},
};

/// What a call of [`refold_titles`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refolded {
    /// Titles that were read. Fewer than the limit: no more are left.
    pub read: usize,
    /// Titles whose folding has changed and was stored.
    pub changed: usize,
}

/// Folds the next `limit` titles, in the order of ids, and stores those that differ. Call it in a transaction.
///
/// Each image is read once for each version of the folding. Images of the last hour are left to a later call: during a deploy,
/// an older binary may add some. Does nothing where a newer version has begun, or where
/// the table of the progress does not exist yet.
pub async fn refold_titles(tx: &mut PgConnection, limit: i64) -> Result<Refolded, CatalogError> {
    // An older schema, during a deploy.
    let can_begin = sqlx::query_scalar!(r#"SELECT to_regclass('title_folding') IS NOT NULL AS "exists!""#);
    if !can_begin.fetch_one(&mut *tx).await? {
        return Ok(Refolded { read: 0, changed: 0 });
    }
    let progress =
        sqlx::query!("SELECT version, folded_until FROM title_folding FOR UPDATE").fetch_one(&mut *tx).await?;
    if progress.version > FOLDING {
        return Ok(Refolded { read: 0, changed: 0 });
    }
    let after = progress.folded_until.filter(|_| progress.version == FOLDING);
    let rows = sqlx::query!(
        "SELECT id, title, title_folded FROM images
         WHERE id > $1 AND created_at < now() - interval '1 hour'
         ORDER BY id LIMIT $2",
        after.unwrap_or_default(),
        limit,
    )
    .fetch_all(&mut *tx)
    .await?;
    let mut changed = 0;
    for row in &rows {
        let folded = fold(&row.title);
        if folded != row.title_folded {
            sqlx::query!(
                "UPDATE images SET title_folded = $2, title_grams = $3 WHERE id = $1",
                row.id,
                folded,
                &ngrams(&folded)
            )
            .execute(&mut *tx)
            .await?;
            changed += 1;
        }
    }
    let until = rows.last().map(|row| row.id).or(after);
    sqlx::query!("UPDATE title_folding SET version = $1, folded_until = $2", FOLDING, until).execute(&mut *tx).await?;
    Ok(Refolded { read: rows.len(), changed })
}
