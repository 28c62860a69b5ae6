//! Which format suits a picture.

use darkroom_shared::image::{Quality, RenditionFormat};

use super::{RenderError, encode::encode, raster::Raster};

/// The part of pixels that must equal their left neighbour for a picture to count as a graphic. Screenshots and
/// drawings have well over a half, photographs a twentieth at most, but for blown-out skies.
const FLAT: f64 = 0.35;

/// What is in JPEG's place for those who cannot show WebP: PNG where the picture is transparent, or where it is a flat
/// graphic and PNG is smaller; so both are made, and the second is returned with the choice.
pub(crate) fn fallback(picture: &Raster<u8>, quality: Quality) -> Result<(RenditionFormat, Vec<u8>), RenderError> {
    use RenditionFormat::{Jpeg, Png};
    if picture.is_transparent() {
        return Ok((Png, encode(picture, Png, quality)?));
    }
    let jpeg = encode(picture, Jpeg, quality)?;
    if is_flat(picture) {
        let png = encode(picture, Png, quality)?;
        if png.len() <= jpeg.len() {
            return Ok((Png, png));
        }
    }
    Ok((Jpeg, jpeg))
}

/// The smallest of the formats that can show the picture. A PNG is only tried where it has a chance.
pub(crate) fn smallest(picture: &Raster<u8>, quality: Quality) -> Result<(RenditionFormat, Vec<u8>), RenderError> {
    use RenditionFormat::{Jpeg, Png, Webp};
    let candidates: &[RenditionFormat] = match (picture.is_transparent(), is_flat(picture)) {
        (true, false) => &[Webp],
        (true, true) => &[Webp, Png],
        (false, false) => &[Webp, Jpeg],
        (false, true) => &[Webp, Jpeg, Png],
    };
    let mut best: Option<(RenditionFormat, Vec<u8>)> = None;
    for format in candidates {
        let bytes = encode(picture, *format, quality)?;
        if best.as_ref().is_none_or(|(_, smallest)| bytes.len() < smallest.len()) {
            best = Some((*format, bytes));
        }
    }
    best.ok_or_else(|| RenderError::bug("there is a candidate"))
}

fn is_flat(picture: &Raster<u8>) -> bool {
    let count = picture.channels.count();
    let same: usize = picture
        .samples
        .chunks_exact(picture.row_length())
        .map(|row| row.chunks_exact(count).zip(row[count..].chunks_exact(count)).filter(|(a, b)| a == b).count())
        .sum();
    let pairs = (picture.width.max(2) - 1) as usize * picture.height as usize;
    #[allow(clippy::cast_precision_loss)] // far below 2^52
    let part = same as f64 / pairs as f64;
    part >= FLAT
}
