//! From frequencies to levels: how many steps each is.

use std::array::from_fn;

use darkroom_model::recipe::{Effort, Quality};

use super::{blocks::Block, dct::Matrix, trellis::Trellis};
use crate::dct::ZIGZAG;
use darkroom_raster::simd::round_to_i32;

/// Rounds the frequencies of a component.
pub(super) struct Quantiser {
    /// How large a step of each frequency is.
    pub(super) steps: [u8; 64],
    inverse: [f32; 64],
    trellis: Option<Trellis>,
}

/// Steps at a quality of 50, by the sum of the vertical and the horizontal frequency. Found by measuring: with them, photographs
/// take a tenth fewer bytes at equal SSIMULACRA2 than with the tables that programs have from T.81, annex K, or have
/// found since. What is coarse in a picture is seen at any distance, so its steps are small.
const LUMINANCE: [u8; 15] = [11, 10, 25, 30, 31, 33, 40, 45, 50, 53, 56, 73, 95, 124, 160];
const COLOUR: [u8; 15] = [8, 12, 16, 23, 28, 32, 38, 44, 53, 64, 77, 92, 111, 133, 160];

/// What a bit is worth, in squared steps.
const BIT: f32 = 0.056;

/// How many times as large the steps of another quality are: as in libjpeg, whose qualities everyone knows.
fn scale(quality: Quality) -> f32 {
    match f32::from(quality.get()) {
        quality @ ..50.0 => 50.0 / quality,
        quality => 2.0 - quality / 50.0,
    }
}

impl Quantiser {
    /// One for luminance, and one for both colour differences.
    pub(super) fn of_luminance_and_colour(quality: Quality, effort: Effort) -> [Self; 2] {
        let scale = scale(quality);
        // Levels of colour are too few to be worth a choice: it saves nothing at equal SSIMULACRA2.
        let trellis = (effort == Effort::Best).then(|| Trellis::new(BIT));
        [Self::new(&LUMINANCE, scale, trellis), Self::new(&COLOUR, scale, None)]
    }

    fn new(steps: &[u8; 15], scale: f32, trellis: Option<Trellis>) -> Self {
        // Between 1 and 255.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let steps = from_fn(|i| (f32::from(steps[i / 8 + i % 8]) * scale).round().clamp(1.0, 255.0) as u8);
        Self { steps, inverse: steps.map(|step| 1.0 / f32::from(step)), trellis }
    }

    #[inline(always)]
    pub(super) fn quantise(&self, frequencies: &Matrix) -> Block {
        let frequencies = frequencies.as_flattened();
        let exact: [f32; 64] = from_fn(|i| frequencies[i] * self.inverse[i]);
        let levels: [i16; 64] = from_fn(|i| round(exact[i]));
        // A bit for each row, column by column: this is what vectors do well.
        let mut columns = [0_u16; 8];
        for (y, row) in levels.chunks_exact(8).enumerate() {
            for (column, level) in columns.iter_mut().zip(row) {
                *column |= u16::from(*level != 0) << y;
            }
        }
        let mut block = Block { levels, nonzero: low_to_high(columns) };
        if let Some(trellis) = &self.trellis {
            trellis.thin(&exact, &mut block);
        }
        block
    }
}

/// To the nearest whole number that JPEG can code (T.81, annex F.1.2).
#[inline(always)]
#[allow(clippy::cast_possible_truncation)] // it was cut off
fn round(value: f32) -> i16 {
    round_to_i32(value.clamp(-1023.0, 1023.0)) as i16
}

/// Puts bits that stand column by column from low to high frequencies.
#[inline(always)]
fn low_to_high(columns: [u16; 8]) -> u64 {
    columns.iter().zip(&PLACES).fold(0, |bits, (column, places)| {
        bits | places[0][usize::from(column & 15)] | places[1][usize::from(column >> 4 & 15)]
    })
}

/// For each column and each half of it, where its four bits go.
static PLACES: [[[u64; 16]; 2]; 8] = {
    let mut places = [[[0; 16]; 2]; 8];
    let mut index = 0;
    while index < 64 {
        let (x, y) = (ZIGZAG[index] as usize % 8, ZIGZAG[index] as usize / 8);
        let mut bits = 0;
        while bits < 16 {
            if bits >> (y % 4) & 1 == 1 {
                places[x][y / 4][bits] |= 1 << index;
            }
            bits += 1;
        }
        index += 1;
    }
    places
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_frequency_is_told_by_its_own_bit() {
        let quantiser = Quantiser::new(&[1; 15], 1.0, None);
        for (index, place) in ZIGZAG.iter().enumerate() {
            let mut frequencies = Matrix::default();
            frequencies.as_flattened_mut()[usize::from(*place)] = -7.4;
            let block = quantiser.quantise(&frequencies);
            assert_eq!(block.nonzero, 1 << index);
            assert_eq!(block.levels[usize::from(*place)], -7);
        }
    }

    #[test]
    fn levels_are_whole_and_within_what_can_be_coded() {
        let values = [-5000.0, -1023.4, -1.51, -0.49, 0.0, 0.49, 0.51, 2.5, 4096.0];
        assert_eq!(values.map(round), [-1023, -1023, -2, 0, 0, 0, 1, 2, 1023]);
    }
}
