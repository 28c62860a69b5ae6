//! Separable resampling with the Lanczos kernel of three lobes (Lanczos3), in linear light.
//!
//! For each group of result rows a vertical pass adds the weighted source rows, then a horizontal pass the columns. Source rows
//! are converted to linear light when the vertical pass reaches them, and kept in a ring buffer as long as it needs them.
#![allow(clippy::inline_always)] // Inlined code is compiled with the target features of its caller.

use std::f64::consts::PI;

use crate::{
    Channels, Raster, Region, Samples,
    linear::{self, Linearise},
    simd::{SimdKernel, dispatch},
};

/// The region or the result of a resize has no pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a picture without pixels cannot be resized")]
pub struct ResizeError;

/// Resizes `region` of a picture in linear light with premultiplied alpha to `width` × `height` pixels.
///
/// The region must lie within the picture. Fails if the region or the result has no pixels.
#[tracing::instrument(level = "trace", name = "resize", skip_all)]
pub fn resize(source: &Raster<u16>, region: Region, width: u32, height: u32) -> Result<Raster<u16>, ResizeError> {
    if is_identity(source, region, width, height) {
        return Ok(source.clone());
    }
    resample(source, &linear::Linear, region, width, height)
}

/// Resizes `region` of a picture of coded samples with straight alpha to `width` × `height` pixels in linear light with
/// premultiplied alpha. Otherwise the same as [`resize`].
#[tracing::instrument(level = "trace", name = "resize", skip_all)]
pub fn resize_coded(source: &Samples, region: Region, width: u32, height: u32) -> Result<Raster<u16>, ResizeError> {
    match source {
        Samples::Eight(raster) if is_identity(raster, region, width, height) => Ok(linear::from_coded(source)),
        Samples::Sixteen(raster) if is_identity(raster, region, width, height) => Ok(linear::from_coded(source)),
        Samples::Eight(raster) => resample(raster, &linear::Coded8, region, width, height),
        Samples::Sixteen(raster) => resample(raster, &linear::Coded16, region, width, height),
    }
}

/// Whether the result is the source.
fn is_identity<T>(source: &Raster<T>, region: Region, width: u32, height: u32) -> bool {
    region == Region::whole(source) && (width, height) == (source.width, source.height)
}

fn resample<T: Copy>(
    source: &Raster<T>,
    linearise: &impl Linearise<T>,
    region: Region,
    width: u32,
    height: u32,
) -> Result<Raster<u16>, ResizeError> {
    if width == 0 || height == 0 || region.width <= 0.0 || region.height <= 0.0 {
        return Err(ResizeError);
    }
    let columns = &Kernel::new(region.left, region.width, source.width, width);
    let rows = &Kernel::new(region.top, region.height, source.height, height);
    let mut resized = Raster::new(width, height, source.channels);
    let result = &mut resized.samples;
    match source.channels {
        Channels::Gray => dispatch(Convolution::<1, _, _> { source, linearise, columns, rows, result }),
        Channels::GrayAlpha => dispatch(Convolution::<2, _, _> { source, linearise, columns, rows, result }),
        Channels::Rgb => dispatch(Convolution::<3, _, _> { source, linearise, columns, rows, result }),
        Channels::Rgba => dispatch(Convolution::<4, _, _> { source, linearise, columns, rows, result }),
    }
    Ok(resized)
}

/// The weights with which the samples of a line contribute to those of the resized line.
struct Kernel {
    /// For each result sample: the index of the first source sample, and the range of its weights in `weights`.
    taps: Vec<(usize, std::ops::Range<usize>)>,
    weights: Vec<f32>,
}

