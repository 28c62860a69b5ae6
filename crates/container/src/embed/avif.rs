//! AVIF: a new container around the same AV1 data.

use std::io::Cursor;

use super::{EmbedError, EmbeddedMetadata};
use crate::{
    avif_container::{self, Contents},
    header::{
        self,
        heif::{Coded, concat_extents},
    },
};

/// Writes the AV1 data into a new container with this metadata. Of the profile only the gamut is stored, as code points.
///
/// # Errors
/// [`EmbedError`] where the file is not a valid one.
pub fn embed_in_avif(file: Vec<u8>, metadata: &EmbeddedMetadata) -> Result<Vec<u8>, EmbedError> {
    if metadata.is_empty() {
        return Ok(file);
    }
    let layout = header::avif_layout(&mut Cursor::new(&file))?;
    // Our own files have no grids.
    let data = |coded: &Coded| {
        let extents = coded.tiles.first().and_then(|extents| concat_extents(&file, extents));
        extents.ok_or_else(|| EmbedError::bug("the AVIF has no AV1 data"))
    };
    let (colour, alpha) = (data(&layout.colour)?, layout.alpha.as_ref().map(data).transpose()?);
    let contents = Contents {
        size: layout.coded_size,
        monochrome: layout.monochrome,
        colour: &colour,
        alpha: alpha.as_deref(),
        gamut: metadata.gamut,
        exif: metadata.exif.as_deref(),
    };
    Ok(avif_container::write(&contents)?)
}
