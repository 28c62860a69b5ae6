//! Reads the bits of an entropy-coded segment, most significant bit first (T.81, section F.2.2.5).
#![allow(clippy::inline_always)] // Inlined code is compiled with the target features of its caller.

use super::huffman::{BitBuffer, Symbol, extend};

/// The unread bits of an entropy-coded segment. Past its end it delivers zeros, so that the hot loop needs no check for the
/// end; [`BitReader::is_overrun`] detects them afterwards.
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// The offset of the next byte to load into the buffer.
    position: usize,
    buffer: BitBuffer,
    /// The number of valid bits in the buffer.
    count: u32,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0, buffer: 0, count: 0 }
    }

    /// Loads whole bytes; the buffer holds at least 56 bits afterwards.
    #[inline(always)]
    pub(super) fn refill(&mut self) {
        let next = match self.bytes.get(self.position..).and_then(<[u8]>::first_chunk) {
            Some(next) => u64::from_be_bytes(*next),
            None => self.last_bytes(),
        };
        self.buffer |= next >> self.count;
        let bytes = (63 - self.count) / 8;
        self.position += bytes as usize;
        self.count += 8 * bytes;
    }

    /// The last bytes of the segment, fewer than eight, padded with zeros.
    #[cold]
    fn last_bytes(&self) -> u64 {
        let mut next = [0; 8];
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        next.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        u64::from_be_bytes(next)
    }

    /// The buffer; valid in its most significant bits.
    #[inline(always)]
    pub(super) fn peek(&self) -> BitBuffer {
        self.buffer
    }

    /// Removes bits from the buffer, which must hold as many.
    #[inline(always)]
    pub(super) fn skip(&mut self, bits: u32) {
        self.buffer <<= bits;
        self.count -= bits;
    }

    /// Removes a symbol's code and additional bits from the buffer, and decodes the value of the additional bits.
    #[inline(always)]
    pub(super) fn take_value(&mut self, symbol: Symbol) -> i16 {
        let value = extend(self.buffer << symbol.code_length, symbol.magnitude_bits());
        self.skip(symbol.total_length.into());
        value
    }

    /// Whether the segment was read to its last byte, of which only padding bits may be left, and not beyond.
    pub(super) fn is_exhausted(&self) -> bool {
        (self.position * 8 - self.count as usize).div_ceil(8) == self.bytes.len()
    }

    /// Whether more bits were read than the segment has.
    pub(super) fn is_overrun(&self) -> bool {
        self.position * 8 - self.count as usize > self.bytes.len() * 8
    }
}
