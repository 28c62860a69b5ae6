//! The most frequent colour of a picture: a background to show while the picture loads.

use darkroom_raster::Raster;

/// Width of a histogram bin, in steps of a channel.
const STEP: usize = 32;
const STEPS: usize = 256 / STEP + 1;

/// The largest difference, in each channel, to the most frequent colour that is still averaged with it.
const NEAR: f64 = 32.0;

/// The dominant colour of a small sRGB picture, as red, green and blue. Pixels are weighted by their alpha; a fully
/// transparent picture has black.
pub(crate) fn dominant_colour(small: &Raster<u8>) -> [u8; 3] {
    let rgba = small.to_rgba();
    let pixels = || rgba.chunks_exact(4).map(|p| ([p[0], p[1], p[2]].map(f64::from), f64::from(p[3])));
    // Two histograms, one shifted by half a bin: a colour on the border of two bins is whole in the other histogram.
    let heaviest = [0, STEP / 2].map(|shift| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 255")]
        let bin = |colour: [f64; 3]| colour.iter().fold(0, |bin, c| bin * STEPS + (*c as usize + shift) / STEP);
        let mut weights = [0.0_f64; STEPS.pow(3)];
        pixels().for_each(|(colour, weight)| weights[bin(colour)] += weight);
        let (index, weight) = weights.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap_or((0, &0.0));
        (*weight, mean(pixels().filter(|(colour, _)| bin(*colour) == index)))
    });
    let centre = if heaviest[0].0 >= heaviest[1].0 { heaviest[0].1 } else { heaviest[1].1 };
    let near = |colour: &[f64; 3]| colour.iter().zip(centre).all(|(a, b)| (a - b).abs() <= NEAR);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "means of bytes")]
    mean(pixels().filter(|(colour, _)| near(colour))).map(|channel| channel.round() as u8)
}

fn mean(pixels: impl Iterator<Item = ([f64; 3], f64)>) -> [f64; 3] {
    let (sum, weight) = pixels.fold(([0.0; 3], 0.0), |(sum, total), (colour, weight)| {
        ([0, 1, 2].map(|i: usize| f64::mul_add(colour[i], weight, sum[i])), total + weight)
    });
    if weight > 0.0 { sum.map(|channel| channel / weight) } else { [0.0; 3] }
}

#[cfg(test)]
mod tests {
    use darkroom_raster::Channels;

    use super::*;

    fn picture(channels: Channels, samples: Vec<u8>) -> Raster<u8> {
        let width = u32::try_from(samples.len() / channels.count()).unwrap_or(0);
        Raster { width, height: 1, channels, samples }
    }

    #[test]
    fn the_colour_of_most_pixels_is_dominant_and_not_their_mean() {
        let samples = [[200, 30, 40]; 6].into_iter().chain([[0, 0, 255]; 5]).flatten().collect();
        assert_eq!(dominant_colour(&picture(Channels::Rgb, samples)), [200, 30, 40]);
    }

    #[test]
    fn a_colour_on_the_border_of_two_bins_is_one_colour() {
        let samples = [[127, 64, 64], [128, 64, 64]].repeat(4).into_iter().chain([[0, 0, 0]; 5]).flatten().collect();
        assert_eq!(dominant_colour(&picture(Channels::Rgb, samples)), [128, 64, 64]);
    }

    #[test]
    fn transparent_pixels_do_not_count() {
        let samples = [[9, 200, 9, 0]; 9].into_iter().chain([[250, 250, 0, 255]; 2]).flatten().collect();
        assert_eq!(dominant_colour(&picture(Channels::Rgba, samples)), [250, 250, 0]);
        assert_eq!(dominant_colour(&picture(Channels::GrayAlpha, vec![9, 0, 9, 0])), [0; 3]);
        assert_eq!(dominant_colour(&picture(Channels::Gray, vec![77; 4])), [77; 3]);
    }
}
