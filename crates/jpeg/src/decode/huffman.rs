//! Huffman tables and symbols (T.81, annex C and section F.2.2).
#![allow(clippy::inline_always)] // Inlined code is compiled with the target features of its caller.

/// The next bits of an entropy-coded segment, from the most significant bit on.
pub(super) type BitBuffer = u64;

/// Codes of up to this many bits are found by one table lookup.
const LOOKUP_BITS: u32 = 9;

/// A Huffman symbol: high nibble zero run, low nibble magnitude bits (RRRRSSSS in T.81, figure F.1). A symbol of a DC
/// difference has magnitude bits only.
#[derive(Clone, Copy, Default)]
pub(super) struct Symbol {
    /// Bits of its Huffman code; 0 where the lookup table has no symbol.
    pub(super) code_length: u8,
    /// Bits of its Huffman code and of the additional bits that follow it.
    pub(super) total_length: u8,
    value: u8,
}

impl Symbol {
    /// RRRR: the number of zero coefficients before this one.
    pub(super) fn zero_run(self) -> u8 {
        self.value >> 4
    }

    /// SSSS: the number of additional bits, which hold sign and magnitude.
    pub(super) fn magnitude_bits(self) -> u32 {
        u32::from(self.value & 15)
    }

    /// End of block: the remaining coefficients are zero.
    pub(super) fn is_eob(self) -> bool {
        self.value == 0
    }
}

/// A Huffman table (T.81, annex C).
pub(super) struct HuffmanTable {
    /// The symbol of a code by the next [`LOOKUP_BITS`] bits, for codes that are not longer.
    lookup: Box<[Symbol; 1 << LOOKUP_BITS]>,
    /// By code length: one more than the largest 16-bit number that starts with a code of at most that length.
    code_ends: [u32; 17],
    /// By code length: the number of codes of at most that length.
    code_counts: [u32; 17],
    /// HUFFVAL: the symbols in order of their codes.
    values: Vec<u8>,
}

impl HuffmanTable {
    /// From the number of codes of each length (BITS) and the symbols (HUFFVAL). `None` if there are more codes than their
    /// lengths permit, or another number of symbols.
    pub(super) fn new(bits: &[u8; 16], values: &[u8]) -> Option<Self> {
        let (mut code_ends, mut code_counts) = ([0; 17], [0; 17]);
        for (i, count) in bits.iter().enumerate() {
            code_counts[i + 1] = code_counts[i] + u32::from(*count);
            code_ends[i + 1] = code_ends[i] + (u32::from(*count) << (15 - i));
        }
        if code_ends[16] > 1 << 16 || code_counts[16] as usize != values.len() {
            return None;
        }
        let lookup = Box::new([Symbol::default(); 1 << LOOKUP_BITS]);
        let mut table = Self { lookup, code_ends, code_counts, values: values.to_vec() };
        for prefix in 0..1 << LOOKUP_BITS {
            let symbol = table.search((prefix as BitBuffer) << (64 - LOOKUP_BITS));
            table.lookup[prefix] = symbol.filter(|s| u32::from(s.code_length) <= LOOKUP_BITS).unwrap_or_default();
        }
        Some(table)
    }

    /// Whether every symbol is one of a DC difference: no zero run.
    pub(super) fn is_dc_table(&self) -> bool {
        self.values.iter().all(|value| *value < 16)
    }

    /// The symbol of the code at the start of the buffer. `None` if there is no such code.
    #[inline(always)]
    pub(super) fn symbol(&self, buffer: BitBuffer) -> Option<Symbol> {
        let symbol = self.lookup[(buffer >> (64 - LOOKUP_BITS)) as usize];
        if symbol.code_length > 0 { Some(symbol) } else { self.search(buffer) }
    }

    /// The same by comparing with the codes of each length (DECODE in T.81, figure F.16).
    fn search(&self, buffer: BitBuffer) -> Option<Symbol> {
        let bits = (buffer >> 48) as u32;
        let length = (1..=16_u8).find(|length| bits < self.code_ends[usize::from(*length)])?;
        let shorter = usize::from(length - 1);
        let index = (bits - self.code_ends[shorter]) >> (16 - length);
        let value = *self.values.get((self.code_counts[shorter] + index) as usize)?;
        Some(Symbol { code_length: length, total_length: length + (value & 15), value })
    }
}

/// The value of the first `magnitude_bits` bits, at most 15 (RECEIVE and EXTEND in T.81, figures F.17 and F.12).
#[inline(always)]
#[allow(clippy::cast_possible_truncation)] // 15 bits at most
pub(super) fn extend(buffer: BitBuffer, magnitude_bits: u32) -> i16 {
    let bits = (buffer >> 1 >> (63 - magnitude_bits)) as i32;
    // The value is negative where the first bit is zero. Branchless, because that bit is unpredictable.
    let negative = (!buffer.cast_signed() >> 63) as i32;
    (bits + (negative & (1 - (1 << magnitude_bits)))) as i16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::encode::huffman::HuffmanTable as EncodingTable;

    #[test]
    fn a_table_with_more_codes_than_their_lengths_permit_is_refused() {
        let bits = |one: u8, two: u8| std::array::from_fn(|i| [one, two].get(i).copied().unwrap_or(0));
        assert!(HuffmanTable::new(&bits(1, 2), &[1, 2, 3]).is_some());
        assert!(HuffmanTable::new(&bits(1, 3), &[1, 2, 3, 4]).is_none());
        assert!(HuffmanTable::new(&bits(3, 0), &[1, 2, 3]).is_none());
        assert!(HuffmanTable::new(&bits(1, 1), &[1, 2, 3]).is_none(), "a symbol without a code");
    }

    #[test]
    fn additional_bits_are_extended_to_signed_values() {
        let extended = |bits: u64, count: u32| extend(bits << (64 - count), count);
        assert_eq!(extend(u64::MAX, 0), 0);
        assert_eq!([extended(0, 1), extended(1, 1)], [-1, 1]);
        assert_eq!([extended(0, 3), extended(3, 3), extended(4, 3), extended(7, 3)], [-7, -4, 4, 7]);
        assert_eq!([extended(0, 15), extended(0x7FFF, 15)], [-32_767, 32_767]);
    }

    proptest! {
        /// Annex C defines the codes by their lengths alone: the decoder must derive those that the encoder uses.
        #[test]
        fn every_code_of_the_encoder_is_decoded_to_its_symbol(
            occurring in prop::collection::vec((any::<u8>(), 1..100_000_u32), 1..200),
            following in any::<u64>(),
        ) {
            let mut frequencies = [0; 256];
            for (symbol, frequency) in occurring {
                frequencies[usize::from(symbol)] = frequency;
            }
            let encoding = EncodingTable::new(&frequencies);
            let specification = encoding.specification(0x10);
            let (bits, values) = specification[1..].split_first_chunk().unwrap();
            let decoding = HuffmanTable::new(bits, values).unwrap();
            for (symbol, (code, length)) in (0..=255_u8).zip(encoding.codes).filter(|(_, (_, length))| *length > 0) {
                let buffer = BitBuffer::from(code) << (64 - u32::from(length)) | following >> length;
                let decoded = decoding.symbol(buffer).unwrap();
                prop_assert_eq!((decoded.value, decoded.code_length), (symbol, length));
            }
        }
    }
}
