//! Properties of every rendition.

use darkroom_model::{
    Failure, FailureCode, RenditionFormat,
    recipe::{Fit, Quality, Recipe, Resize},
};
use darkroom_pipeline::{Limits, Rendered, render};
use darkroom_test_pictures::{self as pictures, GifFrame, Jpeg, corners, mixed};
use gif::{DisposalMethod, Repeat};
use image::{DynamicImage, GenericImageView as _};
use png::{BitDepth, ColorType};

use crate::rendered::{self, assert_close, png};

fn standard(source: &[u8]) -> Vec<Rendered> {
    rendered::all(source, &Recipe::Standard).unwrap().1
}

fn failure(source: &[u8]) -> Failure {
    rendered::all(source, &Recipe::Standard).unwrap_err().failure().unwrap()
}

fn recipe(width: u32, height: u32, fit: Fit, format: Option<RenditionFormat>) -> Recipe {
    let quality = Quality::new(100).unwrap();
    let (width, height) = (width.try_into().ok(), height.try_into().ok());
    Recipe::Resize(Resize { width, height, fit, format, quality, ..Resize::default() })
}

/// The decoded pixels of a source, through a lossless rendition.
fn seen(source: &[u8], width: u32, height: u32) -> DynamicImage {
    let recipe = recipe(width, height, Fit::Inside, Some(RenditionFormat::Png));
    let (_, renditions) = rendered::all(source, &recipe).unwrap();
    decode(&renditions[0])
}

/// Decodes a rendition: JPEG and AVIF through the pipeline itself, the others through another library.
fn decode(rendition: &Rendered) -> DynamicImage {
    let picture = match rendition.format {
        RenditionFormat::Jpeg | RenditionFormat::Avif => seen(&rendition.bytes, 0, 0),
        _ => image::load_from_memory(&rendition.bytes).unwrap(),
    };
    assert_eq!(picture.dimensions(), (rendition.width, rendition.height));
    picture
}

fn sizes(renditions: &[Rendered]) -> Vec<(&str, u32, u32)> {
    renditions.iter().map(|r| (r.name.as_str(), r.width, r.height)).collect()
}

#[test]
fn the_standard_recipe_makes_each_size_in_webp_and_jpeg() {
    let source = Jpeg::new(1000, 500).encode_rgb(|x, y| [(x / 4) as u8, (y / 2) as u8, 99]);
    let renditions = standard(&source);
    assert_eq!(
        sizes(&renditions),
        [
            ("full.webp", 1000, 500),
            ("full.jpeg", 1000, 500),
            ("w800.webp", 800, 400),
            ("w800.jpeg", 800, 400),
            ("w320.webp", 320, 160),
            ("w320.jpeg", 320, 160),
        ]
    );
    for rendition in &renditions {
        let picture = decode(rendition);
        let (x, y) = (rendition.width / 2, rendition.height / 2);
        assert_close(&picture, x, y, [126, 126, 99], 6);
    }
}

#[test]
fn the_same_bytes_and_recipe_give_the_same_renditions() {
    let source = Jpeg::new(400, 300).encode_rgb(|x, y| [(x % 256) as u8, (y % 256) as u8, 50]);
    let bytes = |renditions: Vec<Rendered>| renditions.into_iter().map(|r| r.bytes).collect::<Vec<_>>();
    assert_eq!(bytes(standard(&source)), bytes(standard(&source)));
}

#[test]
fn all_eight_orientations_come_out_upright() {
    for orientation in 1..=8 {
        for rendition in standard(&pictures::turned_jpeg(480, 320, orientation)) {
            assert!(rendition.width > rendition.height, "orientation {orientation}");
            let picture = decode(&rendition);
            let (w, h) = picture.dimensions();
            for (x, y) in [(w / 4, h / 4), (3 * w / 4, h / 4), (w / 4, 3 * h / 4), (3 * w / 4, 3 * h / 4)] {
                assert_close(&picture, x, y, corners(w, h, x, y), 8);
            }
        }
    }
}

