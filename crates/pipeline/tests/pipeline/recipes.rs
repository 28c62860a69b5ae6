//! The one rendition of a recipe shows what the recipe asks for.
#![allow(
    clippy::cast_sign_loss,
    clippy::float_cmp,
    reason = "patterns of bytes, and a score that is exactly 100 without loss"
)]

use darkroom_model::{
    FailureCode, RenditionFormat,
    recipe::{Blur, Colour, Crop, Fit, Position, Quality, Resize, Rotation, Sharpen, Ssim},
};
use darkroom_pipeline::{RenderError, Rendered};
use darkroom_test_pictures::{self as pictures, GifFrame, Jpeg, Rgb, corners, mixed};
use gif::{DisposalMethod, Repeat};
use image::{DynamicImage, GenericImageView as _};
use png::{BitDepth, ColorType};

use crate::rendered::{self, png};

const RED: Rgb = [255, 0, 0];
const GREEN: Rgb = [0, 255, 0];
const BLUE: Rgb = [0, 0, 255];
const WHITE: Rgb = [255; 3];

/// The one rendition of a recipe.
fn made(source: &[u8], resize: Resize) -> Result<Rendered, RenderError> {
    rendered::one(source, resize).map(|(_, rendition)| rendition)
}

/// The rendition without loss.
#[expect(clippy::needless_pass_by_value, reason = "as it is made where this is called")]
fn seen(source: &[u8], resize: Resize) -> DynamicImage {
    let lossless = Resize { format: Some(RenditionFormat::Png), quality: Quality::MAX, ..resize };
    let rendition = made(source, lossless).unwrap();
    let picture = image::load_from_memory(&rendition.bytes).unwrap();
    assert_eq!(picture.dimensions(), (rendition.width, rendition.height));
    picture
}

fn boxed(width: u32, height: u32, fit: Fit) -> Resize {
    Resize { width: width.try_into().ok(), height: height.try_into().ok(), fit, ..Resize::default() }
}

#[track_caller]
fn assert_shows(picture: &DynamicImage, places: &[(u32, u32, Rgb)]) {
    for (x, y, expected) in places {
        let found = picture.to_rgb8().get_pixel(*x, *y).0;
        let close = found.iter().zip(expected).all(|(a, b)| a.abs_diff(*b) <= 8);
        assert!(close, "at {x},{y}: {found:?} is not {expected:?}");
    }
}

#[test]
fn contain_fills_the_canvas_with_the_background_or_transparency() {
    let source = png(80, 40, |_, _| RED);
    let contain = boxed(40, 40, Fit::Contain);
    let picture = seen(&source, Resize { background: Some(Colour(BLUE)), ..contain.clone() });
    assert_eq!(picture.dimensions(), (40, 40));
    assert_shows(&picture, &[(20, 5, BLUE), (20, 20, RED), (20, 35, BLUE)]);
    let top = Resize { position: Position::Top, background: Some(Colour(BLUE)), ..contain.clone() };
    assert_shows(&seen(&source, top), &[(20, 5, RED), (20, 25, BLUE)]);
    let clear = seen(&source, contain.clone()).to_rgba8();
    assert_eq!((clear.get_pixel(20, 5).0[3], clear.get_pixel(20, 20).0[3]), (0, 255));
    let jpeg = made(&source, Resize { format: Some(RenditionFormat::Jpeg), ..contain }).unwrap();
    assert_shows(&seen(&jpeg.bytes, Resize::default()), &[(20, 2, WHITE), (20, 37, WHITE)]);
}

#[test]
fn contain_does_not_enlarge_the_picture_unless_asked() {
    let source = png(10, 10, |_, _| RED);
    let contain = Resize { background: Some(Colour(BLUE)), ..boxed(40, 40, Fit::Contain) };
    assert_shows(&seen(&source, contain.clone()), &[(5, 20, BLUE), (20, 20, RED)]);
    assert_shows(&seen(&source, Resize { enlarge: true, ..contain }), &[(2, 2, RED), (37, 37, RED)]);
}

#[test]
fn a_small_picture_is_enlarged_only_when_asked() {
    let source = png(20, 10, |x, y| corners(20, 10, x, y));
    assert_eq!(seen(&source, boxed(100, 0, Fit::Inside)).dimensions(), (20, 10));
    for (fit, expected) in
        [(Fit::Inside, (100, 50)), (Fit::Cover, (100, 100)), (Fit::Fill, (100, 100)), (Fit::Contain, (100, 100))]
    {
        let picture = seen(&source, Resize { enlarge: true, ..boxed(100, 100, fit) });
        assert_eq!(picture.dimensions(), expected, "{fit}");
    }
}

