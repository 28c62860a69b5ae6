//! Lists of images: filters, sort orders, pages.
//!
//! Every page reads a bounded number of rows, whatever the owner has stored. A search asks the index of terms if that reads
//! little, which a sample of the images tells, and is complete then. Otherwise, if many images have the terms or the text is one
//! or two ASCII characters, it looks through the owner's images in the order of the list, [`WINDOW`] at a time. A page may then
//! have fewer images than it could, and say where the next begins.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use darkroom_model::{ImageId, Owner, SourceFormat, Status};

use super::{
    CatalogError, Image,
    columns::{CLOCK_SKEW, first_id},
    list_queries,
    read::read_images,
    search_index::{SAMPLE, Search},
};

/// Images that one page looks through at most where it does not use the index of terms.
pub(super) const WINDOW: i64 = 2_000;

/// The same in the order of the titles: there each image is on another page of the table.
pub(super) const WINDOW_BY_TITLE: i64 = 1_000;

/// The index of terms is used if at most so many images have all terms of the search, by the sample: each is read.
const MAX_FOUND: i64 = 2_048;

/// The index of terms is used if at most so many images have the rarest term of the search, by the sample: the entries of
/// the index are read.
const MAX_ENTRIES: i64 = 131_072;

/// Which images to list, and in which order. An image is listed if it meets all conditions.
#[derive(Debug, Default)]
pub struct Filter {
    /// Only images with this text in their title, in any case.
    pub title: Option<String>,
    /// Only images in this state.
    pub status: Option<Status>,
    /// Only images whose file has this format.
    pub format: Option<SourceFormat>,
    /// Only images with this tag.
    pub tag: Option<String>,
    /// Only images with this member in their metadata.
    pub member: Option<MemberFilter>,
    /// Only images that were accepted at this time or later, by the database's clock.
    pub created_after: Option<DateTime<Utc>>,
    /// Only images that were accepted before this time, by the database's clock.
    pub created_before: Option<DateTime<Utc>>,
    /// The order.
    pub sort: Sort,
    /// Only images after this position: [`Page::next`] of the page before.
    pub after: Option<Position>,
    /// Maximum number of images.
    pub limit: u32,
}

/// A member of the metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberFilter {
    /// Its name.
    pub name: String,
    /// Its value: a text itself, all else as compact JSON; `None`: any.
    pub value: Option<String>,
}

/// The order of a list.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// By the time of the upload, descending.
    #[default]
    Newest,
    /// By the time of the upload, ascending.
    Oldest,
    /// By the first [`Position::TITLE_CHARS`] characters of the folded title, by code point; then by the time of the upload, ascending.
    Title,
}

/// A position in a list: after this image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The image.
    pub id: ImageId,
    /// The beginning of its folded title; empty unless the list is sorted by it.
    pub title: String,
}

impl Position {
    /// How many characters of a title a list is sorted by.
    pub const TITLE_CHARS: usize = 64;
}

/// A page of a list.
#[derive(Debug)]
pub struct Page {
    /// The images, in the order of the list.
    pub images: Vec<Image>,
    /// The position after which the next page begins; `None`: this is the last. A page with fewer images than its limit, even
    /// with none, may have a next one.
    pub next: Option<Position>,
}

/// An image that was found, or the last of a window.
#[derive(Clone)]
pub(super) struct Row {
    pub(super) id: Uuid,
    /// The beginning of its folded title, if the list is sorted by it.
    pub(super) title: String,
    /// Whether it belongs in the list.
    pub(super) is_listed: bool,
    /// Whether it is the last that this page may look at.
    pub(super) ends_window: bool,
}

/// What the statements compare with.
pub(super) struct Bounds<'a> {
    pub(super) owner: Owner,
    pub(super) filter: &'a Filter,
    /// The part of the title, folded.
    pub(super) title: Option<&'a str>,
    /// Ids are greater.
    pub(super) low: Uuid,
    /// Ids are smaller.
    pub(super) high: Uuid,
    pub(super) created_from: DateTime<Utc>,
    pub(super) created_until: DateTime<Utc>,
    /// Titles with ids are greater.
    pub(super) after: Position,
}

impl<'a> Bounds<'a> {
    fn new(owner: Owner, filter: &'a Filter, title: Option<&'a str>) -> Self {
        let mut low = filter.created_after.map_or(Uuid::nil(), |time| first_id(time - CLOCK_SKEW));
        let mut high = filter.created_before.map_or(Uuid::max(), |time| first_id(time + CLOCK_SKEW));
        if let Some(Position { id, .. }) = filter.after {
            match filter.sort {
                Sort::Newest => high = high.min(id.as_uuid()),
                Sort::Oldest => low = low.max(id.as_uuid()),
                Sort::Title => {}
            }
        }
        let start = Position { id: ImageId::from_uuid(Uuid::nil()), title: String::new() };
        Self {
            owner,
            filter,
            title,
            low,
            high,
            created_from: filter.created_after.unwrap_or(DateTime::UNIX_EPOCH),
            // The last time of RFC 3339.
            created_until: filter.created_before.unwrap_or(first_time_after_rfc_3339()),
            after: filter.after.clone().unwrap_or(start),
        }
    }
}

