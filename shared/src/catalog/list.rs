//! Lists of images: newest first, by status, and the search for titles.
//!
//! Every page reads a bounded number of rows, whatever the owner has stored. A search asks the index of titles if that reads
//! little, which a sample of the titles tells, and is complete then. Otherwise, if many titles have the n-grams of the text or it
//! is one or two ASCII characters, it looks through the owner's newest images, [`WINDOW`] at a time. A page may then have fewer
//! images than it could, and say where the next begins.

use sqlx::PgConnection;
use uuid::Uuid;

use darkroom_model::{ImageId, Owner, Status};

use super::{
    CatalogError, Image,
    read::read_images,
    title_index::{SAMPLE, Search},
};

/// Images that one page looks through at most where it does not use the index of titles.
const WINDOW: i64 = 2_000;

/// The index of titles is used if at most so many titles have all n-grams of the search, by the sample: each is read.
const MAX_FOUND: i64 = 2_048;

/// The index of titles is used if at most so many titles have the rarest n-gram of the search, by the sample: the entries of
/// the index are read.
const MAX_ENTRIES: i64 = 131_072;

/// Which images to list.
#[derive(Debug, Default)]
pub struct Filter {
    /// Only images with this text in their title, in any case.
    pub title: Option<String>,
    /// Only images in this state.
    pub status: Option<Status>,
    /// Only images older than this one: [`Page::next`] of the page before.
    pub before: Option<ImageId>,
    /// Maximum number of images.
    pub limit: u32,
}

/// A page of a list.
#[derive(Debug)]
pub struct Page {
    /// The images, newest first.
    pub images: Vec<Image>,
    /// The next page is of images older than this one; `None`: this is the last. A page with fewer images than its limit, even
    /// with none, may have a next one.
    pub next: Option<ImageId>,
}

/// An image that was found, or the last of a window.
#[derive(Clone, Copy)]
struct Row {
    id: Uuid,
    /// Whether it belongs in the list.
    is_listed: bool,
    /// Whether it is the last that this page may look at.
    ends_window: bool,
}

/// The images of a page, before they are read.
struct Found {
    ids: Vec<Uuid>,
    next: Option<Uuid>,
}

/// The owner's images that match the filter, newest first, without those that are being deleted. A search belongs in
/// [`Database::search`](crate::database::Database::search), which keeps the planner on indexes.
pub async fn list(db: &mut PgConnection, owner: Owner, filter: &Filter) -> Result<Page, CatalogError> {
    let search = filter.title.as_deref().map(|title| Search::new(owner, title));
    let found = match &search {
        Some(search) if is_selective(db, owner, search).await? => find_by_title(db, owner, filter, search).await?,
        search => {
            let title = search.as_ref().map(|search| search.folded.as_str());
            match filter.status {
                None => find_newest(db, owner, filter, title).await?,
                Some(status) => find_newest_with_status(db, owner, filter, status, title).await?,
            }
        }
    };
    let images = read_images(db, owner, &found.ids).await?;
    Ok(Page { images, next: found.next.map(ImageId::from_uuid) })
}

/// Whether a search in the index of titles reads little.
async fn is_selective(db: &mut PgConnection, owner: Owner, search: &Search) -> Result<bool, CatalogError> {
    if search.grams.is_empty() {
        return Ok(false);
    }
    let (max_found, max_entries) = (MAX_FOUND / i64::from(SAMPLE), MAX_ENTRIES / i64::from(SAMPLE));
    // `owner + 0` keeps the planner from reading all images of the owner by their key.
    let hits = sqlx::query!(
        r#"SELECT
               (SELECT count(*) FROM (
                   SELECT FROM images WHERE owner + 0 = $1 AND title_grams @> $2 LIMIT $3) AS title
               ) AS "of_all_grams!",
               (SELECT min(titles) FROM unnest($2::bigint[]) AS gram, LATERAL (
                   SELECT count(*) AS titles FROM (
                       SELECT FROM images WHERE owner + 0 = $1 AND title_grams @> ARRAY[gram] LIMIT $4) AS title
                   ) AS of_gram
               ) AS "of_rarest_gram!""#,
        owner.id(),
        &search.sample,
        max_found + 1,
        max_entries + 1,
    )
    .fetch_one(db)
    .await?;
    Ok(hits.of_all_grams <= max_found && hits.of_rarest_gram <= max_entries)
}