#[test]
fn orientation_is_honoured_in_png_and_webp() {
    let tall: Vec<u8> =
        (0..20 * 40).flat_map(|i| if i < 20 * 20 { [255, 0, 0, 255] } else { [0, 0, 255, 255] }).collect();
    let exif = pictures::exif(6, "");
    let png = pictures::png_with(20, 40, ColorType::Rgba, BitDepth::Eight, &tall, &[(*b"eXIf", exif.clone())]);
    for source in [png, pictures::webp_with(20, 40, &pictures::webp(20, 40, &tall), &[(*b"EXIF", exif)])] {
        let picture = seen(&source, 0, 0);
        assert_eq!(picture.dimensions(), (40, 20));
        assert_close(&picture, 5, 10, [0, 0, 255], 0);
        assert_close(&picture, 35, 10, [255, 0, 0], 0);
    }
}

#[test]
fn no_metadata_reaches_any_rendition() {
    let secret = "SECRET-SERIAL-4711";
    let exif = pictures::exif(1, secret);
    let jpeg = Jpeg::new(64, 64)
        .with_segment(0xE1, &[b"Exif\0\0", exif.as_slice()].concat())
        .with_segment(0xE1, format!("http://ns.adobe.com/xap/1.0/\0<x>{secret}</x>").as_bytes())
        .with_segment(0xED, format!("Photoshop 3.0\0{secret}").as_bytes())
        .with_segment(0xFE, secret.as_bytes())
        .encode_rgb(|_, _| [1, 2, 3]);
    let text = |kind: &[u8; 4], body: String| (*kind, body.into_bytes());
    let chunks = [
        (*b"eXIf", exif.clone()),
        text(b"tEXt", format!("Author\0{secret}")),
        text(b"iTXt", format!("XML:com.adobe.xmp\0\0\0\0\0{secret}")),
        (*b"zTXt", pictures::compressed_chunk(secret.as_bytes())),
    ];
    let png = pictures::png_with(64, 64, ColorType::Rgba, BitDepth::Eight, &[7; 64 * 64 * 4], &chunks);
    let simple = pictures::webp(64, 64, &[9; 64 * 64 * 4]);
    let webp = pictures::webp_with(64, 64, &simple, &[(*b"EXIF", exif), (*b"XMP ", secret.as_bytes().to_vec())]);
    for source in [jpeg, png, webp] {
        for format in RenditionFormat::ALL {
            let recipe = recipe(0, 0, Fit::Inside, Some(*format));
            let bytes = rendered::all(&source, &recipe).unwrap().1.remove(0).bytes;
            for trace in
                ["SECRET", "Exif", "eXIf", "EXIF", "XMP ", "tEXt", "zTXt", "iTXt", "ICC_PROFILE", "iCCP", "ns.adobe"]
            {
                assert!(!bytes.windows(trace.len()).any(|w| w == trace.as_bytes()), "{trace} in {format}");
            }
        }
    }
}

#[test]
fn transparency_is_kept_without_a_fringe() {
    // Opaque red beside a fully transparent green.
    let samples: Vec<u8> =
        (0..400 * 4).flat_map(|i| if i % 400 < 199 { [255, 0, 0, 255] } else { [0, 255, 0, 0] }).collect();
    let source = pictures::png(400, 4, ColorType::Rgba, BitDepth::Eight, &samples);
    let renditions = standard(&source);
    assert_eq!(
        sizes(&renditions).iter().map(|s| s.0).collect::<Vec<_>>(),
        ["full.webp", "full.png", "w320.webp", "w320.png"]
    );
    for rendition in renditions {
        let picture = decode(&rendition).to_rgba8();
        let y = rendition.height / 2;
        assert_eq!(picture.get_pixel(rendition.width - 4, y).0[3], 0);
        assert_eq!(picture.get_pixel(4, y).0[3], 255);
        if rendition.format == RenditionFormat::Png {
            assert!(picture.rows().all(|mut row| row.all(|p| p.0[3] == 0 || p.0[1] <= 2)), "a green fringe");
        }
    }
}

#[test]
fn transparency_is_composited_on_white_in_jpeg() {
    let source = pictures::png(16, 16, ColorType::GrayscaleAlpha, BitDepth::Eight, &[0; 16 * 16 * 2]);
    let recipe = recipe(0, 0, Fit::Inside, Some(RenditionFormat::Jpeg));
    let (_, renditions) = rendered::all(&source, &recipe).unwrap();
    assert_close(&decode(&renditions[0]), 8, 8, [255; 3], 0);
}

