//! What is learnt of a picture on the way, for little: all of it comes from a picture of 32 pixels, which is made of one of
//! a few hundred.
#![allow(clippy::inline_always)] // what is inlined is compiled for the vectors of its caller

pub(crate) mod attention;
mod dhash;
mod dominant;
pub(crate) mod ssimulacra2;
mod thumbhash;

use darkroom_model::ImageAnalysis;

use darkroom_raster::{
    Channels, Raster, Region, linear, resize,
    simd::{SimdKernel, dispatch},
};

use crate::RenderError;

/// What is learnt of a picture in linear light.
#[tracing::instrument(level = "trace", name = "facts", skip_all)]
pub(crate) fn facts(linear: &Raster<u16>) -> Result<ImageAnalysis, RenderError> {
    let linear = &means(linear);
    let longer = linear.width.max(linear.height);
    let side = |length: u32| (length * thumbhash::SIDE.min(longer)).div_ceil(longer);
    let small = linear::to_8(&resize(linear, Region::whole(linear), side(linear.width), side(linear.height))?);
    Ok(ImageAnalysis {
        placeholder: thumbhash::thumb_hash(&small),
        dominant_colour: dominant::colour(&small),
        perceptual_hash: dhash::dhash(linear)?,
    })
}

/// The longer side that the means of boxes leave at least, where there was as much: four times what is made of it.
const ENOUGH: u32 = 4 * thumbhash::SIDE;

/// A picture of the means of boxes, each as many pixels wide as high; the last ones may stick out, and have the mean of what
/// is in them. Rough, but it passes once over the picture, where a resize adds each sample to six results.
fn means(linear: &Raster<u16>) -> Raster<u16> {
    let (longer, shorter) = (linear.width.max(linear.height), linear.width.min(linear.height));
    let side = (longer / ENOUGH).min(shorter / dhash::SIDE / 2);
    if side < 2 {
        return linear.clone();
    }
    let mut small = Raster::new(linear.width.div_ceil(side), linear.height.div_ceil(side), linear.channels);
    let side = side as usize;
    match linear.channels {
        Channels::Gray => dispatch(Means::<1> { linear, side, small: &mut small }),
        Channels::GrayAlpha => dispatch(Means::<2> { linear, side, small: &mut small }),
        Channels::Rgb => dispatch(Means::<3> { linear, side, small: &mut small }),
        Channels::Rgba => dispatch(Means::<4> { linear, side, small: &mut small }),
    }
    small
}

/// Means of `N` channels.
struct Means<'a, const N: usize> {
    linear: &'a Raster<u16>,
    side: usize,
    small: &'a mut Raster<u16>,
}

impl<const N: usize> SimdKernel for Means<'_, N> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::cast_precision_loss)] // of what is rounded to 16 bits
    fn run(self) {
        let Self { linear, side, small } = self;
        let result_length = small.row_length();
        let mut sums = vec![0_u32; linear.row_length()];
        let bands = linear.samples.chunks(linear.row_length() * side);
        for (band, result) in bands.zip(small.samples.chunks_exact_mut(result_length)) {
            sums.fill(0);
            for row in band.chunks_exact(sums.len()) {
                sums.iter_mut().zip(row).for_each(|(sum, sample)| *sum += u32::from(*sample));
            }
            let rows = band.len() / sums.len();
            for (sums, pixel) in sums.chunks(side * N).zip(result.chunks_exact_mut(N)) {
                let mut total = [0.0_f32; N];
                for sums in sums.chunks_exact(N) {
                    for i in 0..N {
                        total[i] += sums[i] as f32;
                    }
                }
                let count = (sums.len() / N * rows) as f32;
                for (mean, total) in pixel.iter_mut().zip(total) {
                    *mean = linear::round_to_u16(total / count);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_has_the_mean_of_what_is_in_it() {
        // Boxes of 3 × 3 pixels; the last column and the last row of them have two.
        let (width, height) = (386, 98);
        let samples = (0..height).flat_map(|y| (0..width).map(move |x| (x / 3 * 100 + y / 3) + x % 3 + y % 3));
        let samples = samples.map(|sample| u16::try_from(sample).unwrap_or(u16::MAX)).collect();
        let small = means(&Raster { width, height, channels: Channels::Gray, samples });
        assert_eq!((small.width, small.height), (129, 33));
        let at = |x: usize, y: usize| usize::from(small.samples[y * 129 + x]);
        assert_eq!(at(0, 0), 2);
        assert_eq!(at(5, 7), 509);
        assert_eq!(at(128, 32), 12_833);
    }

    #[test]
    fn a_small_picture_is_left_as_it_is() {
        let samples: Vec<u16> = (0..255 * 40).collect();
        let picture = Raster { width: 255, height: 40, channels: Channels::Gray, samples };
        assert_eq!(means(&picture).samples, picture.samples);
    }
}
