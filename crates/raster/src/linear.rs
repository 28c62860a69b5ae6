//! Conversion between coded samples with straight alpha and linear light with premultiplied alpha.
//!
//! Pictures are resized in linear light, because the mean of coded values is too dark where black meets white. The transfer
//! function is sRGB's (IEC 61966-2-1) whatever the ICC profile: most profiles differ little from it, and as the inverse function
//! follows the resize, a colour that is not mixed with others is unchanged. The profile is applied to the smaller picture.
#![allow(clippy::inline_always)] // Inlined code is compiled with the target features of its caller.

use std::sync::LazyLock;

use crate::{
    Channels, Raster, Samples,
    simd::{SimdKernel, dispatch, round_to_i32, round_to_u8},
    srgb,
};

const MAX: f64 = 65_535.0;

/// A transfer function at `length` equidistant values from 0 to 1.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 65,535")]
fn table(length: u32, curve: fn(f64) -> f64) -> Vec<u16> {
    let last = f64::from(length - 1);
    (0..length).map(|i| (curve(f64::from(i) / last) * MAX).round() as u16).collect()
}

static FROM_8: LazyLock<Vec<u16>> = LazyLock::new(|| table(256, srgb::decode));
static FROM_16: LazyLock<Vec<u16>> = LazyLock::new(|| table(65_536, srgb::decode));
static TO_16: LazyLock<Vec<u16>> = LazyLock::new(|| table(65_536, srgb::encode));

/// Converts coded samples with straight alpha to linear light with premultiplied alpha.
pub fn from_coded(coded: &Samples) -> Raster<u16> {
    match coded {
        Samples::Eight(raster) => linearise(raster, &FROM_8, |alpha| u16::from(alpha) * 257),
        Samples::Sixteen(raster) => linearise(raster, &FROM_16, |alpha| alpha),
    }
}

/// Converts rows of samples to linear light with premultiplied alpha, 0 to 65,535, for a resize.
pub(crate) trait Linearise<T> {
    /// Converts a row of pixels of `N` samples; the last of two or four is alpha.
    fn row<const N: usize>(&self, samples: &[T], linear: &mut [f32]);
}

/// Samples that are linear and premultiplied already.
pub(crate) struct Linear;

impl Linearise<u16> for Linear {
    #[inline(always)]
    fn row<const N: usize>(&self, samples: &[u16], linear: &mut [f32]) {
        for (to, from) in linear.iter_mut().zip(samples) {
            *to = f32::from(*from);
        }
    }
}

/// Coded samples of 8 bits, with straight alpha.
pub(crate) struct Coded8;

impl Linearise<u8> for Coded8 {
    #[inline(always)]
    fn row<const N: usize>(&self, samples: &[u8], linear: &mut [f32]) {
        linearise_row::<N, u8>(
            samples,
            linear,
            |value| srgb::decode_approx(f32::from(value) * (1.0 / 255.0)) * 65_535.0,
            |alpha| f32::from(alpha) * 257.0,
        );
    }
}

/// Coded samples of 16 bits, with straight alpha.
pub(crate) struct Coded16;

impl Linearise<u16> for Coded16 {
    #[inline(always)]
    fn row<const N: usize>(&self, samples: &[u16], linear: &mut [f32]) {
        let table = FROM_16.as_slice();
        linearise_row::<N, u16>(samples, linear, |value| f32::from(table[usize::from(value)]), f32::from);
    }
}

/// Applies `decode` to the colours of a row and premultiplies them by `alpha`, both of which give 0 to 65,535.
#[inline(always)]
fn linearise_row<const N: usize, T: Copy>(
    samples: &[T],
    linear: &mut [f32],
    decode: impl Fn(T) -> f32,
    alpha: impl Fn(T) -> f32,
) {
    if N % 2 == 1 {
        for (to, from) in linear.iter_mut().zip(samples) {
            *to = decode(*from);
        }
        return;
    }
    for (to, from) in linear.chunks_exact_mut(N).zip(samples.chunks_exact(N)) {
        let alpha = alpha(from[N - 1]);
        let factor = alpha * (1.0 / 65_535.0);
        for (to, from) in to.iter_mut().zip(&from[..N - 1]) {
            *to = decode(*from) * factor;
        }
        to[N - 1] = alpha;
    }
}

/// Clamps a value to 0 to 65,535 and rounds it to the nearest integer, halves to even. The Lanczos kernel overshoots.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
pub fn round_to_u16(value: f32) -> u16 {
    round_to_i32(value.clamp(0.0, 65_535.0)) as u16
}

/// Converts a whole picture by a table of the transfer function, and premultiplies by alpha, `widen`ed to 16 bits.
fn linearise<T: Copy + Default + Into<u16>>(
    raster: &Raster<T>,
    table: &[u16],
    widen: impl Fn(T) -> u16,
) -> Raster<u16> {
    let look_up = |value: T| table[usize::from(value.into())];
    let samples = match raster.channels {
        Channels::Gray | Channels::Rgb => raster.samples.iter().map(|value| look_up(*value)).collect(),
        Channels::GrayAlpha => raster
            .pixels()
            .flat_map(|pixel| {
                let alpha = widen(pixel[1]);
                [multiply(look_up(pixel[0]), alpha), alpha]
            })
            .collect(),
        Channels::Rgba => raster
            .pixels()
            .flat_map(|pixel| {
                let alpha = widen(pixel[3]);
                let colour = |i: usize| multiply(look_up(pixel[i]), alpha);
                [colour(0), colour(1), colour(2), alpha]
            })
            .collect(),
    };
    raster.with_samples(raster.channels, samples)
}

