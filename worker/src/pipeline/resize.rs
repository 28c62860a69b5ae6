//! Resampling with Lanczos' kernel of three lobes.

use fast_image_resize::{
    FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer,
    images::{Image, ImageRef},
};

use super::{
    RenderError,
    raster::{Channels, Raster},
};

/// The part of a picture that becomes the new one, in pixels of the source. Fractions count: after a scaled decode of
/// an odd size the last column is only partly filled, and taking it as whole shifts everything.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Region {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

impl Region {
    pub(crate) fn whole<T>(raster: &Raster<T>) -> Self {
        Self { left: 0.0, top: 0.0, width: raster.width.into(), height: raster.height.into() }
    }

    /// The same part of a picture that is so many times as large. It has a pixel at least, and what rounding puts beyond
    /// `extent`, the sides of that picture, is left out: a resize refuses it.
    pub(crate) fn scaled(self, by: (f64, f64), extent: (f64, f64)) -> Self {
        let side = |start: f64, length: f64, end: f64| {
            let length = length.max(1.0).min(end);
            (start.clamp(0.0, end - length), length)
        };
        let (left, width) = side(self.left * by.0, self.width * by.0, extent.0);
        let (top, height) = side(self.top * by.1, self.height * by.1, extent.1);
        // A sum may still be rounded up.
        let within = |start: f64, length: f64, end: f64| if start + length > end { end - start } else { length };
        Self { left, top, width: within(left, width, extent.0), height: within(top, height, extent.1) }
    }
}

/// Makes `region` of `source` a picture of `width` × `height`. Expects linear light and premultiplied alpha.
pub(crate) fn resize(
    source: &Raster<u16>,
    region: Region,
    width: u32,
    height: u32,
) -> Result<Raster<u16>, RenderError> {
    if region == Region::whole(source) && (width, height) == (source.width, source.height) {
        return Ok(source.clone());
    }
    let kind = match source.channels {
        Channels::Gray => PixelType::U16,
        Channels::GrayAlpha => PixelType::U16x2,
        Channels::Rgb => PixelType::U16x3,
        Channels::Rgba => PixelType::U16x4,
    };
    let view = ImageRef::new(source.width, source.height, bytemuck::cast_slice(&source.samples), kind)
        .map_err(RenderError::bug)?;
    let mut resized = Raster::new(width, height, source.channels);
    let mut target = Image::from_slice_u8(width, height, bytemuck::cast_slice_mut(&mut resized.samples), kind)
        .map_err(RenderError::bug)?;
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3))
        .crop(region.left, region.top, region.width, region.height)
        .use_alpha(false);
    Resizer::new().resize(&view, &mut target, &options).map_err(RenderError::bug)?;
    Ok(resized)
}
