//! A dry run: what an upload would become, without storing anything.

use std::io::{self, Read as _};

use darkroom_container::upright;
use darkroom_model::recipe::InvalidField;
use poem_openapi::Object;

use super::{upload::Upload, wire::Source};
use crate::{App, error::ApiError, formats::RenditionFormat};

/// Dry runs that have their file in memory at once; a file has at most `MAX_UPLOAD_BYTES`.
pub(crate) const DRY_RUNS: usize = 2;

/// A rendition that would be made.
#[derive(Clone, Debug, Object)]
pub(crate) struct PlannedRendition {
    /// The name without its extension, which is that of the format; for example `w800`.
    name: String,
    /// The format, or those from which the content of the image chooses one.
    formats: Vec<RenditionFormat>,
    /// Width in pixels.
    width: u32,
    /// Height in pixels.
    height: u32,
}

/// What an upload would become.
#[derive(Clone, Debug, Object)]
pub(crate) struct DryRun {
    /// The title that the image would have.
    title: String,
    /// The file.
    source: Source,
    /// The renditions that would be made.
    renditions: Vec<PlannedRendition>,
}

/// Describes what this upload would become, and forgets it.
pub(super) async fn describe(upload: Upload, app: &App) -> Result<DryRun, ApiError> {
    let (received, header) = (&upload.file.received, upload.file.header);
    let permit = app.dry_runs.acquire().await.map_err(|closed| ApiError::Internal(closed.into()))?;
    let read = move |mut file: std::fs::File| -> io::Result<(u32, u32)> {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(upright::size(&bytes, &header))
    };
    let size = received.read(read).await?.map_err(|error| ApiError::Unavailable(error.into()))?;
    drop(permit);
    let sizes = upload.recipe.sizes(size, header.frames);
    let sizes = sizes.map_err(|outside| InvalidField { field: "crop", reason: outside.to_string() })?;
    let mut renditions = Vec::new();
    for planned in sizes {
        let (width, height) = planned.size();
        renditions.extend(planned.formats.of_renditions().into_iter().map(|formats| {
            let formats = formats.into_iter().map(RenditionFormat::from).collect();
            PlannedRendition { name: planned.name.clone(), formats, width, height }
        }));
    }
    Ok(DryRun { title: upload.title().as_str().to_owned(), source: upload.source().into(), renditions })
}
