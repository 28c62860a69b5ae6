//! AVIF to pixels: the container by `darkroom_container::header::avif`, the AV1 stream by rav1d. Conversion to RGB is in
//! [`super::ycbcr`].
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "values are clamped to 8 or 16 bits before"
)]

use std::io::Cursor;

use darkroom_container::header::{
    self, Header,
    avif::{self, Extents, Layout},
};
use re_rav1d::dav1d::{Decoder, Error, Picture, Settings};

use darkroom_raster::{Orientation, Samples};

use super::ycbcr::{Coding, raster};
use crate::{
    RenderError,
    codecs::codec::{Metadata, check_size},
    colour::{ColourSpace, MAX_PROFILE},
};

/// The orientation comes from the properties `irot` and `imir` alone. EXIF's orientation is ignored, as in browsers: it
/// duplicates them at best.
pub(super) fn metadata(bytes: &[u8]) -> Result<Metadata, RenderError> {
    let layout = layout(bytes)?;
    let colour_space = match (&layout.profile, layout.nclx) {
        (Some(profile), _) if profile.len() <= MAX_PROFILE => ColourSpace::Icc(profile.clone()),
        (_, Some(nclx)) => ColourSpace::from_code_points(nclx.primaries, nclx.transfer),
        _ => ColourSpace::Srgb,
    };
    Ok(Metadata { orientation: orientation(&layout), colour_space, ..Metadata::default() })
}

fn layout(bytes: &[u8]) -> Result<Layout, RenderError> {
    Ok(header::avif_layout(&mut Cursor::new(bytes))?)
}

/// The EXIF item begins with a 32-bit offset from its fifth byte to the TIFF structure (ISO/IEC 23008-12, annex A.2).
pub(super) fn exif_block(bytes: &[u8]) -> Option<Vec<u8>> {
    let data = avif::concat_extents(bytes, &layout(bytes).ok()?.exif?)?;
    let (start, data) = data.split_first_chunk::<4>()?;
    data.get(u32::from_be_bytes(*start) as usize..).map(<[u8]>::to_vec)
}

/// `irot` is applied before `imir` (ISO/IEC 23000-22, section 7.3.6.7).
fn orientation(layout: &Layout) -> Orientation {
    let mut orientation = Orientation::from_tag(match layout.turns {
        1 => 8,
        2 => 3,
        3 => 6,
        _ => 1,
    });
    match layout.mirror {
        Some(0) => orientation.flip = !orientation.flip,
        Some(_) => orientation.mirror = !orientation.mirror,
        None => {}
    }
    orientation
}

pub(super) fn decode(bytes: &[u8], header: &Header) -> Result<Samples, RenderError> {
    let layout = layout(bytes)?;
    let picture = picture(bytes, &layout.colour, header)?;
    let alpha = layout.alpha.as_ref().map(|extents| self::picture(bytes, extents, header)).transpose()?;
    let deep = [Some(&picture), alpha.as_ref()].into_iter().flatten().any(|picture| picture.bit_depth() > 8);
    let coding = Coding::new(&layout, &picture)?;
    Ok(if deep {
        Samples::Sixteen(raster(&picture, alpha.as_ref(), &coding, layout.premultiplied, 65_535.0, |v| v as u16))
    } else {
        Samples::Eight(raster(&picture, alpha.as_ref(), &coding, layout.premultiplied, 255.0, |v| v as u8))
    })
}

/// The most calls for a picture before decoding is given up.
const MAX_POLLS: usize = 1_000;

fn decode_error(error: Error) -> RenderError {
    match error {
        Error::NotEnoughMemory => RenderError::OutOfMemory("the AV1 decoder failed"),
        error => RenderError::damaged("AVIF", error),
    }
}

/// Decodes the first frame of an AV1 stream.
fn picture(bytes: &[u8], extents: &Extents, header: &Header) -> Result<Picture, RenderError> {
    let data = avif::concat_extents(bytes, extents).filter(|data| !data.is_empty());
    let data = data.ok_or_else(|| RenderError::truncated("AVIF", "an extent lies outside of the file"))?;
    let mut settings = Settings::new();
    // Parallelism is over pictures, not within one.
    settings.set_n_threads(1);
    settings.set_max_frame_delay(1);
    settings.set_frame_size_limit(header.width.saturating_mul(header.height));
    let mut decoder = Decoder::with_settings(&settings).map_err(decode_error)?;
    let mut sent = decoder.send_data(data.into_boxed_slice(), None, None, None);
    for _ in 0..MAX_POLLS {
        match (decoder.get_picture(), sent) {
            (Ok(picture), _) => {
                check_size(header, (picture.width(), picture.height()), "AVIF")?;
                return Ok(picture);
            }
            (Err(Error::Again), Err(Error::Again)) => sent = decoder.send_pending_data(),
            (Err(Error::Again), Ok(())) => break,
            (Err(Error::Again), Err(error)) | (Err(error), _) => return Err(decode_error(error)),
        }
    }
    Err(RenderError::truncated("AVIF", "no frame"))
}
