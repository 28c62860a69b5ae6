//! BMP.

use crate::Rgb;

/// A bottom-up BMP with 24 bits per pixel.
pub fn bmp(width: u32, height: u32, colour: impl Fn(u32, u32) -> Rgb) -> Vec<u8> {
    let mut rows = Vec::new();
    for y in (0..height).rev() {
        for x in 0..width {
            let [r, g, b] = colour(x, y);
            rows.extend([b, g, r]);
        }
        rows.resize(rows.len().next_multiple_of(4), 0);
    }
    let mut file = b"BM".to_vec();
    for value in [54 + u32::try_from(rows.len()).unwrap_or(0), 0, 54, 40, width, height, 24 << 16 | 1, 0, 0, 0, 0, 0, 0]
    {
        file.extend(value.to_le_bytes());
    }
    file.extend(rows);
    file
}
