//! Resampling with Lanczos' kernel of three lobes, in linear light.
//!
//! Rows are turned into linear light as they are needed, so nothing but the result is ever held in it: for each row of
//! the result, the rows under its kernel are weighted and added, then the columns of that one row. Products are
//! added with one rounding (fused), which IEEE 754 defines to the last bit, so that the same picture comes out of every
//! processor: at full speed where there is an instruction for it (x86-64 since 2013, every 64-bit ARM), else slowly.
#![allow(clippy::inline_always)] // what is inlined is compiled for the vectors of its caller

use super::{
    RenderError,
    decode::Samples,
    linear::{self, Linearise},
    raster::{Channels, Raster},
};

/// The part of a picture that becomes the new one, in pixels of the source. Fractions count: after a scaled decode of
/// an odd size the last column is only partly filled, and taking it as whole shifts everything.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Region {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

impl Region {
    pub(crate) fn whole<T>(raster: &Raster<T>) -> Self {
        Self { left: 0.0, top: 0.0, width: raster.width.into(), height: raster.height.into() }
    }

    /// The same part of a picture that is so many times as large. It has a pixel at least, and what rounding puts beyond
    /// `extent`, the sides of that picture, is left out: a resize refuses it.
    pub(crate) fn scaled(self, by: (f64, f64), extent: (f64, f64)) -> Self {
        let side = |start: f64, length: f64, end: f64| {
            let length = length.max(1.0).min(end);
            (start.clamp(0.0, end - length), length)
        };
        let (left, width) = side(self.left * by.0, self.width * by.0, extent.0);
        let (top, height) = side(self.top * by.1, self.height * by.1, extent.1);
        // A sum may still be rounded up.
        let within = |start: f64, length: f64, end: f64| if start + length > end { end - start } else { length };
        Self { left, top, width: within(left, width, extent.0), height: within(top, height, extent.1) }
    }
}

/// Makes `region` of a picture in linear light with premultiplied alpha one of `width` × `height`.
pub(crate) fn resize(
    source: &Raster<u16>,
    region: Region,
    width: u32,
    height: u32,
) -> Result<Raster<u16>, RenderError> {
    if is_all(source, region, width, height) {
        return Ok(source.clone());
    }
    resample(source, &linear::Linear, region, width, height)
}

