//! The scans of the AC coefficients of one component (T.81, section G.1.2.2).
#![allow(clippy::inline_always)] // Inlined code is compiled with the target features of its caller.

use super::{
    component::Component,
    symbols::{ScanSymbols, magnitude},
};

/// The longest EOB run: the symbol EOB14 has 14 additional bits (T.81, table G.1).
const MAX_EOB_RUN: u32 = 0x7FFF;

/// ZRL: a run of sixteen zero coefficients.
const ZRL: u32 = 0xF0;

/// Replaces `symbols` by those of the coefficients `ss` to `se` in zig-zag order of all blocks.
#[inline(always)]
pub(super) fn encode(component: &Component, ss: u8, se: u8, symbols: &mut ScanSymbols) {
    let (ss, se) = (u32::from(ss), u32::from(se));
    let band = u64::MAX << ss & u64::MAX >> (63 - se);
    let nonzero: usize = component.blocks.iter().map(|block| (block.nonzero & band).count_ones() as usize).sum();
    symbols.start_scan(nonzero + component.blocks.len());
    let mut eob_run = 0;
    for row in component.blocks.chunks_exact(component.stride).take(component.height) {
        for block in &row[..component.width] {
            let mut remaining = block.nonzero & band;
            if remaining != 0 {
                push_eob_run(&mut eob_run, symbols);
            }
            let mut next = ss;
            while remaining != 0 {
                let index = remaining.trailing_zeros();
                let mut zero_run = index - next;
                while zero_run > 15 {
                    symbols.push(0, ZRL, 0, 0);
                    zero_run -= 16;
                }
                let (count, bits) = magnitude(block.coefficient(index).into());
                symbols.push(0, zero_run << 4 | count, bits, count);
                next = index + 1;
                remaining &= remaining - 1;
            }
            eob_run += u32::from(next <= se);
            if eob_run == MAX_EOB_RUN {
                push_eob_run(&mut eob_run, symbols);
            }
        }
    }
    push_eob_run(&mut eob_run, symbols);
}

/// Appends the symbol `EOBn` for a run of blocks without further nonzero coefficients in the band, and resets the run. Appends
/// nothing for an empty run.
#[inline(always)]
fn push_eob_run(eob_run: &mut u32, symbols: &mut ScanSymbols) {
    if *eob_run > 0 {
        let n = eob_run.ilog2();
        symbols.push(0, n << 4, *eob_run - (1 << n), n);
        *eob_run = 0;
    }
}
