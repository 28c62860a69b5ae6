//! Overlays: another picture composited on the rendition.

use darkroom_container::header::HeaderLimits;
use darkroom_model::{
    FailureCode, ImageAnalysis, ImageId, RenditionFormat,
    recipe::{Blur, Colour, Fit, Gamut, Margin, Opacity, Overlay, Position, Quality, Recipe, Resize, Scale, Ssim},
};
use darkroom_pipeline::{Files, Limits, RenderError, render};
use darkroom_test_pictures::{self as pictures, GifFrame, Rgb};
use gif::{DisposalMethod, Repeat};
use image::{AnimationDecoder as _, DynamicImage, GenericImageView as _, codecs::webp::WebPDecoder};
use png::{BitDepth, ColorType};

use crate::rendered;

const RED: Rgb = [255, 0, 0];
const GREEN: Rgb = [0, 255, 0];
const BLUE: Rgb = [0, 0, 255];

fn plain(width: u32, height: u32, colour: Rgb) -> Vec<u8> {
    pictures::png(width, height, ColorType::Rgb, BitDepth::Eight, &colour.repeat((width * height) as usize))
}

/// At the lower right without a margin, as large as fits.
fn overlay() -> Overlay {
    let (scale, margin) = (Scale::new(1.0).unwrap(), Margin::new(0.0).unwrap());
    Overlay { scale, margin, ..Overlay::of(ImageId::now()) }
}

fn with(overlay: Overlay) -> Resize {
    let format = Some(RenditionFormat::Png);
    Resize { overlay: Some(overlay), format, quality: Quality::MAX, ..Resize::default() }
}

fn made(source: &[u8], overlay: &[u8], resize: Resize) -> Result<(ImageAnalysis, Vec<u8>), RenderError> {
    let (analysis, rendition) = rendered::one(Files { source, overlay: Some(overlay) }, resize)?;
    Ok((analysis, rendition.bytes))
}

fn seen(source: &[u8], overlay: &[u8], resize: Resize) -> DynamicImage {
    image::load_from_memory(&made(source, overlay, resize).unwrap().1).unwrap()
}

/// The bounding box of the pixels that differ from a colour: left, top, right and bottom, the last two exclusive.
fn changed(picture: &DynamicImage, background: Rgb) -> (u32, u32, u32, u32) {
    let rgb = picture.to_rgb8();
    let (xs, ys): (Vec<_>, Vec<_>) =
        rgb.enumerate_pixels().filter(|(_, _, pixel)| pixel.0 != background).map(|(x, y, _)| (x, y)).unzip();
    assert!(!xs.is_empty(), "no pixel differs");
    let (left, right) = (xs.iter().min().unwrap(), xs.iter().max().unwrap() + 1);
    let (top, bottom) = (ys.iter().min().unwrap(), ys.iter().max().unwrap() + 1);
    assert_eq!(xs.len(), ((right - left) * (bottom - top)) as usize, "it has no holes");
    (*left, *top, right, bottom)
}

#[track_caller]
fn assert_close(found: &[u8], expected: &[u8], tolerance: u8) {
    let close = found.iter().zip(expected).all(|(a, b)| a.abs_diff(*b) <= tolerance);
    assert!(close && found.len() == expected.len(), "{found:?} is not {expected:?}");
}

#[test]
fn an_overlay_lies_at_its_position_and_is_not_enlarged() {
    let (source, logo) = (plain(100, 60, BLUE), plain(20, 10, RED));
    for (position, left, top) in [
        (Position::TopLeft, 6, 6),
        (Position::Top, 40, 6),
        (Position::TopRight, 74, 6),
        (Position::Left, 6, 25),
        (Position::Centre, 40, 25),
        (Position::Right, 74, 25),
        (Position::BottomLeft, 6, 44),
        (Position::Bottom, 40, 44),
        (Position::BottomRight, 74, 44),
    ] {
        let picture = seen(&source, &logo, with(Overlay { position, margin: Margin::new(0.1).unwrap(), ..overlay() }));
        assert_eq!(picture.dimensions(), (100, 60));
        assert_eq!(changed(&picture, BLUE), (left, top, left + 20, top + 10), "{position}");
        assert_eq!(picture.get_pixel(left, top).0[..3], RED);
    }
}

