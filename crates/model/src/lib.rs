#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod failure;
mod format;
mod id;
mod image;
mod metadata;
mod owner;
pub mod recipe;
mod string_enum;
mod tags;
mod title;

pub use failure::{Failure, FailureCode};
pub use format::{RenditionFormat, SourceFormat};
pub use id::ImageId;
pub use image::{ImageAnalysis, Rendition, Source, Status};
pub use metadata::{Metadata, MetadataError};
pub use owner::{OwnedImage, Owner};
pub use string_enum::UnknownValue;
pub use tags::{Tags, TagsError};
pub use title::{Title, TitleError};
