//! The catalog: every SQL statement about images and renditions. All of them are checked against the schema at compile
//! time (`sqlx::query!`).
//!
//! Functions take a connection, so that the caller decides what is one transaction, and then the owner: an image of another
//! owner is not found. Only what works across owners, in `maintenance.rs` and `refold.rs`, takes none. An update is guarded by
//! the status that it starts from: in any other status it changes nothing and returns `false` or `None`.
//!
//! | file | what it holds |
//! |---|---|
//! | [`lifecycle`] | the states of an image as types, which only this module makes |
//! | `image.rs` | an image, its row, and how one becomes the other |
//! | `read.rs` | reading images and renditions |
//! | `list.rs` | lists of images: filters and sort orders |
//! | `list_queries.rs` | the statements of the lists |
//! | `write.rs` | adding images and changing their status |
//! | `edit.rs` | changing what clients said of an image |
//! | `put_intents.rs` | which attempts may store objects |
//! | `maintenance.rs` | what the periodic jobs and the deletion ask |
//! | `search_index.rs` | how titles, tags, metadata and formats are indexed and searched |
//! | `refold.rs` | indexes stored images again |
//! | `columns.rs` | conversions between Rust and Postgres types |

mod columns;
mod edit;
mod image;
pub mod lifecycle;
mod list;
mod list_queries;
mod maintenance;
mod put_intents;
mod read;
mod refold;
mod search_index;
mod write;

pub use edit::{Details, lock, lock_version, save_details};
pub use image::{Image, NewImage, StoredFailure, StoredSource};
pub use list::{Filter, MemberFilter, Page, Position, Sort, list};
pub use maintenance::{
    MAX_REVIVALS, has_unfinished_attempt, list_deleting, list_failed_unavailable, lock_statuses, mark_too_large, now,
    renditions_of_all, requeue_unavailable, statuses, unmark_too_large,
};
pub use put_intents::{PutIntent, list_put_intents, remove_put_intent, remove_put_intents};
pub use read::{UnrenderedImage, count_queued, get, known_renditions, renditions, unrendered};
pub use refold::refold_titles;
pub use search_index::{Labels, SearchIndex};
pub use write::{delete, insert, mark_deleting, requeue, requeue_failed, save_failed, save_ready, start};

/// Why the catalog did not answer.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// Postgres returned an error or could not be reached.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
    /// A row has a value that this binary does not know, for example one of a newer version.
    #[error("a row of the catalog cannot be read: {0}")]
    Row(String),
}
