//! Between coded values and linear light.
//!
//! Light adds up, coded values do not: a mean of coded values is too dark where black meets white. So pictures are
//! resized as 16-bit linear light with premultiplied alpha. The curve is sRGB's (IEC 61966-2-1) whatever the profile:
//! profiles differ from it by little, and since the same curve leads back, a colour that is not mixed with others
//! comes back exactly; the profile is applied to the smaller picture afterwards.
#![allow(clippy::inline_always)] // what is inlined is compiled for the vectors of its caller

use std::sync::LazyLock;

use crate::{
    Channels, Raster, Samples,
    simd::{SimdKernel, dispatch, round_to_i32, round_to_u8},
    srgb,
};

const MAX: f64 = 65_535.0;

// Values are between 0 and the target's maximum by construction.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn table(length: u32, curve: fn(f64) -> f64) -> Vec<u16> {
    let last = f64::from(length - 1);
    (0..length).map(|i| (curve(f64::from(i) / last) * MAX).round() as u16).collect()
}

static FROM_8: LazyLock<Vec<u16>> = LazyLock::new(|| table(256, srgb::decode));
static FROM_16: LazyLock<Vec<u16>> = LazyLock::new(|| table(65_536, srgb::decode));
static TO_16: LazyLock<Vec<u16>> = LazyLock::new(|| table(65_536, srgb::encode));

/// Coded samples with straight alpha, to linear light with premultiplied alpha.
pub fn from_coded(coded: &Samples) -> Raster<u16> {
    match coded {
        Samples::Eight(raster) => linearise(raster, &FROM_8, |alpha| u16::from(alpha) * 257),
        Samples::Sixteen(raster) => linearise(raster, &FROM_16, |alpha| alpha),
    }
}

/// How a row of samples becomes linear light with premultiplied alpha, 0 to 65,535, for a resize.
pub trait Linearise<T> {
    /// `N` samples a pixel; the last of two or four is alpha.
    fn row<const N: usize>(&self, samples: &[T], linear: &mut [f32]);
}

/// Samples that are linear and premultiplied.
pub struct Linear;

impl Linearise<u16> for Linear {
    #[inline(always)]
    fn row<const N: usize>(&self, samples: &[u16], linear: &mut [f32]) {
        for (to, from) in linear.iter_mut().zip(samples) {
            *to = f32::from(*from);
        }
    }
}

/// Coded samples of 8 bits, with straight alpha.
pub struct Coded8;

impl Linearise<u8> for Coded8 {
    #[inline(always)]
    fn row<const N: usize>(&self, samples: &[u8], linear: &mut [f32]) {
        to_light::<N, u8>(
            samples,
            linear,
            |value| srgb::light(f32::from(value) * (1.0 / 255.0)) * 65_535.0,
            |alpha| f32::from(alpha) * 257.0,
        );
    }
}

/// Coded samples of 16 bits, with straight alpha.
pub struct Coded16;

impl Linearise<u16> for Coded16 {
    #[inline(always)]
    fn row<const N: usize>(&self, samples: &[u16], linear: &mut [f32]) {
        let table = FROM_16.as_slice();
        to_light::<N, u16>(samples, linear, |value| f32::from(table[usize::from(value)]), f32::from);
    }
}

#[inline(always)]
fn to_light<const N: usize, T: Copy>(
    samples: &[T],
    linear: &mut [f32],
    light: impl Fn(T) -> f32,
    alpha: impl Fn(T) -> f32,
) {
    if N % 2 == 1 {
        for (to, from) in linear.iter_mut().zip(samples) {
            *to = light(*from);
        }
        return;
    }
    for (to, from) in linear.chunks_exact_mut(N).zip(samples.chunks_exact(N)) {
        let opacity = alpha(from[N - 1]);
        let share = opacity * (1.0 / 65_535.0);
        for (to, from) in to.iter_mut().zip(&from[..N - 1]) {
            *to = light(*from) * share;
        }
        to[N - 1] = opacity;
    }
}

/// To the round_to_i32 of 16 bits; what overshoots is cut off.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // it was cut off
pub fn round(value: f32) -> u16 {
    round_to_i32(value.clamp(0.0, 65_535.0)) as u16
}

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
    raster.with(raster.channels, samples)
}

