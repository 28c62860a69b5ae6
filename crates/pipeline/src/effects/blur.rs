//! A Gaussian blur.

use darkroom_raster::{Raster, Region, resize};

use crate::RenderError;

/// The largest standard deviation, in pixels, at full size. Wider blurs are applied to a downscaled picture, so that the cost
/// does not grow with the blur; the detail that is lost would be blurred away.
const MAX_SIGMA: f32 = 6.0;

/// Radius of the kernel, in standard deviations.
const KERNEL_RADIUS: f32 = 3.0;

/// Blurs with a Gaussian of this standard deviation, in pixels. Edge pixels are repeated outwards.
pub(crate) fn blur(picture: &Raster<u16>, sigma: f32) -> Result<Raster<u16>, RenderError> {
    if sigma <= MAX_SIGMA {
        return Ok(convolve(picture, &kernel(sigma)));
    }
    let shrink = f64::from(sigma / (MAX_SIGMA / 2.0)).floor();
    let side = |length: u32| (f64::from(length) / shrink).ceil().max(1.0);
    let (width, height) = (side(picture.width), side(picture.height));
    // A side that does not divide evenly is stretched by less than one small pixel, which the blur hides.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to the side")]
    let small = resize(picture, Region::whole(picture), width as u32, height as u32)?;
    #[expect(clippy::cast_possible_truncation, reason = "at most the longer side")]
    let small = convolve(&small, &kernel(sigma / shrink as f32));
    Ok(resize(&small, Region::whole(&small), picture.width, picture.height)?)
}

/// The half of the kernel from its centre outwards. The whole kernel sums to 1.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a few pixels"
)]
fn kernel(sigma: f32) -> Vec<f32> {
    let radius = (sigma * KERNEL_RADIUS).ceil() as usize;
    let weights: Vec<f32> = (0..=radius).map(|i| (-0.5 * (i as f32 / sigma).powi(2)).exp()).collect();
    let sum = weights[0] + 2.0 * weights[1..].iter().sum::<f32>();
    weights.iter().map(|weight| weight / sum).collect()
}

fn convolve(picture: &Raster<u16>, kernel: &[f32]) -> Raster<u16> {
    let (width, height) = (picture.width as usize, picture.height as usize);
    let (length, count) = (picture.row_length(), picture.channels.count());
    let radius = kernel.len() - 1;
    let mut samples = Vec::with_capacity(picture.samples.len());
    let mut mixed = vec![0.0_f32; length];
    // The row with its first and last pixels repeated, so that the kernel never leaves it.
    let mut padded = vec![0.0_f32; length + 2 * radius * count];
    for y in 0..height {
        let row = |y: usize| &picture.samples[y * length..][..length];
        for (out, value) in mixed.iter_mut().zip(row(y)) {
            *out = f32::from(*value) * kernel[0];
        }
        for (distance, weight) in kernel.iter().enumerate().skip(1) {
            let (above, below) = (row(y.saturating_sub(distance)), row((y + distance).min(height - 1)));
            for (out, (above, below)) in mixed.iter_mut().zip(above.iter().zip(below)) {
                *out += (f32::from(*above) + f32::from(*below)) * weight;
            }
        }
        for x in 0..width + 2 * radius {
            let from = x.saturating_sub(radius).min(width - 1) * count;
            padded[x * count..][..count].copy_from_slice(&mixed[from..][..count]);
        }
        for (out, value) in mixed.iter_mut().zip(&padded[radius * count..]) {
            *out = value * kernel[0];
        }
        for (distance, weight) in kernel.iter().enumerate().skip(1) {
            let (left, right) = (&padded[(radius - distance) * count..], &padded[(radius + distance) * count..]);
            for (out, (left, right)) in mixed.iter_mut().zip(left.iter().zip(right)) {
                *out += (left + right) * weight;
            }
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "weighted means of samples")]
        samples.extend(mixed.iter().map(|value| (value + 0.5) as u16));
    }
    picture.with_samples(picture.channels, samples)
}

#[cfg(test)]
mod tests {
    use darkroom_raster::Channels;

    use super::*;

    fn dot(side: u32) -> Raster<u16> {
        let mut picture = Raster::new(side, side, Channels::Gray);
        picture.samples[(side / 2 * side + side / 2) as usize] = u16::MAX;
        picture
    }

    /// The horizontal standard deviation of a blurred dot, and its light as a share of the dot's.
    fn spread(sigma: f32, side: u32) -> (f64, f64) {
        let blurred = blur(&dot(side), sigma).unwrap();
        let weighted = |power: i32| -> f64 {
            let values = blurred.samples.iter().zip(0_u32..);
            values.map(|(v, i)| f64::from(*v) * (f64::from(i % side) - f64::from(side / 2)).powi(power)).sum()
        };
        ((weighted(2) / weighted(0)).sqrt(), weighted(0) / f64::from(u16::MAX))
    }

    #[test]
    fn a_dot_becomes_a_gaussian_of_the_same_light() {
        for sigma in [0.8_f32, 2.0, 5.5] {
            let (found, light) = spread(sigma, 63);
            assert!((found / f64::from(sigma) - 1.0).abs() < 0.03, "{sigma}: {found}");
            assert!((light - 1.0).abs() < 0.02, "{sigma}: {light}");
        }
    }

    #[test]
    fn a_plain_picture_is_unchanged_up_to_its_edges() {
        for sigma in [0.5, 3.0, 40.0] {
            let plain = Raster { width: 30, height: 20, channels: Channels::Gray, samples: vec![40_000; 600] };
            assert!(blur(&plain, sigma).unwrap().samples.iter().all(|v| v.abs_diff(40_000) <= 2), "{sigma}");
        }
    }

    #[test]
    fn a_wide_blur_of_an_edge_follows_the_gaussian() {
        let samples = (0..200 * 8).map(|i| if i % 200 < 100 { 0 } else { u16::MAX }).collect();
        let edge = Raster { width: 200, height: 8, channels: Channels::Gray, samples };
        let blurred = blur(&edge, 20.0).unwrap();
        // The normal distribution's values at 0, 1 and 2 deviations.
        for (x, expected) in [(100, 0.51), (120, 0.846), (140, 0.978), (80, 0.163)] {
            let found = f64::from(blurred.samples[800 + x]) / f64::from(u16::MAX);
            assert!((found - expected).abs() < 0.015, "{x}: {found}");
        }
    }
}