/// The first moment of the year 10000.
fn first_time_after_rfc_3339() -> DateTime<Utc> {
    DateTime::from_timestamp(253_402_300_800, 0).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

impl Filter {
    /// Whether the list may read many rows: it then belongs in [`Database::search`](crate::database::Database::search), which keeps the
    /// planner on indexes.
    #[must_use]
    pub fn is_search(&self) -> bool {
        self.title.is_some()
            || self.format.is_some()
            || self.tag.is_some()
            || self.member.is_some()
            || self.created_after.is_some()
            || self.created_before.is_some()
            || self.sort == Sort::Title
    }
}

/// The owner's images that match the filter, without those that are being deleted. See [`Filter::is_search`].
pub async fn list(db: &mut PgConnection, owner: Owner, filter: &Filter) -> Result<Page, CatalogError> {
    let search = Search::new(owner, filter);
    let bounds = Bounds::new(owner, filter, search.folded.as_deref());
    let rows = if is_selective(db, owner, &search).await? {
        list_queries::by_terms(db, &bounds, &search.terms).await?
    } else if let Some(status) = filter.status
        && filter.sort != Sort::Title
    {
        list_queries::walk_status(db, &bounds, status).await?
    } else {
        list_queries::walk(db, &bounds).await?
    };
    let (ids, next) = page(filter, &rows);
    Ok(Page { images: read_images(db, owner, &ids).await?, next })
}

/// Whether a search in the index of terms reads little.
async fn is_selective(db: &mut PgConnection, owner: Owner, search: &Search) -> Result<bool, CatalogError> {
    if search.terms.is_empty() {
        return Ok(false);
    }
    let (max_found, max_entries) = (MAX_FOUND / i64::from(SAMPLE), MAX_ENTRIES / i64::from(SAMPLE));
    // `owner + 0` keeps the planner from reading all images of the owner by their key.
    let hits = sqlx::query!(
        r#"SELECT
               (SELECT count(*) FROM (
                   SELECT FROM images WHERE owner + 0 = $1 AND terms @> $2 LIMIT $3) AS image
               ) AS "of_all_terms!",
               (SELECT min(images) FROM unnest($2::bigint[]) AS term, LATERAL (
                   SELECT count(*) AS images FROM (
                       SELECT FROM images WHERE owner + 0 = $1 AND terms @> ARRAY[term] LIMIT $4) AS image
                   ) AS of_term
               ) AS "of_rarest_term!""#,
        owner.id(),
        &search.sample,
        max_found + 1,
        max_entries + 1,
    )
    .fetch_one(db)
    .await?;
    Ok(hits.of_all_terms <= max_found && hits.of_rarest_term <= max_entries)
}

/// The ids of these rows, which are up to one more than the limit, and the position of the next page.
fn page(filter: &Filter, rows: &[Row]) -> (Vec<Uuid>, Option<Position>) {
    let (page, rest) = rows.split_at(rows.len().min(filter.limit as usize));
    let has_next = !rest.is_empty() || page.last().is_some_and(|row| row.ends_window);
    let next = page.last().filter(|_| has_next);
    (
        page.iter().filter(|row| row.is_listed).map(|row| row.id).collect(),
        next.map(|row| Position {
            id: ImageId::from_uuid(row.id),
            title: if filter.sort == Sort::Title { row.title.clone() } else { String::new() },
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(n: u128, is_listed: bool, ends_window: bool) -> Row {
        Row { id: Uuid::from_u128(n), title: String::new(), is_listed, ends_window }
    }

    #[test]
    fn a_page_has_a_next_one_if_there_are_more_rows_or_its_window_ends() {
        let filter = Filter { limit: 2, ..Filter::default() };
        let [a, b, c] = [9, 8, 7].map(|n| row(n, true, false));
        for (rows, listed, expected) in [
            (vec![], 0, None),
            (vec![a.clone(), b.clone()], 2, None),
            (vec![a.clone(), b.clone(), c], 2, Some(8)),
            (vec![a.clone(), row(5, false, true)], 1, Some(5)),
            (vec![a.clone(), row(5, true, true)], 2, Some(5)),
            (vec![a, b, row(5, false, true)], 2, Some(8)),
            (vec![row(5, false, true)], 0, Some(5)),
        ] {
            let (ids, next) = page(&filter, &rows);
            let next = next.map(|position| position.id.as_uuid().as_u128());
            assert_eq!((ids.len(), next), (listed, expected));
        }
    }
}
