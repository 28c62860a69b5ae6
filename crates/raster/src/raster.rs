//! Pixel buffers and alpha compositing.

use std::borrow::Cow;

/// The channels of a pixel, in the order of their samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// Luminance.
    Gray,
    /// Luminance, alpha.
    GrayAlpha,
    /// Red, green, blue.
    Rgb,
    /// Red, green, blue, alpha.
    Rgba,
}

impl Channels {
    /// Samples of a pixel, 1 to 4.
    pub const fn count(self) -> usize {
        match self {
            Self::Gray => 1,
            Self::GrayAlpha => 2,
            Self::Rgb => 3,
            Self::Rgba => 4,
        }
    }

    /// Whether the last sample of a pixel is alpha.
    pub const fn has_alpha(self) -> bool {
        matches!(self, Self::GrayAlpha | Self::Rgba)
    }

    /// The colour channels alone.
    #[must_use]
    pub const fn without_alpha(self) -> Self {
        match self {
            Self::Gray | Self::GrayAlpha => Self::Gray,
            Self::Rgb | Self::Rgba => Self::Rgb,
        }
    }
}

/// A picture in memory: rows from top to bottom, samples interleaved, no padding between rows.
///
/// `samples` has `width × height × channels.count()` elements. Whether they are coded or linear, with straight or
/// premultiplied alpha, is documented where a raster is made or taken; see the crate's conventions.
#[derive(Clone, Debug)]
pub struct Raster<T> {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// The channels of each pixel.
    pub channels: Channels,
    /// All samples.
    pub samples: Vec<T>,
}

impl<T: Copy + Default> Raster<T> {
    /// A picture of which all samples are 0: black, and transparent if it has alpha.
    pub fn new(width: u32, height: u32, channels: Channels) -> Self {
        let samples = vec![T::default(); width as usize * height as usize * channels.count()];
        Self { width, height, channels, samples }
    }

    /// A picture of the same size with these channels and samples, `width × height × channels.count()` of them.
    pub fn with_samples<U>(&self, channels: Channels, samples: Vec<U>) -> Raster<U> {
        debug_assert_eq!(samples.len(), self.width as usize * self.height as usize * channels.count());
        Raster { width: self.width, height: self.height, channels, samples }
    }

    /// Samples of a row.
    pub fn row_length(&self) -> usize {
        self.width as usize * self.channels.count()
    }

    /// The pixels row by row, each a slice of `channels.count()` samples.
    pub fn pixels(&self) -> std::slice::ChunksExact<'_, T> {
        self.samples.chunks_exact(self.channels.count())
    }
}

/// Composites a pixel over another: the operator *over* with straight alpha (W3C PNG, third edition, sections 11.3.6.2 and 13.16; T. Porter
/// and T. Duff, "Compositing digital images", 1984). Coded values are mixed, as browsers do.
///
/// `above` has alpha last; `below` are the colours of the other pixel, one fewer, and `below_alpha` is its alpha. Both are
/// replaced by the result.
#[inline]
pub fn alpha_over(below: &mut [u8], below_alpha: &mut u8, above: &[u8]) {
    let [above @ .., alpha] = above else { return };
    match *alpha {
        0 => {}
        255 => {
            below.iter_mut().zip(above).for_each(|(below, above)| *below = *above);
            *below_alpha = 255;
        }
        // The same as below with a sum of 255², but divided by a constant.
        alpha if *below_alpha == 255 => {
            let alpha = u32::from(alpha);
            for (below, above) in below.iter_mut().zip(above) {
                let mixed = (u32::from(*above) * alpha + u32::from(*below) * (255 - alpha) + 127) / 255;
                *below = u8::try_from(mixed).unwrap_or(u8::MAX);
            }
        }
        alpha => {
            // The weights of both pixels in units of 1/255².
            let (front, back) = (u32::from(alpha) * 255, u32::from(*below_alpha) * u32::from(255 - alpha));
            let sum = front + back;
            for (below, above) in below.iter_mut().zip(above) {
                let mixed = (u32::from(*above) * front + u32::from(*below) * back + sum / 2) / sum;
                *below = u8::try_from(mixed).unwrap_or(u8::MAX);
            }
            *below_alpha = u8::try_from((sum + 127) / 255).unwrap_or(u8::MAX);
        }
    }
}

/// Operations on coded samples with straight alpha.
impl Raster<u8> {
    /// Whether any pixel is not opaque.
    pub fn is_transparent(&self) -> bool {
        self.channels.has_alpha() && self.pixels().any(|pixel| pixel.last() != Some(&u8::MAX))
    }

    /// Whether red, green and blue are equal in every pixel.
    pub fn is_gray(&self) -> bool {
        let colours = self.channels.without_alpha().count();
        self.pixels().all(|pixel| pixel[..colours].iter().all(|value| *value == pixel[0]))
    }

    /// Removes the alpha channel if every pixel is opaque.
    #[must_use]
    pub fn drop_opaque_alpha(self) -> Self {
        if !self.channels.has_alpha() || self.is_transparent() { self } else { self.drop_alpha() }
    }