#[test]
fn gray_stays_gray() {
    let jpeg = Jpeg::new(400, 300).gray().encode(|_, x, _| (x % 256) as u8);
    let recipe = recipe(0, 0, Fit::Inside, Some(RenditionFormat::Jpeg));
    let jpeg = rendered::all(&jpeg, &recipe).unwrap().1.remove(0);
    let frame = jpeg.bytes.windows(2).position(|w| w == [0xFF, 0xC2]).unwrap();
    assert_eq!(jpeg.bytes[frame + 9], 1, "components");
    let png = pictures::png(3, 1, ColorType::Grayscale, BitDepth::Eight, &[0, 100, 255]);
    assert_eq!(seen(&png, 0, 0).to_luma8().into_raw(), [0, 100, 255]);
}

#[test]
fn cmyk_is_converted_as_in_browsers() {
    // Inverted: 255 is no ink.
    let colours = [[255, 255, 255, 255], [0, 255, 255, 255], [255, 255, 255, 0], [255, 0, 0, 255]];
    let source = Jpeg::new(64, 16).cmyk().encode(|component, x, _| colours[(x / 16) as usize][component]);
    let picture = seen(&source, 0, 0);
    for (x, expected) in [(8, [255, 255, 255]), (24, [0, 255, 255]), (40, [0, 0, 0]), (56, [255, 0, 0])] {
        assert_close(&picture, x, 8, expected, 1);
    }
}

#[test]
fn a_baseline_jpeg_with_a_scan_for_each_component_is_read_right() {
    let picture = |jpeg: Jpeg| jpeg.half_colour().encode_rgb(|x, y| corners(60, 44, x, y));
    let together = seen(&picture(Jpeg::new(60, 44)), 0, 0);
    let apart = seen(&picture(Jpeg::new(60, 44).not_interleaved()), 0, 0);
    assert_eq!(together, apart);
    assert_close(&apart, 10, 10, [255, 0, 0], 3);
    assert_close(&apart, 50, 40, [255, 255, 255], 3);
}

#[test]
fn sixteen_bits_are_not_truncated() {
    // 0x40FF is 64.7 of 255, not 64.
    let samples = [0x40, 0xFF].repeat(64 * 64);
    let source = pictures::png(64, 64, ColorType::Grayscale, BitDepth::Sixteen, &samples);
    assert_close(&seen(&source, 0, 0), 5, 5, [65; 3], 0);
    assert_close(&seen(&source, 32, 0), 5, 5, [65; 3], 0);
}

#[test]
fn display_p3_becomes_srgb() {
    // sRGB's red and a gray in Display P3's values, as CSS Color 4 gives them.
    let samples: Vec<u8> = [[234, 51, 35], [128, 128, 128]].concat().repeat(8);
    let profile = moxcms::ColorProfile::new_display_p3().encode().unwrap();
    let chunk = (*b"iCCP", pictures::compressed_chunk(&profile));
    let source = pictures::png_with(16, 1, ColorType::Rgb, BitDepth::Eight, &samples, &[chunk]);
    let picture = seen(&source, 0, 0);
    assert_close(&picture, 0, 0, [255, 0, 0], 3);
    assert_close(&picture, 1, 0, [128, 128, 128], 1);
}

#[test]
fn png_gamma_is_honoured() {
    // gAMA 1.0: the values are linear light. 55 of 255 is 128 in sRGB.
    let gamma = (*b"gAMA", 100_000_u32.to_be_bytes().to_vec());
    for (colour, length) in [(ColorType::Grayscale, 1), (ColorType::Rgb, 3)] {
        let source =
            pictures::png_with(8, 8, colour, BitDepth::Eight, &vec![55; 64 * length], std::slice::from_ref(&gamma));
        assert_close(&seen(&source, 0, 0), 3, 3, [128; 3], 1);
    }
}

#[test]
fn a_resize_works_in_linear_light() {
    // Equal parts of black and white have half the light, which is 188 in sRGB; a mean of coded values would be 128.
    let samples: Vec<u8> = (0..64 * 64).map(|i| if (i % 64 + i / 64) % 2 == 0 { 0 } else { 255 }).collect();
    let source = pictures::png(64, 64, ColorType::Grayscale, BitDepth::Eight, &samples);
    assert_close(&seen(&source, 16, 16), 8, 8, [188; 3], 1);
}

