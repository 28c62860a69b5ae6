//! Samples of 1 to 32 bits in rows of bytes (TIFF 6.0, `BitsPerSample`).

/// The bytes of a row of samples; every row begins with a new byte.
pub(super) fn row_bytes(samples: usize, bits: u32) -> usize {
    (samples * bits as usize).div_ceil(8)
}

/// Reads as many samples as there are `values`: 16 bits at most as they are, and the 16 highest bits of others. Samples of whole
/// bytes are in the file's byte order, others are bits from the most significant one on.
pub(super) fn unpack<'a>(row: &[u8], bits: u32, big_endian: bool, values: impl Iterator<Item = &'a mut u16>) {
    match bits {
        8 => row.iter().zip(values).for_each(|(byte, value)| *value = (*byte).into()),
        16 | 24 | 32 => {
            let length = bits as usize / 8;
            for (sample, value) in row.chunks_exact(length).zip(values) {
                *value = if big_endian {
                    u16::from_be_bytes([sample[0], sample[1]])
                } else {
                    u16::from_le_bytes([sample[length - 2], sample[length - 1]])
                };
            }
        }
        _ => {
            let mut bit = 0;
            for value in values {
                // At most 31 bits from at most 7 bits into a byte.
                let bytes = (0..5).map(|i| row.get(bit / 8 + i).copied().unwrap_or(0));
                let word = bytes.fold(0_u64, |word, byte| word << 8 | u64::from(byte));
                let sample = (word >> (40 - bit % 8 - bits as usize)) & ((1 << bits) - 1);
                *value = u16::try_from(sample >> bits.saturating_sub(16)).unwrap_or(u16::MAX);
                bit += bits as usize;
            }
        }
    }
}