#[test]
fn an_overlay_is_fitted_into_its_share_of_the_rendition() {
    let source = plain(160, 160, BLUE);
    let half = Resize { width: 80.try_into().ok(), ..with(Overlay { scale: Scale::new(0.25).unwrap(), ..overlay() }) };
    let picture = seen(&source, &plain(400, 200, RED), half);
    assert_eq!(changed(&picture, BLUE), (60, 70, 80, 80), "wide ones touch its sides");
    let narrow = seen(&source, &plain(20, 400, RED), with(Overlay { scale: Scale::new(0.5).unwrap(), ..overlay() }));
    assert_eq!(changed(&narrow, BLUE), (156, 80, 160, 160), "high ones its top");
    let usual = seen(&source, &plain(400, 400, RED), with(Overlay::of(ImageId::now())));
    assert_eq!(changed(&usual, BLUE), (117, 117, 157, 157), "a quarter, and 0.02 from the edges");
}

#[test]
fn an_overlay_larger_than_the_picture_stays_within_its_margins() {
    let margin = Margin::new(0.25).unwrap();
    let large = seen(&plain(40, 80, BLUE), &plain(500, 500, RED), with(Overlay { margin, ..overlay() }));
    assert_eq!(changed(&large, BLUE), (10, 50, 30, 70));
    let tiny = seen(&plain(2, 1, BLUE), &plain(500, 500, RED), with(Overlay { margin, ..overlay() }));
    assert_eq!(changed(&tiny, BLUE), (1, 0, 2, 1));
}

#[test]
fn an_overlay_is_composited_in_coded_values_as_in_browsers() {
    let source = plain(8, 8, [100, 200, 0]);
    let samples = [200, 0, 50, 255].repeat(16);
    let logo = pictures::png(4, 4, ColorType::Rgba, BitDepth::Eight, &samples);
    let half = seen(&source, &logo, with(Overlay { opacity: Opacity::new(0.5).unwrap(), ..overlay() })).to_rgb8();
    // An alpha of 128 of 255.
    assert_eq!((half.get_pixel(3, 3).0, half.get_pixel(4, 4).0), ([100, 200, 0], [150, 100, 25]));
    let nothing = seen(&source, &logo, with(Overlay { opacity: Opacity::new(0.0).unwrap(), ..overlay() })).to_rgb8();
    assert!(nothing.pixels().all(|pixel| pixel.0 == [100, 200, 0]));
}

#[test]
fn the_edges_of_an_overlay_have_no_fringe() {
    // Fully transparent pixels are green.
    let samples: Vec<u8> =
        (0..64 * 64).flat_map(|i| if i % 64 < 35 { [255, 0, 0, 255] } else { [0, 255, 0, 0] }).collect();
    let logo = pictures::png(64, 64, ColorType::Rgba, BitDepth::Eight, &samples);
    let picture = seen(&plain(20, 20, RED), &logo, with(overlay())).to_rgb8();
    assert!(picture.pixels().all(|pixel| pixel.0 == RED));
    let edge = seen(&plain(20, 20, BLUE), &logo, with(overlay())).to_rgb8();
    assert_eq!((edge.get_pixel(2, 9).0, edge.get_pixel(17, 9).0), (RED, BLUE));
    assert!(edge.pixels().all(|pixel| pixel.0[1] == 0), "red and blue alone");
}

#[test]
fn a_gray_picture_becomes_rgb_only_under_a_coloured_overlay() {
    let gray = pictures::png(16, 16, ColorType::Grayscale, BitDepth::Eight, &[90; 256]);
    let white = pictures::png(4, 4, ColorType::Grayscale, BitDepth::Eight, &[255; 16]);
    let picture = seen(&gray, &plain(4, 4, RED), with(overlay())).to_rgb8();
    assert_eq!((picture.get_pixel(0, 0).0, picture.get_pixel(15, 15).0), ([90; 3], RED));
    let (_, jpeg) = made(&gray, &white, Resize { format: Some(RenditionFormat::Jpeg), ..with(overlay()) }).unwrap();
    let jpeg = image::load_from_memory(&jpeg).unwrap();
    assert_eq!(jpeg.color(), image::ColorType::L8);
    assert_close(&jpeg.get_pixel(14, 14).0[..1], &[255], 4);
}

