//! Conversion from RGB to YCbCr with level shift, and chroma subsampling, for one row of MCUs at a time (T.81, section
//! A.3.1; JFIF 1.02, "Conversion to and from RGB").
#![allow(clippy::inline_always)] // Inlined code is compiled with the target features of its caller.

use darkroom_raster::Raster;

/// The samples of a row of MCUs, around zero, in one plane for each component.
pub(super) struct ComponentPlanes {
    stride: usize,
    full: Vec<Vec<f32>>,
    /// Cb and Cr at half the width and height; empty without chroma subsampling.
    subsampled: Vec<Vec<f32>>,
}

impl ComponentPlanes {
    /// `count` planes of `rows` rows of `stride` samples, and subsampled chroma planes if `subsample_chroma` is set.
    pub(super) fn new(stride: usize, rows: usize, count: usize, subsample_chroma: bool) -> Self {
        let full = vec![vec![0.0; stride * rows]; count];
        let subsampled = vec![vec![0.0; stride * rows / 4]; if subsample_chroma { count - 1 } else { 0 }];
        Self { stride, full, subsampled }
    }

    /// Converts the rows of a picture from `first` on. The last column and row are repeated to complete the last MCUs (T.81,
    /// section A.2.4).
    #[inline(always)]
    pub(super) fn fill(&mut self, picture: &Raster<u8>, first: usize) {
        let (width, row_length) = (picture.width as usize, picture.row_length());
        let last = picture.height as usize - 1;
        let stride = self.stride;
        for y in 0..self.full[0].len() / stride {
            let row = &picture.samples[(first + y).min(last) * row_length..][..row_length];
            let mut lines = self.full.iter_mut().map(|plane| &mut plane[y * stride..][..stride]);
            match (lines.next(), lines.next(), lines.next()) {
                (Some(y), Some(cb), Some(cr)) => {
                    rgb_to_ycbcr(row, y, cb, cr);
                    repeat_last_sample(y, width);
                    repeat_last_sample(cb, width);
                    repeat_last_sample(cr, width);
                }
                (Some(y), ..) => {
                    level_shift(row, y);
                    repeat_last_sample(y, width);
                }
                _ => {}
            }
        }
        for (subsampled, plane) in self.subsampled.iter_mut().zip(&self.full[1..]) {
            for (line, rows) in subsampled.chunks_exact_mut(stride / 2).zip(plane.chunks_exact(2 * stride)) {
                let (upper, lower) = rows.split_at(stride);
                subsample(upper, lower, line);
            }
        }
    }

    /// The plane of a component, full or subsampled, and the length of its rows.
    pub(super) fn plane(&self, component: usize, subsampled: bool) -> (&[f32], usize) {
        if subsampled {
            (&self.subsampled[component - 1], self.stride / 2)
        } else {
            (&self.full[component], self.stride)
        }
    }
}

/// RGB pixels to Y, Cb and Cr around zero (ITU-R BT.601).
#[inline(always)]
fn rgb_to_ycbcr(pixels: &[u8], y: &mut [f32], cb: &mut [f32], cr: &mut [f32]) {
    for (((pixel, y), cb), cr) in pixels.chunks_exact(3).zip(y).zip(cb).zip(cr) {
        let [red, green, blue] = [pixel[0], pixel[1], pixel[2]].map(f32::from);
        *y = 0.299 * red + 0.587 * green + 0.114 * blue - 128.0;
        *cb = 0.5 * blue - 0.168_735_9 * red - 0.331_264_1 * green;
        *cr = 0.5 * red - 0.418_687_6 * green - 0.081_312_4 * blue;
    }
}

/// Gray pixels to Y around zero.
#[inline(always)]
fn level_shift(pixels: &[u8], y: &mut [f32]) {
    for (pixel, y) in pixels.iter().zip(y) {
        *y = f32::from(*pixel) - 128.0;
    }
}

fn repeat_last_sample(line: &mut [f32], width: usize) {
    let (samples, padding) = line.split_at_mut(width);
    padding.fill(samples[width - 1]);
}

/// Averages 2×2 samples.
#[inline(always)]
fn subsample(upper: &[f32], lower: &[f32], line: &mut [f32]) {
    for ((sample, upper), lower) in line.iter_mut().zip(upper.chunks_exact(2)).zip(lower.chunks_exact(2)) {
        *sample = (upper[0] + upper[1] + lower[0] + lower[1]) * 0.25;
    }
}
