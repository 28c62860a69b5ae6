//! Filters EXIF by an allowlist of tags. The EXIF of a rendition is written anew from the tags that the recipe keeps, so maker notes,
//! thumbnails and unknown tags are never copied.

use std::io::Cursor;

use darkroom_model::recipe::Keep;
use exif::{Field, In, Reader, Tag, Value, experimental::Writer};

use crate::xmp_iptc::Attribution;

/// The tags of [`Keep::Copyright`].
const COPYRIGHT: &[Tag] = &[Tag::Artist, Tag::Copyright];

/// The tags that [`Keep::Public`] adds: description, date, camera and exposure. Not in the list: the GPS directory, serial numbers
/// and unique ids, names of owners, comments, which have no standard format, and tags that describe the pixels of the source only,
/// such as its orientation.
const PUBLIC: &[Tag] = &[
    Tag::ImageDescription,
    Tag::Make,
    Tag::Model,
    Tag::Software,
    Tag::DateTime,
    Tag::ExifVersion,
    Tag::DateTimeOriginal,
    Tag::DateTimeDigitized,
    Tag::OffsetTime,
    Tag::OffsetTimeOriginal,
    Tag::OffsetTimeDigitized,
    Tag::SubSecTime,
    Tag::SubSecTimeOriginal,
    Tag::SubSecTimeDigitized,
    Tag::ExposureTime,
    Tag::FNumber,
    Tag::ExposureProgram,
    Tag::PhotographicSensitivity,
    Tag::SensitivityType,
    Tag::StandardOutputSensitivity,
    Tag::RecommendedExposureIndex,
    Tag::ISOSpeed,
    Tag::ShutterSpeedValue,
    Tag::ApertureValue,
    Tag::BrightnessValue,
    Tag::ExposureBiasValue,
    Tag::MaxApertureValue,
    Tag::SubjectDistance,
    Tag::MeteringMode,
    Tag::LightSource,
    Tag::Flash,
    Tag::FocalLength,
    Tag::ExposureIndex,
    Tag::SensingMethod,
    Tag::FileSource,
    Tag::SceneType,
    Tag::CustomRendered,
    Tag::ExposureMode,
    Tag::WhiteBalance,
    Tag::DigitalZoomRatio,
    Tag::FocalLengthIn35mmFilm,
    Tag::SceneCaptureType,
    Tag::GainControl,
    Tag::Contrast,
    Tag::Saturation,
    Tag::Sharpness,
    Tag::SubjectDistanceRange,
    Tag::LensSpecification,
    Tag::LensMake,
    Tag::LensModel,
];

/// The longest value to keep, in bytes. All values together stay below the 64 KiB of a JPEG segment.
const MAX_VALUE_LENGTH: usize = 1_000;

/// The EXIF of a rendition: the tags of the source's `exif`, a TIFF structure, that `keep` permits. `attribution` from other metadata
/// fills in the artist and copyright tags where `exif` has none. `None` where no tag remains.
#[must_use]
pub fn filter_exif(exif: Option<Vec<u8>>, attribution: Attribution, keep: Keep) -> Option<Vec<u8>> {
    let lists: &[&[Tag]] = match keep {
        Keep::Nothing => &[],
        Keep::Copyright => &[COPYRIGHT],
        Keep::Public => &[COPYRIGHT, PUBLIC],
    };
    // Many cameras and editors write EXIF with errors; the readable tags are used.
    let read = |exif| Reader::new().continue_on_error(true).read_raw(exif);
    let exif = exif.and_then(|exif| read(exif).or_else(|error| error.distill_partial_result(|_| {})).ok());
    let attribution = [(Tag::Artist, attribution.creator), (Tag::Copyright, attribution.copyright_notice)]
        .map(|(tag, text)| Field { tag, ifd_num: In::PRIMARY, value: Value::Ascii(vec![text.into_bytes()]) });
    let mut fields = lists.iter().copied().flatten().filter_map(|tag| {
        let field =
            exif.as_ref().and_then(|exif| exif.get_field(*tag, In::PRIMARY)).filter(|field| is_kept_length(field));
        field.or_else(|| attribution.iter().find(|field| field.tag == *tag).filter(|field| is_kept_length(field)))
    });
    let mut writer = Writer::new();
    writer.push_field(fields.next()?);
    fields.for_each(|field| writer.push_field(field));
    let mut written = Cursor::new(Vec::new());
    writer.write(&mut written, false).ok()?;
    Some(written.into_inner())
}

/// Whether the value of a field is neither empty nor longer than [`MAX_VALUE_LENGTH`].
fn is_kept_length(field: &Field) -> bool {
    let length = match &field.value {
        Value::Ascii(lines) if lines.iter().all(Vec::is_empty) => 0,
        Value::Ascii(lines) => lines.iter().map(|line| line.len() + 1).sum(),
        Value::Byte(bytes) | Value::Undefined(bytes, _) => bytes.len(),
        Value::Short(numbers) => numbers.len() * 2,
        Value::Long(numbers) => numbers.len() * 4,
        Value::Rational(numbers) => numbers.len() * 8,
        Value::SRational(numbers) => numbers.len() * 8,
        _ => 0,
    };
    (1..=MAX_VALUE_LENGTH).contains(&length)
}
