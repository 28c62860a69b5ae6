//! The statements of the lists: one for each way to find images and each order, because an index gives an order only to a
//! statement that names it.

use darkroom_model::{SourceFormat, Status};
use sqlx::PgConnection;

use super::{
    CatalogError,
    list::{Bounds, Row, Sort, WINDOW, WINDOW_BY_TITLE},
};

/// The rows of a statement that has the conditions on `images` between `$head` and `$tail`. The parameters up to `$12` are
/// the same in all statements.
macro_rules! rows {
    ($db:expr, $bounds:expr, $head:tt, $tail:tt, $($more:expr),+) => {{
        let (bounds, filter) = ($bounds, $bounds.filter);
        let member = filter.member.as_ref();
        sqlx::query_as!(
            Row,
            $head
                + "($6::text IS NULL OR strpos(title_folded, $6) > 0)
                   AND ($7::text IS NULL OR source_format = $7)
                   AND ($8::text IS NULL OR $8 = ANY (tags))
                   AND ($9::text IS NULL OR CASE WHEN $10::text IS NULL THEN metadata ->> $9 IS NOT NULL
                                                 ELSE metadata ->> $9 = $10 END)
                   AND created_at >= $11 AND created_at < $12"
                + $tail,
            bounds.owner.id(),
            bounds.low,
            bounds.high,
            i64::from(filter.limit) + 1,
            filter.status.map(Status::as_str),
            bounds.title,
            filter.format.map(SourceFormat::as_str),
            filter.tag,
            member.map(|member| &*member.name),
            member.and_then(|member| member.value.as_deref()),
            bounds.created_from,
            bounds.created_until,
            $($more),+
        )
        .fetch_all($db)
        .await
    }};
}

/// By the index of terms, in the order of `$order`.
macro_rules! by_terms {
    ($db:expr, $bounds:expr, $terms:expr, $order:tt) => {
        rows!(
            $db,
            $bounds,
            r#"SELECT id AS "id!", title AS "title!", true AS "is_listed!", false AS "ends_window!" FROM (
                   SELECT id, title, (
                       SELECT status FROM image_states AS state WHERE state.owner = $1 AND state.id = found.id
                   ) AS status
                   FROM (
                       SELECT id, left(title_folded, 64) AS title FROM images
                       WHERE owner + 0 = $1 AND terms @> $13 AND id > $2 AND id < $3 AND "#,
            $order,
            $terms,
            &$bounds.after.title,
            $bounds.after.id.as_uuid()
        )
    };
}

/// By the index of terms. Reads every image that has them.
pub(super) async fn by_terms(
    db: &mut PgConnection,
    bounds: &Bounds<'_>,
    terms: &[i64],
) -> Result<Vec<Row>, CatalogError> {
    // In the orders by time, the position is in the bounds of the ids, and every id is greater than nil.
    let rows = match bounds.filter.sort {
        Sort::Newest => by_terms!(
            db,
            bounds,
            terms,
            " AND ($14::text IS NOT NULL OR id > $15)
                       ORDER BY id DESC
                   ) AS found
               ) AS listed
               WHERE status <> 'deleting' AND ($5::text IS NULL OR status = $5)
               ORDER BY id DESC LIMIT $4"
        ),
        Sort::Oldest => by_terms!(
            db,
            bounds,
            terms,
            " AND ($14::text IS NOT NULL OR id > $15)
                       ORDER BY id
                   ) AS found
               ) AS listed
               WHERE status <> 'deleting' AND ($5::text IS NULL OR status = $5)
               ORDER BY id LIMIT $4"
        ),
        Sort::Title => by_terms!(
            db,
            bounds,
            terms,
            " AND (left(title_folded, 64), id) > ($14, $15)
                       ORDER BY left(title_folded, 64), id
                   ) AS found
               ) AS listed
               WHERE status <> 'deleting' AND ($5::text IS NULL OR status = $5)
               ORDER BY title, id LIMIT $4"
        ),
    };
    Ok(rows?)
}

