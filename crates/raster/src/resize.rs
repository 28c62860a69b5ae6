//! Resampling with Lanczos' kernel of three lobes, in linear light.
//!
//! Rows are turned into linear light as they are needed, so nothing but the result is ever held in it: for each row of
//! the result, the rows under its kernel are weighted and added, then the columns of that one row.
#![allow(clippy::inline_always)] // what is inlined is compiled for the vectors of its caller

use std::f64::consts::PI;

use crate::{
    Channels, Raster, Region, Samples,
    linear::{self, Linearise},
    simd::{SimdKernel, dispatch},
};

/// A resize to or from a picture without pixels was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a picture without pixels cannot be resized")]
pub struct ResizeError;

/// Makes `region` of a picture in linear light with premultiplied alpha one of `width` × `height`.
#[tracing::instrument(level = "trace", name = "resize", skip_all)]
pub fn resize(source: &Raster<u16>, region: Region, width: u32, height: u32) -> Result<Raster<u16>, ResizeError> {
    if is_all(source, region, width, height) {
        return Ok(source.clone());
    }
    resample(source, &linear::Linear, region, width, height)
}

/// The same of coded samples with straight alpha.
#[tracing::instrument(level = "trace", name = "resize", skip_all)]
pub fn resize_coded(source: &Samples, region: Region, width: u32, height: u32) -> Result<Raster<u16>, ResizeError> {
    match source {
        Samples::Eight(raster) if is_all(raster, region, width, height) => Ok(linear::from_coded(source)),
        Samples::Sixteen(raster) if is_all(raster, region, width, height) => Ok(linear::from_coded(source)),
        Samples::Eight(raster) => resample(raster, &linear::Coded8, region, width, height),
        Samples::Sixteen(raster) => resample(raster, &linear::Coded16, region, width, height),
    }
}

/// Whether nothing is to be done.
fn is_all<T>(source: &Raster<T>, region: Region, width: u32, height: u32) -> bool {
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

/// Which samples of a line make which of another, and with what weights.
struct Kernel {
    /// For each result: the first sample, and where its weights are.
    taps: Vec<(usize, std::ops::Range<usize>)>,
    weights: Vec<f32>,
}

impl Kernel {
    // Positions are within a picture, whose sides are a few ten thousand pixels.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn new(start: f64, extent: f64, length: u32, results: u32) -> Self {
        let scale = extent / f64::from(results);
        // Enlarging, the kernel is as wide as the source's pixels; reducing, as the result's.
        let stretch = scale.max(1.0);
        let last = f64::from(length);
        // The sine of each angle follows from the one before.
        let (turn_sine, turn_cosine) = (PI / 3.0 / stretch).sin_cos();
        let (mut taps, mut weights) = (Vec::new(), Vec::new());
        let mut of_one = Vec::new();
        for i in 0..results {
            let centre = start + (f64::from(i) + 0.5) * scale;
            let first = (centre - 3.0 * stretch).floor().clamp(0.0, last - 1.0);
            let end = (centre + 3.0 * stretch).ceil().clamp(first + 1.0, last);
            let (first, end) = (first as u32, end as u32);
            let distance = |j: u32| (f64::from(j) + 0.5 - centre) / stretch;
            let (mut sine, mut cosine) = (PI / 3.0 * distance(first)).sin_cos();
            of_one.clear();
            of_one.extend((first..end).map(|j| {
                let weight = lanczos(distance(j), sine);
                (sine, cosine) = (sine * turn_cosine + cosine * turn_sine, cosine * turn_cosine - sine * turn_sine);
                weight
            }));
            let sum: f64 = of_one.iter().sum();
            let from = weights.len();
            weights.extend(of_one.iter().map(|weight| (weight / sum) as f32));
            taps.push((first as usize, from..weights.len()));
        }
        Self { taps, weights }
    }

    fn iter(&self) -> impl Iterator<Item = (usize, &[f32])> {
        self.taps.iter().map(|(first, range)| (*first, &self.weights[range.clone()]))
    }

    /// The most samples that one result is made of.
    fn longest(&self) -> usize {
        self.longest_of(1)
    }

    /// The most samples from the first of one result to the last of that many.
    fn longest_of(&self, results: usize) -> usize {
        let span = |taps: &[(usize, std::ops::Range<usize>)]| {
            let start = taps.iter().map(|(first, _)| *first).min()?;
            let end = taps.iter().map(|(first, range)| first + range.len()).max()?;
            Some(end - start)
        };
        self.taps.chunks(results).filter_map(span).max().unwrap_or(1)
    }
}

