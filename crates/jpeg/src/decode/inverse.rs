//! The inverse transform of blocks of frequencies to fewer samples than they were made of.
//!
//! The lowest frequencies of eight samples are those of fewer, at other places: the rest is what the fewer cannot show.
//! Nothing is aliased, and nothing near the limit is weakened.
#![allow(clippy::inline_always)] // what is inlined is compiled for the vectors of its caller

use std::array::from_fn;

use crate::dct::{ZIGZAG, dct_basis};

/// Blocks that are transformed at once.
pub(super) const LANES: usize = 8;

/// The most samples of a row of so many units.
pub(super) const SAMPLES: usize = 8 * LANES;

/// Of a row: those samples, and room for half a vector.
pub(super) const WIDTH: usize = SAMPLES + 4;

type Lanes = [f32; LANES];

/// Samples of a batch: as many columns for each block, one after the other.
pub(super) type Rows = [[f32; WIDTH]; 8];

/// As many blocks of one component, side by side.
pub(super) struct Batch {
    /// Rows by vertical, columns by horizontal frequency; what was not read is zero.
    levels: [[i16; LANES]; 64],
    /// How many frequencies, from low to high, are not zero in any of the blocks.
    count: usize,
    /// Rows of samples of the columns of frequencies.
    halfway: [[Lanes; 8]; 8],
}

impl Batch {
    pub(super) fn new() -> Self {
        Self { levels: [[0; LANES]; 64], count: 1, halfway: [[[0.0; LANES]; 8]; 8] }
    }

    /// Of what is in the first columns and rows: the rest is not used.
    #[inline(always)]
    fn empty(&mut self, (columns, rows): (usize, usize)) {
        for row in self.levels.chunks_exact_mut(8).take(rows) {
            row[..columns].fill([0; LANES]);
        }
        self.count = 1;
    }

    #[inline(always)]
    pub(super) fn set(&mut self, place: usize, lane: usize, level: i16) {
        self.levels[place % 64][lane % LANES] = level;
    }

    #[inline(always)]
    pub(super) fn reaches(&mut self, count: usize) {
        self.count = self.count.max(count);
    }
}

/// How the blocks of a component become samples.
pub(super) struct Inverse {
    columns: usize,
    rows: usize,
    /// The steps of the frequencies, as [`Batch`] has them.
    steps: [f32; 64],
    /// What each frequency counts in each sample, across and down.
    across: [[f32; 8]; 8],
    down: [[f32; 8]; 8],
    /// By a number of frequencies from low to high: the columns and rows that they lie in, of those that are used.
    spread: [(usize, usize); 65],
    /// How many of the frequencies from low to high hold all that are used.
    pub(super) wanted: usize,
}

impl Inverse {
    /// To `columns` × `rows` samples a block, of steps from low to high frequencies.
    pub(super) fn new(columns: usize, rows: usize, steps: &[u8; 64]) -> Self {
        let mut by_place = [0.0; 64];
        for (step, place) in steps.iter().zip(ZIGZAG) {
            by_place[usize::from(place)] = f32::from(*step);
        }
        let position = |index: usize| (usize::from(ZIGZAG[index]) % 8, usize::from(ZIGZAG[index]) / 8);
        let mut spread = [(1, 1); 65];
        for index in 0..64 {
            let ((x, y), (across, down)) = (position(index), spread[index]);
            spread[index + 1] = (across.max(x + 1).min(columns), down.max(y + 1).min(rows));
        }
        let waves = |samples| from_fn(|frequency| from_fn(|sample| dct_basis(frequency, sample, samples)));
        let is_used = |index: &usize| position(*index).0 < columns && position(*index).1 < rows;
        Self {
            columns,
            rows,
            steps: by_place,
            across: waves(columns),
            down: waves(rows),
            spread,
            wanted: (0..64).rfind(is_used).map_or(1, |last| last + 1),
        }
    }