impl Kernel {
    /// For `results` samples from a part of a line of `length` samples, which begins at `start` and is `extent` long.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positions within a picture")]
    fn new(start: f64, extent: f64, length: u32, results: u32) -> Self {
        let scale = extent / f64::from(results);
        // The kernel is scaled to the larger of the source's and the result's pixels.
        let stretch = scale.max(1.0);
        let last = f64::from(length);
        // The sines of the equidistant angles follow from each other by the addition theorem.
        let (step_sine, step_cosine) = (PI / 3.0 / stretch).sin_cos();
        let (mut taps, mut weights) = (Vec::new(), Vec::new());
        let mut unnormalized = Vec::new();
        for i in 0..results {
            let centre = start + (f64::from(i) + 0.5) * scale;
            let first = (centre - 3.0 * stretch).floor().clamp(0.0, last - 1.0);
            let end = (centre + 3.0 * stretch).ceil().clamp(first + 1.0, last);
            let (first, end) = (first as u32, end as u32);
            let distance = |j: u32| (f64::from(j) + 0.5 - centre) / stretch;
            let (mut sine, mut cosine) = (PI / 3.0 * distance(first)).sin_cos();
            unnormalized.clear();
            unnormalized.extend((first..end).map(|j| {
                let weight = lanczos(distance(j), sine);
                (sine, cosine) = (sine * step_cosine + cosine * step_sine, cosine * step_cosine - sine * step_sine);
                weight
            }));
            let sum: f64 = unnormalized.iter().sum();
            let from = weights.len();
            weights.extend(unnormalized.iter().map(|weight| (weight / sum) as f32));
            taps.push((first as usize, from..weights.len()));
        }
        Self { taps, weights }
    }

    fn iter(&self) -> impl Iterator<Item = (usize, &[f32])> {
        self.taps.iter().map(|(first, range)| (*first, &self.weights[range.clone()]))
    }

    /// The largest number of source samples for one result.
    fn max_taps(&self) -> usize {
        self.max_span(1)
    }

    /// The largest number of source samples from the first to the last for that many results in succession.
    fn max_span(&self, results: usize) -> usize {
        let span = |taps: &[(usize, std::ops::Range<usize>)]| {
            let start = taps.iter().map(|(first, _)| *first).min()?;
            let end = taps.iter().map(|(first, range)| first + range.len()).max()?;
            Some(end - start)
        };
        self.taps.chunks(results).filter_map(span).max().unwrap_or(1)
    }
}

/// The kernel sinc(x) · sinc(x / 3). `sine` is sin(πx / 3), from which sin(πx) follows by sin(3a) = 3 sin(a) - 4 sin³(a).
fn lanczos(x: f64, sine: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    let angle = PI / 3.0 * x;
    if x.abs() < 3.0 { (3.0 - 4.0 * sine * sine) * sine * sine / (3.0 * angle * angle) } else { 0.0 }
}

/// The convolution of a picture of `N` channels with a kernel for columns and one for rows.
struct Convolution<'a, const N: usize, T, L> {
    source: &'a Raster<T>,
    linearise: &'a L,
    columns: &'a Kernel,
    rows: &'a Kernel,
    result: &'a mut [u16],
}

/// Samples that the vertical pass adds at a time: their sums stay in registers.
const BLOCK: usize = 32;

/// Samples that the horizontal pass multiplies at a time.
const LANES: usize = 8;

/// Result rows of a horizontal pass: a weight is loaded once for all of them.
const ROWS: usize = 4;

/// Result rows of a vertical pass: a source row is loaded once for both, and their sums still stay in registers.
const VERTICAL_ROWS: usize = 2;

/// Result columns of which the sums are kept at a time.
const COLUMNS: usize = 16;