/// A page by the index of titles.
async fn find_by_title(
    db: &mut PgConnection,
    owner: Owner,
    filter: &Filter,
    search: &Search,
) -> Result<Found, CatalogError> {
    let rows = sqlx::query_scalar!(
        r#"SELECT id FROM (
               SELECT id, (SELECT status FROM image_states AS state WHERE state.owner = $1 AND state.id = found.id) AS status
               FROM (
                   SELECT id FROM images
                   WHERE owner + 0 = $1 AND title_grams @> $2 AND strpos(title_folded, $3) > 0 AND id < $4
                   ORDER BY id DESC
               ) AS found
           ) AS listed
           WHERE status <> 'deleting' AND ($5::text IS NULL OR status = $5)
           ORDER BY id DESC LIMIT $6"#,
        owner.id(),
        &search.grams,
        search.folded,
        before(filter),
        filter.status.map(Status::as_str),
        i64::from(filter.limit) + 1,
    );
    let rows = rows.fetch_all(db).await?.into_iter().map(|id| Row { id, is_listed: true, ends_window: false });
    Ok(page(filter, &rows.collect::<Vec<_>>()))
}

/// A page of the newest images, of any status but `deleting`.
async fn find_newest(
    db: &mut PgConnection,
    owner: Owner,
    filter: &Filter,
    title: Option<&str>,
) -> Result<Found, CatalogError> {
    // The last image of the window is always in the answer: the next page begins after it.
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id AS "id!", is_listed AS "is_listed!", number = $3 AS "ends_window!" FROM (
               SELECT id, number, has_title AND coalesce((
                   SELECT status <> 'deleting' FROM image_states AS state WHERE state.owner = $1 AND state.id = newest.id
               ), false) AS is_listed
               FROM (
                   SELECT id, row_number() OVER (ORDER BY id DESC) AS number,
                       $4::text IS NULL OR strpos(title_folded, $4) > 0 AS has_title
                   FROM images WHERE owner = $1 AND id < $2 ORDER BY id DESC LIMIT $3
               ) AS newest
           ) AS listed
           WHERE is_listed OR number = $3
           ORDER BY id DESC LIMIT $5"#,
        owner.id(),
        before(filter),
        WINDOW,
        title,
        i64::from(filter.limit) + 1,
    );
    Ok(page(filter, &rows.fetch_all(db).await?))
}

/// A page of the newest images with this status.
async fn find_newest_with_status(
    db: &mut PgConnection,
    owner: Owner,
    filter: &Filter,
    status: Status,
    title: Option<&str>,
) -> Result<Found, CatalogError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id AS "id!", is_listed AS "is_listed!", number = $3 AS "ends_window!" FROM (
               SELECT id, number, $4::text IS NULL OR strpos((
                   SELECT title_folded FROM images WHERE images.owner = $1 AND images.id = newest.id
               ), $4) > 0 AS is_listed
               FROM (
                   SELECT id, row_number() OVER (ORDER BY id DESC) AS number
                   FROM image_states WHERE status = $6 AND owner = $1 AND id < $2 ORDER BY id DESC LIMIT $3
               ) AS newest
           ) AS listed
           WHERE is_listed OR number = $3
           ORDER BY id DESC LIMIT $5"#,
        owner.id(),
        before(filter),
        WINDOW,
        title,
        i64::from(filter.limit) + 1,
        status.as_str(),
    );
    Ok(page(filter, &rows.fetch_all(db).await?))
}

fn before(filter: &Filter) -> Uuid {
    filter.before.map_or(Uuid::max(), ImageId::as_uuid)
}

/// The page of these rows, which are up to one more than its limit.
fn page(filter: &Filter, rows: &[Row]) -> Found {
    let (page, rest) = rows.split_at(rows.len().min(filter.limit as usize));
    let has_next = !rest.is_empty() || page.last().is_some_and(|row| row.ends_window);
    Found {
        ids: page.iter().filter(|row| row.is_listed).map(|row| row.id).collect(),
        next: page.last().filter(|_| has_next).map(|row| row.id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(n: u128, is_listed: bool, ends_window: bool) -> Row {
        Row { id: Uuid::from_u128(n), is_listed, ends_window }
    }

    #[test]
    fn a_page_has_a_next_one_if_there_are_more_rows_or_its_window_ends() {
        let filter = Filter { limit: 2, ..Filter::default() };
        let [a, b, c] = [9, 8, 7].map(|n| row(n, true, false));
        for (rows, listed, next) in [
            (vec![], 0, None),
            (vec![a, b], 2, None),
            (vec![a, b, c], 2, Some(8)),
            (vec![a, row(5, false, true)], 1, Some(5)),
            (vec![a, row(5, true, true)], 2, Some(5)),
            (vec![a, b, row(5, false, true)], 2, Some(8)),
            (vec![row(5, false, true)], 0, Some(5)),
        ] {
            let found = page(&filter, &rows);
            assert_eq!((found.ids.len(), found.next), (listed, next.map(Uuid::from_u128)));
        }
    }
}
