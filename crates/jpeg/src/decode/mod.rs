//! JPEG at one to four eighths of its size, for what is made smaller anyway.
//!
//! For the usual files only: one scan of Huffman codes, gray or in luminance and colour differences, without a fault. Of
//! others nothing is shown, and libjpeg reads them. Here, frequencies that fewer samples cannot show are passed over, where
//! libjpeg reads and keeps them all; and colours that the file has at half the resolution need not be enlarged.
//!
//! The steps in their order: [`frame`] reads what stands before the scan, [`units`] and [`entropy`] its frequencies with
//! the tables of [`code`], [`inverse`] makes samples of these, and [`pixels`] pixels.
#![allow(clippy::inline_always)] // what is inlined is compiled for the vectors of its caller

mod code;
mod entropy;
mod frame;
mod inverse;
mod pixels;
mod units;

use self::{
    entropy::Data,
    frame::Frame,
    inverse::{Batch, LANES, Rows, WIDTH},
    units::Units,
};
use darkroom_raster::{
    Channels, Raster,
    simd::{SimdKernel, dispatch},
};

/// Decodes a baseline JPEG at `eighths` eighths of its size, 1 to 4. `None` for a file that is unusual or damaged, or whose
/// frame header says another `size` (width and height in pixels): such a file needs a decoder that reads all of JPEG.
#[must_use]
pub fn decode_reduced(bytes: &[u8], size: (u32, u32), eighths: u32) -> Option<Raster<u8>> {
    let (frame, coded) = Frame::read(bytes, eighths)?;
    if (frame.width, frame.height) != size {
        return None;
    }
    let data = Data::new(coded, frame.intervals())?;
    dispatch(Decoding { frame: &frame, data: &data, eighths })
}

struct Decoding<'a> {
    frame: &'a Frame,
    data: &'a Data,
    eighths: u32,
}

impl SimdKernel for Decoding<'_> {
    type Output = Option<Raster<u8>>;

    #[inline(always)]
    fn run(self) -> Self::Output {
        let Self { frame, data, eighths } = self;
        let side = |length: u32| (length * eighths).div_ceil(8);
        let channels = if frame.components.len() == 1 { Channels::Gray } else { Channels::Rgb };
        let mut raster = Raster::new(side(frame.width), side(frame.height), channels);
        // Of a unit, in samples.
        let (width, height) = (frame.most.0 * eighths as usize, frame.most.1 * eighths as usize);
        let row_length = raster.row_length();

        let mut units = Units::new(frame, data)?;
        let batches = |blocks: (usize, usize)| (0..blocks.0 * blocks.1).map(|_| Batch::new()).collect();
        let mut batches: Vec<Vec<Batch>> = frame.components.iter().map(|component| batches(component.blocks)).collect();
        let mut samples: Vec<Rows> = vec![[[0.0; WIDTH]; 8]; frame.components.len()];
        for rows in raster.samples.chunks_mut(row_length * height) {
            for first in (0..frame.units.0).step_by(LANES) {
                for unit in 0..LANES.min(frame.units.0 - first) {
                    units.read(&mut batches, unit)?;
                }
                for ((component, batches), samples) in frame.components.iter().zip(&mut batches).zip(&mut samples) {
                    component.inverse.run(batches, component.blocks.0, samples);
                }
                let start = first * width * channels.count();
                let end = row_length.min(start + LANES * width * channels.count());
                for (y, row) in rows.chunks_exact_mut(row_length).enumerate() {
                    let row = &mut row[start..end];
                    match samples.as_slice() {
                        [luminance, blue, red] => pixels::colours(&luminance[y], &blue[y], &red[y], row),
                        [luminance, ..] => pixels::grays(&luminance[y], row),
                        [] => {}
                    }
                }
            }
        }
        units.are_read().then_some(raster)
    }
}

#[cfg(test)]
mod tests;
