//! WebP (RFC 9649), through libwebp.

pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod planes;
