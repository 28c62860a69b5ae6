//! The choice of an output format for a picture.

use std::collections::HashSet;

use darkroom_model::{
    RenditionFormat,
    recipe::{Effort, Quality},
};
use darkroom_raster::Raster;

use crate::{
    RenderError,
    codecs::{Encoded, Metadata, encode, output_features},
    cores::SpareCores,
};

// The thresholds were measured on pictures at most 2560 pixels wide: ten of Kodak's test pictures, 16 photographs and four
// screenshots.

/// A graphic has at least this share of pixels inside areas of one colour. Photographs have 0.53 at most (an out-of-focus wall
/// of a studio); screenshots 0.80 to 0.91.
const MIN_FLAT: f64 = 0.67;

/// A graphic has at most this share of pixels that differ a little from their left neighbour. Screenshots have 0.01 to 0.06;
/// photographs 0.17 to 0.90. This tells a photograph on a white background from a drawing on one.
const MAX_GRADUAL: f64 = 0.10;

/// The largest difference of a channel that counts as little.
const GRADUAL_STEP: u8 = 8;

/// A picture of at most 256 colours needs only this share inside areas of one colour: a screenshot over a blurred desktop has
/// 0.50. A photograph reduced to a palette has less, because it is dithered.
const MIN_FLAT_OF_PALETTE: f64 = 0.33;

/// The most colours of a palette (W3C PNG, third edition, section 11.2.2).
const MAX_PALETTE: usize = 256;

/// The most times the bytes of the JPEG that a PNG may have. Screenshots have 0.5 to 4 times.
const MAX_PNG_RATIO: usize = 5;

/// Up to this many pixels, PNG is always a candidate for the smallest file: trying costs little, and icons of any kind are
/// often smallest in it.
const SMALL_PIXELS: u64 = 1 << 17;

/// The fallback for clients without WebP: PNG where the picture is transparent, or where it is a flat graphic, because JPEG
/// blurs text; else JPEG.
pub(crate) fn fallback(
    picture: &Raster<u8>,
    source: &Metadata,
    quality: Quality,
    effort: Effort,
) -> Result<Encoded, RenderError> {
    use RenditionFormat::{Jpeg, Png};
    if !can_show(Jpeg, picture) {
        return encode(picture, Png, quality, effort);
    }
    let jpeg = encode(picture, Jpeg, quality, effort)?;
    if is_flat(picture, source) {
        let png = encode(picture, Png, quality, effort)?;
        if png.bytes.len() <= MAX_PNG_RATIO * jpeg.bytes.len() {
            return Ok(png);
        }
    }
    Ok(jpeg)
}

/// The smallest file of WebP, JPEG and PNG; of equal sizes the first of these. JPEG is tried for opaque pictures, PNG for small
/// ones and flat graphics. AVIF is not tried: it takes six times as long as WebP.
pub(crate) fn smallest(
    picture: &Raster<u8>,
    source: &Metadata,
    quality: Quality,
    effort: Effort,
    cores: &SpareCores,
) -> Result<Encoded, RenderError> {
    use RenditionFormat::{Jpeg, Png, Webp};
    let encode = |format| encode(picture, format, quality, effort);
    let others = || {
        let mut others = Vec::new();
        if can_show(Jpeg, picture) {
            others.push(encode(Jpeg)?);
        }
        let small = u64::from(picture.width) * u64::from(picture.height) <= SMALL_PIXELS;
        if small || is_flat(picture, source) {
            others.push(encode(Png)?);
        }
        Ok(others)
    };
    let (webp, others) = cores.join(|| encode(Webp), others)?;
    let smaller = |best: Encoded, file: Encoded| if file.bytes.len() < best.bytes.len() { file } else { best };
    Ok(others.into_iter().fold(webp, smaller))
}

fn can_show(format: RenditionFormat, picture: &Raster<u8>) -> bool {
    output_features(format).alpha || !picture.is_transparent()
}

/// Whether most of the picture is areas of one colour with sharp edges. Never where the source has block artefacts: its edges
/// are blurred already, and strongly compressed blocks are areas of one colour.
fn is_flat(picture: &Raster<u8>, source: &Metadata) -> bool {
    if source.has_block_artefacts {
        return false;
    }
    let Neighbours { flat, gradual } = Neighbours::of(picture);
    // Every gray picture has at most 256 colours, photographs too.
    let from_palette = || !picture.is_gray() && has_few_colours(picture);
    (flat >= MIN_FLAT && gradual <= MAX_GRADUAL) || (flat >= MIN_FLAT_OF_PALETTE && from_palette())
}

/// How pixels compare with their neighbours, as shares of all pixels with a left and an upper neighbour.
struct Neighbours {
    /// Equal to the left, upper and upper left neighbours.
    flat: f64,
    /// Different from the left neighbour by at most [`GRADUAL_STEP`].
    gradual: f64,
}

impl Neighbours {
    fn of(picture: &Raster<u8>) -> Self {
        let count = picture.channels.count();
        let near = |a: &[u8], b: &[u8]| a.iter().zip(b).all(|(a, b)| a.abs_diff(*b) <= GRADUAL_STEP);
        let (mut flat, mut gradual) = (0_u32, 0_u32);
        let rows = || picture.samples.chunks_exact(picture.row_length());
        for (above, row) in rows().zip(rows().skip(1)) {
            let pairs = row.windows(2 * count).step_by(count).zip(above.windows(2 * count).step_by(count));
            for (pair, pair_above) in pairs {
                let (left, pixel) = pair.split_at(count);
                if left != pixel {
                    gradual += u32::from(near(left, pixel));
                } else if pair == pair_above {
                    flat += 1;
                }
            }
        }
        let all = f64::from(picture.width.max(2) - 1) * f64::from(picture.height.max(2) - 1);
        Self { flat: f64::from(flat) / all, gradual: f64::from(gradual) / all }
    }
}

/// Whether the picture has at most [`MAX_PALETTE`] colours.
fn has_few_colours(picture: &Raster<u8>) -> bool {
    let mut colours = HashSet::new();
    picture.pixels().all(|pixel| !colours.insert(pixel) || colours.len() <= MAX_PALETTE)
}