#[test]
fn a_scaled_decode_of_an_odd_size_shifts_nothing() {
    // 1001 / 8 is 125.125 columns. The edge between black and white lies in the middle, and must stay there.
    let source = Jpeg::new(1001, 1001).gray().encode(|_, x, _| if x < 500 { 0 } else { 255 });
    let picture = seen(&source, 60, 60).to_luma8();
    let black = picture.rows().next().unwrap().filter(|p| p.0[0] < 188).count();
    assert_eq!(black, 30);
}

#[test]
fn fits_give_their_sizes_without_enlarging() {
    let source = Jpeg::new(200, 100).encode_rgb(|x, y| corners(200, 100, x, y));
    for (width, height, fit, expected) in [
        (100, 100, Fit::Inside, (100, 50)),
        (100, 100, Fit::Cover, (100, 100)),
        (50, 80, Fit::Fill, (50, 80)),
        (4000, 0, Fit::Inside, (200, 100)),
        (4000, 4000, Fit::Cover, (100, 100)),
        (4000, 1000, Fit::Fill, (200, 50)),
    ] {
        for format in RenditionFormat::ALL {
            let (_, renditions) = rendered::all(&source, &recipe(width, height, fit, Some(*format))).unwrap();
            assert_eq!(renditions.len(), 1);
            assert_eq!(renditions[0].name, format!("resized.{format}"));
            assert_eq!(decode(&renditions[0]).dimensions(), expected);
        }
    }
}

#[test]
fn cover_of_a_turned_picture_shows_its_middle() {
    // Upright 320 × 640, stored rotated: the centre square shows where the colours of the four corners meet.
    let source = pictures::turned_jpeg(320, 640, 8);
    let recipe = recipe(64, 64, Fit::Cover, Some(RenditionFormat::Png));
    let picture = decode(&rendered::all(&source, &recipe).unwrap().1[0]);
    for (x, y) in [(16, 16), (48, 16), (16, 48), (48, 48)] {
        assert_close(&picture, x, y, corners(64, 64, x, y), 4);
    }
}

#[test]
fn a_flat_graphic_gets_png_and_a_photograph_jpeg() {
    let graphic: Vec<u8> = (0..400 * 300)
        .flat_map(|i: u32| if i / 400 % 20 < 3 && i % 7 < 5 { [0, 0, 0] } else { [250, 250, 240] })
        .collect();
    let names = |bytes: &[u8]| standard(bytes).into_iter().map(|r| r.name).collect::<Vec<_>>();
    let graphic = pictures::png(400, 300, ColorType::Rgb, BitDepth::Eight, &graphic);
    assert_eq!(names(&graphic), ["full.webp", "full.png", "w320.webp", "w320.png"]);
    let mut noise = 1_u32;
    let photograph: Vec<u8> = (0..400 * 300 * 3)
        .map(|i| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            u8::try_from(i / 8000).unwrap() + (noise >> 27) as u8
        })
        .collect();
    let photograph = pictures::png(400, 300, ColorType::Rgb, BitDepth::Eight, &photograph);
    assert_eq!(names(&photograph), ["full.webp", "full.jpeg", "w320.webp", "w320.jpeg"]);
}

/// Deterministic noise from 0 to `below`.
fn noise(x: u32, y: u32, below: u32) -> u8 {
    ((mixed(x, y) >> 16) % below) as u8
}

#[track_caller]
fn assert_plain_format(source: &[u8], expected: RenditionFormat) {
    for rendition in standard(source).iter().filter(|r| r.format != RenditionFormat::Webp) {
        assert_eq!(rendition.format, expected, "{}", rendition.name);
    }
}

#[test]
fn a_screenshot_gets_png_in_every_size() {
    // Text on two panels, over a desktop with a gradient.
    let screen = |x: u32, y: u32| match (x, y) {
        (_, 0..40) => [60, 90 + (x / 8) as u8, 200],
        (0..200, _) if y % 16 < 10 && x % 8 < 6 && noise(x / 2, y / 2, 3) == 0 => [220; 3],
        (0..200, _) => [37, 37, 38],
        (_, 200..) if y % 16 < 10 && x % 8 < 6 && noise(x / 2, y / 2, 3) == 0 => [noise(x / 8, y / 16, 200), 200, 90],
        _ => [30; 3],
    };
    assert_plain_format(&png(1000, 600, screen), RenditionFormat::Png);
}

