#![expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers")]

use std::io::Cursor;

use darkroom_container::header::{self, HeaderError, HeaderLimits};
use darkroom_model::FailureCode;
use darkroom_raster::{Channels, Samples};
use darkroom_test_pictures::{SampledTiff, mixed};

use super::TiffCodec;
use crate::{
    RenderError,
    codecs::codec::{Codec as _, DecodeRequest},
};

fn decode(file: &[u8]) -> Result<Samples, RenderError> {
    let header = header::read(&mut Cursor::new(file), &HeaderLimits::default())?;
    let metadata = TiffCodec.metadata(file, &header)?;
    let request = DecodeRequest { metadata: &metadata, at_least: (1e9, 1e9), max_scans: 64, max_memory: None };
    Ok(TiffCodec.decode(file, &header, &request)?.samples)
}

/// A value of a palette of 16 bits: all reds, all greens, all blues.
fn palette_value(bits: u32, index: u32) -> u16 {
    (mixed(index, bits) >> 16) as u16
}

/// A sample of noise. With premultiplied alpha, colours are no brighter than it.
fn noise(tiff: &SampledTiff, alpha: Alpha, (channel, x, y): (u32, u32, u32)) -> u32 {
    let max = u32::MAX >> (32 - tiff.bits);
    let any = |channel: u32| mixed(x + 31 * channel, y + 7) >> (32 - tiff.bits);
    // Bright enough for a quotient of few bits.
    let opacity = |channel: u32| any(channel).max(max - max / 2);
    match alpha {
        Some((index, true)) if channel < index => any(channel).min(opacity(index)),
        Some((index, _)) if channel == index => opacity(index),
        _ => any(channel),
    }
}

/// What the samples of a pixel mean, by TIFF 6.0: coded values from 0 to 1, straight alpha last.
fn expected(tiff: &SampledTiff, alpha: Alpha, samples: &[u32]) -> Vec<f64> {
    let max = f64::from(u32::MAX >> (32 - tiff.bits));
    let value = |index: u32| f64::from(samples[index as usize]) / max;
    let opacity = alpha.map(|(index, _)| value(index));
    let straight = |value: f64| match (alpha, opacity) {
        (Some((_, true)), Some(opacity)) => (value / opacity).min(1.0),
        _ => value,
    };
    let mut pixel = match tiff.photometric {
        0 => vec![1.0 - straight(value(0))],
        1 => vec![straight(value(0))],
        2 => [0, 1, 2].map(|i| straight(value(i))).to_vec(),
        3 => {
            let index = |channel: u32| (channel << tiff.bits) + samples[0];
            [0, 1, 2].map(|channel| f64::from(palette_value(tiff.bits, index(channel)) >> 8) / 255.0).to_vec()
        }
        _ => [0, 1, 2].map(|i| (1.0 - straight(value(i))) * (1.0 - straight(value(3)))).to_vec(),
    };
    pixel.extend(opacity);
    pixel
}

/// Which sample is alpha, and whether the colours are premultiplied by it.
type Alpha = Option<(u32, bool)>;

/// The kinds of samples after the colours, and which of them is alpha: its index among them, and whether it is premultiplied.
const EXTRA_SAMPLES: [(&[u16], Alpha); 6] = [
    (&[], None),
    (&[0], None),
    (&[2], Some((0, false))),
    (&[1], Some((0, true))),
    (&[0, 2], Some((1, false))),
    (&[0, 0], None),
];

