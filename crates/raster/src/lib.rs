//! Pixels in memory and what is done with them: buffers, regions, orientation, linear light, resize, SIMD dispatch.
//!
//! | module | what it holds |
//! |---|---|
//! | [`Raster`], [`Channels`], [`Samples`] | pixel buffers |
//! | [`Region`], [`Orientation`] | parts of a picture, and how it is turned |
//! | [`linear`] | between coded values (sRGB's transfer function) and linear light |
//! | [`resize()`], [`resize_coded`] | Lanczos resampling in linear light |
//! | [`simd`] | code compiled for several vector widths, chosen at run time |

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
