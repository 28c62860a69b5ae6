//! The brands of an `ftyp` box (ISO/IEC 14496-12, section 4.3), which AVIF and HEIC share with videos.

use std::io::{BufRead, Seek};

use super::super::{HeaderError, byte_reader::ByteReader, error::unsupported};

/// What the brands say of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Brands {
    /// The major brand is that of image sequences: the animation is shown and not the still picture beside it.
    pub(super) is_sequence: bool,
}

/// Reads the `ftyp` box. Fails unless a brand of AVIF or HEIC is among those of the box. Leaves the position unchanged.
pub(super) fn read<R: BufRead + Seek>(input: &mut ByteReader<'_, R>) -> Result<Brands, HeaderError> {
    let brands = words(input).map_err(|error| match error {
        // Without all brands the format is not certain.
        HeaderError::Truncated { .. } => HeaderError::Truncated { format: "image" },
        other => other,
    })?;
    let Some(major) = brands.first() else { return Err(HeaderError::Truncated { format: "image" }) };
    if brands.iter().any(|brand| matches!(brand, b"avif" | b"avis") || is_heic(brand)) {
        return Ok(Brands { is_sequence: major == b"avis" });
    }
    // The major brand says most; a general one leaves it to the others.
    let is_heif = || brands.iter().any(|brand| matches!(brand, b"mif1" | b"mif2" | b"mif3" | b"msf1" | b"miaf"));
    unsupported(
        brands
            .iter()
            .copied()
            .find_map(name)
            .unwrap_or_else(|| if is_heif() { "a HEIF of an unusual kind" } else { "a video" }),
    )
}

/// Whether a brand is that of still pictures in HEVC.
pub(super) fn is_heic(brand: &[u8]) -> bool {
    matches!(brand, b"heic" | b"heix" | b"heim" | b"heis")
}

/// The name of a file of this brand, if it belongs to HEIF (ISO/IEC 23008-12, section 10 and annexes).
fn name(brand: [u8; 4]) -> Option<&'static str> {
    Some(match &brand {
        b"hevc" | b"hevx" | b"hevm" | b"hevs" => "an image sequence in HEVC",
        b"avci" | b"avcs" => "a HEIF with H.264",
        b"vvic" | b"vvis" => "a HEIF with H.266",
        b"evbi" | b"evbs" | b"evmi" | b"evms" => "a HEIF with EVC",
        b"jpeg" | b"jpgs" => "a HEIF that holds a JPEG",
        b"j2ki" | b"j2is" => "a HEIF that holds a JPEG 2000",
        _ => return None,
    })
}

/// The brands of the `ftyp` box, the major brand first. Leaves the position unchanged.
fn words<R: BufRead + Seek>(input: &mut ByteReader<'_, R>) -> Result<Vec<[u8; 4]>, HeaderError> {
    /// The most words of the box to read.
    const MAX_WORDS: u32 = 64;
    let start = input.position()?;
    let words = input.be32()? / 4;
    input.skip_exact(4)?;
    let mut brands: Vec<[u8; 4]> = Vec::new();
    for word in 2..words.min(MAX_WORDS) {
        let brand = input.array()?;
        // The word after the major brand is the minor version. A minimized file has a brand there (ISO/IEC 23008-12, mif3).
        if word != 3 || brands == [*b"mif3"] {
            brands.push(brand);
        }
    }
    input.seek_to(start)?;
    Ok(brands)
}