/// Linear light with premultiplied alpha, to sRGB's 8-bit code with straight alpha.
#[tracing::instrument(level = "trace", name = "to 8 bits", skip_all)]
pub fn to_8(linear: &Raster<u16>) -> Raster<u8> {
    let mut coded = Raster::new(linear.width, linear.height, linear.channels);
    let (linear, into) = (&linear.samples, &mut coded.samples);
    match coded.channels {
        Channels::Gray | Channels::Rgb => dispatch(To8::<1> { linear, into }),
        Channels::GrayAlpha => dispatch(To8::<2> { linear, into }),
        Channels::Rgba => dispatch(To8::<4> { linear, into }),
    }
    coded
}

/// Makes bytes of `N` samples a pixel; the last of two or four is alpha.
struct To8<'a, const N: usize> {
    linear: &'a [u16],
    into: &'a mut [u8],
}

impl<const N: usize> SimdKernel for To8<'_, N> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (to, from) in self.into.chunks_exact_mut(N).zip(self.linear.chunks_exact(N)) {
            let alpha = if N == 1 { u16::MAX } else { from[N - 1] };
            // What is wholly transparent has no colour: black.
            let scale = if alpha == 0 { 0.0 } else { 1.0 / f32::from(alpha) };
            for (to, from) in to.iter_mut().zip(from) {
                // A filter's overshoot may leave more colour than alpha.
                *to = round_to_u8(srgb::coded((f32::from(*from) * scale).min(1.0)) * 255.0);
            }
            if N > 1 {
                to[N - 1] = round_to_u8(f32::from(alpha) / 257.0);
            }
        }
    }
}

/// The same, to 16 bits a sample.
pub fn to_16(linear: &Raster<u16>) -> Raster<u16> {
    let code = |value: u16| TO_16[usize::from(value)];
    let samples = match linear.channels {
        Channels::Gray | Channels::Rgb => linear.samples.iter().map(|value| code(*value)).collect(),
        Channels::GrayAlpha => linear.pixels().flat_map(|pixel| [code(divide(pixel[0], pixel[1])), pixel[1]]).collect(),
        Channels::Rgba => linear
            .pixels()
            .flat_map(|pixel| {
                let colour = |i: usize| code(divide(pixel[i], pixel[3]));
                [colour(0), colour(1), colour(2), pixel[3]]
            })
            .collect(),
    };
    linear.with(linear.channels, samples)
}

/// The light of a coded value, both 0 to 1.
// The curve in the precision of its argument.
#[allow(clippy::cast_possible_truncation)]
pub fn light(coded: f32) -> f32 {
    srgb::decode(coded.into()) as f32
}

// A product of two 16-bit fractions is one too.
#[allow(clippy::cast_possible_truncation)]
fn multiply(colour: u16, alpha: u16) -> u16 {
    ((u32::from(colour) * u32::from(alpha) + 32_767) / 65_535) as u16
}

/// What is wholly transparent has no colour: black.
fn divide(colour: u16, alpha: u16) -> u16 {
    match alpha {
        0 => 0,
        u16::MAX => colour,
        // A filter's overshoot may leave more colour than alpha.
        alpha => {
            u16::try_from((u32::from(colour) * 65_535 + u32::from(alpha) / 2) / u32::from(alpha)).unwrap_or(u16::MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_that_is_not_mixed_comes_back_exactly() {
        let coded = Raster { width: 256, height: 1, channels: Channels::Gray, samples: (0..=255).collect() };
        assert_eq!(to_8(&from_coded(&Samples::Eight(coded.clone()))).samples, coded.samples);
    }

    #[test]
    fn bytes_come_back_from_the_light_a_resize_takes() {
        let coded: Vec<u8> = (0..=255).collect();
        let mut linear = [0.0; 256];
        Coded8.row::<1>(&coded, &mut linear);
        let samples = linear.map(round).to_vec();
        assert_eq!(to_8(&Raster { width: 256, height: 1, channels: Channels::Gray, samples }).samples, coded);
    }

    #[test]
    fn every_light_has_its_nearest_code_with_and_without_wide_vectors() {
        let samples: Vec<u16> = (0..=65_535).collect();
        let mut plain = vec![0; samples.len()];
        To8::<1> { linear: &samples, into: &mut plain }.run();
        for (light, code) in samples.iter().zip(&plain) {
            let exact = srgb::encode(f64::from(*light) / MAX) * 255.0;
            assert!((f64::from(*code) - exact).abs() < 0.503, "{light} has {code} in the place of {exact}");
        }
        let light = Raster { width: 256, height: 256, channels: Channels::Gray, samples };
        assert_eq!(to_8(&light).samples, plain);
    }

    #[test]
    fn alpha_comes_back_exactly_and_opaque_enough_colours_too() {
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
