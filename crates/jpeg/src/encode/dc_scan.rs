//! The scan of the DC coefficients (T.81, sections F.1.2.1 and G.1.2.1).
#![allow(clippy::inline_always)] // Inlined code is compiled with the target features of its caller.

use super::{
    component::Component,
    symbols::{ScanSymbols, magnitude},
};

/// Replaces `symbols` by those of the DC differences of all blocks, interleaved MCU by MCU. Y uses the first Huffman table,
/// Cb and Cr the second.
#[inline(always)]
pub(super) fn encode(components: &[Component], symbols: &mut ScanSymbols) {
    let mut dc_predictors = [0; 3];
    let Some(luma) = components.first() else { return };
    symbols.start_scan(components.iter().map(|component| component.blocks.len()).sum());
    let mcus_per_row = luma.stride / luma.sampling_factor;
    for mcu in 0..luma.blocks.len() / (luma.sampling_factor * luma.sampling_factor) {
        for ((component, dc_predictor), table) in components.iter().zip(&mut dc_predictors).zip([0, 1, 1]) {
            let (factor, stride) = (component.sampling_factor, component.stride);
            let first_block = mcu / mcus_per_row * factor * stride + mcu % mcus_per_row * factor;
            for y in 0..factor {
                for block in &component.blocks[first_block + y * stride..][..factor] {
                    let dc = i32::from(block.coefficients[0]);
                    let (count, bits) = magnitude(dc - *dc_predictor);
                    symbols.push(table, count, bits, count);
                    *dc_predictor = dc;
                }
            }
        }
    }
}
