//! Still pictures of unusual kinds: JPEG, PNG, TIFF, BMP, and their colour profiles. The appendix of docs/formats.md names these tests.

use darkroom_model::{
    FailureCode, RenditionFormat,
    recipe::{Keep, Quality, Resize},
};
use darkroom_test_pictures::{self as pictures, Jpeg, SampledTiff, Tiff};
use image::GenericImageView as _;
use moxcms::{ColorProfile, ToneReprCurve};
use png::{BitDepth, ColorType};

use crate::rendered::{assert_close, lossless, one, seen};

#[track_caller]
fn assert_cut_short(file: &[u8]) {
    let failure = lossless(file, RenditionFormat::Png).unwrap_err().failure().unwrap();
    assert_eq!(failure.code, FailureCode::BrokenImage, "{}", failure.detail);
    assert!(failure.detail.contains("cut short"), "{}", failure.detail);
}

/// A profile of RGB with sRGB's primaries, whose coded values are linear: 128 is shown as 188.
fn linear_profile() -> Vec<u8> {
    let mut profile = ColorProfile::new_srgb();
    let curve = ToneReprCurve::Parametric(vec![1.0]);
    profile.red_trc = Some(curve.clone());
    profile.green_trc = Some(curve.clone());
    profile.blue_trc = Some(curve);
    profile.cicp = None;
    profile.encode().unwrap()
}

fn profile_segments(profile: &[u8]) -> Vec<u8> {
    [b"ICC_PROFILE\0\x01\x01", profile].concat()
}

fn tiff_of(photometric: u16, channels: u32, profile: &[u8]) -> SampledTiff {
    let blobs = vec![(34_675, 7, profile.to_vec())];
    SampledTiff { photometric, channels, blobs, ..SampledTiff::new(4, 4) }
}

fn iccp(profile: &[u8]) -> ([u8; 4], Vec<u8>) {
    (*b"iCCP", pictures::compressed_chunk(profile))
}

#[test]
fn a_profile_of_rgb_applies_to_a_gray_picture() {
    let profile = linear_profile();
    let jpeg = Jpeg::new(8, 8).gray().with_segment(0xE2, &profile_segments(&profile)).encode(|_, _, _| 128);
    let png = pictures::png_with(2, 2, ColorType::Grayscale, BitDepth::Eight, &[128; 4], &[iccp(&profile)]);
    let tiff = tiff_of(1, 1, &profile).encode(|_, _, _| 128);
    for file in [jpeg, png, tiff] {
        let picture = seen(&file);
        assert_close(&picture, 1, 1, [188; 3], 1);
        assert_eq!(picture.color(), image::ColorType::L8, "neutral, so it stays gray");
    }
    let with_alpha =
        pictures::png_with(2, 2, ColorType::GrayscaleAlpha, BitDepth::Eight, &[128, 200].repeat(4), &[iccp(&profile)]);
    let found = seen(&with_alpha).to_rgba8().get_pixel(1, 1).0;
    assert!(found[0].abs_diff(188) <= 1 && found[3] == 200, "{found:?}");
}

#[test]
fn a_profile_that_tints_grays_makes_a_gray_picture_coloured() {
    // Its red is half as bright.
    let mut profile = ColorProfile::new_srgb();
    profile.red_colorant.x /= 2.0;
    profile.red_colorant.y /= 2.0;
    profile.red_colorant.z /= 2.0;
    profile.cicp = None;
    let tiff = tiff_of(1, 1, &profile.encode().unwrap()).encode(|_, _, _| 128);
    assert_close(&seen(&tiff), 1, 1, [92, 128, 128], 1);
}

#[test]
fn a_profile_that_is_not_of_cmyk_is_ignored_in_a_cmyk_picture() {
    // In Adobe's inverted CMYK: no cyan, no magenta, all yellow; half black.
    let inks = [255, 255, 0, 128];
    let plain = Jpeg::new(8, 8).cmyk().encode(|component, _, _| inks[component]);
    let p3 = ColorProfile::new_display_p3().encode().unwrap();
    for profile in [linear_profile(), p3] {
        let with = Jpeg::new(8, 8).cmyk().with_segment(0xE2, &profile_segments(&profile));
        let jpeg = with.encode(|component, _, _| inks[component]);
        assert_close(&seen(&jpeg), 4, 4, [128, 128, 0], 1);
        assert_eq!(seen(&jpeg).to_rgb8(), seen(&plain).to_rgb8());
        let tiff = tiff_of(5, 4, &profile).encode(|component, _, _| 255 - u32::from(inks[component as usize]));
        assert_close(&seen(&tiff), 1, 1, [128, 128, 0], 1);
    }
}

