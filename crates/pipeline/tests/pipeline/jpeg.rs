//! JPEG output, as another decoder shows it.

use darkroom_model::{
    RenditionFormat,
    recipe::{Effort, Quality, Resize},
};
use darkroom_test_pictures::{self as pictures, Rgb, mixed};
use image::{DynamicImage, GenericImageView as _};
use png::{BitDepth, ColorType};

use crate::rendered::{self, png, seen};

fn made(source: &[u8], quality: u8, effort: Effort) -> Vec<u8> {
    let quality = Quality::new(quality).unwrap();
    let resize = Resize { format: Some(RenditionFormat::Jpeg), quality, effort, ..Resize::default() };
    rendered::one(source, resize).unwrap().1.bytes
}

/// The largest difference of a channel, and the mean squared difference of all.
fn difference(picture: &DynamicImage, colour: impl Fn(u32, u32) -> Rgb) -> (u8, f64) {
    let pixels = picture.to_rgb8();
    let differences = || pixels.enumerate_pixels().flat_map(|(x, y, pixel)| pixel.0.into_iter().zip(colour(x, y)));
    let squares: f64 = differences().map(|(a, b)| f64::from(a.abs_diff(b)).powi(2)).sum();
    let count = f64::from(picture.width() * picture.height() * 3);
    (differences().map(|(a, b)| a.abs_diff(b)).max().unwrap(), squares / count)
}

fn slope(x: u32, y: u32) -> Rgb {
    [(x + 2 * y) as u8 / 2, 90 + (y / 2) as u8, 200 - x as u8]
}

fn noise(x: u32, y: u32) -> Rgb {
    let value = mixed(x, y);
    [(value >> 24) as u8, (value >> 16) as u8, (value >> 8) as u8]
}

#[test]
fn pictures_of_any_size_have_their_colours() {
    for (width, height) in [(1, 1), (7, 3), (8, 8), (9, 16), (16, 17), (33, 31), (64, 1), (1, 50), (100, 75)] {
        for (quality, max_difference) in [(80, 12), (95, 5)] {
            let file = made(&png(width, height, slope), quality, Effort::Balanced);
            let picture = seen(&file);
            assert_eq!(picture.dimensions(), (width, height));
            let (difference, _) = difference(&picture, slope);
            assert!(difference <= max_difference, "{width}x{height} at {quality}: {difference}");
        }
    }
}

#[test]
fn each_quality_is_nearer_to_the_picture_and_the_highest_is_nearly_exact() {
    let source = png(120, 90, noise);
    let mut last = f64::MAX;
    for quality in [1, 20, 50, 70, 85, 95, 100] {
        let (max_difference, squares) = difference(&seen(&made(&source, quality, Effort::Balanced)), noise);
        assert!(squares < last, "{quality}: {squares}");
        assert!(quality < 100 || max_difference <= 4, "{max_difference}");
        last = squares;
    }
}

#[test]
fn extreme_pictures_are_coded_within_the_bounds_of_the_format() {
    // The largest AC coefficients and the largest DC differences.
    let board = |x: u32, y: u32| -> Rgb { [[255; 3], [0; 3]][(x + y) as usize % 2] };
    let blocks = |x: u32, y: u32| -> Rgb { [[255, 0, 255], [0, 255, 0]][(x / 8 + y / 8) as usize % 2] };
    let stripes = |x: u32, _: u32| -> Rgb { [[255, 255, 0], [0, 0, 255]][x as usize % 2] };
    for effort in Effort::ALL {
        for colour in [&board as &dyn Fn(u32, u32) -> Rgb, &blocks, &stripes] {
            let (max_difference, _) = difference(&seen(&made(&png(72, 40, colour), 100, *effort)), colour);
            assert!(max_difference <= 4, "{effort}: {max_difference}");
        }
    }
}

#[test]
fn long_runs_of_blocks_without_ac_coefficients_are_coded_right() {
    // More blocks without AC coefficients than one EOBn symbol can end, between two blocks with some.
    let (width, height) = (2048, 1040);
    let dot = |x: u32, y: u32| if (x, y) == (3, 3) || (x, y) == (width - 3, height - 3) { [0_u8; 3] } else { [200; 3] };
    let picture = seen(&made(&png(width, height, dot), 90, Effort::Balanced)).to_luma8();
    for (x, y) in [(3, 3), (width - 3, height - 3)] {
        assert!(picture.get_pixel(x, y).0[0] < 60, "{x}, {y}");
    }
    assert!(picture.get_pixel(1000, 500).0[0].abs_diff(200) <= 1);
}

#[test]
fn gray_is_one_component() {
    let samples: Vec<u8> = (0..50 * 41_u32).map(|i| (i % 50 * 5) as u8).collect();
    let file = made(&pictures::png(50, 41, ColorType::Grayscale, BitDepth::Eight, &samples), 90, Effort::Best);
    let frame = file.windows(2).position(|pair| pair == [0xFF, 0xC2]).unwrap();
    assert_eq!(file[frame + 9], 1);
    let pixels = seen(&file).to_luma8();
    assert!(pixels.iter().zip(&samples).all(|(a, b)| a.abs_diff(*b) <= 6));
}

#[test]
fn the_same_picture_makes_the_same_file() {
    let source = png(90, 60, noise);
    assert_eq!(made(&source, 80, Effort::Best), made(&source, 80, Effort::Best));
}
