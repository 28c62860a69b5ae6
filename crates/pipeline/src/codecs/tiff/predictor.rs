//! The horizontal predictor (TIFF 6.0, section 14).

/// Adds to each sample of a row that of the pixel on its left. `bits` is 8, 16 or 32, in the file's byte order.
pub(super) fn undo(row: &mut [u8], samples_per_pixel: usize, bits: u32, big_endian: bool) {
    let length = bits as usize / 8;
    let distance = samples_per_pixel * length;
    for at in (distance..row.len()).step_by(length) {
        let mut carry = false;
        for i in 0..length {
            // From the least significant byte on.
            let byte = at + if big_endian { length - 1 - i } else { i };
            let (sum, first) = row[byte].overflowing_add(row[byte - distance]);
            let (sum, second) = sum.overflowing_add(carry.into());
            row[byte] = sum;
            carry = first | second;
        }
    }
}
