//! A rendition has the metadata that its recipe keeps, and no other.

use std::io::Cursor;

use darkroom_model::{
    RenditionFormat,
    recipe::{Gamut, Keep, Resize},
};
use darkroom_test_pictures::{self as pictures, Av1, Heif, Jpeg, Tiff};
use exif::{Exif, Field, In, Rational, Reader, Tag, Value, experimental::Writer};
use image::GenericImageView as _;
use png::{BitDepth, ColorType};

use crate::rendered;

const SECRET: &str = "SECRET-4711";

fn text(tag: Tag, text: &str) -> Field {
    Field { tag, ifd_num: In::PRIMARY, value: Value::Ascii(vec![text.as_bytes().to_vec()]) }
}

/// EXIF as a camera writes it: personal data, the location, and tags that may be kept.
fn camera_exif() -> Vec<u8> {
    let degrees = [(52, 1), (31, 1), (4711, 100)].map(|(num, denom)| Rational { num, denom }).to_vec();
    let fields = [
        text(Tag::Artist, "Ada"),
        text(Tag::Copyright, "(c) Ada"),
        text(Tag::ImageDescription, "A bridge"),
        text(Tag::Model, "Box 2"),
        text(Tag::DateTimeOriginal, "2026:02:03 04:05:06"),
        Field {
            tag: Tag::FNumber,
            ifd_num: In::PRIMARY,
            value: Value::Rational(vec![Rational { num: 28, denom: 10 }]),
        },
        Field { tag: Tag::Orientation, ifd_num: In::PRIMARY, value: Value::Short(vec![6]) },
        Field { tag: Tag::GPSLatitude, ifd_num: In::PRIMARY, value: Value::Rational(degrees) },
        text(Tag::GPSLatitudeRef, "N"),
        text(Tag::GPSAreaInformation, SECRET),
        text(Tag::BodySerialNumber, SECRET),
        text(Tag::LensSerialNumber, SECRET),
        text(Tag::CameraOwnerName, SECRET),
        text(Tag::ImageUniqueID, SECRET),
        Field { tag: Tag::MakerNote, ifd_num: In::PRIMARY, value: Value::Undefined(SECRET.into(), 0) },
        Field { tag: Tag::UserComment, ifd_num: In::PRIMARY, value: Value::Undefined(SECRET.into(), 0) },
    ];
    let preview = Jpeg::new(16, 16).with_segment(0xFE, SECRET.as_bytes()).encode_rgb(|_, _| [1, 2, 3]);
    let mut writer = Writer::new();
    for field in &fields {
        writer.push_field(field);
    }
    writer.set_jpeg(&preview, In::THUMBNAIL);
    let mut written = Cursor::new(Vec::new());
    writer.write(&mut written, true).unwrap();
    written.into_inner()
}

fn jpeg(exif: &[u8]) -> Vec<u8> {
    let xmp = format!("http://ns.adobe.com/xap/1.0/\0<x>{SECRET}</x>");
    Jpeg::new(32, 16)
        .with_segment(0xE1, &[b"Exif\0\0", exif].concat())
        .with_segment(0xE1, xmp.as_bytes())
        .with_segment(0xED, format!("Photoshop 3.0\0{SECRET}").as_bytes())
        .encode_rgb(|_, _| [200, 30, 30])
}

fn png(exif: &[u8]) -> Vec<u8> {
    let samples = [240, 20, 20].repeat(32 * 16);
    let chunks = [(*b"cICP", vec![12, 13, 0, 1]), (*b"eXIf", exif.to_vec())];
    pictures::png_with(32, 16, ColorType::Rgb, BitDepth::Eight, &samples, &chunks)
}

/// Every format that can carry EXIF.
fn sources() -> Vec<(&'static str, Vec<u8>)> {
    let exif = camera_exif();
    let webp = pictures::webp(32, 16, &[9, 9, 200, 255].repeat(32 * 16));
    let boxed = [&[0; 4], &exif[..]].concat();
    vec![
        ("JPEG", jpeg(&exif)),
        ("PNG", png(&exif)),
        ("WebP", pictures::webp_with(32, 16, &webp, &[(*b"EXIF", exif.clone())])),
        ("AVIF", Heif::avif(Av1::Full).with_exif(&exif).encode()),
        ("JPEG XL", pictures::jxl_container(*b"Exif", &boxed)),
    ]
}

