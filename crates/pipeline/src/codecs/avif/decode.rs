//! AVIF to pixels: the container by `darkroom_container::header::heif`, the AV1 stream by [`super::av1`]. Conversion to RGB is in
//! [`super::ycbcr`].
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "values are clamped to 8 or 16 bits before"
)]

use std::io::Cursor;

use darkroom_container::header::{
    self, Header,
    heif::{self, Coded, Layout},
};
use darkroom_raster::{Orientation, Samples};

use super::{
    av1::Av1,
    planes::Planes,
    ycbcr::{Coding, raster},
};
use crate::{
    RenderError,
    codecs::codec::{Animation, AnimationFrame, Metadata, check_size},
    colour::{ColourSpace, MAX_PROFILE},
};

/// The orientation comes from the properties `irot` and `imir` alone. EXIF's orientation is ignored, as in browsers: it
/// duplicates them at best.
pub(in crate::codecs) fn metadata(bytes: &[u8]) -> Result<Metadata, RenderError> {
    let layout = layout(bytes)?;
    let colour_space = match (&layout.profile, layout.nclx) {
        (Some(profile), _) if profile.len() <= MAX_PROFILE => ColourSpace::Icc(profile.clone()),
        (_, Some(nclx)) => ColourSpace::from_code_points(nclx.primaries, nclx.transfer),
        _ => ColourSpace::Srgb,
    };
    Ok(Metadata { orientation: orientation(&layout), colour_space, ..Metadata::default() })
}

pub(in crate::codecs) fn layout(bytes: &[u8]) -> Result<Layout, RenderError> {
    Ok(header::avif_layout(&mut Cursor::new(bytes))?)
}

/// The EXIF item begins with a 32-bit offset from its fifth byte to the TIFF structure (ISO/IEC 23008-12, annex A.2).
pub(in crate::codecs) fn exif_block(bytes: &[u8]) -> Option<Vec<u8>> {
    let data = heif::concat_extents(bytes, &layout(bytes).ok()?.exif?)?;
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

/// Decodes a still picture, or the first frame of a sequence.
pub(super) fn decode(bytes: &[u8], header: &Header) -> Result<Samples, RenderError> {
    let layout = layout(bytes)?;
    check_size(header, layout.size(), "AVIF")?;
    if layout.sequence.is_some() {
        let frame = frames(bytes, layout)?.frames.next();
        return frame
            .unwrap_or_else(|| Err(RenderError::truncated("AVIF", "no frame")))
            .map(|f| Samples::Eight(f.picture));
    }
    let planes = |coded: &Coded, luma_only| {
        let mut decoder = Av1::new(coded.tile_size, layout.operating_point, layout.layer)?;
        let tiles = coded.tiles.iter().map(|extents| decoder.decode(data(bytes, extents)?));
        Planes::of_tiles(tiles, coded.columns, layout.size(), luma_only)
    };
    let picture = planes(&layout.colour, false)?;
    let alpha = layout.alpha.as_ref().map(|alpha| planes(alpha, true)).transpose()?;
    let coding = Coding::new(&layout, &picture)?;
    let deep = picture.bits > 8 || alpha.as_ref().is_some_and(|alpha| alpha.bits > 8);
    Ok(if deep {
        Samples::Sixteen(raster(&picture, alpha.as_ref(), &coding, layout.premultiplied, 65_535.0, |v| v as u16))
    } else {
        Samples::Eight(raster(&picture, alpha.as_ref(), &coding, layout.premultiplied, 255.0, |v| v as u8))
    })
}

fn data(bytes: &[u8], extents: &[(u64, u64)]) -> Result<Vec<u8>, RenderError> {
    let data = heif::concat_extents(bytes, extents);
    data.ok_or_else(|| RenderError::truncated("AVIF", "an extent lies outside of the file"))
}

/// Opens a sequence.
pub(super) fn animation<'a>(bytes: &'a [u8], header: &Header) -> Result<Animation<'a>, RenderError> {
    let layout = layout(bytes)?;
    check_size(header, layout.size(), "AVIF")?;
    frames(bytes, layout)
}

fn frames(bytes: &[u8], mut layout: Layout) -> Result<Animation<'_>, RenderError> {
    let sequence = layout.sequence.take().ok_or_else(|| RenderError::damaged("AVIF", "no sequence"))?;
    let size = layout.coded_size;
    let mut colour = Av1::new(size, layout.operating_point, layout.layer)?;
    let mut alpha = Av1::new(size, 0, None)?;
    let frames = sequence.frames.into_iter().map(move |frame| {
        let planes = |decoder: &mut Av1, place, luma_only| {
            let picture = decoder.decode(data(bytes, &[place])?);
            Planes::of_tiles(std::iter::once(picture), 1, size, luma_only)
        };
        let picture = planes(&mut colour, frame.colour, false)?;
        let alpha = frame.alpha.map(|place| planes(&mut alpha, place, true)).transpose()?;
        let coding = Coding::new(&layout, &picture)?;
        let picture = raster(&picture, alpha.as_ref(), &coding, layout.premultiplied, 255.0, |v| v as u8);
        Ok(AnimationFrame { picture, milliseconds: frame.milliseconds })
    });
    Ok(Animation { plays: sequence.plays, frames: Box::new(frames) })
}