#[test]
fn the_background_shows_through_transparent_pixels() {
    let samples: Vec<u8> = (0..16 * 16).flat_map(|_| [255, 0, 0, 0]).collect();
    let source = pictures::png(16, 16, ColorType::Rgba, BitDepth::Eight, &samples);
    for format in RenditionFormat::ALL {
        let resize = Resize { background: Some(Colour([0, 90, 200])), format: Some(*format), ..Resize::default() };
        let rendition = made(&source, resize).unwrap();
        assert_shows(&seen(&rendition.bytes, Resize::default()), &[(8, 8, [0, 90, 200])]);
    }
}

#[test]
fn cover_keeps_the_part_at_its_position_for_every_orientation() {
    for orientation in 1..=8 {
        let source = pictures::turned_jpeg(320, 160, orientation);
        let cover = |position| Resize { position, ..boxed(40, 40, Fit::Cover) };
        let left = seen(&source, cover(Position::Left));
        assert_shows(&left, &[(10, 10, RED), (35, 10, RED), (10, 30, BLUE), (35, 30, BLUE)]);
        let right = seen(&source, cover(Position::TopRight));
        assert_shows(&right, &[(4, 10, GREEN), (35, 10, GREEN), (4, 30, WHITE), (35, 30, WHITE)]);
        let centre = seen(&source, cover(Position::Centre));
        assert_shows(&centre, &[(10, 10, RED), (30, 10, GREEN), (10, 30, BLUE), (30, 30, WHITE)]);
    }
}

#[test]
fn attention_keeps_the_subject_for_every_orientation() {
    // A red spot on the right of a plain gray.
    let spot =
        |x: u32, y: u32| if (448..496).contains(&x) && (56..104).contains(&y) { [220, 30, 40] } else { [128; 3] };
    let upright = Jpeg::new(640, 160).encode_rgb(spot);
    // Stored rotated: orientation 6 turns it clockwise.
    let lying = Jpeg::new(160, 640).with_orientation(6).encode_rgb(|x, y| spot(639 - y, x));
    for source in [upright, lying] {
        let attention = Resize { position: Position::Attention, ..boxed(80, 80, Fit::Cover) };
        let picture = seen(&source, attention);
        assert_shows(&picture, &[(40, 40, [220, 30, 40]), (5, 40, [128; 3]), (75, 40, [128; 3])]);
        let crop = Crop { x: 400, y: 0, width: 240.try_into().unwrap(), height: 160.try_into().unwrap() };
        let within = Resize { position: Position::Attention, crop: Some(crop), ..boxed(80, 80, Fit::Cover) };
        assert_shows(&seen(&source, within), &[(34, 40, [220, 30, 40]), (75, 40, [128; 3])]);
    }
}

#[test]
fn a_crop_is_of_the_upright_picture_and_exact() {
    let crop = Crop { x: 160, y: 64, width: 100.try_into().unwrap(), height: 64.try_into().unwrap() };
    for orientation in 1..=8 {
        let source = pictures::turned_jpeg(320, 160, orientation);
        let picture = seen(&source, Resize { crop: Some(crop), ..Resize::default() });
        assert_eq!(picture.dimensions(), (100, 64));
        assert_shows(&picture, &[(0, 0, GREEN), (99, 15, GREEN), (0, 16, WHITE), (99, 63, WHITE)]);
    }
}

#[test]
fn crops_of_every_size_and_position_can_be_rendered() {
    let source = Jpeg::new(37, 23).encode_rgb(|x, y| corners(37, 23, x, y));
    let crop = Some(Crop { x: 3, y: 1, width: 31.try_into().unwrap(), height: 7.try_into().unwrap() });
    let sizes = [(1, 1), (16_384, 1), (1, 16_384), (7, 11), (29, 3), (300, 301)];
    let places = [Position::TopLeft, Position::BottomRight, Position::Attention];
    for ((width, height), enlarge) in sizes.into_iter().flat_map(|size| [(size, false), (size, true)]) {
        for (position, rotate) in places.into_iter().flat_map(|place| [(place, None), (place, Some(Rotation::Quarter))])
        {
            let format = Some(RenditionFormat::Jpeg);
            let resize = Resize { position, enlarge, crop, rotate, format, ..boxed(width, height, Fit::Cover) };
            made(&source, resize).unwrap();
        }
    }
}