/// Converts linear light with premultiplied alpha to sRGB samples of 8 bits with straight alpha. Transparent pixels become black.
#[tracing::instrument(level = "trace", name = "to 8 bits", skip_all)]
pub fn to_8(linear: &Raster<u16>) -> Raster<u8> {
    let mut coded = Raster::new(linear.width, linear.height, linear.channels);
    let (linear, result) = (&linear.samples, &mut coded.samples);
    match coded.channels {
        Channels::Gray | Channels::Rgb => dispatch(To8::<1> { linear, result }),
        Channels::GrayAlpha => dispatch(To8::<2> { linear, result }),
        Channels::Rgba => dispatch(To8::<4> { linear, result }),
    }
    coded
}

/// Converts pixels of `N` samples; the last of two or four is alpha.
struct To8<'a, const N: usize> {
    linear: &'a [u16],
    result: &'a mut [u8],
}

impl<const N: usize> SimdKernel for To8<'_, N> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (to, from) in self.result.chunks_exact_mut(N).zip(self.linear.chunks_exact(N)) {
            let alpha = if N == 1 { u16::MAX } else { from[N - 1] };
            // A transparent pixel has no colour; it becomes black.
            let scale = if alpha == 0 { 0.0 } else { 1.0 / f32::from(alpha) };
            for (to, from) in to.iter_mut().zip(from) {
                // The overshoot of the resize may leave more colour than alpha.
                *to = round_to_u8(srgb::encode_approx((f32::from(*from) * scale).min(1.0)) * 255.0);
            }
            if N > 1 {
                to[N - 1] = round_to_u8(f32::from(alpha) / 257.0);
            }
        }
    }
}

/// Converts linear light with premultiplied alpha to sRGB samples of 16 bits with straight alpha. Transparent pixels become
/// black.
pub fn to_16(linear: &Raster<u16>) -> Raster<u16> {
    let encode = |value: u16| TO_16[usize::from(value)];
    let samples = match linear.channels {
        Channels::Gray | Channels::Rgb => linear.samples.iter().map(|value| encode(*value)).collect(),
        Channels::GrayAlpha => {
            linear.pixels().flat_map(|pixel| [encode(divide(pixel[0], pixel[1])), pixel[1]]).collect()
        }
        Channels::Rgba => linear
            .pixels()
            .flat_map(|pixel| {
                let colour = |i: usize| encode(divide(pixel[i], pixel[3]));
                [colour(0), colour(1), colour(2), pixel[3]]
            })
            .collect(),
    };
    linear.with_samples(linear.channels, samples)
}

/// The linear value of a coded one, both 0 to 1, exact to the precision of `f32`.
#[expect(clippy::cast_possible_truncation, reason = "the precision of the argument")]
pub fn decode(coded: f32) -> f32 {
    srgb::decode(coded.into()) as f32
}

/// Premultiplies a colour by alpha, both 0 to 65,535.
#[expect(clippy::cast_possible_truncation, reason = "the product of two fractions of 65,535 is one too")]
fn multiply(colour: u16, alpha: u16) -> u16 {
    ((u32::from(colour) * u32::from(alpha) + 32_767) / 65_535) as u16
}

/// Divides a premultiplied colour by alpha. A transparent pixel has no colour; it becomes black.
fn divide(colour: u16, alpha: u16) -> u16 {
    match alpha {
        0 => 0,
        u16::MAX => colour,
        // The overshoot of the resize may leave more colour than alpha.
        alpha => {
            u16::try_from((u32::from(colour) * 65_535 + u32::from(alpha) / 2) / u32::from(alpha)).unwrap_or(u16::MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unmixed_colour_is_unchanged() {
        let coded = Raster { width: 256, height: 1, channels: Channels::Gray, samples: (0..=255).collect() };
        assert_eq!(to_8(&from_coded(&Samples::Eight(coded.clone()))).samples, coded.samples);
    }

    #[test]
    fn bytes_are_unchanged_by_the_approximations_of_a_resize() {
        let coded: Vec<u8> = (0..=255).collect();
        let mut linear = [0.0; 256];
        Coded8.row::<1>(&coded, &mut linear);
        let samples = linear.map(round_to_u16).to_vec();
        assert_eq!(to_8(&Raster { width: 256, height: 1, channels: Channels::Gray, samples }).samples, coded);
    }

    #[test]
    fn every_linear_value_is_coded_to_the_nearest_byte_at_every_vector_width() {
        let samples: Vec<u16> = (0..=65_535).collect();
        let mut baseline = vec![0; samples.len()];
        To8::<1> { linear: &samples, result: &mut baseline }.run();
        for (linear, coded) in samples.iter().zip(&baseline) {
            let exact = srgb::encode(f64::from(*linear) / MAX) * 255.0;
            assert!((f64::from(*coded) - exact).abs() < 0.503, "{linear} is coded as {coded} instead of {exact}");
        }
        let raster = Raster { width: 256, height: 256, channels: Channels::Gray, samples };
        assert_eq!(to_8(&raster).samples, baseline);
    }

    #[test]
    fn alpha_is_unchanged_and_colours_that_are_opaque_enough_nearly_so() {
        let samples: Vec<u8> = (0..=255).flat_map(|alpha| [200, 100, 50, alpha]).collect();
        let coded = Raster { width: 256, height: 1, channels: Channels::Rgba, samples };
        let back = to_8(&from_coded(&Samples::Eight(coded.clone())));
        for (before, after) in coded.pixels().zip(back.pixels()) {
            assert_eq!(before[3], after[3]);
            if before[3] >= 8 {
                assert!(before.iter().zip(after).all(|(b, a)| b.abs_diff(*a) <= 1), "{before:?} {after:?}");
            }
        }
    }
}
