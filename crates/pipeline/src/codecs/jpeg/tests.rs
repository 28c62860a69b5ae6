#![expect(clippy::cast_possible_truncation, reason = "small numbers")]

use std::io::Cursor;

use darkroom_container::header::{self, Header, HeaderLimits};
use darkroom_raster::{Channels, Raster};
use darkroom_test_pictures::{Baseline, Jpeg, mixed};

use super::libjpeg;

fn header_of(file: &[u8]) -> Header {
    header::read(&mut Cursor::new(file), &HeaderLimits::default()).unwrap()
}

fn reduced(file: &[u8], eighths: u32) -> Option<Raster<u8>> {
    let header = header_of(file);
    darkroom_jpeg::decode_reduced(file, (header.width, header.height), eighths).ok()
}

/// Each block has a different gray and a linear gradient, so nearly all of its energy is in the lowest AC coefficients.
fn slopes(x: u32, y: u32) -> [u8; 3] {
    [100 + (mixed(x / 8, y / 8) >> 24) as u8 / 5 + (x % 8 + y % 8) as u8; 3]
}

fn max_difference(one: &Raster<u8>, other: &Raster<u8>) -> u8 {
    assert_eq!((one.width, one.height, one.channels), (other.width, other.height, other.channels));
    one.samples.iter().zip(&other.samples).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

#[test]
fn a_reduced_decode_keeps_the_mean_of_each_block() {
    for gray in [false, true] {
        let file = Baseline { gray, ..Baseline::new(160, 80) }.encode(slopes);
        let means = libjpeg::decode(&file, &header_of(&file), None, 1, 9).unwrap();
        for eighths in 1..=4 {
            let raster = reduced(&file, eighths).unwrap();
            assert_eq!((raster.width, raster.height), (20 * eighths, 10 * eighths));
            for (x, y) in (0..10).flat_map(|y| (0..20).map(move |x| (x, y))) {
                let at = |raster: &Raster<u8>, x: u32, y: u32| {
                    u32::from(raster.pixels().nth((y * raster.width + x) as usize).unwrap()[0])
                };
                let block =
                    (0..eighths * eighths).map(|i| at(&raster, x * eighths + i % eighths, y * eighths + i / eighths));
                let mean = f64::from(block.sum::<u32>()) / f64::from(eighths * eighths);
                assert!((mean - f64::from(at(&means, x, y))).abs() <= 1.0, "{eighths} at {x} {y}: {mean}");
            }
        }
    }
}

#[test]
fn gray_is_one_channel() {
    let file = Jpeg::new(40, 24).gray().encode(|_, x, y| (x + 3 * y) as u8);
    let raster = reduced(&file, 2).unwrap();
    assert_eq!((raster.width, raster.height, raster.channels), (10, 6, Channels::Gray));
    assert!(max_difference(&raster, &libjpeg::decode(&file, &header_of(&file), None, 2, 9).unwrap()) <= 1);
}
