//! Blocks of eight by eight frequencies, and the components that are made of them.

use super::{
    dct::{Matrix, Transform},
    planes::Planes,
    quantise::Quantiser,
};
use crate::dct::ZIGZAG;
use darkroom_raster::{Channels, Raster};

/// Eight by eight samples as frequencies, in steps.
#[derive(Clone, Copy)]
pub(super) struct Block {
    /// Rows by vertical, columns by horizontal frequency.
    pub(super) levels: [i16; 64],
    /// Which levels are not zero: a bit each, from low to high frequencies.
    pub(super) nonzero: u64,
}

impl Block {
    /// The level of a frequency, told by its place from low to high.
    #[inline(always)]
    pub(super) fn level(&self, index: u32) -> i16 {
        self.levels[place(index)]
    }

    #[inline(always)]
    pub(super) fn level_mut(&mut self, index: u32) -> &mut i16 {
        &mut self.levels[place(index)]
    }
}

/// Where in a block a frequency stands, told by its place from low to high.
#[inline(always)]
pub(super) fn place(index: u32) -> usize {
    usize::from(ZIGZAG[index as usize % 64])
}

/// Luminance, or one of the two colour differences.
pub(super) struct Component {
    /// How many blocks show something of the picture, across and down.
    pub(super) width: usize,
    pub(super) height: usize,
    /// How many blocks a row has: whole units.
    pub(super) stride: usize,
    /// How many blocks a unit has, across and down; a unit is the area of one block of the component with the fewest.
    pub(super) factor: usize,
    pub(super) blocks: Vec<Block>,
}

/// The components of a picture without alpha. `halved` is whether colour may be kept at half the resolution.
#[inline(always)]
pub(super) fn components(picture: &Raster<u8>, halved: bool, quantisers: &[Quantiser; 2]) -> Vec<Component> {
    let (count, factor) = match picture.channels {
        Channels::Rgb | Channels::Rgba => (3, if halved { 2 } else { 1 }),
        Channels::Gray | Channels::GrayAlpha => (1, 1),
    };
    let (width, height) = (picture.width as usize, picture.height as usize);
    let (across, down) = (width.div_ceil(8 * factor), height.div_ceil(8 * factor));
    let mut components: Vec<Component> = (0..count)
        .map(|number| {
            let (factor, reduced) = if number == 0 { (factor, 1) } else { (1, factor) };
            let blocks = Vec::with_capacity(across * down * factor * factor);
            let [width, height] = [width, height].map(|length| length.div_ceil(8 * reduced));
            Component { width, height, stride: across * factor, factor, blocks }
        })
        .collect();
    let transform = Transform::new();
    let mut planes = Planes::new(across * 8 * factor, 8 * factor, count, factor > 1);
    for unit in 0..down {
        planes.fill(picture, unit * 8 * factor);
        for (number, component) in components.iter_mut().enumerate() {
            let quantiser = &quantisers[number.min(1)];
            let (samples, stride) = planes.of(number, factor > component.factor);
            for rows in samples.chunks_exact(8 * stride) {
                for x in 0..component.stride {
                    let block: Matrix = std::array::from_fn(|y| {
                        let row = &rows[y * stride + x * 8..][..8];
                        std::array::from_fn(|i| row[i])
                    });
                    component.blocks.push(quantiser.quantise(&transform.forward(&block)));
                }
            }
        }
    }
    components
}
