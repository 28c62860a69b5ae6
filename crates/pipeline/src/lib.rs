//! From staged bytes to renditions: a list of steps, one a file. No SQL, no S3, no clock. What takes time is a span of
//! `tracing`, at its level `trace`: `make bench-render` sums them up. Where [`cores`] are spare, files are encoded side by
//! side.
//!
//! | step | file | |
//! |---|---|---|

mod analysis;
mod choose;
mod codecs;
mod colour;
mod cores;
mod effects;
mod extend;
mod hdr;
mod overlay;
mod plan;
mod render;
mod search;

use darkroom_container::embed::EmbedError;
use darkroom_raster::ResizeError;
use std::fmt::Display;

use darkroom_container::header::{Header, HeaderError, HeaderLimits, Limit};
use darkroom_model::{Failure, FailureCode, ImageAnalysis, RenditionFormat, recipe::Recipe};
use overlay::Overlay;
use serde::{Deserialize, Serialize};

/// What a picture may ask for.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Limits {
    /// Checked again here: the upload may have been accepted under others.
    pub header: HeaderLimits,
    /// Cores that it may use beside its own. Renditions are then encoded side by side; they are the same ones.
    pub spare_cores: u32,
}

/// What a rendition is made of, as files.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    /// The picture.
    pub source: &'a [u8],
    /// What the recipe lays on it.
    pub overlay: Option<&'a [u8]>,
}

/// A picture alone.
impl<'a, T: AsRef<[u8]> + ?Sized> From<&'a T> for Files<'a> {
    fn from(source: &'a T) -> Self {
        Self { source: source.as_ref(), overlay: None }
    }
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

/// Takes renditions, one at a time, from any thread.
pub type Emit<'a> = &'a mut (dyn FnMut(Rendered) -> Result<(), EmitError> + Send);

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

impl From<ResizeError> for RenderError {
    fn from(error: ResizeError) -> Self {
        Self::bug(error)
    }
}

impl From<EmbedError> for RenderError {
    fn from(error: EmbedError) -> Self {
        Self::bug(error)
    }
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

    /// The same, of an overlay: its faults are not those of the picture, but what was asked for cannot be made.
    #[must_use]
    pub fn of_overlay(self) -> Self {
        match self.failure() {
            Some(Failure { detail, .. }) => {
                let detail = format!("The overlay cannot be used. {detail}");
                Self::Faulty {
                    failure: Failure { code: FailureCode::Unsatisfiable, detail },
                    cause: format!("of the overlay: {self}"),
                }
            }
            None => self,
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

/// Renders a picture, alone or with an overlay, and hands each rendition to `emit` as soon as it is encoded.
/// Deterministic: the same files and recipe give the same renditions.
///
/// # Errors
/// [`RenderError::failure`] tells the faults of the picture from those that another attempt may cure. Renditions that
/// were handed over before an error are to be dropped.
pub fn render<'a>(
    files: impl Into<Files<'a>>,
    recipe: &Recipe,
    limits: &Limits,
    emit: Emit<'_>,
) -> Result<ImageAnalysis, RenderError> {
    let Files { source, overlay } = files.into();
    let mut job = render::Job::open(source, recipe, limits)?;
    if let Some(place) = job.plan.overlay {
        let file = overlay.ok_or_else(|| RenderError::bug("there is no file of the overlay"))?;
        let overlay = Overlay::open(file, place, job.plan.gamut, limits).map_err(RenderError::of_overlay)?;
        job.overlay = Some(overlay);
    }
    if job.header.is_animated() { job.animation(emit) } else { job.still(emit) }
}

/// The pixels of each size that a recipe makes of a picture, the largest first. None where it makes nothing.
pub fn outputs(source: &[u8], header: &Header, recipe: &Recipe) -> Vec<u64> {
    let areas = |(width, height)| {
        let plan = plan::plan(recipe, width, height, header.frames).ok();
        let sizes = plan.iter().flat_map(|plan| plan.targets.iter().map(|t| plan.mount.sides((t.width, t.height))));
        sizes.map(|(width, height)| u64::from(width) * u64::from(height)).collect::<Vec<_>>()
    };
    let stored = (header.width, header.height);
    match codecs::orientation(source, header) {
        Some(orientation) => areas(orientation.map_size(stored)),
        None => areas(stored).max(areas((stored.1, stored.0))),
    }
}
