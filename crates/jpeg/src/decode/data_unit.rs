//! Decodes the coefficients of a data unit, an 8×8 block (T.81, section F.2.2).
#![allow(clippy::inline_always)] // Inlined code is compiled with the target features of its caller.

use super::{
    ac_lookup::{AcTable, SkippedCodes},
    bit_reader::BitReader,
    huffman::HuffmanTable,
    idct::{BlockBatch, ReducedIdct},
};
use crate::zigzag::ZIGZAG;

/// Decodes one data unit into `lane` of `batch`: adds the DC difference to `dc_predictor`, which becomes the DC coefficient,
/// reads at least the first coefficients that `idct` needs, and skips the rest, of which only the energy counts. `None` if the data
/// is corrupt.
#[inline(always)]
pub(super) fn decode_data_unit(
    bits: &mut BitReader<'_>,
    (dc_table, ac_table): (&HuffmanTable, &AcTable),
    dc_predictor: &mut i16,
    idct: &ReducedIdct,
    batch: &mut BlockBatch,
    lane: usize,
) -> Option<()> {
    bits.refill();
    let symbol = dc_table.symbol(bits.peek())?;
    *dc_predictor = dc_predictor.wrapping_add(bits.take_value(symbol));
    batch.set(0, lane, *dc_predictor);
    // The number of coefficients decoded so far: the index K of T.81, figure F.13.
    let mut decoded = 1;
    // Lookups that the bits in the buffer still suffice for, at 11 bits each. After a DC code of at most 16 bits and 15
    // additional bits there are 25 of the 56 bits left.
    let mut lookups_left = 2;
    let end_of_block = loop {
        if decoded >= idct.needed_coefficients {
            break false;
        }
        let pair = ac_table.pair(bits.peek());
        let after = decoded + pair.span.coefficients();
        // After coefficient 63 there is no EOB code; the bits that follow belong to the next block.
        if pair.span.bits > 0 && after < 64 {
            for (value, offset) in pair.values.iter().zip(pair.offsets) {
                batch.set(natural_index(decoded + usize::from(offset)), lane, *value);
            }
            bits.skip(pair.span.bits.into());
            decoded = after;
            if pair.span.ends_block() {
                break true;
            }
            lookups_left -= 1;
            if lookups_left == 0 {
                bits.refill();
                lookups_left = 5;
            }
            continue;
        }
        bits.refill();
        lookups_left = 2;
        let symbol = ac_table.huffman.symbol(bits.peek())?;
        if symbol.is_eob() {
            bits.skip(symbol.code_length.into());
            break true;
        }
        decoded += usize::from(symbol.zero_run());
        batch.set(natural_index(decoded), lane, bits.take_value(symbol));
        decoded += 1;
    };
    batch.extend_coefficients(decoded);
    if !end_of_block {
        batch.set_skipped_energy(lane, skip_coefficients(bits, ac_table, decoded, &idct.squared_steps)?);
    }
    Some(())
}

/// Skips the coefficients after the first `decoded` ones, and returns the sum of the squares of their dequantized values.
/// `squared_steps` are those of quantization, in zig-zag order. `None` if there are more than 64 coefficients.
#[inline(always)]
fn skip_coefficients(
    bits: &mut BitReader<'_>,
    ac_table: &AcTable,
    mut decoded: usize,
    squared_steps: &[f32; 64],
) -> Option<f32> {
    let mut energy = 0.0;
    while decoded < 64 {
        bits.refill();
        let SkippedCodes { span, energy: quantized } = ac_table.skipped(bits.peek());
        let after = decoded + span.coefficients();
        if span.bits > 0 && after < 64 {
            bits.skip(span.bits.into());
            // All of them have the step of the last one, which differs little.
            energy += f32::from(quantized) * squared_steps[(after - 1) % 64];
            if span.ends_block() {
                return Some(energy);
            }
            decoded = after;
            continue;
        }
        let symbol = ac_table.huffman.symbol(bits.peek())?;
        if symbol.is_eob() {
            bits.skip(symbol.code_length.into());
            return Some(energy);
        }
        decoded += usize::from(symbol.zero_run()) + 1;
        let value = f32::from(bits.take_value(symbol));
        energy += value * value * squared_steps[(decoded - 1) % 64];
    }
    (decoded == 64).then_some(energy)
}

/// The index in natural order of an index in zig-zag order.
#[inline(always)]
fn natural_index(zigzag_index: usize) -> usize {
    usize::from(NATURAL_INDEX[zigzag_index % NATURAL_INDEX.len()])
}

/// [`ZIGZAG`], padded with the last coefficient: the zero run of a corrupt file may exceed it. A power of two needs no
/// bounds check.
const NATURAL_INDEX: [u8; 128] = {
    let mut padded = [63; 128];
    let mut index = 0;
    while index < 64 {
        padded[index] = ZIGZAG[index];
        index += 1;
    }
    padded
};
