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

fn reduced(file: &[u8], eighths: u32) -> Result<Raster<u8>, NotReduced> {
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
        assert_eq!(dispatch(decoder()).unwrap().0.samples, decoder().run().unwrap().0.samples);
    }
}

#[test]
fn damaged_and_unusual_files_are_refused() {
    let file = Baseline { interval: 4, ..Baseline::new(64, 48) }.encode(noise);
    let size = size_of(&file);
    assert!(decode_reduced(&file, size, 4).is_ok());
    for length in 0..file.len() - 1 {
        assert!(decode_reduced(&file[..length], size, 4).is_err(), "{length}");
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
            assert!(decode_reduced(&changed, size, 4).is_err(), "{wrong:?} at {at}");
        }
    }
    let flat = |jpeg: Jpeg| jpeg.encode(|_, _, _| 100);
    assert!(reduced(&flat(Jpeg::new(64, 48)), 4).is_ok());
    for file in [
        flat(Jpeg::new(64, 48).cmyk()),
        flat(Jpeg::new(64, 48).ycck()),
        flat(Jpeg::new(64, 48).not_interleaved()),
        // Adobe's APP14 segment declares RGB.
        flat(Jpeg::new(64, 48).with_segment(0xEE, b"Adobe\0\x64\0\0\0\0\0")),
    ] {
        assert!(reduced(&file, 4).is_err());
    }
    let mut progressive = Vec::new();
    let mut encoder = Encoder::new(&mut progressive, 90);
    encoder.set_progressive(true);
    encoder.encode(&[9; 64 * 48 * 3], 64, 48, ColorType::Rgb).unwrap();
    assert!(reduced(&progressive, 4).is_err());
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
            if let Ok(raster) = decode_reduced(&changed, size, 3) {
                assert_eq!((raster.width, raster.height), (15, 9));
            }
        }
    }
}

/// sRGB's transfer function and its inverse (IEC 61966-2-1), for levels of 255.
fn light(level: f64) -> f64 {
    let value = level / 255.0;
    if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
}

fn level(light: f64) -> f64 {
    255.0 * if light <= 0.003_130_8 { light * 12.92 } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 }
}

/// The gray at (x, y).
type Texture = fn(u32, u32) -> u8;

/// Pictures that are nearly all texture, with their names.
fn textures() -> Vec<(&'static str, Texture)> {
    vec![
        ("columns", |x, _| if x % 2 == 0 { 0 } else { 255 }),
        ("soft columns", |x, _| if x % 2 == 0 { 60 } else { 200 }),
        ("chequers", |x, y| if (x + y) % 2 == 0 { 20 } else { 235 }),
        ("columns of two", |x, _| if x / 2 % 2 == 0 { 30 } else { 220 }),
        ("halftone", |x, y| if x % 4 < 2 && y % 4 < 2 { 0 } else { 255 }),
        ("bright dots", |x, y| if x % 4 == 1 && y % 3 == 1 { 255 } else { 40 }),
        ("thin lines", |x, y| if (x + y) % 5 == 0 { 0 } else { 230 }),
        ("noise", |x, y| (mixed(x, y) >> 24) as u8),
        ("foliage", |x, y| {
            let shade = 40 + (mixed(x / 5, y / 7) >> 26) as u8;
            shade.saturating_add(if mixed(x, y) >> 30 == 0 { 120 } else { (mixed(y, x) >> 27) as u8 })
        }),
        ("weak columns", |x, _| if x % 2 == 0 { 90 } else { 160 }),
        ("dark weave", |x, y| 20 + 50 * u8::from((x ^ y) & 1 == 0) + (mixed(x, y) >> 29) as u8),
        ("fur", |x, y| 110 + (mixed(x, y / 6) >> 26) as u8),
        ("zone plate", |x, y| {
            let (x, y) = (f64::from(x), f64::from(y));
            (127.5 + 120.0 * ((x * x + y * y) / 160.0).cos()) as u8
        }),
    ]
}

#[test]
fn fine_textures_keep_their_mean_light_at_every_size() {
    let (width, height) = (160, 160);
    let mut worst = (0.0, String::new());
    let (mut sum, mut count, mut refused) = (0.0, 0.0, 0);
    for (name, gray) in textures() {
        let whole: f64 = (0..width * height).map(|i| light(f64::from(gray(i % width, i / width)))).sum();
        let expected = level(whole / f64::from(width * height));
        for (colour, quality) in [(false, 95), (false, 80), (true, 90)] {
            let samples: Vec<u8> = (0..width * height)
                .flat_map(|i| vec![gray(i % width, i / width); if colour { 3 } else { 1 }])
                .collect();
            let mut file = Vec::new();
            let kind = if colour { jpeg_encoder::ColorType::Rgb } else { jpeg_encoder::ColorType::Luma };
            jpeg_encoder::Encoder::new(&mut file, quality).encode(&samples, width as u16, height as u16, kind).unwrap();
            for eighths in 1..=4 {
                let raster = match decode_reduced(&file, (width, height), eighths) {
                    Ok(raster) => raster,
                    // Decoded whole then, so nothing is lost.
                    Err(NotReduced::FineTexture) => {
                        refused += 1;
                        continue;
                    }
                    Err(NotReduced::Unsupported) => panic!("{name}"),
                };
                let lights = raster.pixels().map(|pixel| light(f64::from(pixel[0])));
                let found = level(lights.sum::<f64>() / f64::from(raster.width * raster.height));
                let difference = found - expected;
                (sum, count) = (sum + difference.abs(), count + 1.0);
                if difference.abs() > f64::abs(worst.0) {
                    worst = (
                        difference,
                        format!("{name} at {eighths}/8, quality {quality}: {found:.1}, not {expected:.1}"),
                    );
                }
            }
        }
    }
    println!("mean {:.2}, worst {:+.2}: {}; too fine: {refused}", sum / count, worst.0, worst.1);
    assert!(worst.0.abs() <= 2.0 && sum / count <= 0.5, "{}", worst.1);
    assert!(count >= 15.0, "only the finest textures need a whole decode");
}