#[test]
fn an_overlay_lies_on_the_canvas_and_background_of_contain() {
    let source = plain(40, 20, BLUE);
    let contain =
        Resize { width: 40.try_into().ok(), height: 40.try_into().ok(), fit: Fit::Contain, ..with(overlay()) };
    let clear = seen(&source, &plain(4, 4, RED), contain.clone()).to_rgba8();
    assert_eq!(clear.get_pixel(39, 39).0, [255, 0, 0, 255]);
    assert_eq!((clear.get_pixel(30, 39).0[3], clear.get_pixel(30, 20).0), (0, [0, 0, 255, 255]));
    let laid = seen(&source, &plain(4, 4, RED), Resize { background: Some(Colour(GREEN)), ..contain }).to_rgba8();
    assert_eq!((laid.get_pixel(39, 39).0, laid.get_pixel(30, 39).0), ([255, 0, 0, 255], [0, 255, 0, 255]));
}

#[test]
fn effects_do_not_apply_to_the_overlay() {
    let resize = Resize { grayscale: true, blur: Blur::new(5.0), ..with(overlay()) };
    let picture = seen(&plain(20, 20, [90; 3]), &plain(4, 4, RED), resize);
    assert_eq!(changed(&picture, [90; 3]), (16, 16, 20, 20));
    assert_eq!(picture.get_pixel(16, 16).0[..3], RED);
}

fn gif(colours: [Rgb; 2]) -> Vec<u8> {
    let frame =
        |colour| GifFrame { place: [0, 0, 32, 32], colour: Some(colour), delay: 7, dispose: DisposalMethod::Keep };
    pictures::gif(32, 32, Repeat::Infinite, &colours.map(frame))
}

#[test]
fn every_frame_of_an_animation_has_the_overlay_and_an_animated_overlay_shows_its_first_frame() {
    let resize = Resize { format: Some(RenditionFormat::Webp), ..with(overlay()) };
    let small = Overlay { scale: Scale::new(0.5).unwrap(), ..overlay() };
    for max_bytes in [None, 100_000.try_into().ok()] {
        let resize = Resize { overlay: Some(small), max_bytes, ..resize.clone() };
        let (_, file) = made(&gif([RED, BLUE]), &gif([GREEN, RED]), resize).unwrap();
        let decoder = WebPDecoder::new(std::io::Cursor::new(file)).unwrap();
        let frames = decoder.into_frames().collect_frames().unwrap();
        assert_eq!(frames.len(), 2);
        for (frame, colour) in frames.iter().zip([RED, BLUE]) {
            assert_close(&frame.buffer().get_pixel(6, 6).0[..3], &colour, 12);
            assert_close(&frame.buffer().get_pixel(25, 25).0[..3], &GREEN, 12);
        }
    }
    let still = seen(&gif([RED, BLUE]), &plain(8, 8, GREEN), with(overlay())).to_rgb8();
    assert_eq!((still.get_pixel(0, 0).0, still.get_pixel(31, 31).0), (RED, GREEN));
}

#[test]
fn an_overlay_is_turned_upright() {
    for orientation in 1..=8 {
        let logo = pictures::turned_jpeg(32, 16, orientation);
        let picture = seen(&plain(64, 64, [9; 3]), &logo, with(overlay())).to_rgb8();
        for (x, y, colour) in [(36, 51, RED), (60, 51, GREEN), (36, 60, BLUE), (60, 60, [255; 3]), (60, 40, [9; 3])] {
            assert_close(&picture.get_pixel(x, y).0, &colour, 12);
        }
    }
}

/// sRGB's red in Display P3's values.
const RED_IN_P3: Rgb = [234, 51, 35];

fn in_p3(width: u32, height: u32, colour: Rgb) -> Vec<u8> {
    let samples = colour.repeat((width * height) as usize);
    let chunks = [(*b"cICP", vec![12, 13, 0, 1])];
    pictures::png_with(width, height, ColorType::Rgb, BitDepth::Eight, &samples, &chunks)
}

