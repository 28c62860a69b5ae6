//! File formats: one file or folder per format, behind one trait ([`codec::Codec`]), found through one table ([`FORMATS`]).

mod avif;
mod bmp;
mod codec;
mod features;
mod frame_canvas;
mod gif;
mod heic;
mod jpeg;
mod jxl;
mod png;
mod tiff;
mod webp;

pub(crate) use codec::{AnimationEncoder, DecodeRequest, Decoded, Encoded, Metadata};
pub use features::{ColourSignal, OutputFeatures};

use darkroom_container::header::Header;
use darkroom_model::{
    RenditionFormat, SourceFormat,
    recipe::{Effort, Quality},
};
use darkroom_raster::Raster;

use crate::RenderError;
use codec::Codec;

/// A format that is read and perhaps written.
struct Format {
    reads: SourceFormat,
    /// As which output format it is written, and what its files can hold.
    writes: Option<(RenditionFormat, OutputFeatures)>,
    codec: &'static dyn Codec,
}

/// The table of formats: one row per format.
const FORMATS: &[Format] = &[
    Format {
        reads: SourceFormat::Jpeg,
        writes: Some((RenditionFormat::Jpeg, jpeg::FEATURES)),
        codec: &jpeg::JpegCodec,
    },
    Format { reads: SourceFormat::Png, writes: Some((RenditionFormat::Png, png::FEATURES)), codec: &png::PngCodec },
    Format {
        reads: SourceFormat::Webp,
        writes: Some((RenditionFormat::Webp, webp::FEATURES)),
        codec: &webp::WebpCodec,
    },
    Format { reads: SourceFormat::Gif, writes: None, codec: &gif::GifCodec },
    Format {
        reads: SourceFormat::Avif,
        writes: Some((RenditionFormat::Avif, avif::FEATURES)),
        codec: &avif::AvifCodec,
    },
    Format { reads: SourceFormat::Heic, writes: None, codec: &heic::HeicCodec },
    Format { reads: SourceFormat::Jxl, writes: None, codec: &jxl::JxlCodec },
    Format { reads: SourceFormat::Tiff, writes: None, codec: &tiff::TiffCodec },
    Format { reads: SourceFormat::Bmp, writes: None, codec: &bmp::BmpCodec },
];

/// The codec that reads a format.
pub(crate) fn decoder(format: SourceFormat) -> &'static dyn Codec {
    let row = FORMATS.iter().find(|row| row.reads == format);
    row.map_or_else(|| unreachable!("a test checks that {format} has a row"), |row| row.codec)
}

/// The codec that writes a format.
pub(crate) fn encoder(format: RenditionFormat) -> &'static dyn Codec {
    output(format).0
}

/// What files of an output format can hold.
pub(crate) fn output_features(format: RenditionFormat) -> OutputFeatures {
    output(format).1
}

fn output(format: RenditionFormat) -> (&'static dyn Codec, OutputFeatures) {
    let mut outputs =
        FORMATS.iter().filter_map(|row| row.writes.map(|(writes, features)| (writes, row.codec, features)));
    let found = outputs.find(|(writes, ..)| *writes == format);
    found
        .map_or_else(|| unreachable!("a test checks that {format} has a row"), |(_, codec, features)| (codec, features))
}

/// Decodes a still picture, or the first frame of an animation.
#[tracing::instrument(level = "trace", name = "decode", skip_all)]
pub(crate) fn decode(file: &[u8], header: &Header, request: &DecodeRequest<'_>) -> Result<Decoded, RenderError> {
    decoder(header.format).decode(file, header, request)
}

/// Encodes a picture of coded values with straight alpha. A format without alpha gets it composited on white. The file
/// has no metadata; [`Codec::embed`] adds it afterwards.
#[tracing::instrument(level = "trace", name = "encode", skip_all, fields(%format))]
pub(crate) fn encode(
    picture: &Raster<u8>,
    format: RenditionFormat,
    quality: Quality,
    effort: Effort,
) -> Result<Encoded, RenderError> {
    let codec = encoder(format);
    let bytes = if output_features(format).alpha {
        codec.encode(picture, quality, effort)?
    } else {
        codec.encode(&picture.flatten_on_white(), quality, effort)?
    };
    Ok(Encoded { format, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_has_one_row() {
        for format in SourceFormat::ALL {
            assert_eq!(FORMATS.iter().filter(|row| row.reads == *format).count(), 1, "{format}");
        }
        for format in RenditionFormat::ALL {
            let writes = |row: &&Format| row.writes.is_some_and(|(writes, _)| writes == *format);
            assert_eq!(FORMATS.iter().filter(writes).count(), 1, "{format}");
        }
    }
}
