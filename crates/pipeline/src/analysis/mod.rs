//! The image analysis: placeholder, dominant colour, perceptual hash. All of it is computed from a picture of 32 pixels, made
//! from one of a few hundred, and costs little. The folder also has attention and SSIMULACRA2.
#![expect(clippy::inline_always, reason = "an inlined function is compiled for the SIMD level of its caller")]

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

/// Analyses a picture in linear light and sRGB's primaries.
#[tracing::instrument(level = "trace", name = "analysis", skip_all)]
pub(crate) fn analyse(linear: &Raster<u16>) -> Result<ImageAnalysis, RenderError> {
    let linear = &box_means(linear);
    let longer = linear.width.max(linear.height);
    let side = |length: u32| (length * thumbhash::SIDE.min(longer)).div_ceil(longer);
    let small = linear::to_8(&resize(linear, Region::whole(linear), side(linear.width), side(linear.height))?);
    Ok(ImageAnalysis {
        placeholder: thumbhash::thumb_hash(&small),
        dominant_colour: dominant::dominant_colour(&small),
        perceptual_hash: dhash::dhash(linear)?,
    })
}

/// [`box_means`] keeps at least this many pixels of the longer side: four times what is made of them.
const MIN_SIDE: u32 = 4 * thumbhash::SIDE;

/// Downscales by the means of square boxes; boxes at the right and lower edge may be partly outside. Less precise than a
/// resize but faster: it reads each sample once, where a resize adds it to six results.
fn box_means(linear: &Raster<u16>) -> Raster<u16> {
    let (longer, shorter) = (linear.width.max(linear.height), linear.width.min(linear.height));
    let side = (longer / MIN_SIDE).min(shorter / dhash::SIDE / 2);
    if side < 2 {
        return linear.clone();
    }
    let mut small = Raster::new(linear.width.div_ceil(side), linear.height.div_ceil(side), linear.channels);
    let side = side as usize;
    match linear.channels {
        Channels::Gray => dispatch(BoxMeans::<1> { linear, side, small: &mut small }),
        Channels::GrayAlpha => dispatch(BoxMeans::<2> { linear, side, small: &mut small }),
        Channels::Rgb => dispatch(BoxMeans::<3> { linear, side, small: &mut small }),
        Channels::Rgba => dispatch(BoxMeans::<4> { linear, side, small: &mut small }),
    }
    small
}

/// [`box_means`] for `N` channels.
struct BoxMeans<'a, const N: usize> {
    linear: &'a Raster<u16>,
    side: usize,
    small: &'a mut Raster<u16>,
}

impl<const N: usize> SimdKernel for BoxMeans<'_, N> {
    type Output = ();

    #[inline(always)]
    #[expect(clippy::cast_precision_loss, reason = "the result is rounded to 16 bits")]
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
    fn a_box_has_the_mean_of_its_pixels() {
        // Boxes of 3 × 3 pixels; the last column and the last row of them have two.
        let (width, height) = (386, 98);
        let samples = (0..height).flat_map(|y| (0..width).map(move |x| (x / 3 * 100 + y / 3) + x % 3 + y % 3));
        let samples = samples.map(|sample| u16::try_from(sample).unwrap_or(u16::MAX)).collect();
        let small = box_means(&Raster { width, height, channels: Channels::Gray, samples });
        assert_eq!((small.width, small.height), (129, 33));
        let at = |x: usize, y: usize| usize::from(small.samples[y * 129 + x]);
        assert_eq!(at(0, 0), 2);
        assert_eq!(at(5, 7), 509);
        assert_eq!(at(128, 32), 12_833);
    }

    #[test]
    fn a_small_picture_is_not_downscaled() {
        let samples: Vec<u16> = (0..255 * 40).collect();
        let picture = Raster { width: 255, height: 40, channels: Channels::Gray, samples };
        assert_eq!(box_means(&picture).samples, picture.samples);
    }
}
