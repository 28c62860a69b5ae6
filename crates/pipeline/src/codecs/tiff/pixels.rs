//! Samples to pixels: the photometric interpretation, alpha, and the depth.

use darkroom_container::header::tiff::{Alpha, Compression, Layout, Photometric};

use super::{damaged, ycbcr::ToRgb};
use crate::{RenderError, colour::CmykToSrgb};

/// Converts rows of samples to rows of pixels.
pub(super) struct PixelWriter {
    photometric: Photometric,
    samples_per_pixel: usize,
    alpha: Option<Alpha>,
    /// The largest value of a sample.
    max: u16,
    /// The colours of a palette.
    palette: Vec<[u8; 3]>,
    cmyk: Option<CmykToSrgb>,
    /// Where the decompressor has not converted YCbCr.
    ycbcr: Option<ToRgb>,
}

impl PixelWriter {
    pub(super) fn new(layout: &Layout, file: &[u8], cmyk_profile: Option<&[u8]>) -> Self {
        let ycbcr = match layout.photometric {
            Photometric::YCbCr { coefficients, reference, .. } if layout.compression != Compression::Jpeg => {
                Some(ToRgb::new(coefficients, reference))
            }
            _ => None,
        };
        Self {
            photometric: layout.photometric,
            samples_per_pixel: layout.samples as usize,
            alpha: layout.alpha,
            max: u16::try_from((1_u64 << layout.bits.min(16)) - 1).unwrap_or(u16::MAX),
            palette: palette(layout, file),
            cmyk: (layout.photometric == Photometric::Cmyk).then(|| CmykToSrgb::new(cmyk_profile)),
            ycbcr,
        }
    }

    /// Writes pixels of 8 bits. `samples` is overwritten.
    pub(super) fn write_8(&self, samples: &mut [u16], pixels: &mut [u8]) -> Result<(), RenderError> {
        let count = pixels.len() / (samples.len() / self.samples_per_pixel);
        if let Some(cmyk) = &self.cmyk {
            return self.write_cmyk(cmyk, samples, pixels);
        }
        for (sample, pixel) in samples.chunks_exact_mut(self.samples_per_pixel).zip(pixels.chunks_exact_mut(count)) {
            match self.photometric {
                Photometric::Palette => {
                    let colour = self.palette.get(usize::from(sample[0]));
                    let colour = colour.ok_or_else(|| damaged("a pixel is outside of its palette"))?;
                    pixel[..3].copy_from_slice(colour);
                }
                Photometric::YCbCr { .. } if let Some(ycbcr) = &self.ycbcr => {
                    pixel[..3].copy_from_slice(&ycbcr.convert([sample[0], sample[1], sample[2]]));
                }
                _ => {
                    self.straighten(sample);
                    let colours = self.photometric.colours() as usize;
                    sample.iter().zip(pixel.iter_mut()).take(colours).for_each(|(sample, out)| *out = eight(*sample));
                }
            }
            if let (Some(alpha), Some(out)) = (self.alpha, pixel.last_mut()) {
                *out = eight(self.sixteen(sample[alpha.sample as usize]));
            }
        }
        Ok(())
    }

    /// Writes pixels of 16 bits. `samples` is overwritten.
    pub(super) fn write_16(&self, samples: &mut [u16], pixels: &mut [u16]) {
        let count = pixels.len() / (samples.len() / self.samples_per_pixel);
        let colours = self.photometric.colours() as usize;
        for (sample, pixel) in samples.chunks_exact_mut(self.samples_per_pixel).zip(pixels.chunks_exact_mut(count)) {
            self.straighten(sample);
            sample.iter().zip(pixel.iter_mut()).take(colours).for_each(|(sample, out)| *out = *sample);
            if let (Some(alpha), Some(out)) = (self.alpha, pixel.last_mut()) {
                *out = self.sixteen(sample[alpha.sample as usize]);
            }
        }
    }

    /// Ink, with or without alpha.
    fn write_cmyk(&self, cmyk: &CmykToSrgb, samples: &mut [u16], pixels: &mut [u8]) -> Result<(), RenderError> {
        let count = pixels.len() / (samples.len() / self.samples_per_pixel);
        let (mut inks, mut colours) = (Vec::new(), vec![0; pixels.len() / count * 3]);
        for sample in samples.chunks_exact_mut(self.samples_per_pixel) {
            self.straighten(sample);
            inks.extend(sample[..4].iter().map(|ink| !eight(*ink)));
        }
        cmyk.convert(&mut inks, &mut colours)?;
        let sources = samples.chunks_exact(self.samples_per_pixel).zip(colours.chunks_exact(3));
        for ((sample, colour), pixel) in sources.zip(pixels.chunks_exact_mut(count)) {
            pixel[..3].copy_from_slice(colour);
            if let (Some(alpha), Some(out)) = (self.alpha, pixel.last_mut()) {
                *out = eight(self.sixteen(sample[alpha.sample as usize]));
            }
        }
        Ok(())
    }

    /// Scales the colours of a pixel to 16 bits, divides them by alpha where they are premultiplied, and inverts a gray of which 0 is
    /// white.
    fn straighten(&self, sample: &mut [u16]) {
        let alpha = self.alpha.filter(|alpha| alpha.associated);
        let alpha =
            alpha.map(|alpha| u32::from(self.sixteen(sample[alpha.sample as usize]))).filter(|alpha| *alpha > 0);
        for colour in &mut sample[..self.photometric.colours() as usize] {
            *colour = self.sixteen(*colour);
            if let Some(alpha) = alpha {
                *colour = u16::try_from((u32::from(*colour) * 65_535 + alpha / 2) / alpha).unwrap_or(u16::MAX);
            }
        }
        if self.photometric == Photometric::WhiteIsZero {
            sample[0] = u16::MAX - sample[0];
        }
    }

    /// A sample of the file's depth in 16 bits.
    fn sixteen(&self, sample: u16) -> u16 {
        let max = u32::from(self.max);
        match self.max {
            u16::MAX => sample,
            255 => sample * 257,
            _ => u16::try_from((u32::from(sample) * 65_535 + max / 2) / max).unwrap_or(u16::MAX),
        }
    }
}

/// A sample of 16 bits in 8 bits.
fn eight(sample: u16) -> u8 {
    u8::try_from((u32::from(sample) + 128) / 257).unwrap_or(u8::MAX)
}

/// The palette: 16 bits a sample, but some writers have 8 bits.
fn palette(layout: &Layout, file: &[u8]) -> Vec<[u8; 3]> {
    let (Photometric::Palette, Some(map)) = (layout.photometric, layout.colour_map) else { return Vec::new() };
    let colours = 1_u32 << layout.bits.min(8);
    let value = |channel: u32, colour: u32| map.get(file, channel * colours + colour).unwrap_or(0);
    let has_16_bits = (0..3 * colours).any(|index| value(0, index) > 255);
    let eight = |value: u32| u8::try_from(if has_16_bits { value >> 8 } else { value }).unwrap_or(u8::MAX);
    (0..colours).map(|colour| [0, 1, 2].map(|channel| eight(value(channel, colour)))).collect()
}