fn made(source: &[u8], resize: Resize) -> Vec<u8> {
    rendered::one(source, resize).unwrap().1.bytes
}

fn keeping(keep: Keep, format: RenditionFormat) -> Resize {
    Resize { keep, format: Some(format), ..Resize::default() }
}

/// The EXIF as another library reads it.
fn exif_in(file: &[u8]) -> Exif {
    Reader::new().read_from_container(&mut Cursor::new(file)).unwrap()
}

fn value(exif: &Exif, tag: Tag) -> Option<String> {
    exif.get_field(tag, In::PRIMARY).map(|field| field.display_value().to_string())
}

/// Renders every source in every format and calls `look` with a description, the file and its EXIF.
fn each_to_each(keep: Keep, look: impl Fn(&str, &[u8], &Exif)) {
    for (name, source) in sources() {
        for format in RenditionFormat::ALL {
            let file = made(&source, keeping(keep, *format));
            look(&format!("{name} to {format}"), &file, &exif_in(&file));
        }
    }
}

#[test]
fn copyright_is_kept_in_every_format_and_nothing_else() {
    each_to_each(Keep::Copyright, |what, _, exif| {
        assert_eq!(value(exif, Tag::Artist).unwrap(), "\"Ada\"", "{what}");
        assert_eq!(value(exif, Tag::Copyright).unwrap(), "\"(c) Ada\"", "{what}");
        assert_eq!(exif.fields().len(), 2, "{what}");
    });
}

/// XMP as photo management programs write it beside EXIF.
fn xmp() -> Vec<u8> {
    let packet = format!(
        "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>\
         <rdf:Description xmlns:dc='http://purl.org/dc/elements/1.1/' xmlns:s='urn:s' s:serial='{SECRET}'>\
         <dc:creator><rdf:Seq><rdf:li>Bea</rdf:li></rdf:Seq></dc:creator>\
         <dc:rights><rdf:Alt><rdf:li xml:lang='x-default'>(c) Bea</rdf:li></rdf:Alt></dc:rights>\
         </rdf:Description></rdf:RDF></x:xmpmeta>"
    );
    packet.into_bytes()
}

#[test]
fn copyright_is_found_in_xmp_and_iptc_where_exif_has_none() {
    let app1 = [b"http://ns.adobe.com/xap/1.0/\0", &xmp()[..]].concat();
    let itxt = [b"XML:com.adobe.xmp\0\0\0\0\0", &xmp()[..]].concat();
    let webp = pictures::webp(32, 16, &[9, 9, 200, 255].repeat(32 * 16));
    let samples = [240, 20, 20].repeat(32 * 16);
    // A named resource before the IPTC one.
    let iptc = b"Photoshop 3.0\08BIM\x03\xED\x02ab\0\0\0\0\x01x\08BIM\x04\x04\0\0\0\0\0\x14\
                 \x1C\x02\x50\0\x03Bea\x1C\x02\x74\0\x07(c) Bea";
    let plain = || Jpeg::new(32, 16);
    let tiff = |blobs| {
        let (fields, channels) = (Vec::new(), 3);
        Tiff { width: 4, height: 2, channels, bits: 8, photometric: 2, fields, blobs }.encode(&[99; 24])
    };
    let red = |_, _| [200, 30, 30];
    for (name, source) in [
        ("JPEG", plain().with_segment(0xE1, &app1).encode_rgb(red)),
        ("IPTC", plain().with_segment(0xED, iptc).encode_rgb(red)),
        ("PNG", pictures::png_with(32, 16, ColorType::Rgb, BitDepth::Eight, &samples, &[(*b"iTXt", itxt)])),
        ("WebP", pictures::webp_with(32, 16, &webp, &[(*b"XMP ", xmp())])),
        ("AVIF", Heif::avif(Av1::Full).with_item(*b"mime", &xmp()).encode()),
        ("JPEG XL", pictures::jxl_container(*b"xml ", &xmp())),
        ("TIFF", tiff(vec![(700, 7, xmp())])),
        ("a TIFF's own", tiff(vec![(315, 2, b"Bea\0".to_vec()), (33_432, 2, b"(c) Bea\0".to_vec())])),
    ] {
        let file = made(&source, keeping(Keep::Copyright, RenditionFormat::Jpeg));
        let exif = exif_in(&file);
        assert_eq!(value(&exif, Tag::Artist).unwrap(), "\"Bea\"", "{name}");
        assert_eq!(value(&exif, Tag::Copyright).unwrap(), "\"(c) Bea\"", "{name}");
        assert_eq!(exif.fields().len(), 2, "{name}");
        assert!(!file.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()), "{name}");
        let nothing = made(&source, keeping(Keep::Nothing, RenditionFormat::Jpeg));
        assert!(!nothing.windows(3).any(|window| window == b"Bea"), "{name}");
    }
}

