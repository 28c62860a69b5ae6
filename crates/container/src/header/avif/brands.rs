//! The brands of an `ftyp` box (ISO/IEC 14496-12, section 4.3), which AVIF shares with HEIC and with videos.

use std::io::{BufRead, Seek};

use super::super::{HeaderError, byte_reader::ByteReader, error::unsupported};

/// Fails unless an AVIF brand is among those of the `ftyp` box (ISO/IEC 14496-12, section 4.3). Leaves the position unchanged.
pub(super) fn check_brands<R: BufRead + Seek>(input: &mut ByteReader<'_, R>) -> Result<(), HeaderError> {
    let brands = brands(input).map_err(|error| match error {
        // Without all brands the format is not certain.
        HeaderError::Truncated { .. } => HeaderError::Truncated { format: "image" },
        other => other,
    })?;
    match brands.first() {
        _ if brands.iter().any(|brand| matches!(brand, b"avif" | b"avis")) => Ok(()),
        Some(b"heic" | b"heix" | b"hevc" | b"hevx" | b"heim" | b"heis" | b"mif1" | b"msf1") => unsupported("a HEIC"),
        Some(_) => unsupported("a video"),
        None => Err(HeaderError::Truncated { format: "image" }),
    }
}

/// The brands of the `ftyp` box, the major brand first. Leaves the position unchanged.
fn brands<R: BufRead + Seek>(input: &mut ByteReader<'_, R>) -> Result<Vec<[u8; 4]>, HeaderError> {
    /// The most words of the box to read.
    const MAX_WORDS: u32 = 64;
    let start = input.position()?;
    let words = input.be32()? / 4;
    input.skip_exact(4)?;
    let mut brands = Vec::new();
    for word in 2..words.min(MAX_WORDS) {
        let brand = input.array()?;
        // The word after the major brand is the minor version.
        if word != 3 {
            brands.push(brand);
        }
    }
    input.seek_to(start)?;
    Ok(brands)
}
