//! JPEG (ITU-T T.81): a baseline decoder for reduced sizes, and a progressive encoder.
//!
//! | module | what it holds |
//! |---|---|
//! | [`decode`] | baseline JPEG at one to four eighths of its size |
//! | [`encode`] | progressive JPEG with optimised Huffman tables |

mod dct;
mod decode;
mod encode;

pub use decode::decode_reduced;
pub use encode::{EncodeError, encode};
