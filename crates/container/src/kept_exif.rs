//! What a rendition keeps of its source's metadata, as EXIF. It is written anew from a list of what may be kept: what is on
//! no list, a maker's note or a preview, cannot come along.

use std::io::Cursor;

use darkroom_model::recipe::Keep;
use exif::{Field, In, Reader, Tag, Value, experimental::Writer};

use crate::xmp_iptc::Rights;

/// Who made it, and who has the rights.
const COPYRIGHT: &[Tag] = &[Tag::Artist, Tag::Copyright];

/// What it shows, and when and how it was taken. Not in it: GPS's directory, serial numbers and unique ids, owners' names,
/// comments, whose form only their writer knows, and what is true of the source's pixels alone, its orientation for one.
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

/// A longer value is left out. So all together are less than the 64 KiB that a JPEG has room for.
const MAX_VALUE: usize = 1_000;

/// The part of an EXIF that is to be kept, as an EXIF of its own; `None` where there is nothing of it. What other metadata
/// says of the rights stands in for what EXIF does not say.
pub fn kept(exif: Option<Vec<u8>>, rights: Rights, keep: Keep) -> Option<Vec<u8>> {
    let lists: &[&[Tag]] = match keep {
        Keep::Nothing => &[],
        Keep::Copyright => &[COPYRIGHT],
        Keep::Public => &[COPYRIGHT, PUBLIC],
    };
    // Cameras and editors write much that is not quite right: what can be read of it is.
    let read = |exif| Reader::new().continue_on_error(true).read_raw(exif);
    let exif = exif.and_then(|exif| read(exif).or_else(|error| error.distill_partial_result(|_| {})).ok());
    let rights = [(Tag::Artist, rights.creator), (Tag::Copyright, rights.notice)].map(|(tag, text)| Field {
        tag,
        ifd_num: In::PRIMARY,
        value: Value::Ascii(vec![text.into_bytes()]),
    });
    let mut fields = lists.iter().copied().flatten().filter_map(|tag| {
        let said = exif.as_ref().and_then(|exif| exif.get_field(*tag, In::PRIMARY)).filter(|field| fits(field));
        said.or_else(|| rights.iter().find(|field| field.tag == *tag).filter(|field| fits(field)))
    });
    let mut writer = Writer::new();
    writer.push_field(fields.next()?);
    fields.for_each(|field| writer.push_field(field));
    let mut written = Cursor::new(Vec::new());
    writer.write(&mut written, false).ok()?;
    Some(written.into_inner())
}

/// Whether there is something in it, and not too much.
fn fits(field: &Field) -> bool {
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
    (1..=MAX_VALUE).contains(&length)
}
