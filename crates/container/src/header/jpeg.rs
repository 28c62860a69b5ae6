//! JPEG (ITU-T T.81): the frame header, and how many scans follow it.

use std::io::{BufRead, Seek};

use super::{Header, HeaderError, HeaderLimits, Limit, broken, input::Input, unreadable};
use darkroom_model::SourceFormat;

const SOI: u8 = 0xD8;
const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;
const DHP: u8 = 0xDE;
/// The markers that stand alone: TEM, and the restart markers.
const fn stands_alone(marker: u8) -> bool {
    matches!(marker, 0x01 | 0xD0..=0xD7)
}

/// Stops at the first EOI: a second picture behind it (a preview, a gain map) is no part of this one. A file that ends
/// without EOI but with a scan passes, since many cameras write such; the decoder says whether the picture is whole.
pub(super) fn read<R: BufRead + Seek>(input: &mut Input<'_, R>, limits: &HeaderLimits) -> Result<Header, HeaderError> {
    input.skip_whole(2)?;
    let mut frame: Option<Header> = None;
    while let Some(marker) = next_marker(input)? {
        match marker {
            marker if stands_alone(marker) => {}
            EOI => break,
            SOI => return broken("a second picture begins inside the first"),
            0xC0..=0xC2 if frame.is_some() => return broken("it has two frame headers"),
            0xC0..=0xC2 => {
                let header = frame_header(input)?;
                // Before the scans are walked: nobody waits for the end of a file that is refused anyway.
                limits.check(Limit::Pixels, header.pixels())?;
                frame = Some(header);
            }
            0xC3 => return unreadable("a lossless JPEG"),
            0xC5..=0xC7 | 0xCD..=0xCF | DHP => return unreadable("a hierarchical JPEG"),
            0xC9..=0xCB => return unreadable("a JPEG with arithmetic coding"),
            SOS => {
                let Some(header) = frame.as_mut() else { return broken("a scan comes before the frame header") };
                header.scans += 1;
                limits.check(Limit::Scans, header.scans.into())?;
                skip_segment(input)?;
            }
            _ => skip_segment(input)?,
        }
    }
    match frame {
        Some(header) if header.scans > 0 => Ok(header),
        _ => Err(HeaderError::Truncated { format: "JPEG" }),
    }
}

/// Finds the next marker, whether behind a segment or behind entropy-coded data, in which `FF 00` stands for a data
/// byte. `None` at the end of the file.
fn next_marker<R: BufRead + Seek>(input: &mut Input<'_, R>) -> Result<Option<u8>, HeaderError> {
    while input.seek_byte(0xFF)? {
        loop {
            match input.maybe_u8()? {
                None => return Ok(None),
                Some(0xFF) => {}
                Some(0x00) => break,
                Some(marker) => return Ok(Some(marker)),
            }
        }
    }
    Ok(None)
}

fn skip_segment<R: BufRead + Seek>(input: &mut Input<'_, R>) -> Result<(), HeaderError> {
    match input.be16()?.checked_sub(2) {
        Some(length) => input.skip_whole(length.into()),
        None => broken("a segment is shorter than its own length field"),
    }
}

/// Frame header, T.81 section B.2.2.
fn frame_header<R: BufRead + Seek>(input: &mut Input<'_, R>) -> Result<Header, HeaderError> {
    let length = input.be16()?;
    let [precision, h1, h0, w1, w0, components] = input.array()?;
    let (height, width) = (u16::from_be_bytes([h1, h0]), u16::from_be_bytes([w1, w0]));
    if length != 8 + 3 * u16::from(components) {
        return broken("the frame header has the wrong length");
    }
    input.skip_whole(3 * u64::from(components))?;
    if precision != 8 {
        return unreadable("a JPEG of more than 8 bits a sample");
    }
    if !matches!(components, 1 | 3 | 4) {
        return unreadable("a JPEG with an unusual number of channels");
    }
    match (width, height) {
        (0, _) => broken("its width is 0"),
        (_, 0) => unreadable("a JPEG that says its height only at the end"),
        _ => Ok(Header {
            format: SourceFormat::Jpeg,
            width: width.into(),
            height: height.into(),
            frames: 1,
            scans: 0,
            bits_per_pixel: 8 * u32::from(components),
        }),
    }
}