#[test]
fn a_picture_from_a_palette_gets_png_where_half_of_it_is_flat() {
    let screen = |x: u32, y: u32| {
        let wall = noise(x / 4, y / 4, 60);
        if y < 200 { [60 + wall, 120, 150 + wall] } else { [noise(x, y, 20), 90, 110] }
    };
    assert_plain_format(&png(400, 300, screen), RenditionFormat::Png);
}

#[test]
fn photographs_with_flat_parts_get_jpeg() {
    let soft = |x: u32, y: u32| [(x / 3) as u8 + noise(x, y, 4), (y / 3) as u8 + noise(y, x, 4), 80 + noise(x, y, 6)];
    let on_white =
        |x: u32, y: u32| if (100..300).contains(&x) && (50..250).contains(&y) { soft(x, y) } else { [255; 3] };
    assert_plain_format(&png(500, 300, on_white), RenditionFormat::Jpeg);
    // Like a JPEG that was saved too often.
    assert_plain_format(&Jpeg::new(496, 304).encode_rgb(|x, y| soft(x / 8 * 8, y / 8 * 8)), RenditionFormat::Jpeg);
    let gray = |x: u32, y: u32| [(x / 5 + y / 8) as u8; 3];
    assert_plain_format(&png(500, 300, gray), RenditionFormat::Jpeg);
    let gray: Vec<u8> = (0..500 * 300_u32).map(|i| (i % 500 / 5 + i / 4000) as u8).collect();
    let gray = pictures::png(500, 300, ColorType::Grayscale, BitDepth::Eight, &gray);
    assert_plain_format(&gray, RenditionFormat::Jpeg);
}

#[test]
fn a_palette_is_used_where_it_looks_the_same() {
    // More colours than a palette has, and a transparent part, so that it becomes PNG.
    let samples: Vec<u8> = (0..500 * 400)
        .flat_map(|i| {
            let (x, y) = (i % 500, i / 500);
            [
                noise(x, y, 50) + (x / 8) as u8,
                noise(y, x, 50) + (y / 8) as u8,
                noise(x, x ^ y, 50),
                if i == 0 { 0 } else { 255 },
            ]
        })
        .collect();
    let source = pictures::png(500, 400, ColorType::Rgba, BitDepth::Eight, &samples);
    let renditions = standard(&source);
    let pngs: Vec<_> = renditions.iter().filter(|r| r.format == RenditionFormat::Png).collect();
    assert!(pngs[1].bytes.len() < pngs[0].bytes.len(), "the smaller size has more bytes");
    for png in pngs {
        assert_eq!(png.bytes[25], 3, "{} has no palette", png.name);
        let exact = seen(&source, png.width, png.height).to_rgba8();
        let found = decode(png).to_rgba8();
        let squares = exact.iter().zip(found.iter()).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
        let psnr = 10.0 * (255.0_f64.powi(2) * f64::from(png.width * png.height * 4) / squares.sum::<f64>()).log10();
        assert!(psnr > 28.0, "{} has {psnr} dB", png.name);
    }
}

/// A lossy file made by the pipeline, at the source's size.
fn lossy(source: &[u8], format: RenditionFormat, quality: u8) -> Vec<u8> {
    let mut recipe = recipe(0, 0, Fit::Inside, Some(format));
    if let Recipe::Resize(resize) = &mut recipe {
        resize.quality = Quality::new(quality).unwrap();
    }
    rendered::all(source, &recipe).unwrap().1.remove(0).bytes
}

#[test]
fn a_lossy_picture_does_not_grow_where_a_little_quality_prevents_it() {
    let soft = |x: u32, y: u32| [(x / 3) as u8 + noise(x, y, 60), (y / 3) as u8 + noise(x, y, 60), 80];
    let original = png(300, 300, soft);
    let standards = [(RenditionFormat::Jpeg, Quality::DEFAULT), (RenditionFormat::Webp, Recipe::WEBP_QUALITY)];
    for (format, quality) in standards {
        let full = |source: &[u8]| standard(source).into_iter().find(|r| r.format == format).unwrap().bytes;
        let small = lossy(&original, format, 70);
        let grown = lossy(&small, format, quality.get());
        assert!(grown.len() > small.len(), "the test needs a {format} that would grow");
        assert!(full(&small).len() <= small.len(), "{format}");
        let large = lossy(&original, format, 95);
        assert!(full(&large) == lossy(&large, format, quality.get()), "{format} that does not grow keeps the quality");
        let tiny = lossy(&original, format, 5);
        assert!(full(&tiny) == lossy(&tiny, format, 60), "{format} below the lowest step");
    }
}