#[test]
fn a_crop_outside_of_the_picture_fails_with_a_reason() {
    let crop = Crop { x: 80, y: 0, width: 1.try_into().unwrap(), height: 1.try_into().unwrap() };
    let error = made(&png(80, 40, |_, _| RED), Resize { crop: Some(crop), ..Resize::default() }).unwrap_err();
    let failure = error.failure().unwrap();
    assert_eq!(
        (failure.code, failure.detail.as_str()),
        (FailureCode::Unsatisfiable, "The crop lies outside of the picture.")
    );
}

#[test]
fn a_picture_is_turned_and_mirrored_on_top_of_its_orientation() {
    for orientation in [1, 6] {
        let source = pictures::turned_jpeg(160, 80, orientation);
        let places = |picture: &DynamicImage, [a, b, c, d]: [Rgb; 4]| {
            let (w, h) = picture.dimensions();
            assert_shows(picture, &[(4, 4, a), (w - 5, 4, b), (4, h - 5, c), (w - 5, h - 5, d)]);
        };
        let turned = |rotate| seen(&source, Resize { rotate: Some(rotate), ..Resize::default() });
        assert_eq!(turned(Rotation::Quarter).dimensions(), (80, 160));
        places(&turned(Rotation::Quarter), [BLUE, RED, WHITE, GREEN]);
        places(&turned(Rotation::Half), [WHITE, BLUE, GREEN, RED]);
        places(&turned(Rotation::ThreeQuarters), [GREEN, WHITE, RED, BLUE]);
        places(&seen(&source, Resize { flip: true, ..Resize::default() }), [BLUE, WHITE, RED, GREEN]);
        places(&seen(&source, Resize { flop: true, ..Resize::default() }), [GREEN, RED, WHITE, BLUE]);
        let both =
            Resize { rotate: Some(Rotation::Quarter), flop: true, width: 40.try_into().ok(), ..Resize::default() };
        assert_eq!(seen(&source, both.clone()).dimensions(), (40, 80));
        places(&seen(&source, both), [RED, BLUE, GREEN, WHITE]);
    }
}

#[test]
fn grayscale_keeps_the_luminance_of_each_colour() {
    let source = png(64, 64, |x, y| corners(64, 64, x, y));
    let gray = Resize { grayscale: true, ..Resize::default() };
    let picture = seen(&source, gray.clone());
    assert_eq!(picture.color().channel_count(), 1);
    // The luminance of each of sRGB's primaries, coded.
    assert_shows(&picture, &[(5, 5, [127; 3]), (60, 5, [220; 3]), (5, 60, [76; 3]), (60, 60, WHITE)]);
    let jpeg = made(&source, Resize { format: Some(RenditionFormat::Jpeg), ..gray }).unwrap().bytes;
    let frame = jpeg.windows(2).position(|w| w == [0xFF, 0xC2]).unwrap();
    assert_eq!(jpeg[frame + 9], 1, "components");
}

#[test]
fn a_blur_works_in_linear_light() {
    let source = png(64, 64, |x, _| if x % 4 < 2 { [0; 3] } else { WHITE });
    for sigma in [4.0, 12.0] {
        // Half of the light is 188 in sRGB; a mean of coded values would be 128.
        let picture = seen(&source, Resize { blur: Blur::new(sigma), ..Resize::default() });
        assert_shows(&picture, &[(32, 32, [188; 3]), (20, 50, [188; 3])]);
    }
}

#[test]
fn sharpening_makes_an_edge_steeper() {
    let source = png(64, 16, |x, _| if x < 32 { [90; 3] } else { [160; 3] });
    let picture = seen(&source, Resize { sharpen: Sharpen::new(1.0), ..Resize::default() }).to_luma8();
    assert!(picture.get_pixel(31, 8).0[0] < 80 && picture.get_pixel(32, 8).0[0] > 170);
    assert_eq!((picture.get_pixel(5, 8).0[0], picture.get_pixel(60, 8).0[0]), (90, 160));
}

/// Deterministic noise from 0 to 255.
fn noise(x: u32, y: u32) -> u8 {
    (mixed(x, y) >> 24) as u8
}

