//! Colours outside of sRGB are kept where the recipe asks for it, and the file is labelled.

use darkroom_model::{
    ImageAnalysis, RenditionFormat,
    recipe::{Colour, Gamut, Quality, Resize},
};
use darkroom_test_pictures::{self as pictures, Rgb};
use image::{DynamicImage, GenericImageView as _, ImageDecoder as _};
use png::{BitDepth, ColorType};

use crate::rendered;

/// A red outside of sRGB, and a gray, in Display P3's values.
const RED: Rgb = [240, 20, 20];
const GRAY: Rgb = [128; 3];

fn source(kind: ColorType, samples: &[u8], p3: bool) -> Vec<u8> {
    let chunks = [(*b"cICP", vec![12, 13, 0, 1])];
    pictures::png_with(32, 16, kind, BitDepth::Eight, samples, if p3 { &chunks } else { &[] })
}

/// Red on the left, gray on the right.
fn halves(p3: bool) -> Vec<u8> {
    let samples: Vec<u8> = (0..32 * 16).flat_map(|i| if i % 32 < 16 { RED } else { GRAY }).collect();
    source(ColorType::Rgb, &samples, p3)
}

fn made(source: &[u8], resize: Resize) -> (ImageAnalysis, Vec<u8>) {
    let (analysis, rendition) = rendered::one(source, resize).unwrap();
    (analysis, rendition.bytes)
}

fn in_gamut(gamut: Gamut, format: RenditionFormat) -> Resize {
    Resize { gamut, format: Some(format), quality: Quality::MAX, ..Resize::default() }
}

/// The decoded values of a file in a gamut.
fn values(file: &[u8], gamut: Gamut) -> DynamicImage {
    image::load_from_memory(&made(file, in_gamut(gamut, RenditionFormat::Png)).1).unwrap()
}

#[track_caller]
fn assert_shows(picture: &DynamicImage, x: u32, expected: Rgb, format: RenditionFormat) {
    let found = picture.to_rgb8().get_pixel(x, 8).0;
    let close = found.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 4);
    assert!(close, "{format}, at {x}: {found:?} is not {expected:?}");
}

#[test]
fn display_p3_is_kept_where_asked_for_and_looks_the_same() {
    let source = halves(true);
    let srgb = values(&source, Gamut::Srgb).to_rgb8().get_pixel(4, 8).0;
    assert_ne!(srgb, RED);
    for format in RenditionFormat::ALL {
        let (_, file) = made(&source, in_gamut(Gamut::P3, *format));
        let kept = values(&file, Gamut::P3);
        assert_shows(&kept, 4, RED, *format);
        assert_shows(&kept, 28, GRAY, *format);
        let shown = values(&file, Gamut::Srgb);
        assert_shows(&shown, 4, srgb, *format);
        assert_shows(&shown, 28, GRAY, *format);
        let (_, plain) = made(&source, in_gamut(Gamut::Srgb, *format));
        assert_shows(&values(&plain, Gamut::Srgb), 4, srgb, *format);
    }
}

#[test]
fn other_readers_find_the_profile() {
    use image::codecs::{png::PngDecoder, webp::WebPDecoder};
    use std::io::Cursor;
    let file = |format| Cursor::new(made(&halves(true), in_gamut(Gamut::P3, format)).1);
    let png = PngDecoder::new(file(RenditionFormat::Png)).unwrap().icc_profile().unwrap().unwrap();
    let webp = WebPDecoder::new(file(RenditionFormat::Webp)).unwrap().icc_profile().unwrap().unwrap();
    assert_eq!(png, webp);
    assert_eq!(&png[24..36], &[0x07, 0xEA, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0], "a date that does not change");
    let jpeg = file(RenditionFormat::Jpeg).into_inner();
    assert!(jpeg.windows(png.len()).any(|window| window == png));
    assert!(png.len() < 1000, "{}", png.len());
    let avif = file(RenditionFormat::Avif).into_inner();
    assert!(avif.windows(10).any(|window| window == b"nclx\0\x0C\0\x0D\0\x06"));
}

#[test]
fn transparency_and_the_background_are_right_in_display_p3() {
    let samples: Vec<u8> =
        (0..32 * 16).flat_map(|i| if i % 32 < 16 { [240, 20, 20, 255] } else { [0, 0, 0, 0] }).collect();
    let source = source(ColorType::Rgba, &samples, true);
    for format in [RenditionFormat::Png, RenditionFormat::Webp, RenditionFormat::Avif] {
        let (_, file) = made(&source, in_gamut(Gamut::P3, format));
        let kept = values(&file, Gamut::P3).to_rgba8();
        assert_shows(&DynamicImage::from(kept.clone()), 4, RED, format);
        assert!(kept.get_pixel(28, 8).0[3] <= 4, "{format}");
        let background = Some(Colour([200, 40, 60]));
        let (_, laid) = made(&source, Resize { background, ..in_gamut(Gamut::P3, format) });
        assert_shows(&values(&laid, Gamut::Srgb), 28, [200, 40, 60], format);
    }
}

#[test]
fn a_picture_within_srgb_is_not_converted_to_p3() {
    let gray = source(ColorType::Grayscale, &[77; 32 * 16], true);
    for format in RenditionFormat::ALL {
        // WebP has no gray, so an RGB profile is valid in it.
        if matches!(format, RenditionFormat::Jpeg | RenditionFormat::Png) {
            let asked = made(&gray, in_gamut(Gamut::P3, *format)).1;
            assert!(!asked.windows(4).any(|window| window == b"ICC_" || window == b"iCCP"), "{format}");
        }
        let [p3, srgb] = [Gamut::P3, Gamut::Srgb].map(|gamut| made(&halves(false), in_gamut(gamut, *format)).1);
        assert_eq!(p3, srgb, "{format}");
        let grayscale = Resize { grayscale: true, ..in_gamut(Gamut::P3, *format) };
        let plain = Resize { grayscale: true, ..in_gamut(Gamut::Srgb, *format) };
        assert_eq!(made(&halves(true), grayscale).1, made(&halves(true), plain).1, "{format}");
    }
}

#[test]
fn the_analysis_is_in_srgb_and_max_bytes_includes_the_profile() {
    let source = halves(true);
    let [p3, srgb] = [Gamut::P3, Gamut::Srgb].map(|gamut| made(&source, in_gamut(gamut, RenditionFormat::Png)).0);
    let far = p3.dominant_colour.iter().zip(srgb.dominant_colour).map(|(a, b)| a.abs_diff(b)).max().unwrap();
    assert!(far <= 2, "{:?} is not {:?}", p3.dominant_colour, srgb.dominant_colour);
    assert_eq!(p3.perceptual_hash, srgb.perceptual_hash);
    let max = made(&source, in_gamut(Gamut::P3, RenditionFormat::Jpeg)).1.len() as u64 - 1;
    let bounded = Resize { max_bytes: max.try_into().ok(), ..in_gamut(Gamut::P3, RenditionFormat::Jpeg) };
    let file = made(&source, bounded).1;
    assert!(file.len() as u64 <= max);
    assert_eq!(values(&file, Gamut::P3).dimensions(), (32, 16));
}