#[test]
fn a_cmyk_tiff_is_converted_by_its_profile() {
    // Every ink becomes L* = 50.
    let tiff =
        tiff_of(5, 4, &pictures::gray_ink_profile()).encode(|component, x, _| if component == x { 255 } else { 0 });
    for x in 0..4 {
        assert_close(&seen(&tiff), x, 0, [119; 3], 2);
    }
}

#[test]
fn a_png_that_lacks_what_follows_its_pixels_is_shown() {
    let colour = |x: u32, y: u32| [x * 5, y * 9, 77].map(|value| u8::try_from(value % 256).unwrap());
    let samples: Vec<u8> = (0..40 * 30).flat_map(|i| colour(i % 40, i / 40)).collect();
    let file = pictures::png_with(40, 30, ColorType::Rgb, BitDepth::Eight, &samples, &[]);
    let idat_end = file.len() - 12;
    for length in idat_end..file.len() {
        let picture = seen(&file[..length]).to_rgb8();
        assert!(picture.enumerate_pixels().all(|(x, y, pixel)| pixel.0 == colour(x, y)), "{length}");
    }
    // Another chunk that is cut off.
    let text = [&file[..idat_end], b"\0\0\0\x20tEXtComment\0half"].concat();
    assert_eq!(seen(&text).dimensions(), (40, 30));
    for length in [idat_end - 1, idat_end - 20, idat_end / 2] {
        assert_cut_short(&file[..length]);
    }
}

#[test]
fn cicp_of_narrow_range_is_ignored_as_in_browsers() {
    let with = |cicp: [u8; 4]| {
        seen(&pictures::png_with(
            2,
            2,
            ColorType::Rgb,
            BitDepth::Eight,
            &[234, 51, 35].repeat(4),
            &[(*b"cICP", cicp.to_vec())],
        ))
    };
    assert_close(&with([12, 13, 0, 1]), 0, 0, [255, 0, 0], 3);
    assert_close(&with([12, 13, 0, 0]), 0, 0, [234, 51, 35], 0);
    // PQ of narrow range is not tone-mapped either.
    assert_close(&with([9, 16, 0, 0]), 0, 0, [234, 51, 35], 0);
}

#[test]
fn exif_after_the_pixels_of_a_png_is_kept() {
    let file = pictures::png_with(4, 4, ColorType::Rgb, BitDepth::Eight, &[90; 48], &[]);
    let exif = copyright("Somebody");
    let end = file.len() - 12;
    let mut chunk = u32::try_from(exif.len()).unwrap().to_be_bytes().to_vec();
    let crc = crc32(&[b"eXIf", exif.as_slice()].concat());
    chunk.extend([b"eXIf", exif.as_slice(), &crc.to_be_bytes()].concat());
    let file = [&file[..end], &chunk, &file[end..]].concat();
    let resize = Resize { format: Some(RenditionFormat::Png), keep: Keep::Copyright, ..Resize::default() };
    let (_, rendition) = one(&file, resize).unwrap();
    assert!(rendition.bytes.windows(8).any(|window| window == b"Somebody"));
}

/// An EXIF block with the tag Copyright.
fn copyright(owner: &str) -> Vec<u8> {
    let mut tiff = b"MM\0*\0\0\0\x08\0\x01\x82\x98\0\x02".to_vec();
    tiff.extend(u32::try_from(owner.len() + 1).unwrap().to_be_bytes());
    tiff.extend(26_u32.to_be_bytes());
    tiff.extend([0; 4]);
    tiff.extend(owner.bytes());
    tiff.push(0);
    tiff
}

/// The checksum of PNG chunks (W3C PNG, third edition, annex D).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { 0xEDB8_8320 ^ (crc >> 1) } else { crc >> 1 })
    })
}