#[test]
fn max_bytes_is_met_at_the_highest_quality_that_meets_it() {
    let source = png(96, 96, |x, y| [noise(x, y), noise(y, x), noise(x, x ^ y)]);
    for format in [RenditionFormat::Jpeg, RenditionFormat::Webp] {
        let of_quality =
            |quality: u8| Resize { format: Some(format), quality: Quality::new(quality).unwrap(), ..Resize::default() };
        let sixty = made(&source, of_quality(60)).unwrap().bytes;
        let max_bytes = std::num::NonZeroU64::new(sixty.len() as u64);
        let found = made(&source, Resize { max_bytes, ..of_quality(100) }).unwrap().bytes;
        assert_eq!(found, sixty, "{format}");
        let bounded = made(&source, Resize { max_bytes, ..of_quality(30) }).unwrap().bytes;
        assert_eq!(bounded, made(&source, of_quality(30)).unwrap().bytes, "{format}: quality is the highest tried");
        let failure = made(&source, Resize { max_bytes: 99.try_into().ok(), ..of_quality(100) }).unwrap_err().failure();
        assert_eq!(failure.unwrap().code, FailureCode::Unsatisfiable, "{format}");
    }
    let any =
        made(&source, Resize { max_bytes: 3000.try_into().ok(), quality: Quality::MAX, ..Resize::default() }).unwrap();
    assert!(any.bytes.len() <= 3000);
}

/// The SSIMULACRA2 score of one file against another.
fn score(original: &[u8], file: &[u8]) -> f64 {
    let [original, file] = [original, file].map(|bytes| {
        let picture = seen(bytes, Resize::default()).to_rgba8();
        let (width, height) = picture.dimensions();
        fast_ssim2::PixelBuffer::from_vec(picture.into_raw(), width, height, fast_ssim2::PixelDescriptor::RGBA8_SRGB)
            .unwrap()
    });
    fast_ssim2::compute_ssimulacra2(&original.as_slice(), &file.as_slice()).unwrap()
}

/// Soft shapes under a little noise, as in a photograph.
fn photograph(x: u32, y: u32) -> Rgb {
    let soft = |x: u32, y: u32| ((f64::from(x) / 9.0).sin() * (f64::from(y) / 7.0).cos() * 90.0 + 110.0) as u8;
    [soft(x, y) + noise(x, y) / 8, soft(y, x) + noise(y, x) / 8, soft(x + y, y)]
}

#[test]
fn ssim_is_met_at_the_lowest_quality_that_meets_it() {
    let source = png(64, 48, photograph);
    for format in [RenditionFormat::Jpeg, RenditionFormat::Webp, RenditionFormat::Avif] {
        let of_quality = |quality: u8| {
            let quality = Quality::new(quality).unwrap();
            made(&source, Resize { format: Some(format), quality, ..Resize::default() }).unwrap().bytes
        };
        for least in [40.0, 70.0, 85.0] {
            let asked = Resize { format: Some(format), ssim: Ssim::new(least), ..Resize::default() };
            let found = made(&source, asked).unwrap().bytes;
            let reached = score(&source, &found);
            // The tolerance of a sum of single-precision floats in another order.
            assert!(reached >= f64::from(least) - 0.01, "{format}: {reached} for {least}");
            // Lossless, where no quality suffices.
            let quality = (2..=100).find(|quality| of_quality(*quality) == found).unwrap_or(101);
            let below = score(&source, &of_quality(quality - 1));
            assert!(below < f64::from(least) + 0.01, "{format}: {below} is enough for {least}");
        }
    }
}

#[test]
fn a_score_that_no_quality_reaches_is_met_by_a_lossless_file_where_the_format_has_one() {
    let asked = |format, least| Resize { format: Some(format), ssim: Ssim::new(least), ..Resize::default() };
    let source = png(64, 48, photograph);
    for format in [RenditionFormat::Png, RenditionFormat::Webp] {
        assert_eq!(score(&source, &made(&source, asked(format, 100.0)).unwrap().bytes), 100.0, "{format}");
    }
    for format in [RenditionFormat::Jpeg, RenditionFormat::Avif] {
        let failure = made(&source, asked(format, 100.0)).unwrap_err().failure();
        assert_eq!(failure.unwrap().code, FailureCode::Unsatisfiable, "{format}");
    }
    let of_one_hue = png(64, 48, |x, y| [(x * 4) as u8, (x * 2) as u8 + noise(x, y) / 32, 90]);
    let palette = made(&of_one_hue, asked(RenditionFormat::Png, 50.0)).unwrap().bytes;
    assert_eq!(palette[25], 3, "the colour type of IHDR");
    assert!(score(&of_one_hue, &palette) >= 49.99);
}