#[test]
fn an_overlay_is_converted_to_the_gamut_of_the_rendition() {
    let p3 = Resize { gamut: Gamut::P3, ..with(overlay()) };
    for (logo, expected) in [(plain(4, 4, RED), RED_IN_P3), (in_p3(4, 4, [250, 10, 20]), [250, 10, 20])] {
        // The stored values.
        let picture = seen(&in_p3(16, 16, GREEN), &logo, p3.clone()).to_rgb8();
        assert_close(&picture.get_pixel(15, 15).0, &expected, 1);
        assert_eq!(picture.get_pixel(0, 0).0, GREEN);
    }
    let gray = pictures::png(4, 4, ColorType::Grayscale, BitDepth::Eight, &[99; 16]);
    assert_close(&seen(&in_p3(16, 16, GREEN), &gray, p3).to_rgb8().get_pixel(15, 15).0, &[99; 3], 0);
    let srgb = seen(&plain(16, 16, BLUE), &in_p3(4, 4, RED_IN_P3), with(overlay())).to_rgb8();
    assert_close(&srgb.get_pixel(15, 15).0, &RED, 2);
}

#[test]
fn the_analysis_ignores_the_overlay() {
    let source = pictures::turned_jpeg(64, 64, 1);
    let (analysis, file) = made(&source, &plain(60, 60, BLUE), with(overlay())).unwrap();
    let alone = render(&source, &Recipe::Resize(Resize::default()), &Limits::default(), &mut |_| Ok(())).unwrap();
    assert_eq!(analysis, alone);
    assert_eq!(image::load_from_memory(&file).unwrap().get_pixel(32, 32).0[..3], BLUE);
}

#[test]
fn a_searched_quality_includes_the_overlay() {
    let noisy: Vec<u8> = (0..64_u32 * 64 * 3).map(|i| (i.wrapping_mul(2_654_435_761) >> 24).to_le_bytes()[0]).collect();
    let noisy = pictures::png(64, 64, ColorType::Rgb, BitDepth::Eight, &noisy);
    let source = plain(64, 64, BLUE);
    let jpeg = Resize { format: Some(RenditionFormat::Jpeg), ..with(overlay()) };
    let (_, best) = made(&source, &noisy, jpeg.clone()).unwrap();
    let (_, bounded) = made(&source, &noisy, Resize { max_bytes: 3000.try_into().ok(), ..jpeg.clone() }).unwrap();
    assert!(best.len() > 3000 && bounded.len() <= 3000, "{} {}", best.len(), bounded.len());
    let scored = |overlay: &[u8]| made(&source, overlay, Resize { ssim: Ssim::new(70.0), ..jpeg.clone() }).unwrap().1;
    assert!(scored(&noisy).len() > 2 * scored(&source).len());
}

#[test]
fn an_overlay_that_cannot_be_used_is_named_in_the_failure() {
    let source = plain(16, 16, BLUE);
    let mut cut_short = plain(64, 64, RED);
    cut_short.truncate(60);
    for logo in [cut_short.as_slice(), b"no picture", b"", &cut_short[..20]] {
        let failure = made(&source, logo, with(overlay())).unwrap_err().failure().unwrap();
        assert_eq!(failure.code, FailureCode::Unsatisfiable);
        assert!(failure.detail.starts_with("The overlay cannot be used. "), "{}", failure.detail);
    }
    let limits = Limits { header: HeaderLimits { pixels: 1000, ..HeaderLimits::default() }, ..Limits::default() };
    let logo = plain(40, 40, RED);
    let both = Files { source: &source, overlay: Some(&logo) };
    let recipe = Recipe::Resize(with(overlay()));
    let refused = render(both, &recipe, &limits, &mut |_| Ok(())).unwrap_err().failure().unwrap();
    assert!(refused.detail.starts_with("The overlay cannot be used. "), "{}", refused.detail);
    let missing = render(&source, &recipe, &limits, &mut |_| Ok(())).unwrap_err();
    assert!(missing.failure().is_none(), "a mistake of ours: {missing}");
}