    /// The samples of batches that lie in rows of so many; the batches are emptied.
    #[inline(always)]
    pub(super) fn run(&self, batches: &mut [Batch], in_row: usize, samples: &mut Rows) {
        for (batches, samples) in batches.chunks_mut(in_row).zip(samples.chunks_mut(self.rows)) {
            for (x, batch) in batches.iter_mut().enumerate() {
                self.block(batch, samples, x * self.columns * LANES);
            }
        }
    }

    #[inline(always)]
    fn block(&self, batch: &mut Batch, samples: &mut [[f32; WIDTH]], left: usize) {
        let used = self.spread[batch.count.min(64)];
        match self.rows {
            1 => self.down::<1>(batch, used),
            2 => self.down::<2>(batch, used),
            3 => self.down::<3>(batch, used),
            4 => self.down::<4>(batch, used),
            6 => self.down::<6>(batch, used),
            _ => self.down::<8>(batch, used),
        }
        batch.empty(used);
        for (halfway, row) in batch.halfway.iter().zip(samples) {
            let row = &mut row[left..];
            match self.columns {
                ..=4 => self.across::<4>(halfway, used.0, row),
                _ => self.across::<8>(halfway, used.0, row),
            }
        }
    }

    /// `N` rows of samples of the columns of frequencies.
    #[inline(always)]
    fn down<const N: usize>(&self, batch: &mut Batch, (columns, rows): (usize, usize)) {
        for column in 0..columns {
            let mut sums = [[0.0_f32; LANES]; N];
            for row in 0..rows {
                let place = row * 8 + column;
                let step = self.steps[place];
                let levels: Lanes = from_fn(|lane| f32::from(batch.levels[place][lane]) * step);
                for (sum, weight) in sums.iter_mut().zip(&self.down[row]) {
                    for lane in 0..LANES {
                        sum[lane] = weight.mul_add(levels[lane], sum[lane]);
                    }
                }
            }
            for (row, sum) in batch.halfway.iter_mut().zip(sums) {
                row[column] = sum;
            }
        }
    }

    /// A row of the samples of each block, in vectors of `N`: what these are too long is overwritten by the next block.
    #[inline(always)]
    fn across<const N: usize>(&self, halfway: &[Lanes; 8], columns: usize, row: &mut [f32]) {
        for lane in 0..LANES {
            let mut sums = [0.0_f32; N];
            for (values, weights) in halfway[..columns].iter().zip(&self.across) {
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
    #[allow(clippy::cast_precision_loss)] // small whole numbers
    fn a_frequency_is_the_same_wave_at_fewer_places() {
        for (columns, rows) in [(1, 1), (3, 3), (4, 8), (6, 2)] {
            let inverse = Inverse::new(columns, rows, &[2; 64]);
            for (u, v) in (0..rows).flat_map(|v| (0..columns).map(move |u| (u, v))) {
                let mut batch = Batch::new();
                batch.set(8 * v + u, 5, 100);
                batch.reaches(64);
                let mut samples = [[0.0; WIDTH]; 8];
                inverse.run(std::slice::from_mut(&mut batch), 1, &mut samples);
                for (x, y) in (0..rows).flat_map(|y| (0..columns).map(move |x| (x, y))) {
                    let dct_basis = |frequency: usize, place: usize, count: usize| {
                        let height = if frequency == 0 { 0.125_f64.sqrt() } else { 0.5 };
                        height * (PI * frequency as f64 * (place as f64 + 0.5) / count as f64).cos()
                    };
                    let expected = 200.0 * dct_basis(u, x, columns) * dct_basis(v, y, rows);
                    let sample = f64::from(samples[y][5 * columns + x]);
                    assert!((sample - expected).abs() < 1e-3, "{u} {v} at {x} {y}: {sample}");
                }
                assert!(batch.levels.iter().flatten().all(|level| *level == 0));
            }
        }
    }
}
