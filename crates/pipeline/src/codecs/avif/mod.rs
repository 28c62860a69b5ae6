//! AVIF: AV1 by rav1d and rav1e.

pub(crate) mod decode;
pub(crate) mod encode;
