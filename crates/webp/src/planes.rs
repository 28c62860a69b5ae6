//! RGB to the planes that VP8 codes: luma, and chroma (Cb, Cr) at half the resolution.
//!
//! ITU-R BT.601 in 8 bits, limited range: luma from 16 to 235, chroma from 16 to 240 (RFC 6386, section 9.2).
#![allow(clippy::inline_always)] // Inlined code is compiled with the target features of its caller.

use darkroom_raster::{
    Channels, Raster,
    simd::{SimdKernel, dispatch, round_to_u8},
};

/// The planes of a picture without alpha, extended to whole macroblocks by repeating the last column and row.
pub(crate) struct Planes {
    pub(crate) macroblock_columns: usize,
    pub(crate) macroblock_rows: usize,
    /// Rows of 16 samples a macroblock.
    pub(crate) luma: Vec<u8>,
    /// Rows of 8 samples a macroblock.
    pub(crate) cb: Vec<u8>,
    pub(crate) cr: Vec<u8>,
}

impl Planes {
    pub(crate) fn from_raster(picture: &Raster<u8>) -> Self {
        let mut planes = Self::empty(picture.width as usize, picture.height as usize);
        dispatch(FillPlanes { picture, planes: &mut planes });
        planes
    }

    pub(crate) fn empty(width: usize, height: usize) -> Self {
        let (macroblock_columns, macroblock_rows) = (width.div_ceil(16), height.div_ceil(16));
        let macroblocks = macroblock_columns * macroblock_rows;
        let [cb, cr] = [(); 2].map(|()| vec![128; macroblocks * 64]);
        Self { macroblock_columns, macroblock_rows, luma: vec![0; macroblocks * 256], cb, cr }
    }
}

/// Converts a picture into the planes.
struct FillPlanes<'a> {
    picture: &'a Raster<u8>,
    planes: &'a mut Planes,
}

/// Chroma of one row at full resolution, centred on zero; padded to an even width by repeating the last value.
struct ChromaRow {
    cb: Vec<f32>,
    cr: Vec<f32>,
}

impl SimdKernel for FillPlanes<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { picture, planes } = self;
        let stride = planes.macroblock_columns * 16;
        let (width, height) = (picture.width as usize, picture.height as usize);
        if picture.channels == Channels::Gray {
            for (gray, luma) in picture.samples.chunks_exact(width).zip(planes.luma.chunks_exact_mut(stride)) {
                for (gray, luma) in gray.iter().zip(&mut *luma) {
                    *luma = round_to_u8(219.0 / 255.0 * f32::from(*gray) + 16.0);
                }
                extend_row(luma, width);
            }
            extend_rows(&mut planes.luma, stride, height);
            return;
        }
        let half = width.div_ceil(2);
        let mut rows = [(); 2].map(|()| ChromaRow { cb: vec![0.0; half * 2], cr: vec![0.0; half * 2] });
        let pairs = picture.samples.chunks(picture.row_length() * 2).zip(planes.luma.chunks_exact_mut(stride * 2));
        let chroma = planes.cb.chunks_exact_mut(stride / 2).zip(planes.cr.chunks_exact_mut(stride / 2));
        for ((pixels, luma), (cb, cr)) in pairs.zip(chroma) {
            let pair = pixels.chunks_exact(picture.row_length()).zip(luma.chunks_exact_mut(stride));
            for ((pixels, luma), row) in pair.zip(&mut rows) {
                convert_row(pixels, &mut luma[..width], row);
                extend_row(luma, width);
            }
            // With an odd height, the last row is paired with itself.
            let lower = &rows[usize::from(pixels.len() > picture.row_length())];
            halve(&rows[0].cb, &lower.cb, &mut cb[..half]);
            halve(&rows[0].cr, &lower.cr, &mut cr[..half]);
            extend_row(cb, half);
            extend_row(cr, half);
        }
        extend_rows(&mut planes.luma, stride, height);
        extend_rows(&mut planes.cb, stride / 2, height.div_ceil(2));
        extend_rows(&mut planes.cr, stride / 2, height.div_ceil(2));
    }
}

/// Repeats the last of `width` samples.
#[inline(always)]
fn extend_row(row: &mut [u8], width: usize) {
    let last = row[width - 1];
    row[width..].fill(last);
}