#[test]
fn a_long_picture_is_as_long_as_its_output_format_allows() {
    let file = pictures::png_with(17_000, 8, ColorType::Grayscale, BitDepth::Eight, &vec![90; 17_000 * 8], &[]);
    for (format, width, expected) in [
        (RenditionFormat::Png, 16_384, 16_384),
        (RenditionFormat::Jpeg, 16_384, 16_384),
        (RenditionFormat::Webp, 16_384, 16_383),
        (RenditionFormat::Png, 0, 17_000),
        (RenditionFormat::Jpeg, 0, 17_000),
    ] {
        let resize = Resize { width: width.try_into().ok(), format: Some(format), ..Resize::default() };
        let (_, rendition) = one(&file, resize).unwrap();
        assert_eq!(rendition.width, expected, "{format}");
        assert_eq!(image::load_from_memory(&rendition.bytes).unwrap().width(), expected);
    }
}

#[test]
fn the_first_exif_segment_that_holds_a_tiff_structure_counts() {
    let segment = |body: &[u8]| [b"Exif\0\0", body].concat();
    let turned = pictures::exif(6, "");
    let size = |first: &[u8]| {
        let file = Jpeg::new(24, 16).with_segment(0xE1, &segment(first)).with_segment(0xE1, &segment(&turned));
        seen(&file.encode(|_, _, _| 128)).dimensions()
    };
    for without_tiff in [&b""[..], b"II*", b"garbage that is longer"] {
        assert_eq!(size(without_tiff), (16, 24));
    }
    // A directory without an orientation.
    assert_eq!(size(b"II*\0\x08\0\0\0\x01\0\x0F\x01\x02\0\x04\0\0\0abc\0\0\0\0\0"), (24, 16));
}

#[test]
fn a_progressive_jpeg_is_whole_if_it_lacks_its_end_marker_and_nothing_else() {
    let samples = (0..64 * 48 * 3).map(|i: u32| (pictures::mixed(i, 1) >> 25) as u8).collect();
    let raster = darkroom_jpeg::Raster { width: 64, height: 48, channels: darkroom_jpeg::Channels::Rgb, samples };
    let file = darkroom_jpeg::encode(&raster, Quality::DEFAULT, darkroom_jpeg::Effort::Balanced).unwrap();
    let whole = seen(&file);
    let without_end = &file[..file.len() - 2];
    assert_eq!(seen(without_end), whole);
    assert_eq!(seen(&file[..file.len() - 1]), whole);
    // The ends of scans: a marker other than a restart marker after entropy-coded data.
    let starts: Vec<usize> = (2..file.len()).filter(|at| file[at - 2..].starts_with(&[0xFF, 0xDA])).collect();
    assert!(starts.len() >= 5);
    for start in &starts[..starts.len() - 1] {
        let end = (start + 1..file.len())
            .find(|at| file[*at] == 0xFF && !matches!(file.get(at + 1), Some(0 | 0xD0..=0xD7)))
            .unwrap();
        assert_cut_short(&file[..end]);
        assert_cut_short(&file[..end - 1]);
    }
    assert_cut_short(&without_end[..without_end.len() - 9]);
}

#[test]
fn a_jpeg_of_a_scan_for_each_component_needs_all_of_them() {
    let file = Jpeg::new(16, 16).not_interleaved().encode(|component, _, _| [100, 90, 200][component]);
    let starts: Vec<usize> = (0..file.len()).filter(|at| file[*at..].starts_with(&[0xFF, 0xDA])).collect();
    assert_eq!(seen(&file[..file.len() - 2]), seen(&file));
    for start in &starts[1..] {
        assert_cut_short(&file[..*start]);
    }
}

#[test]
fn a_jpeg_with_arithmetic_coding_is_read() {
    for progressive in [false, true] {
        let file = pictures::arithmetic_jpeg(progressive);
        let picture = seen(file).to_rgb8();
        assert_eq!(picture.dimensions(), (24, 16));
        for (x, y, pixel) in picture.enumerate_pixels() {
            let expected = [x * 10, y * 15, 128].map(|value| u8::try_from(value).unwrap());
            assert!(pixel.0.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 24), "{x},{y}: {pixel:?} {expected:?}");
        }
        for length in [file.len() - 2, file.len() - 20] {
            assert_cut_short(&file[..length]);
        }
    }
}

