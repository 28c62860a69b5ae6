#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod failure;
mod format;
mod id;
mod image;
mod owner;
pub mod recipe;
mod string_enum;
mod title;

pub use failure::{Failure, FailureCode};
pub use format::{RenditionFormat, SourceFormat};
pub use id::ImageId;
pub use image::{ImageAnalysis, Rendition, Source, Status};
pub use owner::{OwnedImage, Owner};
pub use string_enum::UnknownValue;
pub use title::{Title, TitleError};
