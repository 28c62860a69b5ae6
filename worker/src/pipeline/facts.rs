//! What is learnt of a picture on the way, for little: all of it comes from a picture of 32 pixels, which is made of one of
//! a few hundred.

use darkroom_shared::image::Facts;

use super::{
    RenderError, dominant, likeness, linear, placeholder,
    raster::Raster,
    resize::{Region, resize},
};

/// What is learnt of a picture in linear light.
pub(crate) fn facts(linear: &Raster<u16>) -> Result<Facts, RenderError> {
    let linear = &means(linear);
    let longer = linear.width.max(linear.height);
    let side = |length: u32| (length * placeholder::SIDE.min(longer)).div_ceil(longer);
    let small = linear::to_8(&resize(linear, Region::whole(linear), side(linear.width), side(linear.height))?);
    Ok(Facts {
        placeholder: placeholder::thumb_hash(&small),
        dominant_colour: dominant::colour(&small),
        perceptual_hash: likeness::dhash(linear)?,
    })
}

/// The longer side that the means of boxes leave at least, where there was as much: four times what is made of it.
const ENOUGH: u32 = 4 * placeholder::SIDE;

/// A picture of the means of boxes, each as many pixels wide as high; the last ones may stick out, and have the mean of what
/// is in them. Rough, but it passes once over the picture, where a resize adds each sample to six results.
fn means(linear: &Raster<u16>) -> Raster<u16> {
    let (longer, shorter) = (linear.width.max(linear.height), linear.width.min(linear.height));
    let side = (longer / ENOUGH).min(shorter / likeness::SIDE / 2);
    if side < 2 {
        return linear.clone();
    }
    let channels = linear.channels.count();
    let mut small = Raster::new(linear.width.div_ceil(side), linear.height.div_ceil(side), linear.channels);
    let mut sums = vec![0_u32; linear.row_length()];
    let bands = linear.samples.chunks(linear.row_length() * side as usize);
    for (band, result) in bands.zip(small.samples.chunks_exact_mut(small.width as usize * channels)) {
        sums.fill(0);
        for row in band.chunks_exact(sums.len()) {
            sums.iter_mut().zip(row).for_each(|(sum, sample)| *sum += u32::from(*sample));
        }
        let rows = band.len() / sums.len();
        for (sums, pixel) in sums.chunks(side as usize * channels).zip(result.chunks_exact_mut(channels)) {
            let count = (sums.len() / channels * rows) as u64;
            for (i, mean) in pixel.iter_mut().enumerate() {
                let sum: u64 = sums.iter().skip(i).step_by(channels).map(|sum| u64::from(*sum)).sum();
                *mean = u16::try_from((sum + count / 2) / count).unwrap_or(u16::MAX);
            }
        }
    }
    small
}
