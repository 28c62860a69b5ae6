//! Lookup tables that decode several AC coefficients at once (T.81, section F.2.2.2).
#![allow(clippy::inline_always)] // Inlined code is compiled with the target features of its caller.

use super::huffman::{BitBuffer, HuffmanTable, Symbol, extend};

/// Bits by which the lookup tables are indexed.
const LOOKUP_BITS: u32 = 11;

/// A Huffman table of AC coefficients, with lookup tables that are indexed by the next [`LOOKUP_BITS`] bits.
pub(super) struct AcTable {
    pub(super) huffman: HuffmanTable,
    pairs: Box<[CoefficientPair; 1 << LOOKUP_BITS]>,
    spans: Box<[SkippedCodes; 1 << LOOKUP_BITS]>,
}

/// Up to two nonzero coefficients, decoded by one lookup.
#[derive(Clone, Copy, Default)]
pub(super) struct CoefficientPair {
    pub(super) span: CodeSpan,
    /// The zig-zag offset of each coefficient from the first undecoded one. Where there are fewer than two, the value is zero
    /// and the offset is that after the last.
    pub(super) offsets: [u8; 2],
    pub(super) values: [i16; 2],
}

/// A sequence of codes with their additional bits.
#[derive(Clone, Copy, Default)]
pub(super) struct CodeSpan {
    /// The length of all of them; 0 where no code fits into the lookup bits.
    pub(super) bits: u8,
    /// The number of coefficients, zero runs included, and [`Self::EOB`] where an EOB code is the last.
    coefficients: u8,
}

/// Codes that are skipped, and the energy of their coefficients.
#[derive(Clone, Copy, Default)]
pub(super) struct SkippedCodes {
    pub(super) span: CodeSpan,
    /// The sum of the squares of the quantized coefficients.
    pub(super) energy: u16,
}

/// Codes of larger coefficients are not skipped by lookup: their squares would not fit.
const MAX_SKIPPED_MAGNITUDE_BITS: u32 = 7;

impl CodeSpan {
    const EOB: u8 = 0x80;

    /// The number of coefficients, zero runs included.
    pub(super) fn coefficients(self) -> usize {
        usize::from(self.coefficients & !Self::EOB)
    }

    /// Whether the last code is EOB.
    pub(super) fn ends_block(self) -> bool {
        self.coefficients & Self::EOB != 0
    }
}

impl AcTable {
    pub(super) fn new(huffman: HuffmanTable) -> Self {
        let buffer = |prefix: usize| (prefix as BitBuffer) << (64 - LOOKUP_BITS);
        let pairs = Box::new(std::array::from_fn(|prefix| CoefficientPair::decode(&huffman, buffer(prefix))));
        let spans = Box::new(std::array::from_fn(|prefix| SkippedCodes::decode(&huffman, buffer(prefix))));
        Self { huffman, pairs, spans }
    }

    /// The next coefficients with their values.
    #[inline(always)]
    pub(super) fn pair(&self, buffer: BitBuffer) -> CoefficientPair {
        self.pairs[(buffer >> (64 - LOOKUP_BITS)) as usize]
    }

    /// The next codes, to be skipped: more of them than in a pair.
    #[inline(always)]
    pub(super) fn skipped(&self, buffer: BitBuffer) -> SkippedCodes {
        self.spans[(buffer >> (64 - LOOKUP_BITS)) as usize]
    }
}

/// The next symbol, if its code is not longer than the `known` bits of the buffer.
fn known_symbol(table: &HuffmanTable, buffer: BitBuffer, known: u32) -> Option<Symbol> {
    table.symbol(buffer).filter(|symbol| u32::from(symbol.code_length) <= known)
}

impl CoefficientPair {
    /// Decodes the first [`LOOKUP_BITS`] bits of the buffer.
    fn decode(table: &HuffmanTable, buffer: BitBuffer) -> Self {
        let mut pair = Self::default();
        let mut found = 0;
        let CodeSpan { bits, coefficients } = &mut pair.span;
        while let Some(symbol) = known_symbol(table, buffer << *bits, LOOKUP_BITS - u32::from(*bits)) {
            if symbol.is_eob() {
                *bits += symbol.code_length;
                *coefficients |= CodeSpan::EOB;
                break;
            }
            let end = *bits + symbol.total_length;
            if found == 2 || u32::from(end) > LOOKUP_BITS {
                break;
            }
            pair.values[found] = extend(buffer << (*bits + symbol.code_length), symbol.magnitude_bits());
            pair.offsets[found] = *coefficients + symbol.zero_run();
            *coefficients = pair.offsets[found] + 1;
            *bits = end;
            found += 1;
        }
        pair.offsets[found..].fill(*coefficients & !CodeSpan::EOB);
        pair
    }
}

impl SkippedCodes {
    /// Decodes the first [`LOOKUP_BITS`] bits of the buffer. The additional bits of the last code may exceed them; unknown ones are
    /// taken for the middle of their range.
    fn decode(table: &HuffmanTable, buffer: BitBuffer) -> Self {
        let Self { mut span, mut energy } = Self::default();
        let middle = buffer | (1 << (63 - LOOKUP_BITS));
        while let Some(known) = LOOKUP_BITS.checked_sub(span.bits.into()) {
            let Some(symbol) = known_symbol(table, buffer << span.bits, known) else { break };
            if symbol.is_eob() {
                span.bits += symbol.total_length;
                span.coefficients |= CodeSpan::EOB;
                break;
            }
            if symbol.magnitude_bits() > MAX_SKIPPED_MAGNITUDE_BITS {
                break;
            }
            let value = extend(middle << (span.bits + symbol.code_length), symbol.magnitude_bits());
            energy = energy.saturating_add(value.unsigned_abs().saturating_pow(2));
            span.bits += symbol.total_length;
            span.coefficients += symbol.zero_run() + 1;
        }
        Self { span, energy }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lookup_ends_with_the_block_or_the_lookup_bits() {
        // 0: a coefficient of one bit. 10: EOB. 11: a zero, then a coefficient of ten bits.
        let mut bits = [0; 16];
        bits[..2].copy_from_slice(&[1, 2]);
        let table = AcTable::new(HuffmanTable::new(&bits, &[0x01, 0x00, 0x1A]).unwrap());
        let buffer = |bits: &str| BitBuffer::from_str_radix(bits, 2).unwrap() << (64 - bits.len());
        let two = table.pair(buffer("010010"));
        assert_eq!((two.values, two.offsets), ([1, -1], [0, 1]));
        assert!(two.span.bits == 6 && two.span.coefficients() == 2 && two.span.ends_block());
        let one = table.pair(buffer("0111111111111"));
        assert_eq!((one.values, one.offsets), ([1, 0], [0, 1]));
        assert!(one.span.bits == 2 && one.span.coefficients() == 1 && !one.span.ends_block());
        // Ten bits are too many for the energy.
        let SkippedCodes { span, energy } = table.skipped(buffer("0111111111111"));
        assert!(span.bits == 2 && span.coefficients() == 1 && !span.ends_block() && energy == 1);
        let SkippedCodes { span, energy } = table.skipped(buffer("010010"));
        assert!(span.bits == 6 && span.coefficients() == 2 && span.ends_block() && energy == 2);
    }
}
