//! What is learnt of a picture on the way, for little: all of it comes from a picture of 32 pixels.

use darkroom_shared::image::Facts;

use super::{
    RenderError, dominant, likeness, linear, placeholder,
    raster::Raster,
    resize::{Region, resize},
};

/// What is learnt of a picture in linear light.
pub(crate) fn facts(linear: &Raster<u16>) -> Result<Facts, RenderError> {
    let longer = linear.width.max(linear.height);
    let side = |length: u32| (length * placeholder::SIDE.min(longer)).div_ceil(longer);
    let small = linear::to_8(&resize(linear, Region::whole(linear), side(linear.width), side(linear.height))?);
    Ok(Facts {
        placeholder: placeholder::thumb_hash(&small),
        dominant_colour: dominant::colour(&small),
        perceptual_hash: likeness::dhash(linear)?,
    })
}
