//! The planes of decoded pictures, put together from tiles.

use re_rav1d::dav1d::{
    Picture, PixelLayout, PlanarImageComponent,
    pixel::{MatrixCoefficients, YUVRange},
};

use crate::RenderError;

/// Luma, Cb and Cr of a picture.
pub(in crate::codecs) struct Planes {
    /// Width and height in pixels.
    pub(in crate::codecs) size: (u32, u32),
    pub(in crate::codecs) layout: PixelLayout,
    /// Bits of a sample, 8 to 12.
    pub(in crate::codecs) bits: usize,
    /// Whether samples use the full range, by the header of the AV1 data.
    pub(in crate::codecs) full_range: bool,
    /// Matrix coefficients (ITU-T H.273) by the header of the AV1 data.
    pub(in crate::codecs) matrix: u16,
    /// Rows from the top. Cb and Cr are empty where there is luma only.
    pub(in crate::codecs) samples: [Vec<u16>; 3],
}

const COMPONENTS: [PlanarImageComponent; 3] =
    [PlanarImageComponent::Y, PlanarImageComponent::U, PlanarImageComponent::V];

impl Planes {
    /// Black planes for tiles like this one.
    fn like(tile: &Picture, size: (u32, u32), luma_only: bool) -> Self {
        let layout = if luma_only { PixelLayout::I400 } else { tile.pixel_layout() };
        let mut planes = Self {
            size,
            layout,
            bits: tile.bits_per_component().map_or(8, |bits| bits.0),
            full_range: tile.color_range() == YUVRange::Full,
            matrix: code_point(tile.matrix_coefficients()),
            samples: [Vec::new(), Vec::new(), Vec::new()],
        };
        let count = if layout == PixelLayout::I400 { 1 } else { 3 };
        for index in 0..count {
            let (width, height) = planes.plane_size(index);
            planes.samples[index] = vec![0; width * height];
        }
        planes
    }

    /// The planes of a picture of `size`: the upper left part of the tiles, which follow each other row by row. `luma_only` leaves
    /// the chroma of an alpha channel out.
    pub(super) fn of_tiles(
        tiles: impl Iterator<Item = Result<Picture, RenderError>>,
        columns: u32,
        size: (u32, u32),
        luma_only: bool,
    ) -> Result<Self, RenderError> {
        let mut planes: Option<Self> = None;
        for (index, tile) in (0..).zip(tiles) {
            let tile = tile?;
            let planes = planes.get_or_insert_with(|| Self::like(&tile, size, luma_only));
            planes.copy(&tile, (index % columns * tile.width(), index / columns * tile.height()))?;
        }
        planes.ok_or_else(|| RenderError::truncated("AVIF", "no tile"))
    }

    /// Copies a tile to this place, clipped.
    fn copy(&mut self, tile: &Picture, (left, top): (u32, u32)) -> Result<(), RenderError> {
        let is_luma = self.layout == PixelLayout::I400;
        let bits = tile.bits_per_component().map_or(8, |bits| bits.0);
        if bits != self.bits || (!is_luma && tile.pixel_layout() != self.layout) {
            return Err(RenderError::damaged("AVIF", "tiles of different kinds"));
        }
        for (index, component) in COMPONENTS.into_iter().enumerate().take(if is_luma { 1 } else { 3 }) {
            let (width, height) = self.plane_size(index);
            let (halve_x, halve_y) = self.halved(index);
            let scaled = |value: u32, halve: bool| (if halve { value.div_ceil(2) } else { value }) as usize;
            let (left, top) = (scaled(left, halve_x), scaled(top, halve_y));
            let columns = scaled(tile.width(), halve_x).min(width.saturating_sub(left));
            let rows = scaled(tile.height(), halve_y).min(height.saturating_sub(top));
            let (data, stride) = (tile.plane(component), tile.stride(component) as usize);
            for y in 0..rows {
                let row = &mut self.samples[index][(top + y) * width + left..][..columns];
                let source = &data[y * stride..];
                if tile.bit_depth() > 8 {
                    for (sample, bytes) in row.iter_mut().zip(source.chunks_exact(2)) {
                        *sample = u16::from_ne_bytes([bytes[0], bytes[1]]);
                    }
                } else {
                    for (sample, byte) in row.iter_mut().zip(source) {
                        *sample = (*byte).into();
                    }
                }
            }
        }
        Ok(())
    }

    /// Width and height of a plane in samples.
    pub(in crate::codecs) fn plane_size(&self, index: usize) -> (usize, usize) {
        let (halve_x, halve_y) = self.halved(index);
        let side = |length: u32, halve: bool| (if halve { length.div_ceil(2) } else { length }) as usize;
        (side(self.size.0, halve_x), side(self.size.1, halve_y))
    }

    /// Whether a plane has half of the columns and of the rows.
    fn halved(&self, index: usize) -> (bool, bool) {
        match self.layout {
            PixelLayout::I420 => (index > 0, index > 0),
            PixelLayout::I422 => (index > 0, false),
            PixelLayout::I400 | PixelLayout::I444 => (false, false),
        }
    }
}

fn code_point(matrix: MatrixCoefficients) -> u16 {
    match matrix {
        MatrixCoefficients::Identity => 0,
        MatrixCoefficients::BT709 => 1,
        MatrixCoefficients::BT470M => 4,
        MatrixCoefficients::BT470BG | MatrixCoefficients::ST170M => 6,
        MatrixCoefficients::ST240M => 7,
        MatrixCoefficients::YCgCo => 8,
        MatrixCoefficients::BT2020NonConstantLuminance => 9,
        MatrixCoefficients::BT2020ConstantLuminance => 10,
        MatrixCoefficients::ST2085 => 11,
        MatrixCoefficients::ChromaticityDerivedNonConstantLuminance => 12,
        MatrixCoefficients::ChromaticityDerivedConstantLuminance => 13,
        MatrixCoefficients::ICtCp => 14,
        _ => 2,
    }
}
