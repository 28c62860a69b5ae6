//! A baseline JPEG decoder that reconstructs one to four eighths of the size.
//!
//! It reads the common files only: sequential Huffman coding of 8-bit samples in a single scan, grayscale or YCbCr, without
//! an error. It returns [`NotReduced`] for every other file, which the caller passes to a complete decoder. Compared with libjpeg's
//! scaled decoding it saves the AC coefficients that the reduced size does not need, and the upsampling of subsampled chroma
//! components.
//!
//! The stages in their order: [`frame`] parses the marker segments before the scan and [`tables`] their tables,
//! [`entropy_coded_segments`] splits the scan at its restart markers, [`mcu`] and [`data_unit`] decode the coefficients with
//! [`huffman`] and [`ac_lookup`], [`idct`] reconstructs samples, and [`colour_conversion`] makes pixels.
#![allow(clippy::inline_always)] // Inlined code is compiled with the target features of its caller.

mod ac_lookup;
mod bit_reader;
mod colour_conversion;
mod data_unit;
mod entropy_coded_segments;
mod frame;
mod huffman;
mod idct;
mod mcu;
mod tables;

use darkroom_raster::{
    Channels, Raster,
    simd::{SimdKernel, dispatch},
};

use self::{
    entropy_coded_segments::EntropyCodedSegments,
    frame::Frame,
    idct::{BlockBatch, LANES, ROW_CAPACITY, SampleRows},
    mcu::McuReader,
};

/// Decodes a baseline JPEG at `eighths` eighths of its size, 1 to 4.
///
/// `size` is the width and height in pixels that the caller expects from the frame header. The raster has
/// `ceil(width × eighths / 8)` × `ceil(height × eighths / 8)` pixels and one channel for a single component, else RGB.
///
/// The mean light of each block is that of the whole picture, also where the reduced size cannot show its texture.
///
/// # Errors
/// [`NotReduced`]: the file needs a complete decoder.
pub fn decode_reduced(bytes: &[u8], size: (u32, u32), eighths: u32) -> Result<Raster<u8>, NotReduced> {
    let (frame, scan) = Frame::parse(bytes, eighths).ok_or(NotReduced::Unsupported)?;
    if (frame.width, frame.height) != size {
        return Err(NotReduced::Unsupported);
    }
    let segments = EntropyCodedSegments::parse(scan, frame.restart_intervals()).ok_or(NotReduced::Unsupported)?;
    let (raster, added_light) =
        dispatch(ScanDecoder { frame: &frame, segments: &segments, eighths }).ok_or(NotReduced::Unsupported)?;
    if added_light > MAX_ADDED_LIGHT { Err(NotReduced::FineTexture) } else { Ok(raster) }
}

/// The most levels of 255 that are added to the mean of a picture for the light of its texture. Up to here the result is within two
/// levels of the right one. Halftones and resolution charts need more.
const MAX_ADDED_LIGHT: f32 = 9.0;

/// Why a file is not decoded at a reduced size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReduced {
    /// The frame header has another size, or the file is damaged or uses anything but: one scan, sequential DCT, Huffman coding, 8-bit
    /// samples and quantization tables, one component or YCbCr.
    #[error("the file is damaged, or not of the kind that is decoded at a reduced size")]
    Unsupported,
    /// Nearly all of the picture is texture that is too fine for the size: only a decoder of all coefficients gets its light right.
    #[error("the texture of the picture is too fine for the size")]
    FineTexture,
}

/// Decodes a scan to pixels.
struct ScanDecoder<'a> {
    frame: &'a Frame,
    segments: &'a EntropyCodedSegments,
    eighths: u32,
}

impl SimdKernel for ScanDecoder<'_> {
    /// The picture, and how many levels were added to its mean for the light of omitted coefficients.
    type Output = Option<(Raster<u8>, f32)>;

    #[inline(always)]
    fn run(self) -> Self::Output {
        let Self { frame, segments, eighths } = self;
        let reduced = |length: u32| (length * eighths).div_ceil(8);
        let channels = if frame.components.len() == 1 { Channels::Gray } else { Channels::Rgb };
        let mut raster = Raster::new(reduced(frame.width), reduced(frame.height), channels);
        let mcu_width = frame.max_sampling.0 * eighths as usize;
        let mcu_height = frame.max_sampling.1 * eighths as usize;
        let row_length = raster.row_length();

        let mut mcus = McuReader::new(frame, segments)?;
        // For each component, one batch for each data unit of an MCU: a batch holds that data unit of up to `LANES` MCUs.
        let new_batches = |(h, v): (usize, usize)| (0..h * v).map(|_| BlockBatch::new()).collect();
        let mut batches: Vec<Vec<BlockBatch>> =
            frame.components.iter().map(|component| new_batches(component.sampling)).collect();
        let mut samples: Vec<SampleRows> = vec![[[0.0; ROW_CAPACITY]; 8]; frame.components.len()];
        for rows in raster.samples.chunks_mut(row_length * mcu_height) {
            for first_mcu in (0..frame.mcus.0).step_by(LANES) {
                for mcu in 0..LANES.min(frame.mcus.0 - first_mcu) {
                    mcus.read(&mut batches, mcu)?;
                }
                for ((component, batches), samples) in frame.components.iter().zip(&mut batches).zip(&mut samples) {
                    component.idct.run(batches, component.sampling.0, samples);
                }
                let start = first_mcu * mcu_width * channels.count();
                let end = row_length.min(start + LANES * mcu_width * channels.count());
                for (y, row) in rows.chunks_exact_mut(row_length).enumerate() {
                    let row = &mut row[start..end];
                    match samples.as_slice() {
                        [luma, cb, cr] => colour_conversion::ycbcr_to_rgb(&luma[y], &cb[y], &cr[y], row),
                        [luma, ..] => colour_conversion::to_gray(&luma[y], row),
                        [] => {}
                    }
                }
            }
        }
        let added: f32 = batches.first()?.iter().map(|batch| batch.added_light).sum();
        let blocks = frame.mcus.0 * frame.mcus.1 * batches.first()?.len();
        #[expect(clippy::cast_precision_loss, reason = "a mean")]
        mcus.is_exhausted().then_some((raster, added / blocks as f32))
    }
}

#[cfg(test)]
mod tests;
