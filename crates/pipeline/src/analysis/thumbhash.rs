//! A blurred preview of a few bytes, shown while the picture loads.

use darkroom_raster::Raster;

/// The longer side of the picture the hash is made of, in pixels. `ThumbHash` keeps at most 7 waves a side, so 32
/// pixels hold all it can; more only cost time.
pub(crate) const SIDE: u32 = 32;

/// The `ThumbHash` (evanw.github.io/thumbhash) of a small sRGB picture: at most 100 pixels a side.
pub(crate) fn thumb_hash(small: &Raster<u8>) -> Vec<u8> {
    thumbhash::rgba_to_thumb_hash(small.width as usize, small.height as usize, &small.to_rgba())
}
