//! Strips and tiles (TIFF 6.0, sections 3 and 15): found in the file and decompressed.

use std::borrow::Cow;

use darkroom_container::header::tiff::{Compression, Layout, Photometric};

use super::{compression, damaged, predictor, samples, ycbcr};
use crate::{RenderError, codecs::jpeg::libjpeg};

/// Bytes of compressed data for each byte of samples that are looked at: more than any code needs, so that chunks that overlap in
/// the file cost no more than others.
const MAX_EXPANSION: usize = 16;

/// Reads the chunks of a picture.
pub(super) struct ChunkReader<'a> {
    pub(super) file: &'a [u8],
    pub(super) layout: &'a Layout,
    pub(super) max_scans: u32,
}

/// A decompressed chunk: one plane with all samples of each pixel, or a plane for each of them.
pub(super) struct Chunk {
    planes: Vec<Vec<u8>>,
    /// The samples of a pixel that [`Chunk::samples`] returns.
    pub(super) samples_per_pixel: usize,
    /// In pixels.
    width: usize,
    bits: u32,
    big_endian: bool,
}

impl Chunk {
    /// The samples of row `y`, interleaved: 8 bits and fewer as they are stored, and the 16 highest bits of others.
    pub(super) fn samples(&self, y: u32, values: &mut Vec<u16>) -> Result<(), RenderError> {
        let in_plane = self.samples_per_pixel / self.planes.len();
        let length = samples::row_bytes(self.width * in_plane, self.bits);
        values.resize(self.width * self.samples_per_pixel, 0);
        for (first, plane) in self.planes.iter().enumerate() {
            let start = y as usize * length;
            let row = plane.get(start..start + length).ok_or_else(|| damaged("a strip or tile is too short"))?;
            let values = values[first..].iter_mut().step_by(self.planes.len());
            samples::unpack(row, self.bits, self.big_endian, values);
        }
        Ok(())
    }
}

impl ChunkReader<'_> {
    /// The chunk at this column and row of chunks.
    pub(super) fn read(&self, column: u32, row: u32) -> Result<Chunk, RenderError> {
        let layout = self.layout;
        let across = layout.width.div_ceil(layout.chunks.width);
        let down = layout.height.div_ceil(layout.chunks.height);
        let index = u64::from(row) * u64::from(across) + u64::from(column);
        let plane_length = u64::from(across) * u64::from(down);
        let full = layout.chunks.height;
        // The last strip ends with the picture.
        let rows = if layout.chunks.tiled { full } else { full.min(layout.height - row * full) };
        let planes = if layout.planar { layout.samples } else { 1 };
        let planes: Result<Vec<Vec<u8>>, RenderError> = (0..planes)
            .map(|plane| {
                let index = u32::try_from(index + u64::from(plane) * plane_length);
                self.plane(index.map_err(|_| damaged("too many strips or tiles"))?, rows)
            })
            .collect();
        Ok(Chunk {
            planes: planes?,
            samples_per_pixel: layout.samples as usize,
            width: layout.chunks.width as usize,
            bits: layout.bits,
            // The predictor has left samples in the file's byte order.
            big_endian: layout.big_endian,
        })
    }

    /// The samples of the chunk at this index in the directory.
    fn plane(&self, index: u32, rows: u32) -> Result<Vec<u8>, RenderError> {
        let layout = self.layout;
        let in_plane = if layout.planar { 1 } else { layout.samples };
        let width = layout.chunks.width;
        let data = self.data(index)?;
        let subsampling = match layout.photometric {
            Photometric::YCbCr { subsampling, .. } if layout.compression != Compression::Jpeg => Some(subsampling),
            _ => None,
        };
        if layout.compression == Compression::Jpeg {
            let is_ycbcr = matches!(layout.photometric, Photometric::YCbCr { .. }) && in_plane == 3;
            let file = self.whole_jpeg(data);
            let size = (width, rows, layout.chunks.height);
            return libjpeg::decode_in_tiff(&file, size, (in_plane, is_ycbcr), self.max_scans);
        }
        let length = match subsampling {
            Some(subsampling) if !layout.planar => ycbcr::coded_length((width, rows), subsampling),
            _ => samples::row_bytes(width as usize * in_plane as usize, layout.bits) * rows as usize,
        };
        let data = &data[..data.len().min(length.saturating_mul(MAX_EXPANSION).saturating_add(1 << 16))];
        let data = if layout.reversed_bits {
            Cow::Owned(data.iter().map(|byte| byte.reverse_bits()).collect())
        } else {
            Cow::Borrowed(data)
        };
        let mut samples = compression::decompress(layout.compression, &data, (width, rows), length)?;
        if layout.horizontal_predictor {
            let row_length = length / rows as usize;
            for row in samples.chunks_exact_mut(row_length) {
                predictor::undo(row, in_plane as usize, layout.bits, layout.big_endian);
            }
        }
        Ok(match layout.photometric {
            Photometric::YCbCr { subsampling, .. } if !layout.planar => {
                ycbcr::upsample(&samples, (width, rows), subsampling)
            }
            _ => samples,
        })
    }

    /// The data of a chunk as the file has it.
    fn data(&self, index: u32) -> Result<&[u8], RenderError> {
        let missing = || RenderError::truncated("TIFF", "a strip or tile is missing");
        let chunks = &self.layout.chunks;
        let offset = chunks.offsets.get(self.file, index).ok_or_else(missing)? as usize;
        let rest = self.file.get(offset..).ok_or_else(missing)?;
        match chunks.byte_counts.and_then(|counts| counts.get(self.file, index)) {
            Some(count) if count > 0 => rest.get(..count as usize).ok_or_else(missing),
            // Old writers have no lengths.
            _ => Ok(rest),
        }
    }

    /// A JPEG with the tables that all chunks share (TIFF Technical Note 2): those between SOI and EOI are inserted after its SOI.
    fn whole_jpeg<'a>(&self, data: &'a [u8]) -> Cow<'a, [u8]> {
        let tables = self.layout.jpeg_tables.and_then(|values| values.bytes(self.file));
        match (tables, data.strip_prefix(b"\xFF\xD8")) {
            (Some([0xFF, 0xD8, tables @ .., 0xFF, 0xD9]), Some(rest)) => [b"\xFF\xD8", tables, rest].concat().into(),
            _ => data.into(),
        }
    }
}