#[test]
fn gray_is_written_without_loss_whatever_the_quality() {
    let samples: Vec<u8> = (0..64 * 64_u32).map(|i| (i / 17) as u8).collect();
    let source = pictures::png(64, 64, ColorType::Grayscale, BitDepth::Eight, &samples);
    let png = image::load_from_memory(&lossy(&source, RenditionFormat::Png, 1)).unwrap();
    assert_eq!(png.to_luma8().into_raw(), samples);
}

/// The loop count and the duration of each frame in milliseconds, read from an animated WebP (RFC 9649).
fn timing(webp: &[u8]) -> (u16, Vec<u32>) {
    let (mut plays, mut frames, mut rest) = (0, Vec::new(), &webp[12..]);
    while rest.len() >= 8 {
        let length = u32::from_le_bytes(rest[4..8].try_into().unwrap()) as usize;
        let body = &rest[8..8 + length];
        match &rest[..4] {
            b"ANIM" => plays = u16::from_le_bytes([body[4], body[5]]),
            b"ANMF" => frames.push(u32::from_le_bytes([body[12], body[13], body[14], 0])),
            _ => {}
        }
        rest = &rest[8 + length + length % 2..];
    }
    (plays, frames)
}

fn animated_gif(repeat: Repeat) -> Vec<u8> {
    let frame = |place, colour, delay, dispose| GifFrame { place, colour, delay, dispose };
    pictures::gif(
        400,
        40,
        repeat,
        &[
            frame([0, 0, 400, 40], Some([200, 0, 0]), 10, DisposalMethod::Keep),
            frame([0, 0, 200, 40], Some([0, 200, 0]), 20, DisposalMethod::Previous),
            // Partly outside of the screen.
            frame([300, 20, 400, 40], Some([0, 0, 200]), 30, DisposalMethod::Background),
            frame([0, 0, 1, 1], None, 70, DisposalMethod::Keep),
        ],
    )
}

#[test]
fn an_animation_keeps_its_frames_timing_and_loops() {
    use image::AnimationDecoder as _;
    let renditions = standard(&animated_gif(Repeat::Finite(2)));
    assert_eq!(
        sizes(&renditions),
        [("full.png", 400, 40), ("w320.png", 320, 32), ("full.webp", 400, 40), ("w320.webp", 320, 32)]
    );
    for webp in &renditions[2..] {
        assert_eq!(timing(&webp.bytes), (3, vec![100, 200, 300, 700]));
        let decoder = image::codecs::webp::WebPDecoder::new(std::io::Cursor::new(&webp.bytes)).unwrap();
        let frames = decoder.into_frames().collect_frames().unwrap();
        let pixel = |frame: usize, x: u32, y: u32| {
            frames[frame].buffer().get_pixel(x * webp.width / 400, y * webp.height / 40).0
        };
        let close = |a: [u8; 4], b: [u8; 4]| assert!(a.iter().zip(b).all(|(a, b)| a.abs_diff(b) < 24), "{a:?} {b:?}");
        close(pixel(0, 100, 20), [200, 0, 0, 255]);
        close(pixel(1, 100, 20), [0, 200, 0, 255]);
        close(pixel(1, 350, 35), [200, 0, 0, 255]);
        close(pixel(2, 100, 20), [200, 0, 0, 255]);
        close(pixel(2, 350, 35), [0, 0, 200, 255]);
        assert_eq!(pixel(3, 350, 35)[3], 0, "the background is transparent");
    }
    let endless = standard(&animated_gif(Repeat::Infinite));
    assert_eq!(timing(&endless[2].bytes).0, 0);
}

#[test]
fn an_animated_webp_survives_another_round() {
    let first = standard(&animated_gif(Repeat::Finite(0))).remove(2);
    assert_eq!(first.name, "full.webp");
    let again = standard(&first.bytes);
    let webp = again.iter().find(|r| r.name == "full.webp").unwrap();
    assert_eq!(timing(&webp.bytes), (1, vec![100, 200, 300, 700]));
}