/// sinc(x) sinc(x / 3), with sin(3a) = 3 sin(a) - 4 sin³(a). `sine` is that of a third of πx.
fn lanczos(x: f64, sine: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    let angle = PI / 3.0 * x;
    if x.abs() < 3.0 { (3.0 - 4.0 * sine * sine) * sine * sine / (3.0 * angle * angle) } else { 0.0 }
}

/// Weighs and adds the rows and columns of a picture of `N` channels.
struct Convolution<'a, const N: usize, T, L> {
    source: &'a Raster<T>,
    linearise: &'a L,
    columns: &'a Kernel,
    rows: &'a Kernel,
    result: &'a mut [u16],
}

/// Samples that are added at a time: they stay in registers.
const BLOCK: usize = 32;

/// Samples of a vector.
const LANES: usize = 8;

/// Rows of the result that are made at a time: a weight is loaded once for all of them.
const ROWS: usize = 4;

/// Rows of the result that are added at a time: what lies under both is loaded once. Their sums, too, stay in registers.
const TOGETHER: usize = 2;

/// Columns of the result that are made at a time.
const COLUMNS: usize = 16;

impl<const N: usize, T: Copy, L: Linearise<T>> SimdKernel for Convolution<'_, N, T, L> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { source, linearise, columns, rows, result } = self;
        let row_length = source.width as usize * N;
        // What is over is only there to make whole blocks and vectors.
        let stride = (row_length + columns.longest().next_multiple_of(LANES) * N).next_multiple_of(BLOCK);
        let columns = Vectors::new::<N>(columns);
        let held = rows.longest_of(ROWS);
        let mut ring = vec![0.0_f32; held * stride];
        let mut linearised = 0;
        // The rows under the kernel: where they are in the ring, and their weights.
        let mut below = Vec::with_capacity(held);
        let mut lines = vec![0.0_f32; ROWS * stride];
        let result_length = columns.taps.len() * N;
        for (taps, results) in rows.taps.chunks(ROWS).zip(result.chunks_mut(ROWS * result_length)) {
            for (taps, lines) in taps.chunks(TOGETHER).zip(lines.chunks_exact_mut(TOGETHER * stride)) {
                let first = taps.iter().map(|(first, _)| *first).min().unwrap_or(0);
                let end = taps.iter().map(|(first, weights)| first + weights.len()).max().unwrap_or(0);
                linearised = linearised.max(first);
                while linearised < end {
                    let row = &source.samples[linearised * row_length..][..row_length];
                    linearise.row::<N>(row, &mut ring[linearised % held * stride..][..row_length]);
                    linearised += 1;
                }
                below.clear();
                below.extend((first..end).map(|y| {
                    // Beyond its own rows, a row of the result has no weights.
                    let weight = |(first, range): &(usize, std::ops::Range<usize>)| {
                        let at = y.checked_sub(*first).map(|i| range.start + i).filter(|at| *at < range.end);
                        at.map_or(0.0, |at| rows.weights[at])
                    };
                    (y % held * stride, std::array::from_fn(|row| taps.get(row).map_or(0.0, weight)))
                }));
                add_rows(&ring, &below, lines, stride);
            }
            add_columns::<N>(&lines, stride, &columns, results, result_length);
        }
    }
}

