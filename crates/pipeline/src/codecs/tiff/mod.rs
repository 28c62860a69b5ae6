//! TIFF (revision 6.0): the picture of its directory. Which kinds are read is decided by `darkroom_container`, before anything is
//! decoded.
//!
//! ```text
//! strips or tiles ─► decompression ─► predictor ─► YCbCr to RGB ─► samples ─► pixels
//! chunk              compression      predictor    ycbcr           samples    pixels
//!                    fax
//! ```

mod chunk;
mod compression;
mod fax;
mod pixels;
mod predictor;
mod samples;
#[cfg(test)]
mod tests;
mod ycbcr;

use std::io::Cursor;

use darkroom_container::header::{
    Header,
    tiff::{Layout, Photometric},
    tiff_layout,
};
use darkroom_raster::{Channels, Orientation, Raster, Samples};

use self::{chunk::ChunkReader, pixels::PixelWriter};
use super::codec::{Codec, DecodeRequest, Decoded, Metadata, check_size};
use crate::{
    RenderError,
    colour::{ColourSpace, MAX_PROFILE},
};

pub(super) struct TiffCodec;

fn damaged(cause: &'static str) -> RenderError {
    RenderError::damaged("TIFF", cause)
}

impl Codec for TiffCodec {
    fn metadata(&self, file: &[u8], _: &Header) -> Result<Metadata, RenderError> {
        let layout = tiff_layout(&mut Cursor::new(file))?;
        let profile = layout.profile.and_then(|values| values.bytes(file)).filter(|p| p.len() <= MAX_PROFILE);
        let profile = profile.map(<[u8]>::to_vec);
        let is_cmyk = layout.photometric == Photometric::Cmyk;
        let (cmyk_profile, profile) = if is_cmyk { (profile, None) } else { (None, profile) };
        Ok(Metadata {
            orientation: Orientation::from_tag(layout.orientation),
            colour_space: profile.map_or(ColourSpace::Srgb, ColourSpace::Icc),
            cmyk_profile,
            ..Metadata::default()
        })
    }

    /// The whole file: its directory holds the same tags as an EXIF block.
    fn exif(&self, file: &[u8], _: &Header) -> Option<Vec<u8>> {
        Some(file.to_vec())
    }

    fn decode(&self, file: &[u8], header: &Header, request: &DecodeRequest<'_>) -> Result<Decoded, RenderError> {
        let layout = tiff_layout(&mut Cursor::new(file))?;
        check_size(header, (layout.width, layout.height), "TIFF")?;
        let channels = match (layout.photometric, layout.alpha.is_some()) {
            (Photometric::WhiteIsZero | Photometric::BlackIsZero, false) => Channels::Gray,
            (Photometric::WhiteIsZero | Photometric::BlackIsZero, true) => Channels::GrayAlpha,
            (_, false) => Channels::Rgb,
            (_, true) => Channels::Rgba,
        };
        let writer = PixelWriter::new(&layout, file, request.metadata.cmyk_profile.as_deref());
        let chunks = ChunkReader { file, layout: &layout, max_scans: request.max_scans };
        // A palette and ink are converted to 8 bits.
        let sixteen = layout.bits > 8 && layout.photometric != Photometric::Cmyk;
        let samples = if sixteen {
            let mut raster = Raster::new(layout.width, layout.height, channels);
            read(&layout, &chunks, &mut raster, |values, pixels| {
                writer.write_16(values, pixels);
                Ok(())
            })?;
            Samples::Sixteen(raster)
        } else {
            let mut raster = Raster::new(layout.width, layout.height, channels);
            read(&layout, &chunks, &mut raster, |values, pixels| writer.write_8(values, pixels))?;
            Samples::Eight(raster)
        };
        Ok(samples.into())
    }
}

/// Reads all chunks. `write` gets the samples of a row of a chunk, and the pixels of the raster that they become.
fn read<T: Copy + Default>(
    layout: &Layout,
    chunks: &ChunkReader<'_>,
    raster: &mut Raster<T>,
    mut write: impl FnMut(&mut [u16], &mut [T]) -> Result<(), RenderError>,
) -> Result<(), RenderError> {
    let count = raster.channels.count();
    let row_length = raster.row_length();
    let (chunk_width, chunk_height) = (layout.chunks.width, layout.chunks.height);
    let mut values = Vec::new();
    for (row, top) in (0..).zip((0..layout.height).step_by(chunk_height as usize)) {
        for (column, left) in (0..).zip((0..layout.width).step_by(chunk_width as usize)) {
            let chunk = chunks.read(column, row)?;
            let (columns, rows) = (chunk_width.min(layout.width - left), chunk_height.min(layout.height - top));
            for y in 0..rows {
                chunk.samples(y, &mut values)?;
                let used = columns as usize * chunk.samples_per_pixel;
                let values = values.get_mut(..used).ok_or_else(|| damaged("a row is too short"))?;
                let start = (top + y) as usize * row_length + left as usize * count;
                write(values, &mut raster.samples[start..start + columns as usize * count])?;
            }
        }
    }
    Ok(())
}
