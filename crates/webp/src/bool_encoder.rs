//! The boolean entropy encoder (RFC 6386, section 7.3).
#![allow(clippy::inline_always)] // Inlined code is compiled with the target features of its caller.

/// Whole bytes are written when so many bits are finished.
const FLUSH_BITS: u32 = 40;

/// Writes booleans, each with the probability, in 256ths, that it is false.
///
/// Several bytes are kept in `low` before they are written, so that a carry rarely reaches the output.
pub(crate) struct BoolEncoder {
    output: Vec<u8>,
    /// The bottom of the interval: `bits` finished bits, then the 8 bits in which `range` counts. A carry is above them.
    low: u64,
    /// The size of the interval: 128 to 255.
    range: u32,
    bits: u32,
}

impl BoolEncoder {
    pub(crate) fn new() -> Self {
        Self { output: Vec::new(), low: 0, range: 255, bits: 0 }
    }

    #[inline(always)]
    pub(crate) fn put(&mut self, value: bool, probability: u8) {
        let split = 1 + (((self.range - 1) * u32::from(probability)) >> 8);
        // By selection: a branch would be mispredicted as often as the bit is unexpected.
        let upper = u32::from(value).wrapping_neg();
        self.low += u64::from(split & upper);
        self.range = (split & !upper) | ((self.range - split) & upper);
        let shift = self.range.leading_zeros() - 24;
        self.range <<= shift;
        self.low <<= shift;
        self.bits += shift;
        if self.bits >= FLUSH_BITS {
            self.flush();
        }
    }

    /// Writes a boolean whose values are equally probable.
    pub(crate) fn put_flag(&mut self, value: bool) {
        self.put(value, 128);
    }

    /// Writes an unsigned integer of `bits` bits, the most significant first (RFC 6386, section 7.3, `read_literal`).
    pub(crate) fn put_literal(&mut self, value: u32, bits: u32) {
        for bit in (0..bits).rev() {
            self.put_flag(value >> bit & 1 == 1);
        }
    }

    /// Writes a flag, and where the value is not zero its magnitude and sign (RFC 6386, section 9.6).
    pub(crate) fn put_optional_signed(&mut self, value: i32, bits: u32) {
        self.put_flag(value != 0);
        if value != 0 {
            self.put_literal(value.unsigned_abs(), bits);
            self.put_flag(value < 0);
        }
    }

    /// Moves [`FLUSH_BITS`] finished bits to the output.
    #[inline(never)]
    fn flush(&mut self) {
        let rest = self.bits + 8 - FLUSH_BITS;
        self.write(self.low >> rest, FLUSH_BITS);
        self.low &= (1 << rest) - 1;
        self.bits -= FLUSH_BITS;
    }

    /// Writes the low `bits` bits of `value`, a multiple of 8. The bit above them is a carry.
    fn write(&mut self, value: u64, bits: u32) {
        if value >> bits & 1 == 1 {
            for byte in self.output.iter_mut().rev() {
                *byte = byte.wrapping_add(1);
                if *byte != 0 {
                    break;
                }
            }
        }
        let bytes = value.to_be_bytes();
        self.output.extend_from_slice(&bytes[bytes.len() - bits as usize / 8..]);
    }

    /// The bytes, after the last boolean.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let bits = (self.bits + 8).next_multiple_of(8);
        self.write(self.low << (bits - self.bits - 8), bits);
        self.output
    }
}