#[test]
fn a_score_is_met_with_transparency_and_in_animations() {
    let samples: Vec<u8> = (0..64 * 64)
        .flat_map(|i| {
            let [r, g, b] = photograph(i % 64, i / 64);
            [r, g, b, (i % 64 * 4) as u8]
        })
        .collect();
    let source = pictures::png(64, 64, ColorType::Rgba, BitDepth::Eight, &samples);
    for format in [None, Some(RenditionFormat::Webp), Some(RenditionFormat::Avif), Some(RenditionFormat::Png)] {
        let file = made(&source, Resize { format, ssim: Ssim::new(75.0), ..Resize::default() }).unwrap().bytes;
        assert!(score(&source, &file) >= 74.99, "{format:?}: {}", score(&source, &file));
    }
    let frame =
        |colour| GifFrame { place: [0, 0, 80, 40], colour: Some(colour), delay: 10, dispose: DisposalMethod::Keep };
    let source = pictures::gif(80, 40, Repeat::Infinite, &[frame(RED), frame(BLUE)]);
    for format in RenditionFormat::ALL {
        let asked = Resize { format: Some(*format), ssim: Ssim::new(60.0), ..Resize::default() };
        let file = made(&source, asked).unwrap().bytes;
        assert_eq!(seen(&file, Resize::default()).dimensions(), (80, 40), "{format}");
    }
}

#[test]
fn more_effort_makes_smaller_files_of_the_same_picture() {
    use darkroom_model::recipe::Effort;
    let source = png(480, 360, |x, y| {
        let shade = u8::try_from((x + y) / 8).unwrap();
        [shade + noise(x / 3, y / 3) / 8, shade + noise(x / 5, y / 2) / 8, 200 - shade]
    });
    for format in [RenditionFormat::Jpeg, RenditionFormat::Webp, RenditionFormat::Png] {
        let of = |effort| made(&source, Resize { format: Some(format), effort, ..Resize::default() }).unwrap().bytes;
        let files = [Effort::Speed, Effort::Balanced, Effort::Best].map(of);
        assert!(files.windows(2).all(|pair| pair[1].len() < pair[0].len()), "{format}: {:?}", files.map(|f| f.len()));
        for bytes in files {
            assert_eq!(image::load_from_memory(&bytes).unwrap().dimensions(), (480, 360));
        }
    }
}

#[test]
fn a_jpeg_is_progressive_whatever_the_effort() {
    use darkroom_model::recipe::Effort;
    let source = png(32, 32, |x, y| [noise(x, y), 9, 9]);
    let gray = pictures::png(32, 32, ColorType::Grayscale, BitDepth::Eight, &[77; 32 * 32]);
    for (source, effort) in [&source, &gray].into_iter().flat_map(|s| Effort::ALL.iter().map(move |e| (s, *e))) {
        let resize = Resize { format: Some(RenditionFormat::Jpeg), effort, ..Resize::default() };
        let bytes = made(source, resize).unwrap().bytes;
        assert!(bytes.windows(2).any(|pair| pair == [0xFF, 0xC2]), "{effort}");
    }
}

#[test]
fn an_animation_follows_its_recipe_in_every_frame() {
    use image::AnimationDecoder as _;
    let frame =
        |colour| GifFrame { place: [0, 0, 80, 40], colour: Some(colour), delay: 10, dispose: DisposalMethod::Keep };
    let source = pictures::gif(80, 40, Repeat::Infinite, &[frame(RED), frame(BLUE)]);
    let recipe = Resize {
        rotate: Some(Rotation::Quarter),
        background: Some(Colour(GREEN)),
        format: Some(RenditionFormat::Webp),
        max_bytes: 2000.try_into().ok(),
        quality: Quality::MAX,
        ..boxed(40, 40, Fit::Contain)
    };
    let webp = made(&source, recipe.clone()).unwrap();
    assert_eq!((webp.width, webp.height), (40, 40));
    assert!(webp.bytes.len() <= 2000);
    let decoder = image::codecs::webp::WebPDecoder::new(std::io::Cursor::new(&webp.bytes)).unwrap();
    let frames = decoder.into_frames().collect_frames().unwrap();
    assert_eq!(frames.len(), 2);
    for (frame, colour) in frames.into_iter().zip([RED, BLUE]) {
        let picture = DynamicImage::from(frame.into_buffer());
        let close = |x, expected: Rgb| {
            let found = picture.to_rgb8().get_pixel(x, 20).0;
            assert!(found.iter().zip(expected).all(|(a, b)| a.abs_diff(b) < 40), "{x}: {found:?}");
        };
        close(20, colour);
        close(2, GREEN);
        close(37, GREEN);
    }
    let failure = made(&source, Resize { max_bytes: 50.try_into().ok(), ..recipe }).unwrap_err().failure();
    assert_eq!(failure.unwrap().code, FailureCode::Unsatisfiable);
}
