//! Coverage-guided fuzzing of the code that reads untrusted bytes: `make fuzz`. One target per format, so that each has its own
//! share of time and its own corpus.

use std::{io::Cursor, num::NonZeroU32};

use darkroom_container::header::{self, HeaderLimits};
use darkroom_model::{recipe::{Effort, Gamut, Keep, Recipe, Resize}, SourceFormat};
use darkroom_pipeline::{render, Limits};

/// Small, so that a case takes milliseconds.
const LIMITS: HeaderLimits = HeaderLimits { width: 400, height: 400, pixels: 20_000, frames: 10, scans: 10 };

/// Renders the bytes if they are a file of this format.
///
/// # Panics
/// If the picture is neither rendered nor refused, or if a rendition exceeds the limits.
pub fn render_only(format: SourceFormat, bytes: &[u8]) {
    if !header::read(&mut Cursor::new(bytes), &LIMITS).is_ok_and(|header| header.format == format) {
        return;
    }
    // A quarter of the cases covers code that only these recipes reach.
    let recipe = match bytes.len() % 4 {
        0 => Recipe::Resize(Resize { keep: Keep::Public, gamut: Gamut::P3, ..Resize::default() }),
        // Scaled decoding.
        1 => Recipe::Resize(Resize { width: NonZeroU32::new(8), effort: Effort::Speed, ..Resize::default() }),
        _ => Recipe::Standard,
    };
    let rendered = render(bytes, &recipe, &Limits { header: LIMITS, ..Limits::default() }, &mut |rendition| {
        assert!(u64::from(rendition.width) * u64::from(rendition.height) <= LIMITS.pixels);
        assert!(!rendition.bytes.is_empty());
        Ok(())
    });
    if let Err(error) = rendered {
        assert!(error.failure().is_some(), "{error}");
    }
}
