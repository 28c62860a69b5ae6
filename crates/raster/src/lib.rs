//! Pixel buffers, and operations on them: orientation, linear light, resize, SIMD dispatch.
//!
//! | item | what it is |
//! |---|---|
//! | [`Raster`], [`Channels`] | a pixel buffer and its channels |
//! | [`Samples`] | a raster of 8 or 16 bits a sample |
//! | [`alpha_over`] | alpha compositing of one pixel |
//! | [`Region`], [`Orientation`] | a rectangle in pixels; rotation and mirroring as in EXIF |
//! | [`linear`] | conversion between coded samples and linear light |
//! | [`resize()`], [`resize_coded`], [`ResizeError`] | Lanczos resampling in linear light |
//! | [`simd`] | code that is compiled for several vector widths and selected at run time |
//!
//! ```
//! use darkroom_raster::{Channels, Raster, Region, Samples, linear, resize_coded};
//!
//! // Black and white columns of one pixel, 8 bits a sample.
//! let samples = (0..64 * 32).map(|i| if i % 2 == 0 { 0 } else { 255 }).collect();
//! let picture = Samples::Eight(Raster { width: 64, height: 32, channels: Channels::Gray, samples });
//!
//! let Samples::Eight(raster) = &picture else { unreachable!() };
//! let half = resize_coded(&picture, Region::whole(raster), 32, 16)?;
//!
//! // Half the light is coded as 188 in sRGB, not as 128.
//! assert_eq!(linear::to_8(&half).samples[32 * 8 + 16], 188);
//! # Ok::<(), darkroom_raster::ResizeError>(())
//! ```
//!
//! # Conventions
//!
//! * **Coded** samples are the nonlinear (gamma-encoded) values that files contain: 0 to 255 or 0 to 65,535, with *straight*
//!   (unassociated) alpha.
//! * **Linear** samples are proportional to light: 0 to 65,535 in a `Raster<u16>`, with *premultiplied* (associated) alpha.
//! * Alpha is the last channel; 0 is transparent, the maximum opaque.
//! * Rows run from top to bottom, pixels from left to right, samples interleaved, without padding. Positions and sizes are in
//!   pixels from the top left corner; those of a [`Region`] may be fractions.
//! * Every vector width gives the same bits.

pub mod linear;
mod orientation;
mod raster;
mod region;
mod resize;
mod samples;
pub mod simd;
mod srgb;

pub use orientation::Orientation;
pub use raster::{Channels, Raster, alpha_over};
pub use region::Region;
pub use resize::{ResizeError, resize, resize_coded};
pub use samples::Samples;