/// Every combination that makes a difference of code: about 20,000 files.
fn combinations() -> impl Iterator<Item = (SampledTiff, Alpha)> {
    let (width, height) = (18, 5);
    let photometrics = [(0, 1), (1, 1), (2, 3), (3, 1), (5, 4)];
    let compressions = [(1, false), (32_773, false), (5, false), (5, true), (8, false)];
    let chunks = [(None, height), (None, 2), (Some((16, 16)), height), (Some((32, 16)), height)];
    let mut all = Vec::new();
    for (photometric, colours) in photometrics {
        for bits in [1, 2, 4, 8, 12, 16, 24, 32] {
            for (extra, alpha) in EXTRA_SAMPLES {
                for planar in [1, 2] {
                    for (tile, rows_per_strip) in chunks {
                        for (compression, old_lzw) in compressions {
                            for predictor in [1, 2] {
                                let big_endian = (planar + predictor + bits as u16 / 8).is_multiple_of(2);
                                for fill_order in [1, 2] {
                                    let mut tiff = SampledTiff {
                                        channels: colours + extra.len() as u32,
                                        bits,
                                        photometric,
                                        compression,
                                        old_lzw,
                                        predictor,
                                        fill_order,
                                        planar,
                                        tile,
                                        rows_per_strip,
                                        big_endian: big_endian ^ (fill_order == 2 && bits != 16),
                                        ..SampledTiff::new(width, height)
                                    };
                                    // RGB with one more sample would have alpha.
                                    if !extra.is_empty() {
                                        tiff.fields.push((338, extra.to_vec()));
                                    }
                                    if photometric == 3 && bits <= 12 {
                                        tiff.fields.push((
                                            320,
                                            (0..3 << bits).map(|index| palette_value(bits, index)).collect(),
                                        ));
                                    }
                                    all.push((tiff, alpha.map(|(index, associated)| (colours + index, associated))));
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    all.into_iter()
}

/// Whether the combination is one that docs/formats.md lists as refused.
fn is_refused(tiff: &SampledTiff) -> bool {
    let has_predictor = tiff.predictor == 2 && matches!(tiff.compression, 5 | 8);
    has_predictor && !matches!(tiff.bits, 8 | 16 | 32) || tiff.photometric == 3 && tiff.bits > 8
}

#[test]
fn a_tiff_of_every_combination_is_read_right_or_refused_by_name() {
    let (mut right, mut refused) = (0, 0);
    for (tiff, alpha) in combinations() {
        let file = tiff.encode(|channel, x, y| noise(&tiff, alpha, (channel, x, y)));
        let found = decode(&file);
        if is_refused(&tiff) {
            let error = found.err().unwrap_or_else(|| panic!("{tiff:?} is read"));
            assert!(matches!(error, RenderError::Refused(HeaderError::Unsupported { .. } | HeaderError::Broken(_))));
            refused += 1;
            continue;
        }
        let found = found.unwrap_or_else(|error| panic!("{tiff:?}: {error}"));
        compare(&tiff, alpha, &found);
        right += 1;
    }
    assert!(right > 10_000 && refused > 1_000, "{right} {refused}");
}

#[track_caller]
fn compare(tiff: &SampledTiff, alpha: Alpha, found: &Samples) {
    let (channels, values): (Channels, Vec<f64>) = match found {
        Samples::Eight(raster) => {
            (raster.channels, raster.samples.iter().map(|value| f64::from(*value) / 255.0).collect())
        }
        Samples::Sixteen(raster) => {
            (raster.channels, raster.samples.iter().map(|value| f64::from(*value) / 65_535.0).collect())
        }
    };
    // Inks are multiplied in 8 bits.
    let tolerance = match found {
        Samples::Eight(_) if tiff.photometric == 5 => 1.51 / 255.0,
        Samples::Eight(_) => 0.51 / 255.0,
        // A quotient of samples of at most 16 bits.
        Samples::Sixteen(_) => 4.0 / f64::from(tiff.bits.min(16)).exp2(),
    };
    for (index, pixel) in values.chunks_exact(channels.count()).enumerate() {
        let (x, y) = (index as u32 % tiff.width, index as u32 / tiff.width);
        let samples: Vec<u32> = (0..tiff.channels).map(|channel| noise(tiff, alpha, (channel, x, y))).collect();
        let expected = expected(tiff, alpha, &samples);
        let is_close = expected.len() == pixel.len()
            && expected.iter().zip(pixel).all(|(expected, found)| (expected - found).abs() <= tolerance);
        assert!(is_close, "{tiff:?} at {x},{y} of {samples:?}: {pixel:?} is not {expected:?}");
    }
}

#[test]
fn bi_level_pictures_of_every_coding_are_read() {
    // Runs of every length up to 200, and rows that are white, black, and like the one above.
    let value = |_: u32, x: u32, y: u32| match y {
        0 => 0,
        1 => 1,
        2 | 3 => u32::from(x >= 70),
        4..20 => u32::from(mixed(x / (y + 1), y / 2) & 1 == 1),
        _ => u32::from(mixed(x / 3, y) >> 30 == 0),
    };
    for compression in [1, 2, 3, 4] {
        for (tile, rows_per_strip) in [(None, 40), (None, 7), (Some((64, 16)), 40)] {
            for (photometric, fill_order) in [(0, 1), (0, 2), (1, 1), (1, 2)] {
                let tiff = SampledTiff {
                    bits: 1,
                    photometric,
                    compression,
                    fill_order,
                    tile,
                    rows_per_strip,
                    ..SampledTiff::new(201, 40)
                };
                let Samples::Eight(raster) = decode(&tiff.encode(value)).unwrap() else { panic!() };
                for (index, found) in raster.samples.iter().enumerate() {
                    let (x, y) = (index as u32 % 201, index as u32 / 201);
                    let white = value(0, x, y) == u32::from(photometric);
                    assert_eq!(*found, if white { 255 } else { 0 }, "{tiff:?} at {x},{y}");
                }
            }
        }
    }
}

#[test]
fn rows_of_group_3_in_two_dimensions_are_read() {
    // Of 8 pixels: EOL and 1, then white 3, black 5; EOL and 0, then V0, V0.
    let bits = "000000000001 1 1000 0011 000000000001 0 1 1 000000000001 1 1000 0011";
    let bits: Vec<bool> = bits.bytes().filter(|byte| *byte != b' ').map(|byte| byte == b'1').collect();
    let byte = |bits: &[bool]| bits.iter().enumerate().fold(0, |byte, (i, bit)| byte | u8::from(*bit) << (7 - i));
    let data: Vec<u8> = bits.chunks(8).map(byte).collect();
    let fields = vec![(292, vec![1])];
    let tiff = SampledTiff { bits: 1, photometric: 0, compression: 3, fields, ..SampledTiff::new(8, 3) };
    let Samples::Eight(raster) = decode(&tiff.file(&[data])).unwrap() else { panic!() };
    assert_eq!(raster.samples, [255, 255, 255, 0, 0, 0, 0, 0].repeat(3));
}

#[test]
fn ycbcr_of_every_subsampling_is_read_in_strips_and_tiles() {
    // Two colours: the left half is red, the right half blue.
    let codes = |x: u32| if x < 16 { [76, 85, 255] } else { [29, 255, 107] };
    for (h, v) in [(1, 1), (2, 1), (2, 2), (4, 1), (4, 2), (4, 4), (1, 2)] {
        for tile in [None, Some((16, 16))] {
            for compression in [1, 5, 8] {
                let fields = vec![(530, vec![h as u16, v as u16])];
                let tiff =
                    SampledTiff { channels: 3, photometric: 6, compression, tile, fields, ..SampledTiff::new(32, 16) };
                let chunk = |left: u32, width: u32| -> Vec<u8> {
                    let units = (0..16 / v).flat_map(|_| (left..left + width).step_by(h as usize));
                    units.flat_map(|x| [vec![codes(x)[0]; (h * v) as usize], codes(x)[1..].to_vec()].concat()).collect()
                };
                let chunks = if tile.is_some() { vec![chunk(0, 16), chunk(16, 16)] } else { vec![chunk(0, 32)] };
                let file = tiff.file(&chunks.iter().map(|chunk| tiff.compress(chunk)).collect::<Vec<_>>());
                let Samples::Eight(raster) = decode(&file).unwrap() else { panic!() };
                for (x, colour) in [(0, [254, 0, 0]), (15, [254, 0, 0]), (16, [0, 0, 254]), (31, [0, 0, 254])] {
                    let found = raster.pixels().nth(8 * 32 + x).unwrap();
                    let close = found.iter().zip(colour).all(|(found, expected)| found.abs_diff(expected) <= 2);
                    assert!(close, "{h}:{v} {tile:?} at {x}: {found:?}");
                }
            }
        }
    }
}

#[test]
fn a_jpeg_inside_of_a_tiff_is_read_by_what_the_tiff_says_of_it() {
    let pixel = |x: u32, y: u32| [(x * 8) as u8, (y * 8) as u8, 128];
    let picture = |left: u32, top: u32, width: u32, height: u32, colour| {
        let samples: Vec<u8> =
            (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(left + x, top + y))).collect();
        let mut file = Vec::new();
        let mut encoder = jpeg_encoder::Encoder::new(&mut file, 98);
        encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::R_4_4_4);
        encoder.encode(&samples, width as u16, height as u16, colour).unwrap();
        file
    };
    // Stored as YCbCr by the encoder; said to be RGB, its numbers would be others.
    for tile in [None, Some((16, 16))] {
        let tiff = SampledTiff {
            channels: 3,
            photometric: 6,
            compression: 7,
            tile,
            rows_per_strip: 16,
            ..SampledTiff::new(30, 32)
        };
        let chunks: Vec<Vec<u8>> = match tile {
            None => [0, 16].map(|top| picture(0, top, 30, 16, jpeg_encoder::ColorType::Rgb)).to_vec(),
            Some(_) => [(0, 0), (16, 0), (0, 16), (16, 16)]
                .map(|(left, top)| picture(left, top, 16, 16, jpeg_encoder::ColorType::Rgb))
                .to_vec(),
        };
        let Samples::Eight(raster) = decode(&tiff.file(&chunks)).unwrap() else { panic!() };
        for (index, found) in raster.pixels().enumerate() {
            let expected = pixel(index as u32 % 30, index as u32 / 30);
            assert!(
                found.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 6),
                "{tile:?} {index}: {found:?} {expected:?}"
            );
        }
    }
    // RGB as it is: the same components without a conversion.
    let tiff =
        SampledTiff { channels: 3, photometric: 2, compression: 7, rows_per_strip: 32, ..SampledTiff::new(30, 32) };
    let Samples::Eight(raster) = decode(&tiff.file(&[picture(0, 0, 30, 32, jpeg_encoder::ColorType::Ycbcr)])).unwrap()
    else {
        panic!()
    };
    for (index, found) in raster.pixels().enumerate() {
        let expected = pixel(index as u32 % 30, index as u32 / 30);
        assert!(found.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 6), "{index}: {found:?} {expected:?}");
    }
}

#[test]
fn the_tables_of_all_jpegs_in_a_tiff_are_read() {
    let mut file = Vec::new();
    let encoder = jpeg_encoder::Encoder::new(&mut file, 90);
    encoder.encode(&[200; 256], 16, 16, jpeg_encoder::ColorType::Luma).unwrap();
    // DQT and DHT apart from the rest.
    let (mut tables, mut rest) = (vec![0xFF, 0xD8], vec![0xFF, 0xD8]);
    let mut at = 2;
    while file[at + 1] != 0xDA {
        let length = 2 + usize::from(u16::from_be_bytes([file[at + 2], file[at + 3]]));
        let target = if matches!(file[at + 1], 0xDB | 0xC4) { &mut tables } else { &mut rest };
        target.extend(&file[at..at + length]);
        at += length;
    }
    rest.extend(&file[at..]);
    tables.extend([0xFF, 0xD9]);
    let tiff = SampledTiff { compression: 7, blobs: vec![(347, 7, tables)], ..SampledTiff::new(16, 16) };
    let Samples::Eight(raster) = decode(&tiff.file(&[rest])).unwrap() else { panic!() };
    assert!(raster.samples.iter().all(|value| value.abs_diff(200) <= 1));
}

#[test]
fn unsupported_kinds_are_refused_by_their_names() {
    let plain = || SampledTiff::new(4, 4);
    let with = |tag, values: &[u16]| SampledTiff { fields: vec![(tag, values.to_vec())], ..plain() };
    for (tiff, name) in [
        (with(339, &[2]), "signed integers"),
        (with(339, &[3]), "floating-point numbers"),
        (with(339, &[6]), "complex numbers"),
        (SampledTiff { bits: 64, ..plain() }, "unusual depth"),
        (SampledTiff { photometric: 8, channels: 3, ..plain() }, "L*a*b*"),
        (SampledTiff { photometric: 32_803, ..plain() }, "raw file"),
        (SampledTiff { compression: 6, ..plain() }, "JPEG in the old way"),
        (SampledTiff { compression: 50_000, ..plain() }, "Zstandard"),
        (SampledTiff { compression: 34_925, ..plain() }, "LZMA"),
        (SampledTiff { compression: 34_712, ..plain() }, "JPEG 2000"),
        (SampledTiff { compression: 8, predictor: 3, ..plain() }, "floating-point predictor"),
        (SampledTiff { bits: 12, compression: 7, ..plain() }, "more than 8 bits"),
        (SampledTiff { photometric: 5, channels: 4, fields: vec![(332, vec![2])], ..plain() }, "other inks"),
        (SampledTiff { channels: 5, photometric: 2, compression: 7, ..plain() }, "number of channels"),
    ] {
        let Err(error) = decode(&tiff.file(&[vec![0; 512]])) else { panic!("{name} is read") };
        let failure = error.failure().unwrap();
        assert_eq!(failure.code, FailureCode::UnsupportedFormat, "{name}: {}", failure.detail);
        assert!(failure.detail.contains(name) && failure.detail.contains("TIFF"), "{name}: {}", failure.detail);
    }
}

#[test]
fn a_strip_that_ends_too_early_is_cut_short_in_every_compression() {
    for compression in [1, 2, 3, 4, 5, 8, 32_773] {
        let tiff = SampledTiff { bits: 1, photometric: 0, compression, ..SampledTiff::new(200, 50) };
        let value = |_: u32, x: u32, y: u32| mixed(x, y) & 1;
        let file = tiff.encode(value);
        let whole = decode(&file).unwrap_or_else(|error| panic!("{compression}: {error}"));
        assert_eq!(whole.size(), (200, 50));
        // The length of the strip halved in the directory.
        let entry = file.windows(8).position(|window| window == [23, 1, 4, 0, 1, 0, 0, 0]).unwrap();
        let length = u32::from_le_bytes(file[entry + 8..entry + 12].try_into().unwrap());
        let mut cut = file.clone();
        cut[entry + 8..entry + 12].copy_from_slice(&(length / 2).to_le_bytes());
        let Err(error) = decode(&cut) else { panic!("{compression} is read") };
        assert_eq!(error.failure().unwrap().code, FailureCode::BrokenImage, "{compression}");
    }
}
