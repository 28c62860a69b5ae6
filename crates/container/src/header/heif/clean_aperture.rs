//! The clean aperture (property `clap`, ISO/IEC 14496-12, section 12.1.4).

use super::box_reader::BoxReader;

/// The part of a picture that is shown, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crop {
    /// Columns to the left of it.
    pub left: u32,
    /// Rows above it.
    pub top: u32,
    /// Width, at least 1.
    pub width: u32,
    /// Height, at least 1.
    pub height: u32,
}

/// The clean aperture of a picture of this size. `None` where it is not made of whole pixels within the picture: then it has no
/// effect, as in browsers.
pub(super) fn crop(mut body: BoxReader<'_>, (width, height): (u32, u32)) -> Option<Crop> {
    let mut fraction = || Some((body.u32()?.cast_signed(), body.u32()?.cast_signed()));
    let (across, down, right, below) = (fraction()?, fraction()?, fraction()?, fraction()?);
    let (left, width) = span(across, right, width)?;
    let (top, height) = span(down, below, height)?;
    Some(Crop { left, top, width, height })
}

/// Start and length in one direction, from the length and the offset of the centre, both as numerator and denominator.
fn span(length: (i32, i32), offset: (i32, i32), whole: u32) -> Option<(u32, u32)> {
    let whole_number = |(numerator, denominator): (i64, i64)| {
        (denominator > 0 && numerator % denominator == 0).then(|| numerator / denominator)
    };
    let length = whole_number((length.0.into(), length.1.into())).filter(|length| *length > 0)?;
    // The centre of the picture is at (whole - 1) / 2, and the start lies (length - 1) / 2 before that of the aperture.
    let (numerator, denominator) = (i64::from(offset.0), i64::from(offset.1));
    let start = whole_number(((i64::from(whole) - length) * denominator + 2 * numerator, 2 * denominator))?;
    if start < 0 || start + length > i64::from(whole) {
        return None;
    }
    Some((u32::try_from(start).ok()?, u32::try_from(length).ok()?))
}
