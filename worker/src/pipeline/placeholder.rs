//! A blurred preview of a few bytes, shown while the picture loads.

use super::{
    RenderError, linear,
    raster::Raster,
    resize::{Region, resize},
};

/// The longer side of the picture the hash is made of, in pixels. `ThumbHash` keeps at most 7 waves a side, so 32
/// pixels hold all it can; more only cost time.
const SIDE: u32 = 32;

/// The `ThumbHash` (evanw.github.io/thumbhash) of a picture in linear light.
pub(crate) fn thumb_hash(linear: &Raster<u16>) -> Result<Vec<u8>, RenderError> {
    let longer = linear.width.max(linear.height);
    let side = |length: u32| (length * SIDE.min(longer)).div_ceil(longer);
    let (width, height) = (side(linear.width), side(linear.height));
    let small = linear::to_8(&resize(linear, Region::whole(linear), width, height)?);
    Ok(thumbhash::rgba_to_thumb_hash(width as usize, height as usize, &small.to_rgba()))
}