/// A window of the owner's images, of any status. The last image of a window is always in the answer: the next page begins
/// after it.
pub(super) async fn walk(db: &mut PgConnection, bounds: &Bounds<'_>) -> Result<Vec<Row>, CatalogError> {
    let rows = match bounds.filter.sort {
        Sort::Newest => rows!(
            db,
            bounds,
            r#"SELECT id AS "id!", '' AS "title!", is_listed AS "is_listed!", number = $13 AS "ends_window!" FROM (
                   SELECT id, number, matches AND coalesce((
                       SELECT status <> 'deleting' AND ($5::text IS NULL OR status = $5)
                       FROM image_states AS state WHERE state.owner = $1 AND state.id = walked.id
                   ), false) AS is_listed
                   FROM (
                       SELECT id, row_number() OVER (ORDER BY id DESC) AS number, "#,
            " AS matches
                       FROM images WHERE owner = $1 AND id > $2 AND id < $3 ORDER BY id DESC LIMIT $13
                   ) AS walked
               ) AS listed
               WHERE is_listed OR number = $13
               ORDER BY id DESC LIMIT $4",
            WINDOW
        ),
        Sort::Oldest => rows!(
            db,
            bounds,
            r#"SELECT id AS "id!", '' AS "title!", is_listed AS "is_listed!", number = $13 AS "ends_window!" FROM (
                   SELECT id, number, matches AND coalesce((
                       SELECT status <> 'deleting' AND ($5::text IS NULL OR status = $5)
                       FROM image_states AS state WHERE state.owner = $1 AND state.id = walked.id
                   ), false) AS is_listed
                   FROM (
                       SELECT id, row_number() OVER (ORDER BY id) AS number, "#,
            " AS matches
                       FROM images WHERE owner = $1 AND id > $2 AND id < $3 ORDER BY id LIMIT $13
                   ) AS walked
               ) AS listed
               WHERE is_listed OR number = $13
               ORDER BY id LIMIT $4",
            WINDOW
        ),
        Sort::Title => rows!(
            db,
            bounds,
            r#"SELECT id AS "id!", title AS "title!", is_listed AS "is_listed!", number = $13 AS "ends_window!" FROM (
                   SELECT id, title, number, matches AND coalesce((
                       SELECT status <> 'deleting' AND ($5::text IS NULL OR status = $5)
                       FROM image_states AS state WHERE state.owner = $1 AND state.id = walked.id
                   ), false) AS is_listed
                   FROM (
                       SELECT id, left(title_folded, 64) AS title,
                           row_number() OVER (ORDER BY left(title_folded, 64), id) AS number, id > $2 AND id < $3 AND "#,
            " AS matches
                       FROM images WHERE owner = $1 AND (left(title_folded, 64), id) > ($14, $15)
                       ORDER BY left(title_folded, 64), id LIMIT $13
                   ) AS walked
               ) AS listed
               WHERE is_listed OR number = $13
               ORDER BY title, id LIMIT $4",
            WINDOW_BY_TITLE,
            &bounds.after.title,
            bounds.after.id.as_uuid()
        ),
    };
    Ok(rows?)
}

/// A window of the owner's images of this status, by time.
pub(super) async fn walk_status(
    db: &mut PgConnection,
    bounds: &Bounds<'_>,
    status: Status,
) -> Result<Vec<Row>, CatalogError> {
    let rows = if bounds.filter.sort == Sort::Oldest {
        rows!(
            db,
            bounds,
            r#"SELECT id AS "id!", '' AS "title!", is_listed AS "is_listed!", number = $13 AS "ends_window!" FROM (
                   SELECT id, number, coalesce((
                       SELECT $5::text IS NOT NULL AND "#,
            " FROM images WHERE images.owner = $1 AND images.id = walked.id
                   ), false) AS is_listed
                   FROM (
                       SELECT id, row_number() OVER (ORDER BY id) AS number
                       FROM image_states WHERE status = $14 AND owner = $1 AND id > $2 AND id < $3 ORDER BY id LIMIT $13
                   ) AS walked
               ) AS listed
               WHERE is_listed OR number = $13
               ORDER BY id LIMIT $4",
            WINDOW,
            status.as_str()
        )
    } else {
        rows!(
            db,
            bounds,
            r#"SELECT id AS "id!", '' AS "title!", is_listed AS "is_listed!", number = $13 AS "ends_window!" FROM (
                   SELECT id, number, coalesce((
                       SELECT $5::text IS NOT NULL AND "#,
            " FROM images WHERE images.owner = $1 AND images.id = walked.id
                   ), false) AS is_listed
                   FROM (
                       SELECT id, row_number() OVER (ORDER BY id DESC) AS number
                       FROM image_states WHERE status = $14 AND owner = $1 AND id > $2 AND id < $3 ORDER BY id DESC LIMIT $13
                   ) AS walked
               ) AS listed
               WHERE is_listed OR number = $13
               ORDER BY id DESC LIMIT $4",
            WINDOW,
            status.as_str()
        )
    };
    Ok(rows?)
}