impl<const N: usize, T: Copy, L: Linearise<T>> SimdKernel for Convolution<'_, N, T, L> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { source, linearise, columns, rows, result } = self;
        let row_length = source.width as usize * N;
        // Padded with zeros to whole blocks and vectors.
        let stride = (row_length + columns.max_taps().next_multiple_of(LANES) * N).next_multiple_of(BLOCK);
        let columns = VectorKernel::new::<N>(columns);
        let ring_rows = rows.max_span(ROWS);
        let mut ring = vec![0.0_f32; ring_rows * stride];
        let mut linearised = 0;
        // The source rows under the kernel: their offset in the ring buffer, and their weight in each result row.
        let mut weighted_rows = Vec::with_capacity(ring_rows);
        let mut lines = vec![0.0_f32; ROWS * stride];
        let result_length = columns.taps.len() * N;
        for (taps, results) in rows.taps.chunks(ROWS).zip(result.chunks_mut(ROWS * result_length)) {
            for (taps, lines) in taps.chunks(VERTICAL_ROWS).zip(lines.chunks_exact_mut(VERTICAL_ROWS * stride)) {
                let first = taps.iter().map(|(first, _)| *first).min().unwrap_or(0);
                let end = taps.iter().map(|(first, weights)| first + weights.len()).max().unwrap_or(0);
                linearised = linearised.max(first);
                while linearised < end {
                    let row = &source.samples[linearised * row_length..][..row_length];
                    linearise.row::<N>(row, &mut ring[linearised % ring_rows * stride..][..row_length]);
                    linearised += 1;
                }
                weighted_rows.clear();
                weighted_rows.extend((first..end).map(|y| {
                    // A source row may lie under the kernel of one of the result rows only.
                    let weight = |(first, range): &(usize, std::ops::Range<usize>)| {
                        let at = y.checked_sub(*first).map(|i| range.start + i).filter(|at| *at < range.end);
                        at.map_or(0.0, |at| rows.weights[at])
                    };
                    (y % ring_rows * stride, std::array::from_fn(|row| taps.get(row).map_or(0.0, weight)))
                }));
                vertical_pass(&ring, &weighted_rows, lines, stride);
            }
            horizontal_pass::<N>(&lines, stride, &columns, results, result_length);
        }
    }
}

/// Adds the weighted source rows to [`VERTICAL_ROWS`] lines of `stride` samples.
#[inline(always)]
fn vertical_pass(ring: &[f32], weighted_rows: &[(usize, [f32; VERTICAL_ROWS])], lines: &mut [f32], stride: usize) {
    let (upper, lower) = lines.split_at_mut(stride);
    let blocks = upper.chunks_exact_mut(BLOCK).zip(lower.chunks_exact_mut(BLOCK));
    for (block, (upper, lower)) in blocks.enumerate() {
        let (mut upper_sums, mut lower_sums) = ([0.0_f32; BLOCK], [0.0_f32; BLOCK]);
        for (start, [upper_weight, lower_weight]) in weighted_rows {
            let row = &ring[start + block * BLOCK..][..BLOCK];
            for i in 0..BLOCK {
                upper_sums[i] = upper_weight.mul_add(row[i], upper_sums[i]);
                lower_sums[i] = lower_weight.mul_add(row[i], lower_sums[i]);
            }
        }
        upper.copy_from_slice(&upper_sums);
        lower.copy_from_slice(&lower_sums);
    }
}

/// Convolves at most [`ROWS`] lines with the kernel for columns, to as many rows of the result.
#[inline(always)]
fn horizontal_pass<const N: usize>(
    lines: &[f32],
    stride: usize,
    columns: &VectorKernel,
    results: &mut [u16],
    result_length: usize,
) {
    let step = LANES / N * N;
    let lines: [&[f32]; ROWS] = std::array::from_fn(|row| &lines[row * stride..][..stride]);
    // The sums of several columns are stored before their lanes are added; otherwise the compiler does not vectorize.
    let mut sums = [[[0.0_f32; LANES]; COLUMNS]; ROWS];
    for (block, taps) in columns.taps.chunks(COLUMNS).enumerate() {
        for (x, (first, range)) in taps.iter().enumerate() {
            let mut sum = [[0.0_f32; LANES]; ROWS];
            let mut at = first * N;
            for weights in &columns.weights[range.clone()] {
                for (sum, line) in sum.iter_mut().zip(lines) {
                    let samples = &line[at..at + LANES];
                    for lane in 0..LANES {
                        sum[lane] = weights[lane].mul_add(samples[lane], sum[lane]);
                    }
                }
                at += step;
            }
            for (sums, sum) in sums.iter_mut().zip(sum) {
                sums[x] = sum;
            }
        }
        for (sums, row) in sums.iter().zip(results.chunks_exact_mut(result_length)) {
            let row = &mut row[block * COLUMNS * N..];
            for (sum, pixel) in sums.iter().zip(row.chunks_exact_mut(N)) {
                for (i, sample) in pixel.iter_mut().enumerate() {
                    *sample =
                        linear::round_to_u16((N..step).step_by(N).fold(sum[i], |total, other| total + sum[other + i]));
                }
            }
        }
    }
}

