//! BMP (Windows and OS/2 bitmap).

mod rows;
mod run_length;

use std::io::Cursor;

use darkroom_container::header::{
    Header,
    bmp::{Coding, Layout},
    bmp_layout,
};
use darkroom_raster::{Channels, Raster, Samples};

use super::codec::{Codec, DecodeRequest, Decoded, Metadata, check_size};
use crate::{
    RenderError,
    colour::{ColourSpace, MAX_PROFILE},
};

pub(super) struct BmpCodec;

fn truncated() -> RenderError {
    RenderError::truncated("BMP", "its pixels end too early")
}

impl Codec for BmpCodec {
    /// Only an embedded profile counts: the primaries and curves of the later headers are rarely meant.
    fn metadata(&self, file: &[u8], _: &Header) -> Result<Metadata, RenderError> {
        let layout = bmp_layout(&mut Cursor::new(file))?;
        let profile = layout.profile.and_then(|(offset, length)| {
            let start = usize::try_from(offset).ok()?;
            file.get(start..start.checked_add(length as usize)?).filter(|profile| profile.len() <= MAX_PROFILE)
        });
        let colour_space = profile.map_or(ColourSpace::Srgb, |profile| ColourSpace::Icc(profile.to_vec()));
        Ok(Metadata { colour_space, ..Metadata::default() })
    }

    fn decode(&self, file: &[u8], header: &Header, _: &DecodeRequest<'_>) -> Result<Decoded, RenderError> {
        let layout = bmp_layout(&mut Cursor::new(file))?;
        check_size(header, (layout.width, layout.height), "BMP")?;
        let start = usize::try_from(layout.pixels).unwrap_or(usize::MAX);
        let pixels = file.get(start..).ok_or_else(truncated)?;
        let palette = palette(&layout, file)?;
        let raster = match layout.coding {
            Coding::Rows => rows::decode(&layout, &palette, pixels)?,
            Coding::RunLength => run_length::decode(&layout, &palette, pixels)?,
        };
        Ok(Samples::Eight(raster).into())
    }
}

/// The colours that a pixel can name. Those that the file does not have are black, as in browsers.
fn palette(layout: &Layout, file: &[u8]) -> Result<Vec<[u8; 3]>, RenderError> {
    if layout.bits > 8 {
        return Ok(Vec::new());
    }
    let bytes = layout.palette.colour_bytes as usize;
    let start = usize::try_from(layout.palette.offset).unwrap_or(usize::MAX);
    let length = layout.palette.colours as usize * bytes;
    let colours = file.get(start..start.saturating_add(length)).ok_or_else(truncated)?;
    let mut palette: Vec<[u8; 3]> =
        colours.chunks_exact(bytes).map(|colour| [colour[2], colour[1], colour[0]]).collect();
    palette.resize(1 << layout.bits, [0; 3]);
    Ok(palette)
}

/// The index in the raster of row `y` of the file.
fn row_in_raster(layout: &Layout, y: u32) -> usize {
    (if layout.top_down { y } else { layout.height - 1 - y }) as usize
}

/// An empty raster of a layout.
fn new_raster(layout: &Layout, channels: Channels) -> Raster<u8> {
    Raster::new(layout.width, layout.height, channels)
}