#[test]
fn apng_is_animated_too() {
    let mut source = Vec::new();
    let mut encoder = png::Encoder::new(&mut source, 8, 8);
    encoder.set_color(ColorType::Grayscale);
    encoder.set_animated(3, 5).unwrap();
    encoder.set_frame_delay(1, 4).unwrap();
    let mut writer = encoder.write_header().unwrap();
    for gray in [0, 128, 255] {
        writer.write_image_data(&[gray; 64]).unwrap();
    }
    writer.finish().unwrap();
    let renditions = standard(&source);
    assert_eq!(timing(&renditions[1].bytes), (5, vec![250, 250, 250]));
}

#[test]
fn a_frame_duration_beyond_the_limit_of_webp_is_cut_to_it() {
    let mut source = Vec::new();
    let mut encoder = png::Encoder::new(&mut source, 8, 8);
    encoder.set_color(ColorType::Grayscale);
    encoder.set_animated(2, 0).unwrap();
    encoder.set_frame_delay(65_535, 1).unwrap();
    let mut writer = encoder.write_header().unwrap();
    for gray in [0, 255] {
        writer.write_image_data(&[gray; 64]).unwrap();
    }
    writer.finish().unwrap();
    assert_eq!(timing(&standard(&source)[1].bytes).1, [(1 << 24) - 1; 2]);
}

#[test]
fn a_still_format_of_an_animation_shows_the_first_frame() {
    let source = animated_gif(Repeat::Infinite);
    let (_, renditions) = rendered::all(&source, &recipe(0, 0, Fit::Inside, Some(RenditionFormat::Jpeg))).unwrap();
    assert_eq!(renditions.len(), 1);
    assert_close(&decode(&renditions[0]), 100, 20, [200, 0, 0], 4);
}

#[test]
fn a_truncated_file_fails_with_a_reason() {
    let jpeg = Jpeg::new(400, 400).encode_rgb(|x, y| [(x ^ y) as u8, (x * 3) as u8, 0]);
    let apart = Jpeg::new(400, 400).not_interleaved().encode_rgb(|x, y| [(x ^ y) as u8, (x * 3) as u8, 0]);
    let png = pictures::png(400, 400, ColorType::Grayscale, BitDepth::Eight, &vec![5; 160_000]);
    let webp = pictures::webp(40, 40, &[77; 6400]);
    let gif = animated_gif(Repeat::Infinite);
    for file in [jpeg, apart, png, webp, gif] {
        let failure = failure(&file[..file.len() * 2 / 3]);
        assert_eq!(failure.code, FailureCode::BrokenImage);
        assert!(failure.detail.contains("cut short"), "{}", failure.detail);
    }
}

#[test]
fn a_jpeg_that_only_lacks_its_end_marker_is_whole() {
    let jpeg = Jpeg::new(64, 64).encode_rgb(|x, y| corners(64, 64, x, y));
    assert_eq!(seen(&jpeg[..jpeg.len() - 2], 0, 0), seen(&jpeg, 0, 0));
}

#[test]
fn a_damaged_file_fails_with_a_reason() {
    let mut png = pictures::png(64, 64, ColorType::Grayscale, BitDepth::Eight, &[5; 4096]);
    let data = png.windows(4).position(|w| w == b"IDAT").unwrap() + 8;
    png[data] ^= 0xFF;
    let mut jpeg = Jpeg::new(64, 64).encode_rgb(|_, _| [9; 3]);
    let table = jpeg.windows(2).position(|w| w == [0xFF, 0xC4]).unwrap();
    jpeg[table + 4] = 0x77;
    let mut webp = pictures::webp(64, 64, &(0..64 * 64 * 4_u32).map(|i| (i * i % 251) as u8).collect::<Vec<_>>());
    let middle = webp.len() / 2;
    webp[26..middle].fill(0xFF);
    for (file, name) in [(png, "PNG"), (jpeg, "JPEG"), (webp, "WebP")] {
        let failure = failure(&file);
        assert_eq!(failure.code, FailureCode::BrokenImage);
        assert_eq!(failure.detail, format!("The {name} file is damaged."));
    }
}

