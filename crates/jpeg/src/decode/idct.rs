//! The inverse DCT of 8×8 blocks to fewer than 8×8 samples (T.81, section A.3.3).
//!
//! The coefficients of lowest frequency are evaluated at fewer sample positions; the other coefficients, which the smaller
//! size cannot represent, are omitted. So nothing aliases, and frequencies near the limit keep their amplitude.
#![allow(clippy::inline_always)] // Inlined code is compiled with the target features of its caller.

use std::array::from_fn;

use crate::{dct_basis::dct_basis, zigzag::ZIGZAG};

/// Blocks that are transformed at once.
pub(super) const LANES: usize = 8;

/// The most samples in a row of [`LANES`] MCUs.
pub(super) const MAX_ROW_SAMPLES: usize = 8 * LANES;

/// Length of a row buffer: those samples, and room for the half vector that the last block writes beyond them.
pub(super) const ROW_CAPACITY: usize = MAX_ROW_SAMPLES + 4;

type Lanes = [f32; LANES];

/// What is added to a sample for the base of sRGB's curve, in 255ths: the level shift, and the curve's own 0.055.
const BASE: f32 = 128.0 + 14.025;
/// The smallest base. Ringing may reach below black.
const MIN_BASE: f32 = 14.025;
/// A smaller ratio of variance changes no sample by a tenth of a level.
const MIN_RATIO: f32 = 1e-3;
/// The largest ratio: beyond it the approximation by variance fails.
const MAX_RATIO: f32 = 8.0;

/// Samples of a batch in rows, block beside block.
pub(super) type SampleRows = [[f32; ROW_CAPACITY]; 8];

/// Up to [`LANES`] blocks of one component, side by side.
pub(super) struct BlockBatch {
    /// Quantized coefficients in natural order; zero where none was decoded.
    coefficients: [[i16; LANES]; 64],
    /// The number of coefficients in zig-zag order after which all blocks have zeros only.
    count: usize,
    /// The sum of the squares of the dequantized coefficients that were skipped, of each block.
    skipped_energy: Lanes,
    /// The sum of what was added to the means of blocks for the light of omitted coefficients, in levels.
    pub(super) added_light: f32,
    /// The result of the column pass: rows of samples, columns of horizontal frequencies.
    column_pass: [[Lanes; 8]; 8],
}

impl BlockBatch {
    pub(super) fn new() -> Self {
        Self {
            coefficients: [[0; LANES]; 64],
            count: 1,
            skipped_energy: [0.0; LANES],
            added_light: 0.0,
            column_pass: [[[0.0; LANES]; 8]; 8],
        }
    }

    /// Zeros the first columns and rows of the coefficients; the transform reads no others.
    #[inline(always)]
    fn clear(&mut self, (columns, rows): (usize, usize)) {
        for row in self.coefficients.chunks_exact_mut(8).take(rows) {
            row[..columns].fill([0; LANES]);
        }
        self.count = 1;
        self.skipped_energy = [0.0; LANES];
    }

    /// Sets the coefficient of a block; `index` is in natural order.
    #[inline(always)]
    pub(super) fn set(&mut self, index: usize, lane: usize, coefficient: i16) {
        self.coefficients[index % 64][lane % LANES] = coefficient;
    }

    /// Records the sum of the squares of the dequantized coefficients that were not set.
    #[inline(always)]
    pub(super) fn set_skipped_energy(&mut self, lane: usize, energy: f32) {
        self.skipped_energy[lane % LANES] = energy;
    }

    /// Records that a block has coefficients among the first `count` in zig-zag order.
    #[inline(always)]
    pub(super) fn extend_coefficients(&mut self, count: usize) {
        self.count = self.count.max(count);
    }
}

/// Dequantization and inverse DCT of the blocks of a component, to `columns` × `rows` samples a block.
pub(super) struct ReducedIdct {
    columns: usize,
    rows: usize,
    /// The quantization table in natural order.
    quantization: [f32; 64],
    /// The DCT basis by horizontal frequency and column, ...
    horizontal_basis: [[f32; 8]; 8],
    /// ... and by vertical frequency and row.
    vertical_basis: [[f32; 8]; 8],
    /// By a number of coefficients in zig-zag order: the columns and rows that contain them, of those that are evaluated.
    extents: [(usize, usize); 65],
    /// The number of coefficients in zig-zag order that include all that are evaluated.
    pub(super) needed_coefficients: usize,
    /// The squares of the quantization table in zig-zag order.
    pub(super) squared_steps: [f32; 64],
    /// The coefficients that may be decoded and are not evaluated: indices in zig-zag and in natural order.
    omitted: Vec<(usize, usize)>,
    /// The component is brightness: its mean light is kept.
    keeps_light: bool,
}