/// Repeats the last of `height` rows.
#[inline(always)]
fn extend_rows(plane: &mut [u8], stride: usize, height: usize) {
    let (rows, below) = plane.split_at_mut(height * stride);
    let last = &rows[(height - 1) * stride..];
    for row in below.chunks_exact_mut(stride) {
        row.copy_from_slice(last);
    }
}

#[inline(always)]
fn convert_row(pixels: &[u8], luma: &mut [u8], chroma: &mut ChromaRow) {
    let ChromaRow { cb, cr } = chroma;
    for (((pixel, luma), cb), cr) in pixels.chunks_exact(3).zip(&mut *luma).zip(&mut *cb).zip(&mut *cr) {
        let [r, g, b] = [pixel[0], pixel[1], pixel[2]].map(f32::from);
        *luma = round_to_u8(0.256_788_2 * r + 0.504_129_4 * g + 0.097_905_9 * b + 16.0);
        *cb = 0.439_215_7 * b - 0.148_222_9 * r - 0.290_992_8 * g;
        *cr = 0.439_215_7 * r - 0.367_788_3 * g - 0.071_427_4 * b;
    }
    let width = luma.len();
    if !width.is_multiple_of(2) {
        cb[width] = cb[width - 1];
        cr[width] = cr[width - 1];
    }
}

/// Means of 2 × 2 samples.
#[inline(always)]
fn halve(upper: &[f32], lower: &[f32], half: &mut [u8]) {
    for ((half, upper), lower) in half.iter_mut().zip(upper.chunks_exact(2)).zip(lower.chunks_exact(2)) {
        *half = round_to_u8((upper[0] + upper[1] + lower[0] + lower[1]) * 0.25 + 128.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(picture: &Raster<u8>) -> Planes {
        let mut planes = Planes::empty(picture.width as usize, picture.height as usize);
        FillPlanes { picture, planes: &mut planes }.run();
        planes
    }

    #[test]
    fn colours_have_the_values_of_bt_601() {
        // ITU-R BT.601-7, table 3: white, black, and the primaries.
        for (colour, [luma, cb, cr]) in [
            ([255, 255, 255], [235, 128, 128]),
            ([0, 0, 0], [16, 128, 128]),
            ([255, 0, 0], [81, 90, 240]),
            ([0, 255, 0], [145, 54, 34]),
            ([0, 0, 255], [41, 240, 110]),
        ] {
            let picture = Raster { width: 3, height: 5, channels: Channels::Rgb, samples: colour.repeat(15) };
            let planes = Planes::from_raster(&picture);
            assert_eq!((planes.luma, planes.cb, planes.cr), (vec![luma; 256], vec![cb; 64], vec![cr; 64]));
        }
        let grays = Raster { width: 2, height: 1, channels: Channels::Gray, samples: vec![0, 255] };
        let planes = Planes::from_raster(&grays);
        assert_eq!((&planes.luma[..2], &planes.luma[240..242], planes.cb[63]), (&[16, 235][..], &[16, 235][..], 128));
    }

    #[test]
    fn chroma_is_the_mean_of_four_pixels() {
        // One red pixel of four gives a quarter of red's chroma; at odd sizes, half or all of it.
        let samples = [[255, 0, 0], [0; 3], [255, 0, 0], [0; 3], [0; 3], [0; 3], [0; 3], [0; 3], [255, 0, 0]].concat();
        let planes = Planes::from_raster(&Raster { width: 3, height: 3, channels: Channels::Rgb, samples });
        assert_eq!((planes.cr[0], planes.cr[1], planes.cr[8], planes.cr[9], planes.cr[63]), (156, 184, 128, 240, 240));
    }

    #[test]
    fn wider_simd_makes_the_same_planes() {
        let samples: Vec<u8> = (0..61 * 47 * 3_u32).map(|i| u8::try_from(i * 7919 % 251).unwrap()).collect();
        for channels in [Channels::Rgb, Channels::Gray] {
            let samples = samples[..61 * 47 * channels.count()].to_vec();
            let picture = Raster { width: 61, height: 47, channels, samples };
            let (wide, plain) = (Planes::from_raster(&picture), filled(&picture));
            assert_eq!((wide.luma, wide.cb, wide.cr), (plain.luma, plain.cb, plain.cr));
        }
    }
}
