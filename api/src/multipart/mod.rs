//! `multipart/form-data` (RFC 7578, RFC 2046 section 5.1) as an incremental parser without I/O.
//!
//! Every received byte is examined a constant number of times, whatever the sizes of the chunks: the parser remembers how
//! far it has searched. Headers, parts and bytes outside of parts are bounded.
//!
//! | module | contents |
//! |---|---|
//! | `parser` | splits a body into parts and their content |
//! | `header` | parameters of `Content-Type` and `Content-Disposition` |
//! | `encoded_text` | encodings of the text in them |

mod encoded_text;
mod header;
mod parser;

pub use self::{
    header::{PartHead, parse_boundary},
    parser::{Event, MAX_BOUNDARY, MAX_HEAD, MAX_PARTS, MultipartError, Parser},
};
