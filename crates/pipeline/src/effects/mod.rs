//! What a recipe does to the pixels, in linear light with premultiplied alpha.

pub(crate) mod blur;
pub(crate) mod grayscale;
pub(crate) mod sharpen;