#[test]
fn a_jpeg_of_twelve_bits_is_refused_by_name() {
    for file in [Jpeg::new(8, 8).encode(|_, _, _| 128), pictures::arithmetic_jpeg(false).to_vec()] {
        let mut file = file;
        let frame = file.windows(2).position(|pair| matches!(pair, [0xFF, 0xC0 | 0xC9])).unwrap();
        file[frame + 4] = 12;
        let failure = lossless(&file, RenditionFormat::Png).unwrap_err().failure().unwrap();
        assert_eq!(failure.code, FailureCode::UnsupportedFormat);
        assert!(failure.detail.contains("a JPEG of more than 8 bits a sample"), "{}", failure.detail);
    }
}

#[test]
fn tiffs_that_crashed_or_garbled_the_decoder_are_read() {
    let value = |c: u32, x: u32, y: u32| (x * 7 + y * 5 + c * 80) % 256;
    let expected = |x: u32, y: u32| [0, 1, 2].map(|c| u8::try_from(value(c, x, y)).unwrap());
    // Tiles of separate planes, which aborted; a channel of no meaning with a predictor; 32 bits.
    let planar_tiles =
        SampledTiff { channels: 3, photometric: 2, planar: 2, tile: Some((16, 16)), ..SampledTiff::new(40, 24) };
    let extra = SampledTiff {
        channels: 5,
        photometric: 2,
        compression: 5,
        predictor: 2,
        fields: vec![(338, vec![0, 0])],
        ..SampledTiff::new(40, 24)
    };
    for file in [
        planar_tiles.encode(value),
        extra.encode(value),
        SampledTiff { channels: 3, photometric: 2, bits: 32, ..SampledTiff::new(40, 24) }
            .encode(|c, x, y| value(c, x, y) * 0x0101_0101),
    ] {
        let picture = seen(&file).to_rgb8();
        assert!(picture.enumerate_pixels().all(|(x, y, pixel)| pixel.0 == expected(x, y)));
    }
    let reversed = SampledTiff { bits: 1, fill_order: 2, ..SampledTiff::new(48, 40) };
    let picture = seen(&reversed.encode(|_, x, y| u32::from(x > y))).to_luma8();
    assert!(picture.enumerate_pixels().all(|(x, y, pixel)| pixel.0[0] == if x > y { 255 } else { 0 }));
}

#[test]
fn a_tiff_of_four_samples_without_a_word_on_the_fourth_has_premultiplied_alpha_as_in_libtiff() {
    let tiff = Tiff { width: 4, height: 2, channels: 4, bits: 8, photometric: 2, fields: vec![], blobs: vec![] };
    let found = seen(&tiff.encode(&[100, 50, 25, 128].repeat(8))).to_rgba8().get_pixel(1, 1).0;
    assert!(found.iter().zip([199, 100, 50, 128]).all(|(a, b)| a.abs_diff(b) <= 1), "{found:?}");
}

/// A BMP with any header after the first 14 bytes, a gap, and pixels. The reserved bytes are not 0.
fn bmp(header: &[u8], gap: usize, pixels: &[u8]) -> Vec<u8> {
    let start = u32::try_from(14 + header.len() + gap).unwrap();
    [b"BM", &[0; 4][..], b"\x01\x02\x03\x04", &start.to_le_bytes(), header, &vec![0; gap], pixels].concat()
}

/// The first `size` bytes of a DIB header, at most 40, and zeros after them.
fn dib(size: u32, (width, height): (i32, i32), bits: u16, compression: u32, colours: u32) -> Vec<u8> {
    let sides = [width.to_le_bytes(), height.to_le_bytes()].concat();
    let kind = [&1_u16.to_le_bytes()[..], &bits.to_le_bytes(), &compression.to_le_bytes()].concat();
    let mut header = [&size.to_le_bytes()[..], &sides, &kind, &[0; 12], &colours.to_le_bytes(), &[0; 4]].concat();
    header.resize(size as usize, 0);
    header
}

