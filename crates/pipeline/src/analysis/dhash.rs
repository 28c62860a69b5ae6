//! A perceptual hash: similar for pictures that look alike, whatever their size, format and quality.

use darkroom_raster::{Raster, Region, linear, resize};

use crate::RenderError;

/// Rows of the hashed picture, and bits per row; one more column gives each bit its right neighbour.
pub(crate) const SIDE: u32 = 8;

/// The difference hash (dHash) of a picture in linear light. The picture is resized to 9 × 8, composited on white and made gray;
/// each of the 64 bits is set where a pixel's right neighbour is brighter. The top left pixel is the highest bit, row by row. The
/// number of different bits of two hashes is their distance: 0 for copies, up to about 10 for pictures that were compressed,
/// resized or slightly edited, about 32 for unrelated pictures. Equal to `dhash` of Python's `ImageHash` up to one or two bits,
/// because that resizes differently.
pub(crate) fn dhash(linear: &Raster<u16>) -> Result<u64, RenderError> {
    let small = linear::to_8(&resize(linear, Region::whole(linear), SIDE + 1, SIDE)?);
    let small = small.flatten_on_white();
    let rgba = small.to_rgba();
    // ITU-R BT.601's luma, in units of 1/1000.
    let luma: Vec<u32> =
        rgba.chunks_exact(4).map(|p| 299 * u32::from(p[0]) + 587 * u32::from(p[1]) + 114 * u32::from(p[2])).collect();
    let rows = luma.chunks_exact(SIDE as usize + 1);
    Ok(rows.flat_map(|row| row.windows(2)).fold(0, |hash, pair| hash << 1 | u64::from(pair[1] > pair[0])))
}

#[cfg(test)]
mod tests {
    use darkroom_raster::{Channels, Samples};

    use super::*;

    fn hash(width: u32, height: u32, value: impl Fn(u32, u32) -> u32) -> u64 {
        let samples = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let samples = samples.map(|(x, y)| u8::try_from(value(x, y)).unwrap_or(u8::MAX)).collect();
        let picture = Raster { width, height, channels: Channels::Gray, samples };
        dhash(&linear::from_coded(&Samples::Eight(picture))).expect("a hash")
    }

    #[test]
    fn each_bit_tells_whether_the_right_neighbour_is_brighter() {
        assert_eq!(hash(90, 80, |x, _| 2 * x), u64::MAX);
        assert_eq!(hash(90, 80, |x, _| 255 - 2 * x), 0);
        assert_eq!(hash(90, 80, |x, y| if y < 40 { 50 + x } else { 200 - x }), 0xFFFF_FFFF_0000_0000);
    }

    #[test]
    fn another_size_changes_little_and_another_picture_much() {
        let waves =
            |size: u32| move |x: u32, y: u32| 128 + 60 * x / size * (y * 5 / size % 2) - 50 * x / size * y / size;
        let (large, small) = (hash(640, 640, waves(640)), hash(200, 200, waves(200)));
        assert!((large ^ small).count_ones() <= 4, "{large:x} {small:x}");
        let other = hash(640, 640, |x, y| (x * 7 / 640 % 2) * 100 + y / 8);
        assert!((large ^ other).count_ones() >= 16, "{large:x} {other:x}");
    }
}
