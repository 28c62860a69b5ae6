//! From staged bytes to renditions: a list of steps, one a file. No SQL, no S3, no clock.
//!
//! | step | file | |
//! |---|---|---|
//! | look | `darkroom_shared::header` | format, size, frames; refuses what is too large |
//! | plan | [`plan`] | the recipe becomes a list of sizes, and what is to be done besides |
//! | decode | [`decode`] | pixels as the file has them; animations are composed on a [`canvas`] |
//! | resize | [`resize`] | Lanczos in 16-bit linear light, premultiplied ([`linear`]); the largest size from the source, each next from the one before |
//! | frame | [`attention`] | where asked for: which part draws the eye |
//! | orient | [`orient`] | upright, once |
//! | colour | [`colour`] | sRGB, or where asked for Display P3 |
//! | effects | [`effects`] | where asked for: grayscale, blur, sharpen |
//! | mount | [`mount`] | where asked for: a box around the picture, a background behind it |
//! | facts | [`facts`] | `ThumbHash` ([`placeholder`]), [`dominant`] colour, [`likeness`] hash |
//! | search | [`search`] | where asked for: the quality that meets a number of bytes, or a [`score`] |
//! | encode | [`encode`] | JPEG, PNG, WebP, AVIF, without metadata |
//! | label | [`label`] | where asked for: what the file says beside its pixels, and what it has of its source's EXIF ([`keep`]) |

mod attention;
mod canvas;
mod choose;
mod colour;
mod decode;
mod dominant;
mod effects;
mod encode;
mod facts;
mod hdr;
mod keep;
mod label;
mod libjpeg;
mod likeness;
mod linear;
mod mount;
mod orient;
mod placeholder;
mod plan;
mod raster;
mod render;
mod resize;
mod score;
mod search;

use std::{fmt::Display, io::Cursor};

use darkroom_shared::{
    header::{self, Header, HeaderError, HeaderLimits, Limit},
    image::{Facts, Failure, FailureCode, Keep, Recipe, RenditionFormat},
};
use label::Labels;
use serde::{Deserialize, Serialize};

/// What a picture may ask for.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Limits {
    /// Checked again here: the upload may have been accepted under others.
    pub header: HeaderLimits,
}

/// A finished rendition.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// Unique within its image, for example `w800.webp`.
    pub name: String,
    /// What `bytes` are encoded as.
    pub format: RenditionFormat,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// The file.
    pub bytes: Vec<u8>,
}

/// Why a rendition that was handed over could not be taken.
pub type EmitError = Box<dyn std::error::Error + Send + Sync>;

/// Why a picture was not rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// Refused by its header.
    #[error(transparent)]
    Refused(#[from] HeaderError),
    /// Refused while it was decoded.
    #[error("{} ({cause})", failure.detail)]
    Faulty {
        /// For the uploader.
        failure: Failure,
        /// For the log.
        cause: String,
    },
    /// The receiver of renditions gave up.
    #[error("a rendition could not be taken: {0}")]
    Emit(#[source] EmitError),
    /// A step failed where no input should make it fail.
    #[error("rendering failed: {0}")]
    Internal(String),
}

impl RenderError {
    /// What to tell the uploader, where the picture is at fault and another attempt would not help.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        match self {
            Self::Refused(error) => error.failure(),
            Self::Faulty { failure, .. } => Some(failure.clone()),
            Self::Emit(_) | Self::Internal(_) => None,
        }
    }

    fn bug(cause: impl Display) -> Self {
        Self::Internal(cause.to_string())
    }

    fn broken(format: &str, cause: impl Display) -> Self {
        let detail = format!("The {format} file is damaged.");
        Self::Faulty { failure: Failure { code: FailureCode::BrokenImage, detail }, cause: cause.to_string() }
    }

    fn truncated(format: &str, cause: impl Display) -> Self {
        let detail = format!("The {format} file is cut short: it ends before the picture does.");
        Self::Faulty { failure: Failure { code: FailureCode::BrokenImage, detail }, cause: cause.to_string() }
    }

    fn unsatisfiable(detail: impl Into<String>) -> Self {
        let failure = Failure { code: FailureCode::Unsatisfiable, detail: detail.into() };
        Self::Faulty { failure, cause: "by recipe".to_owned() }
    }

    fn too_large(limit: Limit, max: u64) -> Self {
        HeaderError::TooLarge { limit, max, found: max + 1 }.into()
    }
}

/// Renders a picture, and hands each rendition to `emit` as soon as it is encoded. Deterministic: the same bytes and
/// recipe give the same renditions.
///
/// # Errors
/// [`RenderError::failure`] tells the faults of the picture from those that another attempt may cure. Renditions that
/// were handed over before an error are to be dropped.
pub fn render(
    source: &[u8],
    recipe: &Recipe,
    limits: &Limits,
    emit: &mut dyn FnMut(Rendered) -> Result<(), EmitError>,
) -> Result<Facts, RenderError> {
    let header = header::read(&mut Cursor::new(source), &limits.header)?;
    let metadata = decode::metadata(source, &header)?;
    let (width, height) = metadata.orientation.swap((header.width, header.height));
    let mut plan = plan::plan(recipe, width, height, header.frames)?;
    plan.gamut = metadata.space.gamut(plan.gamut);
    plan.mount.background = plan.mount.background.map(|colour| colour::srgb_in(plan.gamut, colour));
    let exif = match plan.keep {
        Keep::Nothing => None,
        keep => decode::exif_of(source, &header).and_then(|exif| keep::kept(exif, keep)),
    };
    let labels = Labels { gamut: plan.gamut, exif };
    let job = render::Job { source, header, metadata, plan, labels, scans: limits.header.scans };
    if header.is_animated() { job.animation(emit) } else { job.still(emit) }
}

/// The pixels of the largest rendition that a recipe makes of a picture, whichever way up that is. 0 where it makes none.
pub(crate) fn largest_output(header: &Header, recipe: &Recipe) -> u64 {
    let area = |width, height| {
        let plan = plan::plan(recipe, width, height, header.frames);
        plan.map_or(0, |plan| {
            let (width, height) = plan.mount.sides((plan.targets[0].width, plan.targets[0].height));
            u64::from(width) * u64::from(height)
        })
    };
    area(header.width, header.height).max(area(header.height, header.width))
}
