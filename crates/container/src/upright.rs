//! The size of a picture after the orientation that its file asks for.

use std::io::Cursor;

use darkroom_model::SourceFormat;

use crate::{
    exif,
    header::{self, Header},
    jpeg_segments, png_chunks, webp_chunks,
};

/// Width and height of the upright picture in pixels. `file` is a file that [`header::read`] has accepted, `header` what it
/// returned. A part of the file that cannot be read turns nothing.
#[must_use]
pub fn size(file: &[u8], header: &Header) -> (u32, u32) {
    if is_transposed(file, header.format) { (header.height, header.width) } else { (header.width, header.height) }
}

/// Whether the orientation exchanges width and height.
fn is_transposed(file: &[u8], format: SourceFormat) -> bool {
    let tag = match format {
        SourceFormat::Jpeg => jpeg_segments::exif(file).map(exif::orientation),
        // Decoders ignore what follows the pixels.
        SourceFormat::Png => {
            let mut before_pixels = png_chunks::chunks(file).take_while(|(kind, _)| kind != b"IDAT");
            before_pixels.find(|(kind, _)| kind == b"eXIf").map(|(_, exif)| exif::orientation(exif))
        }
        SourceFormat::Webp => {
            let chunks = webp_chunks::chunks(file).filter(|(fourcc, _)| fourcc == b"EXIF");
            chunks.last().map(|(_, exif)| exif::orientation(exif))
        }
        SourceFormat::Tiff => header::tiff_layout(&mut Cursor::new(file)).ok().map(|layout| layout.orientation),
        // EXIF is ignored beside the properties of the container.
        SourceFormat::Avif | SourceFormat::Heic => {
            return header::avif_layout(&mut Cursor::new(file)).is_ok_and(|layout| layout.turns % 2 == 1);
        }
        // The header of a JPEG XL has its size after orientation; the others have none.
        SourceFormat::Jxl | SourceFormat::Gif | SourceFormat::Bmp => None,
    };
    // Tags 5 to 8 are transpositions (CIPA DC-008-2019, section 4.6.4).
    tag.is_some_and(|tag| (5..=8).contains(&tag))
}