/// Lines of the rows that start in the ring where `below` says, each with its weights.
#[inline(always)]
fn add_rows(ring: &[f32], below: &[(usize, [f32; TOGETHER])], lines: &mut [f32], stride: usize) {
    let (upper, lower) = lines.split_at_mut(stride);
    let blocks = upper.chunks_exact_mut(BLOCK).zip(lower.chunks_exact_mut(BLOCK));
    for (block, (upper, lower)) in blocks.enumerate() {
        let (mut upper_sums, mut lower_sums) = ([0.0_f32; BLOCK], [0.0_f32; BLOCK]);
        for (start, [upper_weight, lower_weight]) in below {
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

/// Rows of the result, of as many lines: at most [`ROWS`].
#[inline(always)]
fn add_columns<const N: usize>(
    lines: &[f32],
    stride: usize,
    columns: &Vectors,
    results: &mut [u16],
    result_length: usize,
) {
    let step = LANES / N * N;
    let lines: [&[f32]; ROWS] = std::array::from_fn(|row| &lines[row * stride..][..stride]);
    // Sums of a few columns are kept whole in memory before their lanes are added: else the compiler forgoes vectors.
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
                    *sample = linear::round((N..step).step_by(N).fold(sum[i], |total, other| total + sum[other + i]));
                }
            }
        }
    }
}

/// A kernel whose weights are repeated for the samples of a pixel: a vector holds as many whole pixels as it has room for.
struct Vectors {
    /// For each result: the first pixel, and where its weights are.
    taps: Vec<(usize, std::ops::Range<usize>)>,
    weights: Vec<[f32; LANES]>,
}

impl Vectors {
    fn new<const N: usize>(kernel: &Kernel) -> Self {
        let pixels = LANES / N;
        let (mut taps, mut weights) = (Vec::new(), Vec::new());
        for (first, pixel_weights) in kernel.iter() {
            let from = weights.len();
            weights.extend(pixel_weights.chunks(pixels).map(|few| {
                // What is over of the vector, or of the last one's pixels, counts nothing.
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
    fn one_colour_stays_that_colour_at_any_size() {
        for value in [0, 1, 19, 20, 32_767, 65_534, 65_535] {
            let source = gray(37, 23, vec![value; 37 * 23]);
            for (width, height) in [(1, 1), (5, 23), (36, 22), (50, 99)] {
                let resized = resize(&source, Region::whole(&source), width, height).unwrap();
                assert!(resized.samples.iter().all(|sample| *sample == value), "{value} {width}x{height}");
            }
        }
    }

    #[test]
    fn every_channel_is_resized_alike() {
        let samples: Vec<u16> = (0..31 * 17_u32).map(|i| u16::try_from(i * 7919 % 65_536).unwrap()).collect();
        let alone = gray(31, 17, samples.clone());
        let expected = resize(&alone, Region::whole(&alone), 9, 5).unwrap().samples;
        for channels in [Channels::GrayAlpha, Channels::Rgb, Channels::Rgba] {
            let samples = samples.iter().flat_map(|s| std::iter::repeat_n(*s, channels.count())).collect();
            let resized = resize(&alone.with(channels, samples), Region::whole(&alone), 9, 5).unwrap();
            for (pixel, expected) in resized.pixels().zip(&expected) {
                assert!(pixel.iter().all(|sample| sample == expected), "{channels:?}");
            }
        }
    }

    #[test]
    fn the_same_picture_comes_out_with_and_without_wide_vectors() {
        let samples = (0..61 * 47 * 3_u32).map(|i| u8::try_from(i * 7919 % 251).unwrap()).collect();
        let source = Raster { width: 61, height: 47, channels: Channels::Rgb, samples };
        for (width, height) in [(17, 11), (61, 3), (90, 100)] {
            let columns = Kernel::new(0.25, 60.5, 61, width);
            let rows = Kernel::new(0.0, 47.0, 47, height);
            let [mut wide, mut plain] = [(); 2].map(|()| vec![0; (width * height * 3) as usize]);
            let linearise = &linear::Coded8;
            let (columns, rows) = (&columns, &rows);
            dispatch(Convolution::<3, _, _> { source: &source, linearise, columns, rows, result: &mut wide });
            Convolution::<3, _, _> { source: &source, linearise, columns, rows, result: &mut plain }.run();
            assert_eq!(wide, plain, "{width}x{height}");
        }
    }

    #[test]
    fn a_region_is_cut_out_exactly() {
        let source = gray(40, 1, (0..40).map(|x| if x < 20 { 0 } else { 60_000 }).collect());
        let right = resize(&source, Region { left: 30.0, top: 0.0, width: 10.0, height: 1.0 }, 5, 1).unwrap();
        assert_eq!(right.samples, [60_000; 5]);
    }
}