impl ReducedIdct {
    /// To `columns` × `rows` samples a block, 1 to 8 each. `quantization` is in zig-zag order. Where the component is brightness,
    /// `keeps_light` makes up for the light of omitted coefficients.
    pub(super) fn new(columns: usize, rows: usize, quantization: &[u8; 64], keeps_light: bool) -> Self {
        let mut natural_order = [0.0; 64];
        for (element, index) in quantization.iter().zip(ZIGZAG) {
            natural_order[usize::from(index)] = f32::from(*element);
        }
        let frequencies = |index: usize| (usize::from(ZIGZAG[index]) % 8, usize::from(ZIGZAG[index]) / 8);
        let mut extents = [(1, 1); 65];
        for index in 0..64 {
            let ((u, v), (across, down)) = (frequencies(index), extents[index]);
            extents[index + 1] = (across.max(u + 1).min(columns), down.max(v + 1).min(rows));
        }
        let basis = |samples| from_fn(|frequency| from_fn(|sample| dct_basis(frequency, sample, samples)));
        let is_evaluated = |index: &usize| frequencies(*index).0 < columns && frequencies(*index).1 < rows;
        let needed_coefficients = (0..64).rfind(is_evaluated).map_or(1, |last| last + 1);
        let omitted = (0..64).filter(|index| !is_evaluated(index));
        Self {
            omitted: omitted.map(|index| (index, usize::from(ZIGZAG[index]))).collect(),
            squared_steps: quantization.map(|step| f32::from(step).powi(2)),
            keeps_light,
            columns,
            rows,
            quantization: natural_order,
            horizontal_basis: basis(columns),
            vertical_basis: basis(rows),
            extents,
            needed_coefficients,
        }
    }

    /// Transforms batches, `batches_per_row` of them beside each other, to rows of samples, and clears the batches.
    #[inline(always)]
    pub(super) fn run(&self, batches: &mut [BlockBatch], batches_per_row: usize, samples: &mut SampleRows) {
        for (batches, samples) in batches.chunks_mut(batches_per_row).zip(samples.chunks_mut(self.rows)) {
            for (x, batch) in batches.iter_mut().enumerate() {
                self.transform(batch, samples, x * self.columns * LANES);
            }
        }
    }

    #[inline(always)]
    fn transform(&self, batch: &mut BlockBatch, samples: &mut [[f32; ROW_CAPACITY]], left: usize) {
        let extent = self.extents[batch.count.min(64)];
        let evaluated_energy = match self.rows {
            1 => self.column_pass::<1>(batch, extent),
            2 => self.column_pass::<2>(batch, extent),
            3 => self.column_pass::<3>(batch, extent),
            4 => self.column_pass::<4>(batch, extent),
            6 => self.column_pass::<6>(batch, extent),
            _ => self.column_pass::<8>(batch, extent),
        };
        if self.keeps_light
            && let Some(gain) = self.light_gain(batch, &evaluated_energy)
        {
            self.apply_gain(batch, extent.0, &gain);
        }
        batch.clear(extent);
        for (column_pass, row) in batch.column_pass.iter().zip(samples) {
            let row = &mut row[left..];
            match self.columns {
                ..=4 => self.row_pass::<4>(column_pass, extent.0, row),
                _ => self.row_pass::<8>(column_pass, extent.0, row),
            }
        }
    }

    /// By how much each block must become brighter, so that its mean in linear light is that of all its 64 samples. `None` where no
    /// block needs it.
    ///
    /// The mean of sRGB's curve f over samples of mean m and variance v is about f(m) + f"(m) v / 2. Where f(m) is proportional to
    /// a^2.4, with a = m + 14 of 255, that is a^2.4 (1 + 1.68 v / a²), so a grows by the root of the last factor. The part of the
    /// variance that is in omitted coefficients is the sum of their squares, for the DCT is orthonormal. The samples have the light of
    /// the evaluated ones, of which `evaluated_energy` is the sum of the squares.
    #[inline(always)]
    fn light_gain(&self, batch: &mut BlockBatch, evaluated_energy: &Lanes) -> Option<Lanes> {
        let mut energy = batch.skipped_energy;
        for (zigzag_index, index) in &self.omitted {
            if *zigzag_index >= batch.count {
                break;
            }
            let coefficients = &mut batch.coefficients[*index % 64];
            for lane in 0..LANES {
                let value = f32::from(coefficients[lane]);
                energy[lane] = (value * value).mul_add(self.squared_steps[*zigzag_index], energy[lane]);
            }
            *coefficients = [0; LANES];
        }
        let (mut ratios, mut bases) = ([0.0_f32; LANES], [0.0_f32; LANES]);
        for lane in 0..LANES {
            let mean = f32::from(batch.coefficients[0][lane]) * self.quantization[0] / 8.0;
            bases[lane] = (mean + BASE).max(MIN_BASE);
            ratios[lane] = energy[lane] / ((64.0 / 1.68) * bases[lane] * bases[lane] + evaluated_energy[lane]);
        }
        if ratios.iter().all(|ratio| *ratio < MIN_RATIO) {
            return None;
        }
        // The root 1 / 2.4 of 1 + ratio, between its square root and its fourth root.
        let gain = ratios.map(|ratio| {
            let root = (1.0 + ratio.min(MAX_RATIO)).sqrt();
            0.635 * root + 0.365 * root.sqrt()
        });
        for lane in 0..LANES {
            batch.added_light += (gain[lane] - 1.0) * bases[lane];
        }
        Some(gain)
    }

