//! Coded samples of 8 or 16 bits.

use crate::Raster;

/// A picture of coded samples at the depth of its file. Alpha is straight; a decoder of premultiplied samples converts
/// them by [`Samples::unpremultiplied`].
#[derive(Clone, Debug)]
pub enum Samples {
    /// 8 bits a sample.
    Eight(Raster<u8>),
    /// 16 bits a sample.
    Sixteen(Raster<u16>),
}

impl Samples {
    /// The same picture with straight alpha, where its colours are premultiplied by alpha. Colours brighter than their alpha
    /// are clamped; those of transparent pixels stay as they are.
    #[must_use]
    pub fn unpremultiplied(self) -> Self {
        match self {
            Self::Eight(raster) => Self::Eight(unpremultiply(raster, u8::MAX)),
            Self::Sixteen(raster) => Self::Sixteen(unpremultiply(raster, u16::MAX)),
        }
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (u32, u32) {
        match self {
            Self::Eight(raster) => (raster.width, raster.height),
            Self::Sixteen(raster) => (raster.width, raster.height),
        }
    }
}

fn unpremultiply<T: Copy + Into<u32> + TryFrom<u32>>(mut raster: Raster<T>, max: T) -> Raster<T> {
    if raster.channels.has_alpha() {
        for pixel in raster.samples.chunks_exact_mut(raster.channels.count()) {
            if let Some((alpha, colours)) = pixel.split_last_mut()
                && (*alpha).into() > 0
            {
                let alpha: u32 = (*alpha).into();
                for colour in colours {
                    let straight = ((*colour).into() * max.into() + alpha / 2) / alpha;
                    *colour = straight.try_into().unwrap_or(max);
                }
            }
        }
    }
    raster
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Channels;

    #[test]
    fn straight_colours_are_divided_by_alpha_and_clamped() {
        let samples = vec![50, 100, 0, 100, 7, 8, 9, 0, 200, 1, 2, 100, 3, 4, 5, 255];
        let premultiplied = Raster { width: 4, height: 1, channels: Channels::Rgba, samples };
        let Samples::Eight(straight) = Samples::Eight(premultiplied).unpremultiplied() else { panic!() };
        assert_eq!(straight.samples, [128, 255, 0, 100, 7, 8, 9, 0, 255, 3, 5, 100, 3, 4, 5, 255]);
    }
}