fn masked(mut header: Vec<u8>, masks: [u32; 4]) -> Vec<u8> {
    let masks = masks.map(u32::to_le_bytes).concat();
    let end = masks.len().min(header.len() - 40);
    header[40..40 + end].copy_from_slice(&masks[..end]);
    header
}

#[test]
fn the_alpha_mask_of_a_bmp_counts_without_bit_fields() {
    let masks = [0, 0, 0, 0xFF00_0000];
    for size in [56, 108, 124] {
        let picture = |alphas: [u8; 2]| {
            let pixels = [[30, 200, 10, alphas[0]], [30, 200, 10, alphas[1]]].concat();
            seen(&bmp(&masked(dib(size, (2, 1), 32, 0, 0), masks), 0, &pixels)).to_rgba8()
        };
        assert_eq!(picture([128, 255]).get_pixel(0, 0).0, [10, 200, 30, 128]);
        // An alpha of 0 everywhere is one that the writer did not fill in.
        assert_eq!(picture([0, 0]).get_pixel(0, 0).0, [10, 200, 30, 255]);
    }
    // Without a mask the fourth byte means nothing.
    let plain = seen(&bmp(&dib(40, (1, 1), 32, 0, 0), 0, &[30, 200, 10, 128])).to_rgba8();
    assert_eq!(plain.get_pixel(0, 0).0, [10, 200, 30, 255]);
}

#[test]
fn bit_fields_of_a_bmp_are_in_or_after_its_header() {
    // Alpha of 1 bit, 5 bits each.
    let masks = [0x7C00, 0x03E0, 0x001F, 0x8000];
    let pixels = [0xFC00_u16.to_le_bytes(), 0x03E0_u16.to_le_bytes()].concat();
    let after = [dib(40, (2, 1), 16, 6, 0), masks.map(u32::to_le_bytes).concat()].concat();
    for header in [after, masked(dib(56, (2, 1), 16, 6, 0), masks), masked(dib(124, (2, 1), 16, 3, 0), masks)] {
        let picture = seen(&bmp(&header, 0, &pixels)).to_rgba8();
        assert_eq!((picture.get_pixel(0, 0).0, picture.get_pixel(1, 0).0[3]), ([255, 0, 0, 255], 0));
    }
    // 5, 6 and 5 bits.
    let masks = [0xF800_u32, 0x07E0, 0x001F];
    let opaque = [dib(40, (2, 1), 16, 3, 0), masks.map(u32::to_le_bytes).concat()].concat();
    let picture = seen(&bmp(&opaque, 0, &[0xE0, 0x07, 0xFF, 0xFF])).to_rgb8();
    assert_eq!((picture.get_pixel(0, 0).0, picture.get_pixel(1, 0).0), ([0, 255, 0], [255; 3]));
    // 10 bits each.
    let masks = [0x3FF0_0000, 0x000F_FC00, 0x0000_03FF, 0];
    let deep = bmp(&masked(dib(52, (1, 1), 32, 3, 0), masks), 0, &0x2000_03FF_u32.to_le_bytes());
    assert_eq!(seen(&deep).to_rgb8().get_pixel(0, 0).0, [128, 0, 255]);
}

#[test]
fn the_palette_of_a_bmp_may_be_larger_or_smaller_than_its_depth() {
    let palette = |colours: u8| (0..colours).flat_map(|i| [i, 2 * i, 3 * i, 0]).collect::<Vec<u8>>();
    // 20 colours at 4 bits.
    let larger = [dib(40, (2, 1), 4, 0, 20), palette(20)].concat();
    assert_close(&seen(&bmp(&larger, 0, &[0x1F, 0, 0, 0])), 1, 0, [45, 30, 15], 0);
    // 3 colours, and a pixel of the fifth: black.
    let smaller = [dib(40, (2, 1), 4, 0, 3), palette(3)].concat();
    let picture = seen(&bmp(&smaller, 0, &[0x24, 0, 0, 0]));
    assert_close(&picture, 0, 0, [6, 4, 2], 0);
    assert_close(&picture, 1, 0, [0; 3], 0);
    // Two bits a pixel, and a gap before the pixels.
    let two_bits = [dib(40, (5, 1), 2, 0, 4), palette(4)].concat();
    let picture = seen(&bmp(&two_bits, 6, &[0b0001_1011, 0b1000_0000, 0, 0]));
    for (x, i) in [0, 1, 2, 3, 2].into_iter().enumerate() {
        assert_close(&picture, u32::try_from(x).unwrap(), 0, [3 * i, 2 * i, i], 0);
    }
}

