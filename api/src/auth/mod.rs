//! Who may: from the `Authorization` header of a request to its caller.
//!
//! | file | what it holds |
//! |---|---|
//! | `scheme.rs` | the security schemes `read`, `write` and `admin`: each operation takes one as its first argument |
//! | `authenticator.rs` | whether a request needs a key, and whether its key is valid |
//! | `local.rs` | which requests are served without a key as long as there is none |
//! | `token.rs` | the text of a key |
//! | `lookup.rs` | keys by their hash, in memory for 1.5 s |
//! | `uses.rs` | when keys were used |
//! | `caller.rs` | who sends a request |
//! | `refusal.rs` | why a request is not authenticated |

mod authenticator;
mod caller;
mod local;
mod lookup;
pub(crate) mod refusal;
pub(crate) mod scheme;
mod token;
mod uses;

pub use authenticator::{Authenticator, NoKey};
pub(crate) use caller::Caller;
pub use token::{InvalidToken, Token};
