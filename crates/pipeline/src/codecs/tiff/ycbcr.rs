//! YCbCr (TIFF 6.0, section 21): data units of some luma samples and one of each chroma component, to RGB.

/// The length in bytes of a chunk of this size: its data units are whole.
pub(super) fn coded_length((width, height): (u32, u32), (h, v): (u32, u32)) -> usize {
    let units = width.div_ceil(h) as usize * height.div_ceil(v) as usize;
    units * (h * v + 2) as usize
}

/// Repeats chroma: three samples for each pixel. `units` has [`coded_length`] bytes.
pub(super) fn upsample(units: &[u8], (width, height): (u32, u32), (h, v): (u32, u32)) -> Vec<u8> {
    let (width, h, v) = (width as usize, h as usize, v as usize);
    let unit_length = h * v + 2;
    let units_in_row = width.div_ceil(h);
    let mut samples = Vec::with_capacity(width * height as usize * 3);
    for y in 0..height as usize {
        let row = &units[y / v * units_in_row * unit_length..][..units_in_row * unit_length];
        for x in 0..width {
            let unit = &row[x / h * unit_length..][..unit_length];
            samples.extend([unit[y % v * h + x % h], unit[h * v], unit[h * v + 1]]);
        }
    }
    samples
}

/// The conversion of one pixel.
pub(super) struct ToRgb {
    coefficients: [f32; 3],
    reference: [f32; 6],
}

impl ToRgb {
    pub(super) fn new(coefficients: [f32; 3], reference: [f32; 6]) -> Self {
        Self { coefficients, reference }
    }

    /// From codes of 8 bits.
    pub(super) fn convert(&self, codes: [u16; 3]) -> [u8; 3] {
        let [red_weight, green_weight, blue_weight] = self.coefficients;
        let range = |i: usize, size: f32| {
            let [black, white] = [self.reference[2 * i], self.reference[2 * i + 1]];
            (f32::from(codes[i]) - black) * size / (white - black)
        };
        let (luma, cb, cr) = (range(0, 255.0), range(1, 127.0), range(2, 127.0));
        let red = luma + cr * (2.0 - 2.0 * red_weight);
        let blue = luma + cb * (2.0 - 2.0 * blue_weight);
        let green = (luma - blue_weight * blue - red_weight * red) / green_weight;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        [red, green, blue].map(|value| value.round() as u8)
    }
}
