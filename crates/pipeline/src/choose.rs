//! Which format suits a picture.

use std::collections::HashSet;

use darkroom_model::{
    RenditionFormat, SourceFormat,
    recipe::{Effort, Quality},
};

use darkroom_raster::Raster;

use crate::{
    RenderError,
    codecs::encode::{Encoded, encode},
    cores::SpareCores,
};

// Measured on pictures at most 2560 pixels wide: ten of Kodak's test pictures, 16 photographs and four screenshots.

/// The part of pixels that must lie within an area of one colour. Photographs have 0.53 at most, where a studio's wall
/// is out of focus; screenshots 0.80 to 0.91.
const WITHIN: f64 = 0.67;

/// The part of pixels that may differ from their left neighbour by a little. Screenshots have 0.01 to 0.06;
/// photographs 0.17 to 0.90. This tells a photograph on a white ground from a drawing on one.
const GENTLE: f64 = 0.10;

/// How little is a little, in steps of a channel.
const STEP: u8 = 8;

/// A picture that a palette can hold needs only this part within areas: the one screenshot over a blurred desktop has
/// 0.50 and keeps its sharp letters so. A photograph reduced to a palette has less, because it is dithered.
const WITHIN_PALETTE: f64 = 0.33;

/// The colours of a palette (W3C PNG, third edition, section 11.2.2).
const PALETTE: usize = 256;

/// A PNG may have so many times the bytes of the JPEG. Screenshots need 0.5 to 4 times as many.
const AT_MOST: usize = 5;

/// Up to so many pixels a PNG is always tried where the smallest file is wanted: it costs little, and icons, whatever
/// their look, are often smallest so.
const TINY: u64 = 1 << 17;

/// What is in JPEG's place for those who cannot show WebP: PNG where the picture is transparent, or where it is a flat
/// graphic, because JPEG smears letters; JPEG for all else. `source` is what the picture came from.
pub(crate) fn fallback(
    picture: &Raster<u8>,
    source: SourceFormat,
    quality: Quality,
    effort: Effort,
) -> Result<Encoded, RenderError> {
    use RenditionFormat::{Jpeg, Png};
    if picture.is_transparent() {
        return Ok((Png, encode(picture, Png, quality, effort)?));
    }
    let jpeg = encode(picture, Jpeg, quality, effort)?;
    if is_flat(picture, source) {
        let png = encode(picture, Png, quality, effort)?;
        if png.len() <= AT_MOST * jpeg.len() {
            return Ok((Png, png));
        }
    }
    Ok((Jpeg, jpeg))
}

/// The smallest of the formats that can show the picture. A PNG is only tried where it has a chance, and AVIF not at
/// all: it takes six times as long as WebP. Of files of one size it is the WebP, then the JPEG.
pub(crate) fn smallest(
    picture: &Raster<u8>,
    source: SourceFormat,
    quality: Quality,
    effort: Effort,
    cores: &SpareCores,
) -> Result<Encoded, RenderError> {
    use RenditionFormat::{Jpeg, Png, Webp};
    let encoded = |format| encode(picture, format, quality, effort).map(|bytes| (format, bytes));
    let others = || {
        let mut others = Vec::new();
        if !picture.is_transparent() {
            others.push(encoded(Jpeg)?);
        }
        let tiny = u64::from(picture.width) * u64::from(picture.height) <= TINY;
        if tiny || is_flat(picture, source) {
            others.push(encoded(Png)?);
        }
        Ok(others)
    };
    let (webp, others) = cores.both(|| encoded(Webp), others)?;
    Ok(others.into_iter().fold(webp, |best, file| if file.1.len() < best.1.len() { file } else { best }))
}

/// Whether most of the picture is areas of one colour with sharp edges. Never what comes from a JPEG: its edges are
/// smeared already, and where it was saved too often its blocks are areas of one colour.
fn is_flat(picture: &Raster<u8>, source: SourceFormat) -> bool {
    if source == SourceFormat::Jpeg {
        return false;
    }
    let Surface { within, gentle } = Surface::of(picture);
    // 256 grays are all there are, in a photograph too.
    let from_palette = || !picture.is_gray() && has_few_colours(picture);
    (within >= WITHIN && gentle <= GENTLE) || (within >= WITHIN_PALETTE && from_palette())
}

/// How pixels compare with their neighbours, as parts of all that have some.
struct Surface {
    /// Equal to those to the left, above, and above that to the left.
    within: f64,
    /// Not equal to the left one, but nearly.
    gentle: f64,
}

impl Surface {
    fn of(picture: &Raster<u8>) -> Self {
        let count = picture.channels.count();
        let near = |a: &[u8], b: &[u8]| a.iter().zip(b).all(|(a, b)| a.abs_diff(*b) <= STEP);
        let (mut within, mut gentle) = (0_u32, 0_u32);
        let rows = || picture.samples.chunks_exact(picture.row_length());
        for (above, row) in rows().zip(rows().skip(1)) {
            let pairs = row.windows(2 * count).step_by(count).zip(above.windows(2 * count).step_by(count));
            for (pair, pair_above) in pairs {
                let (left, pixel) = pair.split_at(count);
                if left != pixel {
                    gentle += u32::from(near(left, pixel));
                } else if pair == pair_above {
                    within += 1;
                }
            }
        }
        let all = f64::from(picture.width.max(2) - 1) * f64::from(picture.height.max(2) - 1);
        Self { within: f64::from(within) / all, gentle: f64::from(gentle) / all }
    }
}

/// Whether a palette can hold the picture.
fn has_few_colours(picture: &Raster<u8>) -> bool {
    let mut colours = HashSet::new();
    picture.pixels().all(|pixel| !colours.insert(pixel) || colours.len() <= PALETTE)
}