    /// Multiplies the samples, counted from 14 of 255 below black, by the gain of their block.
    #[inline(always)]
    fn apply_gain(&self, batch: &mut BlockBatch, columns: usize, gain: &Lanes) {
        let of_constant = BASE / self.horizontal_basis[0][0];
        for row in batch.column_pass.iter_mut().take(self.rows) {
            for values in &mut row[..columns] {
                for lane in 0..LANES {
                    values[lane] *= gain[lane];
                }
            }
            for lane in 0..LANES {
                row[0][lane] += of_constant * (gain[lane] - 1.0);
            }
        }
    }

    /// Dequantizes, and transforms the columns to `N` samples each. Returns the sum of the squares of the AC coefficients.
    #[inline(always)]
    fn column_pass<const N: usize>(&self, batch: &mut BlockBatch, (columns, rows): (usize, usize)) -> Lanes {
        let mut energy = [0.0_f32; LANES];
        for column in 0..columns {
            let mut sums = [[0.0_f32; LANES]; N];
            for row in 0..rows {
                let index = row * 8 + column;
                let step = self.quantization[index];
                let values: Lanes = from_fn(|lane| f32::from(batch.coefficients[index][lane]) * step);
                if self.keeps_light && index > 0 {
                    for lane in 0..LANES {
                        energy[lane] = values[lane].mul_add(values[lane], energy[lane]);
                    }
                }
                for (sum, weight) in sums.iter_mut().zip(&self.vertical_basis[row]) {
                    for lane in 0..LANES {
                        sum[lane] = weight.mul_add(values[lane], sum[lane]);
                    }
                }
            }
            for (row, sum) in batch.column_pass.iter_mut().zip(sums) {
                row[column] = sum;
            }
        }
        energy
    }

    /// Transforms one row of each block, in vectors of `N` samples. Samples beyond `columns` are overwritten by the next
    /// block.
    #[inline(always)]
    fn row_pass<const N: usize>(&self, column_pass: &[Lanes; 8], columns: usize, row: &mut [f32]) {
        for lane in 0..LANES {
            let mut sums = [0.0_f32; N];
            for (values, weights) in column_pass[..columns].iter().zip(&self.horizontal_basis) {
                for (sum, weight) in sums.iter_mut().zip(weights) {
                    *sum = weight.mul_add(values[lane], *sum);
                }
            }
            row[lane * self.columns..][..N].copy_from_slice(&sums);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use super::*;

    #[test]
    #[expect(clippy::cast_precision_loss, reason = "indices below 8")]
    fn a_coefficient_is_its_basis_function_at_fewer_samples() {
        for (columns, rows) in [(1, 1), (3, 3), (4, 8), (6, 2)] {
            let idct = ReducedIdct::new(columns, rows, &[2; 64], false);
            for (u, v) in (0..rows).flat_map(|v| (0..columns).map(move |u| (u, v))) {
                let mut batch = BlockBatch::new();
                batch.set(8 * v + u, 5, 100);
                batch.extend_coefficients(64);
                let mut samples = [[0.0; ROW_CAPACITY]; 8];
                idct.run(std::slice::from_mut(&mut batch), 1, &mut samples);
                for (x, y) in (0..rows).flat_map(|y| (0..columns).map(move |x| (x, y))) {
                    let dct_basis = |frequency: usize, sample: usize, count: usize| {
                        let amplitude = if frequency == 0 { 0.125_f64.sqrt() } else { 0.5 };
                        amplitude * (PI * frequency as f64 * (sample as f64 + 0.5) / count as f64).cos()
                    };
                    let expected = 200.0 * dct_basis(u, x, columns) * dct_basis(v, y, rows);
                    let sample = f64::from(samples[y][5 * columns + x]);
                    assert!((sample - expected).abs() < 1e-3, "{u} {v} at {x} {y}: {sample}");
                }
                assert!(batch.coefficients.iter().flatten().all(|coefficient| *coefficient == 0));
            }
        }
    }
}
