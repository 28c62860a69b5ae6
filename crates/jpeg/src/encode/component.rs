//! The components of a picture, as blocks of quantized coefficients (T.81, section A.2).
#![allow(clippy::inline_always)] // Inlined code is compiled with the target features of its caller.

use darkroom_raster::{Channels, Raster};

use super::{
    block::Block,
    colour_conversion::ComponentPlanes,
    fdct::{Fdct, Matrix},
    quantization::Quantizer,
};

/// A component: Y, Cb or Cr.
pub(super) struct Component {
    /// Blocks in a row that contain samples of the picture; a non-interleaved scan codes only these (T.81, section A.2.2).
    pub(super) width: usize,
    /// Rows of blocks that contain samples of the picture.
    pub(super) height: usize,
    /// Blocks in a row including those that complete the last MCU.
    pub(super) stride: usize,
    /// The horizontal and the vertical sampling factor, which are equal: an MCU has its square of blocks.
    pub(super) sampling_factor: usize,
    /// All blocks, row by row.
    pub(super) blocks: Vec<Block>,
}

/// Transforms and quantizes a picture without alpha. Chroma is subsampled 2×2 where `subsample_chroma` is set.
#[inline(always)]
pub(super) fn quantized_components(
    picture: &Raster<u8>,
    subsample_chroma: bool,
    quantizers: &[Quantizer; 2],
) -> Vec<Component> {
    let (count, luma_factor) = match picture.channels {
        Channels::Rgb | Channels::Rgba => (3, if subsample_chroma { 2 } else { 1 }),
        Channels::Gray | Channels::GrayAlpha => (1, 1),
    };
    let (width, height) = (picture.width as usize, picture.height as usize);
    let (mcus_per_row, mcu_rows) = (width.div_ceil(8 * luma_factor), height.div_ceil(8 * luma_factor));
    let mut components: Vec<Component> = (0..count)
        .map(|number| {
            let (sampling_factor, subsampling) = if number == 0 { (luma_factor, 1) } else { (1, luma_factor) };
            let blocks = Vec::with_capacity(mcus_per_row * mcu_rows * sampling_factor * sampling_factor);
            let [width, height] = [width, height].map(|length| length.div_ceil(8 * subsampling));
            Component { width, height, stride: mcus_per_row * sampling_factor, sampling_factor, blocks }
        })
        .collect();
    let fdct = Fdct::new();
    let mut planes = ComponentPlanes::new(mcus_per_row * 8 * luma_factor, 8 * luma_factor, count, luma_factor > 1);
    for mcu_row in 0..mcu_rows {
        planes.fill(picture, mcu_row * 8 * luma_factor);
        for (number, component) in components.iter_mut().enumerate() {
            let quantizer = &quantizers[number.min(1)];
            let (samples, stride) = planes.plane(number, luma_factor > component.sampling_factor);
            for rows in samples.chunks_exact(8 * stride) {
                for x in 0..component.stride {
                    let block: Matrix = std::array::from_fn(|y| {
                        let row = &rows[y * stride + x * 8..][..8];
                        std::array::from_fn(|i| row[i])
                    });
                    component.blocks.push(quantizer.quantize(&fdct.transform(&block)));
                }
            }
        }
    }
    components
}
