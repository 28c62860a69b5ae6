//! Luminance, and conversion to gray.

use darkroom_raster::{Channels, Raster};

/// Luminance weights of sRGB's primaries (IEC 61966-2-1), in units of 1/65536.
const WEIGHTS: [u32; 3] = [13_933, 46_871, 4_732];

/// The luminance of one or three channels in linear light.
pub(super) fn luminance(colours: &[u16]) -> u16 {
    match colours {
        [red, green, blue] => {
            let sum: u32 = [*red, *green, *blue].iter().zip(WEIGHTS).map(|(value, w)| u32::from(*value) * w).sum();
            // The weights add up to 65536, so this is at most 65535.
            (sum >> 16) as u16
        }
        other => other[0],
    }
}

/// The picture's luminance, with its alpha where it has one.
pub(crate) fn grayscale(picture: Raster<u16>) -> Raster<u16> {
    let (channels, samples) = match picture.channels {
        Channels::Gray | Channels::GrayAlpha => return picture,
        Channels::Rgb => (Channels::Gray, picture.pixels().map(luminance).collect()),
        Channels::Rgba => {
            (Channels::GrayAlpha, picture.pixels().flat_map(|pixel| [luminance(&pixel[..3]), pixel[3]]).collect())
        }
    };
    picture.with_samples(channels, samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grays_keep_their_luminance_and_colours_have_that_of_srgb() {
        assert_eq!(luminance(&[u16::MAX; 3]), u16::MAX);
        assert_eq!(luminance(&[30_000; 3]), 30_000);
        assert_eq!([[65_535, 0, 0], [0, 65_535, 0], [0, 0, 65_535]].map(|p| luminance(&p)), [13_932, 46_870, 4_731]);
    }
}