/// The same of coded samples with straight alpha.
pub(crate) fn resize_coded(
    source: &Samples,
    region: Region,
    width: u32,
    height: u32,
) -> Result<Raster<u16>, RenderError> {
    match source {
        Samples::Eight(raster) if is_all(raster, region, width, height) => Ok(linear::from_coded(source)),
        Samples::Sixteen(raster) if is_all(raster, region, width, height) => Ok(linear::from_coded(source)),
        Samples::Eight(raster) => resample(raster, &linear::Coded8::new(), region, width, height),
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
) -> Result<Raster<u16>, RenderError> {
    if width == 0 || height == 0 || region.width <= 0.0 || region.height <= 0.0 {
        return Err(RenderError::bug("a picture without pixels"));
    }
    let columns = Kernel::new(region.left, region.width, source.width, width);
    let rows = Kernel::new(region.top, region.height, source.height, height);
    let mut result = Raster::new(width, height, source.channels);
    match source.channels {
        Channels::Gray => dispatch::<1, T>(source, linearise, &columns, &rows, &mut result.samples),
        Channels::GrayAlpha => dispatch::<2, T>(source, linearise, &columns, &rows, &mut result.samples),
        Channels::Rgb => dispatch::<3, T>(source, linearise, &columns, &rows, &mut result.samples),
        Channels::Rgba => dispatch::<4, T>(source, linearise, &columns, &rows, &mut result.samples),
    }
    Ok(result)
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
        let (mut taps, mut weights) = (Vec::new(), Vec::new());
        for i in 0..results {
            let centre = start + (f64::from(i) + 0.5) * scale;
            let first = (centre - 3.0 * stretch).floor().clamp(0.0, last - 1.0);
            let end = (centre + 3.0 * stretch).ceil().clamp(first + 1.0, last);
            let (first, end) = (first as u32, end as u32);
            let of = |j: u32| lanczos((f64::from(j) + 0.5 - centre) / stretch);
            let sum: f64 = (first..end).map(of).sum();
            let from = weights.len();
            weights.extend((first..end).map(|j| (of(j) / sum) as f32));
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

/// sinc(x) sinc(x / 3), with sin(3a) = 3 sin(a) - 4 sin³(a).
fn lanczos(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    let angle = std::f64::consts::PI / 3.0 * x;
    let sine = angle.sin();
    if x.abs() < 3.0 { (3.0 - 4.0 * sine * sine) * sine * sine / (3.0 * angle * angle) } else { 0.0 }
}

/// Runs [`convolve`] with the widest vectors there are.
fn dispatch<const N: usize, T: Copy>(
    source: &Raster<T>,
    linearise: &impl Linearise<T>,
    columns: &Kernel,
    rows: &Kernel,
    result: &mut [u16],
) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
        #[target_feature(enable = "avx2,fma")]
        fn avx2<const N: usize, T: Copy>(
            source: &Raster<T>,
            linearise: &impl Linearise<T>,
            columns: &Kernel,
            rows: &Kernel,
            result: &mut [u16],
        ) {
            convolve::<N, T>(source, linearise, columns, rows, result);
        }
        #[allow(unsafe_code)]
        // SAFETY: the processor has both.
        unsafe {
            avx2::<N, T>(source, linearise, columns, rows, result);
        };
        return;
    }
    convolve::<N, T>(source, linearise, columns, rows, result);
}

/// Samples that are added at a time: they stay in registers.
const BLOCK: usize = 32;

/// Samples of a vector.
const LANES: usize = 8;

/// Rows of the result that are made at a time: a weight is loaded once for all of them.
const ROWS: usize = 4;

/// Columns of the result that are made at a time.
const COLUMNS: usize = 16;

#[inline(always)]
fn convolve<const N: usize, T: Copy>(
    source: &Raster<T>,
    linearise: &impl Linearise<T>,
    columns: &Kernel,
    rows: &Kernel,
    result: &mut [u16],
) {
    let row_length = source.width as usize * N;
    // What is over is only there to make whole blocks and vectors.
    let stride = (row_length + columns.longest().next_multiple_of(LANES) * N).next_multiple_of(BLOCK);
    let columns = Vectors::new::<N>(columns);
    let held = rows.longest_of(ROWS);
    let mut ring = vec![0.0_f32; held * stride];
    let mut linearised = 0;
    // Where in the ring the rows under the kernel are.
    let mut starts = Vec::with_capacity(held);
    let mut lines = vec![0.0_f32; ROWS * stride];
    let result_length = columns.taps.len() * N;
    for (taps, results) in rows.taps.chunks(ROWS).zip(result.chunks_mut(ROWS * result_length)) {
        for ((first, weights), line) in taps.iter().zip(lines.chunks_exact_mut(stride)) {
            let (first, weights) = (*first, &rows.weights[weights.clone()]);
            linearised = linearised.max(first);
            while linearised < first + weights.len() {
                let row = &source.samples[linearised * row_length..][..row_length];
                linearise.row::<N>(row, &mut ring[linearised % held * stride..][..row_length]);
                linearised += 1;
            }
            starts.clear();
            starts.extend((first..first + weights.len()).map(|y| y % held * stride));
            add_rows(&ring, &starts, weights, line);
        }
        add_columns::<N>(&lines, stride, &columns, results, result_length);
    }
}

/// A line of the rows that start in the ring at `starts`, each with its weight.
#[inline(always)]
fn add_rows(ring: &[f32], starts: &[usize], weights: &[f32], line: &mut [f32]) {
    for (block, sums) in line.chunks_exact_mut(BLOCK).enumerate() {
        let mut sum = [0.0_f32; BLOCK];
        for (start, weight) in starts.iter().zip(weights) {
            let row = &ring[start + block * BLOCK..][..BLOCK];
            for (sum, sample) in sum.iter_mut().zip(row) {
                *sum = weight.mul_add(*sample, *sum);
            }
        }
        sums.copy_from_slice(&sum);
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
            dispatch::<3, u8>(&source, &linear::Coded8::new(), &columns, &rows, &mut wide);
            convolve::<3, u8>(&source, &linear::Coded8::new(), &columns, &rows, &mut plain);
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
