//! What is learnt of a picture on the way, for little: all of it comes from a picture of 32 pixels.

use darkroom_shared::image::Facts;
use serde::{Deserialize, Serialize};

use super::{
    RenderError, dominant, likeness, linear, placeholder,
    raster::Raster,
    resize::{Region, resize},
};

/// What was learnt of the picture as a whole: of its first frame, upright, cropped as its largest rendition is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// A `ThumbHash`.
    pub placeholder: Vec<u8>,
    /// The colour that most of the picture has, in sRGB: red, green, blue.
    pub dominant_colour: [u8; 3],
    /// A difference hash (dHash): the number of bits in which two differ says how unlike their pictures are, from 0 to
    /// 64; up to about 10 they look alike.
    pub perceptual_hash: u64,
}

impl From<Report> for Facts {
    fn from(report: Report) -> Self {
        let Report { placeholder, dominant_colour, perceptual_hash } = report;
        Self { placeholder, dominant_colour, perceptual_hash }
    }
}

impl Report {
    /// Of a picture in linear light.
    pub(crate) fn of(linear: &Raster<u16>) -> Result<Self, RenderError> {
        let longer = linear.width.max(linear.height);
        let side = |length: u32| (length * placeholder::SIDE.min(longer)).div_ceil(longer);
        let small = linear::to_8(&resize(linear, Region::whole(linear), side(linear.width), side(linear.height))?);
        Ok(Self {
            placeholder: placeholder::thumb_hash(&small),
            dominant_colour: dominant::colour(&small),
            perceptual_hash: likeness::dhash(linear)?,
        })
    }
}