    /// Removes the alpha channel; colours stay as they are.
    fn drop_alpha(self) -> Self {
        let channels = self.channels.without_alpha();
        let samples = self.pixels().flat_map(|pixel| &pixel[..channels.count()]).copied().collect();
        self.with_samples(channels, samples)
    }

    /// Composited over white, for formats without an alpha channel.
    pub fn flatten_on_white(&self) -> Cow<'_, Self> {
        if self.channels.has_alpha() { Cow::Owned(self.flatten([255; 3])) } else { Cow::Borrowed(self) }
    }

    /// Composited over an RGB `background`, without alpha: see [`alpha_over`]. A gray picture stays gray over gray.
    #[must_use]
    pub fn flatten(&self, background: [u8; 3]) -> Self {
        if !self.channels.has_alpha() {
            return self.clone();
        }
        let stays_gray = self.channels == Channels::GrayAlpha && background.iter().all(|value| *value == background[0]);
        let channels = if stays_gray { Channels::Gray } else { Channels::Rgb };
        let size = self.width as usize * self.height as usize;
        let mut samples = background[..channels.count()].repeat(size);
        match (self.channels, channels) {
            (Channels::GrayAlpha, Channels::Rgb) => {
                for (below, pixel) in samples.chunks_exact_mut(3).zip(self.samples.chunks_exact(2)) {
                    alpha_over(below, &mut 255, &[pixel[0], pixel[0], pixel[0], pixel[1]]);
                }
            }
            (Channels::GrayAlpha, _) => {
                for (below, pixel) in samples.chunks_exact_mut(1).zip(self.samples.chunks_exact(2)) {
                    alpha_over(below, &mut 255, pixel);
                }
            }
            _ => {
                for (below, pixel) in samples.chunks_exact_mut(3).zip(self.samples.chunks_exact(4)) {
                    alpha_over(below, &mut 255, pixel);
                }
            }
        }
        self.with_samples(channels, samples)
    }

    /// The same picture with more channels: gray repeated in red, green and blue, or opaque alpha added. Channels that the
    /// picture has are never removed: asked for fewer, it is returned as it is or with its alpha.
    #[must_use]
    pub fn to_channels(&self, channels: Channels) -> Self {
        let samples = match channels {
            _ if channels == self.channels => self.samples.clone(),
            Channels::Gray => return self.clone(),
            Channels::GrayAlpha => self.pixels().flat_map(|p| [p[0], 255]).collect(),
            Channels::Rgb => self.pixels().flat_map(|p| [p[0]; 3]).collect(),
            Channels::Rgba => self.to_rgba(),
        };
        self.with_samples(channels, samples)
    }

    /// The samples of the picture as RGBA.
    pub fn to_rgba(&self) -> Vec<u8> {
        match self.channels {
            Channels::Gray => self.samples.iter().flat_map(|g| [*g, *g, *g, 255]).collect(),
            Channels::GrayAlpha => self.pixels().flat_map(|p| [p[0], p[0], p[0], p[1]]).collect(),
            Channels::Rgb => self.pixels().flat_map(|p| [p[0], p[1], p[2], 255]).collect(),
            Channels::Rgba => self.samples.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flattening_rounds_the_weighted_mean_to_the_nearest() {
        let values = [0, 1, 77, 128, 200, 254, 255];
        for (colour, alpha) in values.into_iter().flat_map(|colour| (0..=255).map(move |alpha| (colour, alpha))) {
            for background in values {
                let raster =
                    Raster { width: 1, height: 1, channels: Channels::GrayAlpha, samples: vec![colour, alpha] };
                let (above, below) = (u32::from(colour), u32::from(background));
                let weighted = above * u32::from(alpha) * 255 + below * u32::from(255 - alpha) * 255;
                let mean = (weighted + 255 * 255 / 2) / (255 * 255);
                let gray = raster.flatten([background; 3]);
                assert_eq!((gray.channels, u32::from(gray.samples[0])), (Channels::Gray, mean));
                let rgb = raster.flatten([background, background, background ^ 1]);
                assert_eq!((rgb.channels, u32::from(rgb.samples[1])), (Channels::Rgb, mean));
            }
        }
    }

    #[test]
    fn compositing_over_a_transparent_pixel_gives_the_upper_one() {
        let (mut below, mut alpha) = ([9, 9, 9], 0);
        alpha_over(&mut below, &mut alpha, &[10, 20, 30, 40]);
        assert_eq!((below, alpha), ([10, 20, 30], 40));
        alpha_over(&mut below, &mut alpha, &[1, 2, 3, 0]);
        assert_eq!((below, alpha), ([10, 20, 30], 40));
    }

    #[test]
    fn only_an_opaque_alpha_channel_is_dropped() {
        let raster = |alpha| Raster { width: 1, height: 1, channels: Channels::Rgba, samples: vec![1, 2, 3, alpha] };
        assert_eq!(raster(255).drop_opaque_alpha().samples, [1, 2, 3]);
        assert_eq!(raster(254).drop_opaque_alpha().samples, [1, 2, 3, 254]);
    }
}
