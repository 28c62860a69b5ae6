//! The Huffman symbols of a scan with their additional bits, before Huffman coding (T.81, sections F.1.2 and G.1.2).
#![allow(clippy::inline_always)] // Inlined code is compiled with the target features of its caller.

use super::huffman::HuffmanTable;

/// The symbols of a scan, in their order.
pub(super) struct ScanSymbols {
    /// From the least significant bit on: 16 additional bits, their number in 4 bits, the symbol in 8 bits, and the index of
    /// its Huffman table.
    packed: Vec<u32>,
    /// For each table the frequency of each symbol, FREQ in T.81, annex K.2.
    frequencies: [[u32; 256]; 2],
}

impl ScanSymbols {
    pub(super) fn new() -> Self {
        Self { packed: Vec::new(), frequencies: [[0; 256]; 2] }
    }

    /// Removes all symbols and reserves room for `count`.
    pub(super) fn start_scan(&mut self, count: usize) {
        self.packed.clear();
        self.packed.reserve_exact(count);
        self.frequencies = [[0; 256]; 2];
    }

    /// Appends a symbol and the `count` additional bits that follow it, at most 15.
    #[inline(always)]
    pub(super) fn push(&mut self, table: u32, symbol: u32, bits: u32, count: u32) {
        self.packed.push(table << 28 | symbol << 20 | count << 16 | bits);
        self.frequencies[table as usize % 2][symbol as usize % 256] += 1;
    }

    /// The optimal Huffman table for the symbols of each table.
    pub(super) fn huffman_tables(&self) -> [HuffmanTable; 2] {
        self.frequencies.each_ref().map(HuffmanTable::new)
    }

    /// Appends the entropy-coded segment to a file. The last byte is padded with ones (T.81, section F.1.2.3).
    #[inline(always)]
    pub(super) fn write(&self, tables: &[HuffmanTable; 2], file: &mut Vec<u8>) {
        // Fewer than 32 bits wait in `buffer`, from its most significant bit on; a symbol adds at most 16 + 15.
        let (mut buffer, mut count) = (0_u64, 0);
        for packed in &self.packed {
            let (code, length) = tables[(packed >> 28) as usize % 2].codes[(packed >> 20) as usize % 256];
            let additional = packed >> 16 & 15;
            count += u32::from(length) + additional;
            buffer |= (u64::from(code) << additional | u64::from(packed & 0xFFFF)) << (u64::BITS - count);
            if count >= u32::BITS {
                append_stuffed(file, &buffer.to_be_bytes()[..4]);
                buffer <<= u32::BITS;
                count -= u32::BITS;
            }
        }
        append_stuffed(file, &(buffer | u64::MAX >> count).to_be_bytes()[..count.div_ceil(8) as usize]);
    }
}

/// Appends bytes, with a zero byte stuffed after each 0xFF, which would start a marker otherwise (T.81, section F.1.2.3).
#[inline(always)]
fn append_stuffed(file: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.contains(&0xFF) {
        file.extend(bytes.iter().flat_map(|byte| [*byte, 0].into_iter().take(if *byte == 0xFF { 2 } else { 1 })));
    } else {
        file.extend_from_slice(bytes);
    }
}

/// The number of magnitude bits of a value, SSSS, and its additional bits: the low bits of the value, or of the value less
/// one where it is negative, so that their first bit is zero (T.81, section F.1.2.1).
#[inline(always)]
pub(super) fn magnitude(value: i32) -> (u32, u32) {
    let count = u32::BITS - value.unsigned_abs().leading_zeros();
    let bits = if value < 0 { value - 1 } else { value }.cast_unsigned();
    (count, bits & ((1 << count) - 1))
}
