#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "small numbers"
)]

use std::f32::consts::PI;

use darkroom_test_pictures::{Baseline, Jpeg, mixed};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use super::*;

const SAMPLINGS: [SamplingFactor; 4] =
    [SamplingFactor::F_1_1, SamplingFactor::F_2_1, SamplingFactor::F_1_2, SamplingFactor::F_2_2];

/// The width and height in the frame header (T.81, section B.2.2).
fn size_of(file: &[u8]) -> (u32, u32) {
    let frame = file.windows(2).position(|pair| matches!(pair, [0xFF, 0xC0..=0xC2])).unwrap();
    let side = |at: usize| u32::from(u16::from_be_bytes([file[frame + at], file[frame + at + 1]]));
    (side(7), side(5))
}

fn reduced(file: &[u8], eighths: u32) -> Option<Raster<u8>> {
    decode_reduced(file, size_of(file), eighths)
}

fn sines(x: u32, y: u32) -> [u8; 3] {
    let sine = |phase: f32, period: f32| (128.0 + 70.0 * (2.0 * PI * phase / period).sin()) as u8;
    [sine(x as f32, 61.0), sine(y as f32, 53.0), sine((x + y) as f32, 80.0)]
}

/// Gray noise of medium brightness, so that no sample is clamped.
fn noise(x: u32, y: u32) -> [u8; 3] {
    [100 + (mixed(x, y) >> 24) as u8 / 5; 3]
}

#[test]
fn every_chroma_subsampling_and_size_is_decoded_to_the_mean_colours() {
    for sampling in SAMPLINGS {
        for (width, height) in [(200, 120), (131, 67), (64, 33), (17, 9), (1, 1)] {
            let file = Baseline { sampling, ..Baseline::new(width, height) }.encode(sines);
            for eighths in [1, 2, 4] {
                let raster = reduced(&file, eighths).unwrap();
                let (width, height) = (u32::from(width), u32::from(height));
                let side = 8 / eighths;
                assert_eq!((raster.width, raster.height), (width.div_ceil(side), height.div_ceil(side)));
                for (pixel, at) in raster.pixels().zip(0..) {
                    let (left, top) = (at % raster.width * side, at / raster.width * side);
                    let (across, down) = (side.min(width - left), side.min(height - top));
                    for (channel, value) in pixel.iter().enumerate() {
                        let of = |i: u32| f64::from(sines(left + i % across, top + i / across)[channel]);
                        let mean = (0..across * down).map(of).sum::<f64>() / f64::from(across * down);
                        let off = (f64::from(*value) - mean).abs();
                        assert!(
                            off * f64::from(eighths) <= 48.0,
                            "{sampling:?} {width}x{height} at {eighths}: {off} at {left} {top} {channel}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn restart_intervals_do_not_change_the_pixels() {
    for sampling in [SamplingFactor::F_1_1, SamplingFactor::F_2_2] {
        let whole = Baseline { sampling, ..Baseline::new(150, 90) }.encode(sines);
        for interval in [1, 3, 10, 1000] {
            let with_restarts = Baseline { sampling, interval, ..Baseline::new(150, 90) }.encode(sines);
            assert_eq!(reduced(&with_restarts, 3).unwrap().samples, reduced(&whole, 3).unwrap().samples, "{interval}");
        }
    }
}

#[test]
fn every_vector_width_gives_the_same_pixels() {
    let file = Baseline { sampling: SamplingFactor::F_2_2, ..Baseline::new(150, 90) }.encode(noise);
    for eighths in 1..=4 {
        let (frame, scan) = Frame::parse(&file, eighths).unwrap();
        let segments = &EntropyCodedSegments::parse(scan, frame.restart_intervals()).unwrap();
        let decoder = || ScanDecoder { frame: &frame, segments, eighths };
        assert_eq!(dispatch(decoder()).unwrap().samples, decoder().run().unwrap().samples);
    }
}

#[test]
fn damaged_and_unusual_files_are_refused() {
    let file = Baseline { interval: 4, ..Baseline::new(64, 48) }.encode(noise);
    let size = size_of(&file);
    assert!(decode_reduced(&file, size, 4).is_some());
    for length in 0..file.len() - 1 {
        assert!(decode_reduced(&file[..length], size, 4).is_none(), "{length}");
    }
    let markers: Vec<usize> = (0..file.len() - 1).filter(|at| file[*at] == 0xFF && file[at + 1] != 0).collect();
    let scan = markers.iter().position(|at| file[at + 1] == 0xDA).unwrap();
    for at in &markers[scan + 1..] {
        let marker = file[at + 1];
        // The marker is removed, replaced by another, preceded by an extra byte, and doubled where it is not EOI.
        let mut wrong = vec![vec![], vec![0xFF, 0xD0 | (marker + 1) & 7], vec![1, 0xFF, marker]];
        if marker != 0xD9 {
            wrong.push(vec![0xFF, marker, 0xFF, marker]);
        }
        for wrong in wrong {
            let changed = [&file[..*at], &wrong, &file[at + 2..]].concat();
            assert!(decode_reduced(&changed, size, 4).is_none(), "{wrong:?} at {at}");
        }
    }
    let flat = |jpeg: Jpeg| jpeg.encode(|_, _, _| 100);
    assert!(reduced(&flat(Jpeg::new(64, 48)), 4).is_some());
    for file in [
        flat(Jpeg::new(64, 48).cmyk()),
        flat(Jpeg::new(64, 48).ycck()),
        flat(Jpeg::new(64, 48).not_interleaved()),
        // Adobe's APP14 segment declares RGB.
        flat(Jpeg::new(64, 48).with_segment(0xEE, b"Adobe\0\x64\0\0\0\0\0")),
    ] {
        assert!(reduced(&file, 4).is_none());
    }
    let mut progressive = Vec::new();
    let mut encoder = Encoder::new(&mut progressive, 90);
    encoder.set_progressive(true);
    encoder.encode(&[9; 64 * 48 * 3], 64, 48, ColorType::Rgb).unwrap();
    assert!(reduced(&progressive, 4).is_none());
}

#[test]
fn no_damaged_byte_causes_a_panic() {
    let file = Baseline { sampling: SamplingFactor::F_2_2, ..Baseline::new(40, 24) }.encode(noise);
    let size = size_of(&file);
    for at in 2..file.len() {
        for flip in [0x01, 0x10, 0x80, 0xFF] {
            let mut changed = file.clone();
            changed[at] ^= flip;
            // A damaged file may still decode, but to the expected size.
            if let Some(raster) = decode_reduced(&changed, size, 3) {
                assert_eq!((raster.width, raster.height), (15, 9));
            }
        }
    }
}
