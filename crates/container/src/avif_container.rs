//! Writes AVIF files (AV1 Image File Format 1.1) around AV1 data.

use avif_serialize::{Aviffy, constants};
use darkroom_model::recipe::Gamut;

/// An AVIF file cannot be written: its contents do not fit into one, which is a bug of the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the AVIF container cannot be written: {0}")]
pub struct AvifWriteError(String);

/// The contents of an AVIF file with a single still picture.
#[derive(Clone, Copy, Debug)]
pub struct Contents<'a> {
    /// Width and height in pixels.
    pub size: (u32, u32),
    /// Whether the colour data has luma only.
    pub monochrome: bool,
    /// AV1 data of the colours, 8 bits a sample, 4:4:4 or monochrome, with the matrix coefficients of BT.601.
    pub colour: &'a [u8],
    /// AV1 data of the alpha channel.
    pub alpha: Option<&'a [u8]>,
    /// The colour primaries. They take precedence over those in the AV1 data.
    pub gamut: Gamut,
    /// EXIF as a TIFF structure, without `Exif\0\0`.
    pub exif: Option<&'a [u8]>,
}

/// Writes the file.
///
/// # Errors
/// [`AvifWriteError`] where the contents do not fit into a file.
pub fn write(contents: &Contents<'_>) -> Result<Vec<u8>, AvifWriteError> {
    let primaries = match contents.gamut {
        Gamut::Srgb => constants::ColorPrimaries::Bt709,
        Gamut::P3 => constants::ColorPrimaries::DisplayP3,
    };
    let mut container = Aviffy::new();
    container
        .set_width(contents.size.0)
        .set_height(contents.size.1)
        .set_bit_depth(8)
        .set_color_primaries(primaries)
        .set_matrix_coefficients(constants::MatrixCoefficients::Bt601)
        .set_monochrome(contents.monochrome)
        .set_chroma_subsampling((contents.monochrome, contents.monochrome))
        .set_seq_profile(u8::from(!contents.monochrome));
    if let Some(exif) = contents.exif {
        container.set_exif(exif.to_vec());
    }
    let mut file = Vec::new();
    container
        .write_slice(&mut file, contents.colour, contents.alpha)
        .map_err(|error| AvifWriteError(error.to_string()))?;
    Ok(file)
}
