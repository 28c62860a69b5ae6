//! Sharpening by an unsharp mask on lightness.

use darkroom_raster::{Channels, Raster, linear};

use crate::{
    RenderError,
    effects::{blur::blur, grayscale::luminance},
};

/// Standard deviation of the mask's blur, in pixels: as fine as the detail that a resize softens.
const SIGMA: f32 = 0.8;

/// The largest factor by which a pixel becomes brighter, so that noise in dark areas is not amplified.
const MAX_FACTOR: f32 = 4.0;

/// Adds `amount` times the difference between the lightness and its blurred copy. Lightness (coded luminance) is close to
/// perception: in linear light the dark side of an edge would get a far stronger halo than the bright one. All channels are
/// multiplied by the same factor, so colours keep their hue.
pub(crate) fn sharpen(mut picture: Raster<u16>, amount: f32) -> Result<Raster<u16>, RenderError> {
    let lightness = lightness(&picture);
    let blurred = blur(&lightness, SIGMA)?;
    let (count, colours) = (picture.channels.count(), picture.channels.without_alpha().count());
    let pixels = picture.samples.chunks_exact_mut(count);
    for ((pixel, own), around) in pixels.zip(lightness.pixels()).zip(blurred.pixels()) {
        let alpha = if count > colours { pixel[colours] } else { u16::MAX };
        let before = f32::from(luminance(&pixel[..colours]));
        if before == 0.0 {
            continue;
        }
        let (own, around) = (straight(own), straight(around));
        let wanted = (own + amount * (own - around)).clamp(0.0, 1.0);
        let factor = (linear::decode(wanted) * f32::from(alpha) / before).min(MAX_FACTOR);
        for value in &mut pixel[..colours] {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to alpha")]
            let sharp = (f32::from(*value) * factor + 0.5).min(f32::from(alpha)) as u16;
            *value = sharp;
        }
    }
    Ok(picture)
}

/// The coded luminance, premultiplied where there is alpha.
fn lightness(picture: &Raster<u16>) -> Raster<u16> {
    let colours = picture.channels.without_alpha().count();
    let (channels, samples) = if picture.channels.has_alpha() {
        let gray = picture.pixels().flat_map(|p| [luminance(&p[..colours]), p[colours]]).collect();
        let coded = linear::to_16(&picture.with_samples(Channels::GrayAlpha, gray));
        let multiplied = coded.pixels().flat_map(|p| {
            #[expect(clippy::cast_possible_truncation, reason = "at most 65535")]
            let value = (u32::from(p[0]) * u32::from(p[1]) / 65_535) as u16;
            [value, p[1]]
        });
        (Channels::GrayAlpha, multiplied.collect())
    } else {
        let gray = picture.with_samples(Channels::Gray, picture.pixels().map(luminance).collect());
        (Channels::Gray, linear::to_16(&gray).samples)
    };
    picture.with_samples(channels, samples)
}

/// The lightness of a pixel without its alpha, 0 to 1.
fn straight(pixel: &[u16]) -> f32 {
    match pixel {
        [_, 0] => 0.0,
        [value, alpha] => f32::from(*value) / f32::from(*alpha),
        other => f32::from(other[0]) / 65_535.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_gets_halos_and_plain_areas_stay() {
        let samples: Vec<u16> = (0..20 * 4).map(|i| if i % 20 < 10 { 8_000 } else { 30_000 }).collect();
        let edge = Raster { width: 20, height: 4, channels: Channels::Gray, samples };
        let sharp = sharpen(edge.clone(), 1.0).unwrap();
        assert!(sharp.samples[9] < 7_000 && sharp.samples[10] > 32_000, "{:?}", &sharp.samples[..20]);
        assert!(sharp.samples[2].abs_diff(8_000) < 20 && sharp.samples[17].abs_diff(30_000) < 40);
    }

    #[test]
    fn colours_keep_their_hue_and_no_halo_appears_beside_transparent_pixels() {
        let pixel = |x: u32| if x < 10 { [20_000, 10_000, 5_000, 65_535] } else { [0; 4] };
        let samples: Vec<u16> = (0..20 * 4).flat_map(|i| pixel(i % 20)).collect();
        let sharp = sharpen(Raster { width: 20, height: 4, channels: Channels::Rgba, samples }, 2.0).unwrap();
        for found in sharp.pixels().take(10) {
            assert!(found.iter().zip(pixel(0)).all(|(a, b)| a.abs_diff(b) < 60), "{found:?}");
        }
    }
}