#[test]
fn decompression_bombs_are_refused_or_harmless() {
    let large = pictures::png(1, 1, ColorType::Grayscale, BitDepth::Eight, &[0]);
    let mut screen = pictures::gif(1, 1, Repeat::Infinite, &[]);
    screen[6..10].fill(0xFF);
    screen.truncate(screen.len() - 1);
    screen.extend(b"\x2C\0\0\0\0\x01\0\x01\0\x80\0\0\0\0\0\0\x02\x02\x4C\x01\0\x3B");
    assert_eq!(failure(&screen).code, FailureCode::TooLarge);
    let mut lossless = b"RIFF\x0E\0\0\0WEBPVP8L\x05\0\0\0\x2F".to_vec();
    lossless.extend((0x3FFE_u32 | 0x3FFE << 14).to_le_bytes());
    lossless.push(0);
    assert_eq!(failure(&lossless).code, FailureCode::TooLarge);
    // A decompression bomb outside of the pixels is skipped.
    let zeroes = pictures::compressed_chunk(&vec![0; 60 << 20]);
    for kind in [*b"iCCP", *b"zTXt"] {
        let source =
            pictures::png_with(2, 2, ColorType::Grayscale, BitDepth::Eight, &[9; 4], &[(kind, zeroes.clone())]);
        assert!(source.len() < 100_000);
        assert_eq!(
            seen(&source, 0, 0),
            seen(&pictures::png(2, 2, ColorType::Grayscale, BitDepth::Eight, &[9; 4]), 0, 0)
        );
    }
    assert_eq!(seen(&large, 0, 0).dimensions(), (1, 1));
}

#[test]
fn a_placeholder_shows_the_colours() {
    let source = Jpeg::new(640, 480).encode_rgb(|_, _| [200, 40, 40]);
    let (analysis, _) = rendered::all(&source, &Recipe::Standard).unwrap();
    let (r, g, b, _) = thumbhash::thumb_hash_to_average_rgba(&analysis.placeholder).unwrap();
    assert!((r - 200.0 / 255.0).abs() < 0.05 && (g - 0.157).abs() < 0.05 && (b - 0.157).abs() < 0.05, "{r} {g} {b}");
}

#[test]
fn spare_cores_do_not_change_the_renditions() {
    let jpeg = Jpeg::new(700, 500).encode_rgb(|x, y| corners(700, 500, x, y));
    let transparent: Vec<u8> = (0..400_u32 * 400).flat_map(|i| mixed(i % 400, i / 400).to_le_bytes()).collect();
    let transparent = pictures::png(400, 400, ColorType::Rgba, BitDepth::Eight, &transparent);
    let frame = |colour| {
        let place = [0, 0, 340, 10];
        GifFrame { place, colour: Some(colour), delay: 5, dispose: DisposalMethod::Keep }
    };
    let moving = pictures::gif(340, 10, Repeat::Infinite, &[frame([255, 0, 0]), frame([0, 99, 0]), frame([0, 0, 9])]);
    for (source, recipe) in [
        (&jpeg, Recipe::Standard),
        (&transparent, Recipe::Standard),
        (&moving, Recipe::Standard),
        (&jpeg, Recipe::Resize(Resize::default())),
        (&transparent, Recipe::Resize(Resize::default())),
    ] {
        let sorted = |spare_cores| {
            let (analysis, mut renditions) = rendered::with(spare_cores, source, &recipe).unwrap();
            renditions.sort_by(|a, b| a.name.cmp(&b.name));
            (analysis, renditions.into_iter().map(|r| (r.name, r.bytes)).collect::<Vec<_>>())
        };
        let alone = sorted(0);
        for spare_cores in [1, 2, 7] {
            assert!(sorted(spare_cores) == alone, "{spare_cores} for {recipe:?}");
        }
    }
}

#[test]
fn a_spare_core_encodes_and_no_more_cores_are_used() {
    let source = Jpeg::new(700, 500).encode_rgb(|x, y| corners(700, 500, x, y));
    let here = std::thread::current().id();
    for spare_cores in [0, 1] {
        let mut elsewhere = 0;
        let limits = Limits { spare_cores, ..Limits::default() };
        render(&source, &Recipe::Standard, &limits, &mut |_| {
            elsewhere += u32::from(std::thread::current().id() != here);
            Ok(())
        })
        .unwrap();
        assert_eq!(elsewhere > 0, spare_cores > 0);
    }
}

#[test]
fn an_error_of_the_receiver_ends_the_rendering_without_a_failure_of_the_picture() {
    let source = Jpeg::new(640, 480).encode_rgb(|_, _| [200, 40, 40]);
    let mut calls = 0;
    let error = render(&source, &Recipe::Standard, &Limits::default(), &mut |_| {
        calls += 1;
        Err("the bucket is away".into())
    })
    .unwrap_err();
    assert_eq!(calls, 1);
    assert!(error.failure().is_none());
}