/// A kernel with each weight repeated for every sample of a pixel, in vectors of as many whole pixels as fit.
struct VectorKernel {
    /// For each result pixel: the index of the first source pixel, and the range of its weights in `weights`.
    taps: Vec<(usize, std::ops::Range<usize>)>,
    weights: Vec<[f32; LANES]>,
}

impl VectorKernel {
    fn new<const N: usize>(kernel: &Kernel) -> Self {
        let pixels = LANES / N;
        let (mut taps, mut weights) = (Vec::new(), Vec::new());
        for (first, pixel_weights) in kernel.iter() {
            let from = weights.len();
            weights.extend(pixel_weights.chunks(pixels).map(|few| {
                // Unused lanes have a weight of 0.
                std::array::from_fn(|lane| few.get(lane / N).copied().unwrap_or(0.0))
            }));
            taps.push((first, from..weights.len()));
        }
        Self { taps, weights }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gray(width: u32, height: u32, samples: Vec<u16>) -> Raster<u16> {
        Raster { width, height, channels: Channels::Gray, samples }
    }

    #[test]
    fn a_uniform_colour_is_unchanged_at_any_size() {
        for value in [0, 1, 19, 20, 32_767, 65_534, 65_535] {
            let source = gray(37, 23, vec![value; 37 * 23]);
            for (width, height) in [(1, 1), (5, 23), (36, 22), (50, 99)] {
                let resized = resize(&source, Region::whole(&source), width, height).unwrap();
                assert!(resized.samples.iter().all(|sample| *sample == value), "{value} {width}x{height}");
            }
        }
    }

    #[test]
    fn every_channel_is_resized_the_same_way() {
        let samples: Vec<u16> = (0..31 * 17_u32).map(|i| u16::try_from(i * 7919 % 65_536).unwrap()).collect();
        let alone = gray(31, 17, samples.clone());
        let expected = resize(&alone, Region::whole(&alone), 9, 5).unwrap().samples;
        for channels in [Channels::GrayAlpha, Channels::Rgb, Channels::Rgba] {
            let samples = samples.iter().flat_map(|s| std::iter::repeat_n(*s, channels.count())).collect();
            let resized = resize(&alone.with_samples(channels, samples), Region::whole(&alone), 9, 5).unwrap();
            for (pixel, expected) in resized.pixels().zip(&expected) {
                assert!(pixel.iter().all(|sample| sample == expected), "{channels:?}");
            }
        }
    }

    #[test]
    fn every_vector_width_gives_the_same_picture() {
        let samples = (0..61 * 47 * 3_u32).map(|i| u8::try_from(i * 7919 % 251).unwrap()).collect();
        let source = Raster { width: 61, height: 47, channels: Channels::Rgb, samples };
        for (width, height) in [(17, 11), (61, 3), (90, 100)] {
            let columns = Kernel::new(0.25, 60.5, 61, width);
            let rows = Kernel::new(0.0, 47.0, 47, height);
            let [mut dispatched, mut baseline] = [(); 2].map(|()| vec![0; (width * height * 3) as usize]);
            let linearise = &linear::Coded8;
            let (columns, rows) = (&columns, &rows);
            dispatch(Convolution::<3, _, _> { source: &source, linearise, columns, rows, result: &mut dispatched });
            Convolution::<3, _, _> { source: &source, linearise, columns, rows, result: &mut baseline }.run();
            assert_eq!(dispatched, baseline, "{width}x{height}");
        }
    }

    #[test]
    fn a_region_is_cropped_exactly() {
        let source = gray(40, 1, (0..40).map(|x| if x < 20 { 0 } else { 60_000 }).collect());
        let right = resize(&source, Region { left: 30.0, top: 0.0, width: 10.0, height: 1.0 }, 5, 1).unwrap();
        assert_eq!(right.samples, [60_000; 5]);
    }
}