#[test]
fn exif_takes_precedence_over_xmp() {
    let app1 = [b"http://ns.adobe.com/xap/1.0/\0", &xmp()[..]].concat();
    let exif = [b"Exif\0\0", &camera_exif()[..]].concat();
    let source = Jpeg::new(32, 16).with_segment(0xE1, &app1).with_segment(0xE1, &exif).encode_rgb(|_, _| [200, 30, 30]);
    let kept = exif_in(&made(&source, keeping(Keep::Copyright, RenditionFormat::Webp)));
    assert_eq!(value(&kept, Tag::Copyright).unwrap(), "\"(c) Ada\"");
}

#[test]
fn public_exif_is_kept_without_location_serial_numbers_and_previews() {
    each_to_each(Keep::Public, |what, file, exif| {
        assert_eq!(value(exif, Tag::ImageDescription).unwrap(), "\"A bridge\"", "{what}");
        assert_eq!(value(exif, Tag::DateTimeOriginal).unwrap(), "2026-02-03 04:05:06", "{what}");
        assert_eq!(value(exif, Tag::FNumber).unwrap(), "2.8", "{what}");
        assert_eq!(exif.fields().len(), 6, "{what}");
        for trace in [SECRET, "xap/1.0", "Photoshop", "JFXX"] {
            assert!(!file.windows(trace.len()).any(|window| window == trace.as_bytes()), "{trace} in {what}");
        }
    });
}

#[test]
fn a_exif_filter_has_no_orientation() {
    let file = made(&jpeg(&camera_exif()), keeping(Keep::Public, RenditionFormat::Jpeg));
    assert_eq!(value(&exif_in(&file), Tag::Orientation), None);
    assert_eq!(image::load_from_memory(&file).unwrap().dimensions(), (16, 32), "turned by the pipeline");
    let again = made(&file, keeping(Keep::Public, RenditionFormat::Jpeg));
    assert_eq!(image::load_from_memory(&again).unwrap().dimensions(), (16, 32));
    assert_eq!(exif_in(&again).fields().len(), 6);
}

#[test]
fn exif_and_icc_profile_can_be_embedded_together() {
    for format in RenditionFormat::ALL {
        let wide = Resize { gamut: Gamut::P3, ..keeping(Keep::Copyright, *format) };
        let file = made(&png(&camera_exif()), wide);
        assert_eq!(exif_in(&file).fields().len(), 2, "{format}");
        let plain = Resize { gamut: Gamut::P3, ..keeping(Keep::Nothing, *format) };
        let shown =
            |file: &[u8]| made(file, Resize { gamut: Gamut::P3, ..keeping(Keep::Nothing, RenditionFormat::Png) });
        assert_eq!(shown(&file), shown(&made(&png(&camera_exif()), plain)), "{format}: the same picture");
    }
}

#[test]
fn without_a_readable_exif_the_rendition_has_none() {
    let long = "x".repeat(2_000);
    let mut writer = Writer::new();
    let field = text(Tag::Copyright, &long);
    writer.push_field(&field);
    let mut too_long = Cursor::new(Vec::new());
    writer.write(&mut too_long, true).unwrap();
    for exif in [&b"II*\0\xFF\xFF\xFF\xFF"[..], b"", b"garbage", too_long.get_ref()] {
        let file = made(&jpeg(exif), keeping(Keep::Public, RenditionFormat::Jpeg));
        assert!(!file.windows(4).any(|window| window == b"Exif"));
    }
}

#[test]
fn the_readable_part_of_a_damaged_exif_is_kept() {
    let mut exif = camera_exif();
    // Truncated within the preview: the first directory is complete.
    exif.truncate(exif.len() - 40);
    let file = made(&jpeg(&exif), keeping(Keep::Copyright, RenditionFormat::Webp));
    assert_eq!(value(&exif_in(&file), Tag::Artist).unwrap(), "\"Ada\"");
}
