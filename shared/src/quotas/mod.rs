//! What owners may use and what they use, over all processes of the api.
//!
//! No transaction of an upload updates a row that another one of the same owner updates: counts are read, and what is counted in
//! memory is written, once a second.
//!
//! | file | what it holds |
//! |---|---|
//! | `owner.rs` | the limits of an owner, and its usage |
//! | `bytes_in.rs` | the bytes that owners send in an hour |
//! | `stored.rs` | the images and bytes that owners store |
//! | `processes.rs` | the processes that share limits |

mod bytes_in;
mod owner;
mod processes;
mod stored;

pub use bytes_in::{BytesIn, settle_bytes_in};
pub use owner::{OwnerLimits, OwnerUsage, read_owners};
pub use processes::{count_other_processes, leave};
pub use stored::sum_stored;
