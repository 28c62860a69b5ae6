//! The words of Darkroom as types: images, formats, recipes, failures. No I/O, and nothing of the service.
//!
//! | module | what it holds |
//! |---|---|
//! | [`ImageId`] | ids |
//! | [`Status`], [`Source`], [`ImageAnalysis`], [`Rendition`] | what is known of an image and of its renditions |
//! | [`Title`] | what a person calls an image |
//! | [`SourceFormat`], [`RenditionFormat`] | file formats |
//! | [`recipe`] | what to render |
//! | [`Failure`], [`FailureCode`] | why an image failed |
//! | [`string_enum!`] | enums that are strings in JSON, SQL and URLs |
#![forbid(unsafe_code)]

mod failure;
mod format;
mod id;
mod image;
pub mod recipe;
mod string_enum;
mod title;

pub use failure::{Failure, FailureCode};
pub use format::{RenditionFormat, SourceFormat};
pub use id::ImageId;
pub use image::{ImageAnalysis, Rendition, Source, Status};
pub use string_enum::UnknownValue;
pub use title::{Title, TitleError};
