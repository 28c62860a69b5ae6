//! JPEG (ITU-T T.81): the frame header, and how many scans follow it.

use std::io::{BufRead, Seek};

use super::{
    Header, HeaderError, HeaderLimits, Limit,
    byte_reader::ByteReader,
    error::{broken, unsupported},
};
use crate::jpeg_marker::{
    DHP, EOI, RST0, RST7, SOF0, SOF2, SOF3, SOF5, SOF7, SOF9, SOF10, SOF11, SOF13, SOF15, SOI, SOS, TEM,
};
use darkroom_model::SourceFormat;

pub(super) fn has_signature(start: &[u8]) -> bool {
    // SOI and the first byte of the next marker.
    start.starts_with(&[0xFF, SOI, 0xFF])
}

/// Stops at the first EOI: a second picture after it (a preview, a gain map) is not a part of this one. A file with a scan but
/// without EOI is accepted, because many cameras write such files; the decoder detects whether the picture is complete.
pub(super) fn read<R: BufRead + Seek>(
    input: &mut ByteReader<'_, R>,
    limits: &HeaderLimits,
) -> Result<Header, HeaderError> {
    input.skip_exact(2)?;
    let mut frame: Option<Header> = None;
    while let Some(marker) = next_marker(input)? {
        match marker {
            // Markers without a segment (T.81, table B.1).
            TEM | RST0..=RST7 => {}
            EOI => break,
            SOI => return broken("a second picture begins inside the first"),
            SOF0..=SOF2 | SOF9 | SOF10 if frame.is_some() => return broken("it has two frame headers"),
            SOF0..=SOF2 | SOF9 | SOF10 => {
                let header = frame_header(input)?;
                // Checked before the scans are counted, which takes time for a large file.
                limits.check(Limit::Pixels, header.pixels())?;
                frame = Some(header);
            }
            SOF3 | SOF11 => return unsupported("a lossless JPEG"),
            SOF5..=SOF7 | SOF13..=SOF15 | DHP => return unsupported("a hierarchical JPEG"),
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
        _ => Err(HeaderError::Truncated { format: SourceFormat::Jpeg.name() }),
    }
}

/// The next marker, after a segment or after entropy-coded data, in which `FF 00` is a stuffed byte; `None` at the end of the
/// file. A marker may be preceded by fill bytes of 0xFF (T.81, section B.1.1.2).
fn next_marker<R: BufRead + Seek>(input: &mut ByteReader<'_, R>) -> Result<Option<u8>, HeaderError> {
    while input.skip_past(0xFF)? {
        loop {
            match input.next_u8()? {
                None => return Ok(None),
                Some(0xFF) => {}
                Some(0x00) => break,
                Some(marker) => return Ok(Some(marker)),
            }
        }
    }
    Ok(None)
}

fn skip_segment<R: BufRead + Seek>(input: &mut ByteReader<'_, R>) -> Result<(), HeaderError> {
    match input.be16()?.checked_sub(2) {
        Some(length) => input.skip_exact(length.into()),
        None => broken("a segment is shorter than its own length field"),
    }
}

/// The frame header (T.81, section B.2.2).
fn frame_header<R: BufRead + Seek>(input: &mut ByteReader<'_, R>) -> Result<Header, HeaderError> {
    let length = input.be16()?;
    let [precision, h1, h0, w1, w0, components] = input.array()?;
    let (height, width) = (u16::from_be_bytes([h1, h0]), u16::from_be_bytes([w1, w0]));
    if length != 8 + 3 * u16::from(components) {
        return broken("the frame header has the wrong length");
    }
    input.skip_exact(3 * u64::from(components))?;
    if precision != 8 {
        return unsupported("a JPEG of more than 8 bits a sample");
    }
    if !matches!(components, 1 | 3 | 4) {
        return unsupported("a JPEG with an unusual number of channels");
    }
    match (width, height) {
        (0, _) => broken("its width is 0"),
        (_, 0) => unsupported("a JPEG that defines its height after the first scan"),
        _ => Ok(Header {
            format: SourceFormat::Jpeg,
            width: width.into(),
            height: height.into(),
            frames: 1,
            scans: 0,
            bits_per_pixel: 8 * u32::from(components),
            decoded_pixels: 0,
        }),
    }
}
