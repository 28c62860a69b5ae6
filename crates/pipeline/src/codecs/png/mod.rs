//! PNG and APNG (W3C PNG, third edition).

pub(crate) mod decode;
pub(crate) mod encode;
