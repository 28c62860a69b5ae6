//! AVIF output, as an AV1 decoder shows it.

use darkroom_model::{
    RenditionFormat,
    recipe::{Quality, Resize},
};
use darkroom_test_pictures::{self as pictures, GifFrame, Rgb, corners};
use image::{DynamicImage, GenericImageView as _};
use png::{BitDepth, ColorType};

use crate::rendered::{self, png, seen};

fn avif(source: &[u8], quality: u8) -> Vec<u8> {
    let quality = Quality::new(quality).unwrap();
    let resize = Resize { format: Some(RenditionFormat::Avif), quality, ..Resize::default() };
    rendered::one(source, resize).unwrap().1.bytes
}

fn max_difference(picture: &DynamicImage, colour: impl Fn(u32, u32) -> Rgb) -> u8 {
    let far = |(x, y, pixel): (u32, u32, image::Rgba<u8>)| {
        colour(x, y).iter().zip(pixel.0).map(|(a, b)| a.abs_diff(b)).max().unwrap()
    };
    picture.pixels().map(far).max().unwrap()
}

#[test]
fn pictures_of_any_size_have_their_colours() {
    for (width, height) in [(1, 1), (2, 3), (15, 17), (64, 64), (100, 33)] {
        let colour = |x, y| corners(width, height, x, y);
        let picture = seen(&avif(&png(width, height, colour), 100));
        assert_eq!(picture.dimensions(), (width, height));
        assert!(max_difference(&picture, colour) <= 12, "{width}x{height}: {}", max_difference(&picture, colour));
    }
}

#[test]
fn the_same_picture_makes_the_same_file() {
    let source = png(70, 50, |x, y| [(x * 3 % 256) as u8, (y * 5) as u8, (x * y % 256) as u8]);
    assert_eq!(avif(&source, 60), avif(&source, 60));
    assert!(avif(&source, 30).len() < avif(&source, 90).len());
}

#[test]
fn transparency_is_kept_and_hidden_colours_are_removed() {
    // Opaque red beside a fully transparent green.
    let samples: Vec<u8> =
        (0..64 * 32).flat_map(|i| if i % 64 < 31 { [255, 0, 0, 255] } else { [0, 255, 0, 0] }).collect();
    let picture = seen(&avif(&pictures::png(64, 32, ColorType::Rgba, BitDepth::Eight, &samples), 90)).to_rgba8();
    for (x, _, pixel) in picture.enumerate_pixels() {
        assert!(pixel.0[3].abs_diff(if x < 31 { 255 } else { 0 }) <= 8, "at {x}: {pixel:?}");
        assert!(x >= 31 || pixel.0[1] <= 16, "a green fringe at {x}: {pixel:?}");
    }
}

#[test]
fn gray_is_coded_without_colour() {
    let samples: Vec<u8> = (0..48 * 48).map(|i| u8::try_from(i % 48 * 5).unwrap()).collect();
    let file = avif(&pictures::png(48, 48, ColorType::Grayscale, BitDepth::Eight, &samples), 90);
    let picture = seen(&file);
    assert!(picture.color() == image::ColorType::L8, "{:?}", picture.color());
    let configuration = file.windows(4).position(|window| window == b"av1C").unwrap();
    assert_eq!(file[configuration + 6] & 0x10, 0x10, "monochrome");
    let with_alpha: Vec<u8> = samples.iter().flat_map(|gray| [*gray, 128]).collect();
    let file = avif(&pictures::png(48, 48, ColorType::GrayscaleAlpha, BitDepth::Eight, &with_alpha), 90);
    let picture = seen(&file).to_luma_alpha8();
    assert!(picture.pixels().all(|pixel| pixel.0[1].abs_diff(128) <= 4));
    assert!(picture.enumerate_pixels().all(|(x, _, pixel)| u32::from(pixel.0[0]).abs_diff(x * 5) <= 16));
}

#[test]
fn an_animation_becomes_its_first_frame() {
    let frame = |colour, delay| GifFrame {
        place: [0, 0, 16, 16],
        colour: Some(colour),
        delay,
        dispose: gif::DisposalMethod::Keep,
    };
    let source = pictures::gif(16, 16, gif::Repeat::Infinite, &[frame([200, 30, 30], 10), frame([30, 30, 200], 10)]);
    assert!(max_difference(&seen(&avif(&source, 90)), |_, _| [200, 30, 30]) <= 4);
}
