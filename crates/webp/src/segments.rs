//! Segments by local contrast (RFC 6386, sections 9.3 and 10): errors are less visible where the picture is busy.
#![allow(clippy::inline_always)] // Inlined code is compiled with the target features of its caller.

use crate::{planes::Planes, quantization::ac_step, tuning::Tuning};

/// The number of segments.
pub(crate) const SEGMENTS: usize = 4;
/// Classes of contrast in the histogram: eighths of a power of two of the variance.
const CLASSES: usize = HIGHEST_CLASS as usize + 1;
const HIGHEST_CLASS: u8 = 159;
/// Smaller pictures have one segment, which takes a dozen bytes less.
const MIN_MACROBLOCKS: usize = 16;

/// The segments of a picture.
pub(crate) struct Segments {
    /// The segment of each macroblock, row by row; empty where there is only one.
    pub(crate) map: Vec<u8>,
    /// The quantizer index of each segment.
    pub(crate) indices: [i32; SEGMENTS],
}

impl Segments {
    /// `step` is the quantization step of the picture's mean contrast, in 256ths.
    #[inline(always)]
    pub(crate) fn new(planes: &Planes, step: i32, tuning: &Tuning, allowed: bool) -> Self {
        let macroblocks = planes.macroblock_columns * planes.macroblock_rows;
        let single = Self { map: Vec::new(), indices: [index_of_step(step); SEGMENTS] };
        if !allowed || macroblocks < MIN_MACROBLOCKS {
            return single;
        }
        let stride = planes.macroblock_columns * 16;
        let mut map = Vec::with_capacity(macroblocks);
        let mut histogram = [0_u32; CLASSES];
        for rows in planes.luma.chunks_exact(stride * 16) {
            for column in 0..planes.macroblock_columns {
                let class = contrast(rows, stride, column * 16);
                histogram[usize::from(class)] += 1;
                map.push(class);
            }
        }
        let (centres, class_segments) = clusters(&histogram);
        let all = i64::from(histogram.iter().sum::<u32>());
        let sum: i64 = (0..).zip(&histogram).map(|(class, count)| class * i64::from(*count)).sum();
        #[expect(clippy::cast_possible_truncation, reason = "below 32 · CLASSES")]
        let mean = (sum * 32 / all) as i32;
        let mut indices = [0; SEGMENTS];
        for (index, centre) in indices.iter_mut().zip(centres) {
            // Contrast in 256ths of a power of two.
            let difference = centre * 32 - mean;
            let factor = (256 + difference * tuning.segment_strength / 4096).clamp(150, 420);
            *index = index_of_step(step * factor / 256);
        }
        if indices.iter().all(|index| *index == indices[0]) {
            return Self { map: Vec::new(), indices };
        }
        for segment in &mut map {
            *segment = class_segments[usize::from(*segment)];
        }
        Self { map, indices }
    }
}

/// The index whose step is nearest, in 256ths.
fn index_of_step(step: i32) -> i32 {
    (0..=127).min_by_key(|index| (i32::from(ac_step(*index)) * 256 - step).abs()).unwrap_or(0)
}

/// The contrast of a macroblock: the mean logarithm of the variances of its sub-blocks.
#[inline(always)]
fn contrast(rows: &[u8], stride: usize, left: usize) -> u8 {
    let mut logarithms = 0;
    for row in 0..4 {
        let mut sums = [0_u32; 16];
        let mut squares = [0_u32; 16];
        for y in 0..4 {
            let samples = &rows[(row * 4 + y) * stride + left..][..16];
            for ((sum, square), sample) in sums.iter_mut().zip(&mut squares).zip(samples) {
                *sum += u32::from(*sample);
                *square += u32::from(*sample) * u32::from(*sample);
            }
        }
        for column in 0..4 {
            let (mut sum, mut square) = (0, 0);
            for x in 0..4 {
                sum += sums[column * 4 + x];
                square += squares[column * 4 + x];
            }
            // 16 times the sum of squared differences from the mean.
            logarithms += log2_eighths(16 * square - sum * sum);
        }
    }
    u8::try_from(logarithms / 16).unwrap_or(u8::MAX).min(HIGHEST_CLASS)
}

/// 8 · log₂(1 + value / 256), nearly: linear between powers of two.
#[inline(always)]
fn log2_eighths(value: u32) -> u32 {
    let value = value + 256;
    let whole = value.ilog2();
    (whole - 8) * 8 + ((value >> (whole - 3)) & 7)
}

/// The centres of four clusters of the histogram, and the cluster of each class (Lloyd's algorithm).
fn clusters(histogram: &[u32; CLASSES]) -> ([i32; SEGMENTS], [u8; CLASSES]) {
    let total: u32 = histogram.iter().sum();
    // Starts from the quantiles.
    let mut centres = [0_i32; SEGMENTS];
    for (quarter, centre) in (0_u32..).zip(&mut centres) {
        let mut before = 0;
        *centre = (0..)
            .zip(histogram)
            .find_map(|(class, count)| {
                before += count;
                (before * 8 >= total * (quarter * 2 + 1)).then_some(class)
            })
            .unwrap_or(0);
    }
    let mut segments = [0; CLASSES];
    for _ in 0..6 {
        let mut sums = [(0_i64, 0_i64); SEGMENTS];
        for (class, (segment, count)) in (0..).zip(segments.iter_mut().zip(histogram)) {
            let nearest = (0..4_u8).min_by_key(|segment| (centres[usize::from(*segment)] - class).abs()).unwrap_or(0);
            *segment = nearest;
            let (sum, all) = &mut sums[usize::from(nearest)];
            *sum += i64::from(class) * i64::from(*count);
            *all += i64::from(*count);
        }
        for (centre, (sum, all)) in centres.iter_mut().zip(sums) {
            if all > 0 {
                *centre = i32::try_from(sum / all).unwrap_or(0);
            }
        }
    }
    (centres, segments)
}
