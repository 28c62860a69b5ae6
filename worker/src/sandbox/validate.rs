//! Checks of the renditions that a child returns. A child has handled untrusted bytes and may be under their control.

use std::collections::HashSet;

use darkroom_model::{ImageAnalysis, RenditionFormat};
use darkroom_pipeline::Rendered;

/// More renditions than any recipe makes.
const MAX_RENDITIONS: usize = 64;
/// Maximum length of a `ThumbHash`, in bytes.
const MAX_PLACEHOLDER: usize = 25;
/// Maximum width and height of a rendition, in pixels.
const MAX_SIDE: u32 = 65_535;

/// Checks that the pipeline can have made this rendition: names become parts of object keys, and the files are served
/// as pictures. `names` are those of the renditions before it.
///
/// # Errors
/// Why it cannot, for the log.
pub(super) fn validate_rendition(rendered: &Rendered, names: &mut HashSet<String>) -> Result<(), &'static str> {
    let stem = rendered.name.strip_suffix(rendered.format.as_str()).and_then(|name| name.strip_suffix('.'));
    let is_valid =
        |stem: &str| (1..=40).contains(&stem.len()) && stem.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !stem.is_some_and(is_valid) {
        return Err("a rendition with an invalid name");
    }
    if !(1..=MAX_SIDE).contains(&rendered.width) || !(1..=MAX_SIDE).contains(&rendered.height) {
        return Err("a rendition of impossible size");
    }
    if !has_magic_bytes(rendered.format, &rendered.bytes) {
        return Err("a rendition that is not of its format");
    }
    if names.len() == MAX_RENDITIONS || !names.insert(rendered.name.clone()) {
        return Err("too many renditions, or one of them twice");
    }
    Ok(())
}

/// Checks that the pipeline can have made this analysis.
///
/// # Errors
/// Why it cannot, for the log.
pub(super) fn validate_analysis(analysis: &ImageAnalysis) -> Result<(), &'static str> {
    if analysis.placeholder.len() > MAX_PLACEHOLDER { Err("a placeholder that is too long") } else { Ok(()) }
}

/// Whether a file begins with the magic bytes of its format.
fn has_magic_bytes(format: RenditionFormat, bytes: &[u8]) -> bool {
    match format {
        RenditionFormat::Jpeg => bytes.starts_with(&[0xFF, 0xD8, 0xFF]),
        RenditionFormat::Png => bytes.starts_with(b"\x89PNG\r\n\x1A\n"),
        RenditionFormat::Webp => bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP"),
        RenditionFormat::Avif => bytes.get(4..12) == Some(b"ftypavif"),
    }
}