#[test]
fn a_bmp_of_os2_is_read() {
    // Version 1 has three bytes a colour; version 2 may cut its header short.
    let core = [&12_u32.to_le_bytes()[..], &[2, 0, 1, 0, 1, 0, 8, 0], &[1, 2, 3, 4, 5, 6], &[0; 3 * 254]].concat();
    assert_close(&seen(&bmp(&core, 0, &[1, 0, 0, 0])), 0, 0, [6, 5, 4], 0);
    for size in [16, 24, 36, 48, 64] {
        let header =
            [dib(40, (2, 1), 8, 0, 0)[..(size as usize).min(40)].to_vec(), vec![0; (size as usize).saturating_sub(40)]];
        let mut header = header.concat();
        header[..4].copy_from_slice(&u32::to_le_bytes(size));
        let palette: Vec<u8> = (0..=255).flat_map(|i| [i, 0, 255 - i, 0]).collect();
        assert_close(&seen(&bmp(&[header, palette].concat(), 0, &[1, 9, 0, 0])), 1, 0, [246, 0, 9], 0);
    }
}

#[test]
fn the_run_lengths_of_a_bmp_are_read_at_every_depth() {
    let palette: Vec<u8> = (0..16).flat_map(|i| [i, 2 * i, 10 * i, 0]).collect();
    let colour = |i: u8| [10 * i, 2 * i, i];
    // From the bottom: a run, pixels one by one; then a move by one pixel right and one row up.
    let eight = [dib(40, (4, 3), 8, 1, 16), palette.clone()].concat();
    let rle8 = seen(&bmp(&eight, 0, &[4, 5, 0, 0, 0, 3, 1, 2, 3, 0, 0, 2, 0, 1, 1, 7, 0, 1]));
    let four = [dib(40, (4, 3), 4, 2, 16), palette].concat();
    let rle4 = seen(&bmp(&four, 0, &[4, 0x55, 0, 0, 0, 3, 0x12, 0x30, 0, 2, 0, 1, 1, 0x70, 0, 1]));
    for picture in [rle8, rle4] {
        let picture = picture.to_rgba8();
        for (x, y, i) in [(0, 2, 5), (3, 2, 5), (0, 1, 1), (1, 1, 2), (2, 1, 3), (3, 0, 7)] {
            let [red, green, blue] = colour(i);
            assert_eq!(picture.get_pixel(x, y).0, [red, green, blue, 255], "{x},{y}");
        }
        // What is skipped is transparent.
        assert_eq!([(3, 1), (0, 0)].map(|(x, y)| picture.get_pixel(x, y).0[3]), [0, 0]);
    }
    // RLE24 of OS/2: a run, and pixels one by one.
    let rle24 = dib(40, (3, 2), 24, 4, 0);
    let data = [&[3, 9, 8, 7, 0, 0, 0, 3][..], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 0], &[0, 1]].concat();
    let picture = seen(&bmp(&rle24, 0, &data));
    assert_close(&picture, 2, 1, [7, 8, 9], 0);
    assert_close(&picture, 1, 0, [6, 5, 4], 0);
    let truncated = &bmp(&rle24, 0, &data)[..14 + 40 + 12];
    assert_cut_short(truncated);
}

#[test]
fn the_profile_in_a_bmp_is_applied() {
    let profile = linear_profile();
    let mut header = dib(124, (1, 1), 24, 0, 0);
    header[56..60].copy_from_slice(&0x4D42_4544_u32.to_le_bytes());
    header[112..116].copy_from_slice(&128_u32.to_le_bytes());
    header[116..120].copy_from_slice(&u32::try_from(profile.len()).unwrap().to_le_bytes());
    let file = bmp(&header, 0, &[&[128, 128, 128, 0], profile.as_slice()].concat());
    assert_close(&seen(&file), 0, 0, [188; 3], 1);
}
