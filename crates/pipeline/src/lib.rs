//! Darkroom's image pipeline: bytes in, renditions out. No network, no database, no clock.
//!
//! ```
//! use std::num::NonZeroU32;
//!
//! use darkroom_model::{
//!     RenditionFormat,
//!     recipe::{Recipe, Resize},
//! };
//! use darkroom_pipeline::{Limits, render};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A BMP of one red pixel.
//! let mut source = b"BM\x3A\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\x18\0".to_vec();
//! source.extend([0; 24]);
//! source.extend([0, 0, 255, 0]);
//!
//! let resize = Resize { width: NonZeroU32::new(400), format: Some(RenditionFormat::Webp), ..Resize::default() };
//! let mut renditions = Vec::new();
//! let analysis = render(&source, &Recipe::Resize(resize), &Limits::default(), &mut |rendition| {
//!     renditions.push(rendition);
//!     Ok(())
//! })?;
//! assert_eq!(renditions[0].name, "resized.webp");
//! assert_eq!((renditions[0].width, renditions[0].height), (1, 1));
//! assert_eq!(analysis.dominant_colour, [255, 0, 0]);
//! # Ok(())
//! # }
//! ```
//!
//! # Public items
//!
//! | item | purpose |
//! |---|---|
//! | [`render`] | renders a picture with a recipe |
//! | [`MemoryEstimate`], [`overlay_memory`] | how much memory a picture needs, before anything is decoded |
//! | [`Files`], [`Limits`], [`Emit`] | what [`render`] takes: files, limits, the receiver of renditions |
//! | [`Rendered`] | what it hands over |
//! | [`start_threads`] | starts the threads of spare cores before a process is confined |
//! | [`panic_is_caught`] | whether a panic is a decoder's, which becomes an error |
//! | [`RenderError`], [`EmitError`] | why it failed |
//! | [`output_features`], [`OutputFeatures`], [`ColourSignal`] | what each output format can hold |
//!
//! # Steps
//!
//! `steps.rs` has them as data; one loop runs them for still pictures, for every frame of an animation, and for overlays.
//!
//! | step | runs | file |
//! |---|---|---|
//! | header, metadata | once | `source.rs` |
//! | plan | once | `plan.rs` |
//! | decode | per frame | `codecs/` |
//! | attention | first frame | `analysis/attention.rs` |
//! | resize | per frame | `darkroom_raster` |
//! | orient | per frame | `darkroom_raster` |
//! | colour | per frame | `colour/` |
//! | grayscale | per frame | `effects/grayscale.rs` |
//! | blur | per frame | `effects/blur.rs` |
//! | sharpen | per frame | `effects/sharpen.rs` |
//! | analysis | first frame | `analysis/` |
//! | downscale | per rendition | `darkroom_raster` |
//! | to 8 bits | per rendition | `darkroom_raster` |
//! | background | per rendition | `extend.rs` |
//! | extend | per rendition | `extend.rs` |
//! | overlay | per rendition | `overlay.rs` |
//! | encode | per rendition | `output.rs`, `choose.rs`, `search.rs`, `codecs/` |
//! | embed metadata | per rendition | `darkroom_container` |
//!
//! # Tracing
//!
//! Steps that take time are spans at the level `trace`: `decode`, `resize`, `orient`, `colour`, `analysis`, `to 8 bits`, and
//! `encode` with the field `format`. `make bench-render` sums them up.

mod analysis;
mod caught;
mod choose;
mod codecs;
mod colour;
mod context;
mod cores;
mod effects;
mod error;
mod extend;
mod memory;
mod output;
mod overlay;
mod plan;
mod render;
mod search;
mod source;
mod steps;

pub use caught::panic_is_caught;
pub use codecs::{ColourSignal, OutputFeatures};
pub use cores::start_threads;
pub use error::{EmitError, RenderError};
pub use memory::{MemoryEstimate, overlay_memory};

use darkroom_container::header::HeaderLimits;
use darkroom_model::{ImageAnalysis, RenditionFormat, recipe::Recipe};
use serde::{Deserialize, Serialize};

/// What rendering one picture may use.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Limits {
    /// Limits of the header, of the picture and of the overlay. Checked although the upload was checked: it may have been
    /// accepted under other limits.
    pub header: HeaderLimits,
    /// Cores to use besides the calling thread's. Renditions are then encoded in parallel; their bytes do not change.
    /// No more are used than this process has threads for them ([`start_threads`]).
    pub spare_cores: u32,
    /// Memory in bytes. A decoder whose library can limit its allocations (JPEG XL) stops there with
    /// [`RenderError::OutOfMemory`]; the process has to limit the others. `None`: no limit.
    pub memory: Option<u64>,
}

/// The files that a rendition is made of.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    /// The picture.
    pub source: &'a [u8],
    /// The picture to composite on it; required where the recipe has an overlay.
    pub overlay: Option<&'a [u8]>,
}

/// A picture without an overlay.
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
    /// The format of `bytes`.
    pub format: RenditionFormat,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// The file.
    pub bytes: Vec<u8>,
}

/// Receives renditions, one at a time, from any thread. An error ends the rendering with [`RenderError::Emit`].
pub type Emit<'a> = &'a mut (dyn FnMut(Rendered) -> Result<(), EmitError> + Send);

/// Renders a picture and hands each rendition to `emit` as soon as it is encoded; with spare cores their order varies.
///
/// Deterministic: the same files and recipe make the same bytes, on every machine and with any number of cores. Blocks the
/// calling thread for as long as it takes, seconds for large pictures; it cannot be cancelled except by an error of `emit`.
/// Returns the analysis of the first frame, without the overlay.
///
/// # Errors
/// [`RenderError`]. [`RenderError::failure`] separates faults of the file or recipe from errors that another attempt may cure.
/// Renditions that were handed over before an error must be discarded.
pub fn render<'a>(
    files: impl Into<Files<'a>>,
    recipe: &Recipe,
    limits: &Limits,
    emit: Emit<'_>,
) -> Result<ImageAnalysis, RenderError> {
    render::render(&render::open(files.into(), recipe, limits)?, emit)
}

/// What files of an output format can hold.
pub fn output_features(format: RenditionFormat) -> OutputFeatures {
    codecs::output_features(format)
}
