//! From a file's bytes to pixels, one format a file.

pub(crate) mod avif;
mod canvas;
pub(crate) mod encode;
mod gif;
mod jpeg;
mod jxl;
mod png;
mod through_image;
mod webp;

use darkroom_container::{header::Header, jpeg_segments, webp_chunks};
use darkroom_model::SourceFormat;

use darkroom_raster::{Orientation, Raster, Samples};

use crate::{RenderError, colour::Space};

/// What is read of a file's metadata: what is needed to show its pixels rightly. Nothing else can reach a rendition,
/// but for what [`exif_of`] reads where a recipe asks for it.
#[derive(Debug, Default)]
pub(crate) struct Metadata {
    pub(crate) orientation: Orientation,
    pub(crate) space: Space,
    /// A still WebP that was coded with loss.
    pub(crate) lossy_webp: bool,
}

/// A still picture, or the first of an animation.
pub(crate) struct Still {
    pub(crate) samples: Samples,
    /// The exact sides of the picture in these samples: less than their number where a JPEG of odd size was decoded
    /// smaller.
    pub(crate) extent: (f64, f64),
}

impl From<Samples> for Still {
    fn from(samples: Samples) -> Self {
        let (width, height) = samples.size();
        Self { samples, extent: (width.into(), height.into()) }
    }
}

/// One picture of an animation, composed: what is seen while it is shown.
pub(crate) struct Frame {
    pub(crate) picture: Raster<u8>,
    pub(crate) milliseconds: u32,
}

/// An animation, decoded as it is asked for its frames.
pub(crate) struct Animation<'a> {
    /// How often it plays; 0 means for ever.
    pub(crate) plays: u32,
    pub(crate) frames: Box<dyn Iterator<Item = Result<Frame, RenderError>> + 'a>,
}

/// Reads orientation and colour space.
pub(crate) fn metadata(bytes: &[u8], header: &Header) -> Result<Metadata, RenderError> {
    match header.format {
        SourceFormat::Jpeg => Ok(jpeg::metadata(bytes)),
        SourceFormat::Png => png::decode::metadata(bytes),
        SourceFormat::Webp => Ok(webp::decode::metadata(bytes)),
        SourceFormat::Gif | SourceFormat::Bmp => Ok(Metadata::default()),
        SourceFormat::Avif => avif::decode::metadata(bytes),
        SourceFormat::Jxl => jxl::metadata(bytes, header),
        SourceFormat::Tiff => through_image::tiff_metadata(bytes),
    }
}

/// Which way is up, where a glance at the file tells.
pub(crate) fn orientation(bytes: &[u8], header: &Header) -> Option<Orientation> {
    (header.format == SourceFormat::Jpeg).then(|| jpeg::orientation(bytes))
}

/// The file's EXIF: a TIFF structure, unread.
pub(crate) fn exif_of(bytes: &[u8], header: &Header) -> Option<Vec<u8>> {
    match header.format {
        SourceFormat::Jpeg => jpeg_segments::exif(bytes).map(<[u8]>::to_vec),
        SourceFormat::Png => png::decode::exif_of(bytes),
        SourceFormat::Webp => webp_chunks::exif(bytes).map(<[u8]>::to_vec),
        SourceFormat::Avif => avif::decode::exif_of(bytes),
        SourceFormat::Jxl => jxl::exif_of(bytes, header),
        SourceFormat::Tiff => Some(bytes.to_vec()),
        SourceFormat::Gif | SourceFormat::Bmp => None,
    }
}

/// Decodes a still picture. The result may be smaller than the file says, but not smaller than `at_least`, where that
/// is cheaper and costs no quality.
#[tracing::instrument(level = "trace", name = "decode", skip_all)]
pub(crate) fn still(
    bytes: &[u8],
    header: &Header,
    metadata: &Metadata,
    at_least: (f64, f64),
    scans: u32,
) -> Result<Still, RenderError> {
    match header.format {
        SourceFormat::Jpeg => jpeg::decode(bytes, header, metadata, at_least, scans),
        SourceFormat::Png => png::decode::decode(bytes, header).map(Still::from),
        SourceFormat::Webp => webp::decode::decode(bytes, header).map(Still::from),
        SourceFormat::Avif => avif::decode::decode(bytes, header).map(Still::from),
        SourceFormat::Jxl => jxl::decode(bytes, header).map(Still::from),
        SourceFormat::Tiff => through_image::decode_tiff(bytes, header).map(Still::from),
        SourceFormat::Bmp => through_image::decode_bmp(bytes, header).map(Still::from),
        SourceFormat::Gif => {
            let mut frames = gif::animation(bytes, header)?.frames;
            let frame = frames.next().unwrap_or_else(|| Err(RenderError::broken("GIF", "no frame")))?;
            Ok(Samples::Eight(frame.picture).into())
        }
    }
}

/// Opens a picture of more than one frame.
pub(crate) fn animation<'a>(bytes: &'a [u8], header: &Header) -> Result<Animation<'a>, RenderError> {
    match header.format {
        SourceFormat::Gif => gif::animation(bytes, header),
        SourceFormat::Png => png::decode::animation(bytes, header),
        SourceFormat::Webp => webp::decode::animation(bytes, header),
        other => Err(RenderError::bug(format!("a {other} has one frame"))),
    }
}

/// A decoder that finds another size than the header gave would leave the limits.
fn check_size(header: &Header, found: (u32, u32), format: &'static str) -> Result<(), RenderError> {
    if found == (header.width, header.height) { Ok(()) } else { Err(RenderError::broken(format, "it has two sizes")) }
}
