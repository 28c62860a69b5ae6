//! The table of formats: one row per format.

use darkroom_model::{RenditionFormat, SourceFormat};

use super::{OutputFeatures, avif, bmp, codec::Codec, gif, jpeg, jxl, png, tiff, webp};

/// A format that is read and perhaps written.
struct Row {
    reads: SourceFormat,
    writes: Option<(RenditionFormat, OutputFeatures)>,
    codec: &'static dyn Codec,
}

const ROWS: &[Row] = &[
    Row { reads: SourceFormat::Jpeg, writes: Some((RenditionFormat::Jpeg, jpeg::FEATURES)), codec: &jpeg::JpegCodec },
    Row { reads: SourceFormat::Png, writes: Some((RenditionFormat::Png, png::FEATURES)), codec: &png::PngCodec },
    Row { reads: SourceFormat::Webp, writes: Some((RenditionFormat::Webp, webp::FEATURES)), codec: &webp::WebpCodec },
    Row { reads: SourceFormat::Gif, writes: None, codec: &gif::GifCodec },
    Row { reads: SourceFormat::Avif, writes: Some((RenditionFormat::Avif, avif::FEATURES)), codec: &avif::AvifCodec },
    Row { reads: SourceFormat::Jxl, writes: None, codec: &jxl::JxlCodec },
    Row { reads: SourceFormat::Tiff, writes: None, codec: &tiff::TiffCodec },
    Row { reads: SourceFormat::Bmp, writes: None, codec: &bmp::BmpCodec },
];

/// The codec that reads a format.
pub(crate) fn decoder(format: SourceFormat) -> &'static dyn Codec {
    let row = ROWS.iter().find(|row| row.reads == format);
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
    let mut outputs = ROWS.iter().filter_map(|row| row.writes.map(|(writes, features)| (writes, row.codec, features)));
    let found = outputs.find(|(writes, ..)| *writes == format);
    found
        .map_or_else(|| unreachable!("a test checks that {format} has a row"), |(_, codec, features)| (codec, features))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_has_one_row() {
        for format in SourceFormat::ALL {
            assert_eq!(ROWS.iter().filter(|row| row.reads == *format).count(), 1, "{format}");
        }
        for format in RenditionFormat::ALL {
            let writes = |row: &&Row| row.writes.is_some_and(|(writes, _)| writes == *format);
            assert_eq!(ROWS.iter().filter(writes).count(), 1, "{format}");
        }
    }
}
