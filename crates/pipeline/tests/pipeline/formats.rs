//! Input formats. The appendix of docs/formats.md names these tests.

use darkroom_model::{Failure, FailureCode, RenditionFormat, recipe::Recipe};
use darkroom_pipeline::{ColourSignal, Limits, RenderError, Rendered, output_features, render};
use darkroom_test_pictures::{self as pictures, Av1, Heif, Hevc, Jpeg, Tiff, corners};
use image::{DynamicImage, GenericImageView as _};
use png::{BitDepth, ColorType};

use crate::rendered::{self, assert_close, seen};

fn try_as(source: &[u8], format: RenditionFormat) -> Result<Rendered, Failure> {
    rendered::lossless(source, format).map_err(|error| error.failure().unwrap_or_else(|| panic!("{error}")))
}

fn failure(source: &[u8]) -> Failure {
    try_as(source, RenditionFormat::Png).unwrap_err()
}

/// The centres of the four quadrants of a picture.
#[track_caller]
fn assert_corners(picture: &DynamicImage, tolerance: u8) {
    let (w, h) = picture.dimensions();
    for (x, y) in [(w / 4, h / 4), (3 * w / 4, h / 4), (w / 4, 3 * h / 4), (3 * w / 4, 3 * h / 4)] {
        assert_close(picture, x, y, corners(w, h, x, y), tolerance);
    }
}

#[test]
fn avif_of_every_depth_subsampling_and_range_has_its_colours() {
    for data in [Av1::Half, Av1::HalfAcross, Av1::Full, Av1::Limited, Av1::Ten, Av1::Twelve, Av1::Identity] {
        let picture = seen(&Heif::avif(data).encode());
        assert_eq!(picture.dimensions(), (32, 16), "{data:?}");
        assert_corners(&picture, 3);
    }
}

/// Found by fuzzing: the decoder panicked.
#[test]
fn a_jpeg_xl_whose_picture_is_in_xyb_is_refused() {
    let file = b"\xFF\x0A\xC3\xC1\x42\x08\x08\xE2\x82\x10\x00\xBC\x00\x4B\x38\x69\x98\xCA\x83\xF7\x2B\x48\x08\x80\x9A\x99\x97\x31\xC6\x2C\xE4\
        \x05\x84\x00\x38\x3D\x0F\x00\x08\x73\xF0\x17\x49\x24\xEF\xF7\x07\x23\xED\x07\x21\xB1\xBF\x5F\x47\x04\x18\xD9\x30\xF0\x02\xFF";
    assert_eq!(failure(file).code, FailureCode::UnsupportedFormat);
}

/// Found by fuzzing: the decoder panicked.
#[test]
fn a_jpeg_xl_with_a_gamma_of_nothing_is_refused() {
    let file = b"\xFF\x0A\xC3\xC1\x82\xBC\0\0\0\0\0\0\0\0";
    assert_eq!(failure(file).code, FailureCode::UnsupportedFormat);
}

#[test]
fn a_gray_avif_stays_gray() {
    let file = Heif::avif(Av1::Gray).encode();
    assert_eq!(seen(&file).color(), image::ColorType::L8);
    for (x, y, luma) in [(8, 4, 76), (24, 4, 149), (8, 12, 29), (24, 12, 255)] {
        assert_close(&seen(&file), x, y, [luma; 3], 2);
    }
}

#[test]
fn an_avif_without_a_colour_property_uses_its_stream_header() {
    for data in [Av1::Full, Av1::Limited, Av1::Identity] {
        assert_corners(&seen(&Heif::avif(data).without_code_points().encode()), 3);
    }
}

#[test]
fn the_transparency_of_an_avif_is_kept() {
    for data in [Av1::Full, Av1::Ten] {
        let picture = seen(&Heif::avif(data).with_alpha(false).encode()).to_rgba8();
        assert_eq!(picture.get_pixel(8, 4).0[3], 255);
        assert!(picture.get_pixel(24, 4).0[3].abs_diff(128) <= 1);
        assert_eq!(picture.get_pixel(24, 12).0[3], 0);
        assert!(picture.get_pixel(24, 4).0[1] >= 252);
    }
}

#[test]
fn the_premultiplied_colours_of_an_avif_are_divided_by_alpha() {
    // A stored gray of 149 premultiplied by an alpha of one half: the straight colour is twice as bright, which is white.
    let picture = seen(&Heif::avif(Av1::Gray).with_alpha(true).encode()).to_rgba8();
    assert_eq!(picture.get_pixel(24, 4).0[0], 255);
    assert!(picture.get_pixel(8, 4).0[0].abs_diff(76) <= 2);
}

#[test]
fn an_avif_is_turned_and_mirrored_once_as_its_properties_say() {
    let exif = pictures::exif(6, "");
    // The colours of the upright quadrants: top left, top right, bottom left, bottom right.
    let (r, g, b, w) = ([255, 0, 0], [0, 255, 0], [0, 0, 255], [255; 3]);
    for (turns, mirror, expected) in [
        (None, None, [r, g, b, w]),
        (Some(0), None, [r, g, b, w]),
        (Some(1), None, [g, w, r, b]),
        (Some(2), None, [w, b, g, r]),
        (Some(3), None, [b, r, w, g]),
        (None, Some(0), [b, w, r, g]),
        (None, Some(1), [g, r, w, b]),
        (Some(1), Some(0), [r, b, g, w]),
        (Some(1), Some(1), [w, g, b, r]),
    ] {
        // EXIF's orientation is ignored in AVIF.
        for file in [Heif::avif(Av1::Full), Heif::avif(Av1::Full).with_exif(&exif)] {
            let picture = seen(&file.turned(turns, mirror).encode());
            let (w, h) = picture.dimensions();
            assert_eq!((w, h), if matches!(turns, Some(1 | 3)) { (16, 32) } else { (32, 16) });
            for (index, colour) in (0..).zip(expected) {
                let (x, y) = (w / 4 + index % 2 * w / 2, h / 4 + index / 2 * h / 2);
                assert_close(&picture, x, y, colour, 3);
            }
        }
    }
}

#[test]
fn the_colours_of_an_avif_are_converted_by_profile_or_code_points() {
    let p3 = moxcms::ColorProfile::new_display_p3().encode().unwrap();
    // Display P3's pure green and red are outside of sRGB.
    let plain = seen(&Heif::avif(Av1::Full).encode());
    let by_profile = seen(&Heif::avif(Av1::Full).with_profile(&p3).encode());
    let by_code = seen(&Heif::avif(Av1::Full).with_code_points(12, 13).encode());
    assert_close(&by_profile, 8, 12, [0, 0, 255], 3);
    for (x, y) in [(8, 4), (24, 4), (8, 12), (24, 12)] {
        let expected = by_profile.to_rgb8().get_pixel(x, y).0;
        assert_close(&by_code, x, y, expected, 3);
    }
    assert_close(&plain, 24, 12, [255; 3], 2);
    // BT.709's transfer function is taken for sRGB's.
    assert_corners(&seen(&Heif::avif(Av1::Full).with_code_points(1, 1).encode()), 3);
}

#[test]
fn high_dynamic_range_is_tone_mapped_and_not_clipped() {
    // Coded white is PQ's 10,000 cd/m² and HLG's peak; coded 149 of 255 is 222 cd/m² in PQ, above reference white.
    let pq = seen(&Heif::avif(Av1::Gray).with_code_points(9, 16).encode());
    let hlg = seen(&Heif::avif(Av1::Gray).with_code_points(9, 18).encode());
    for picture in [&pq, &hlg] {
        assert_close(picture, 24, 12, [255; 3], 1);
    }
    let level = |picture: &DynamicImage, x, y| picture.to_luma8().get_pixel(x, y).0[0];
    assert!((238..=252).contains(&level(&pq, 24, 4)), "{}", level(&pq, 24, 4));
    assert!(level(&pq, 8, 4) < 100 && level(&pq, 8, 12) < 40);
    assert!(level(&hlg, 8, 4) < level(&hlg, 24, 4) && level(&hlg, 24, 4) < 255);
    // The same code points in PNG's cICP chunk.
    let cicp = (*b"cICP", vec![9, 16, 0, 1]);
    let png = pictures::png_with(4, 4, ColorType::Rgb, BitDepth::Eight, &[149; 48], &[cicp]);
    assert_close(&seen(&png), 1, 1, [level(&pq, 24, 4); 3], 2);
}

#[test]
fn an_avif_of_tiles_is_put_together() {
    for (width, height) in [(96, 32), (90, 25), (65, 17)] {
        for data in [Av1::Full, Av1::Half, Av1::Ten, Av1::Gray] {
            let file = Heif::avif(data).in_grid(2, 3).saying(width, height);
            let picture = seen(&file.encode());
            assert_eq!(picture.dimensions(), (width, height), "{data:?}");
            if data != Av1::Gray {
                // In the first row of a tile, subsampled chroma has a part of the tile above.
                let last = if data == Av1::Half { (40, 12) } else { (40, 16) };
                for (x, y) in [(8, 4), (40, 4), (24, 4), (8, 12), (56, 12), last] {
                    assert_close(&picture, x, y, corners(32, 16, x % 32, y % 16), 4);
                }
            }
            let transparent = seen(&file.with_alpha(false).turned(Some(1), None).encode()).to_rgba8();
            assert_eq!(transparent.dimensions(), (height, width));
            assert_eq!(transparent.get_pixel(4, width - 1 - 40).0[3], 255);
            assert!(transparent.get_pixel(4, width - 1 - 24).0[3].abs_diff(128) <= 1);
        }
    }
    // Tiles that leave a part of the picture uncovered, or lie outside of it.
    for (width, height) in [(97, 32), (96, 33), (64, 32), (96, 16)] {
        let failure = failure(&Heif::avif(Av1::Full).in_grid(2, 3).saying(width, height).encode());
        assert_eq!(failure.code, FailureCode::BrokenImage, "{width} {height}");
    }
}

#[test]
fn the_clean_aperture_of_an_avif_is_cropped_as_in_browsers() {
    let cropped = seen(&Heif::avif(Av1::Half).with_clean_aperture(20, 12, -12, -4).encode());
    assert_eq!(cropped.dimensions(), (20, 12));
    for (x, y) in [(4, 4), (18, 4), (4, 10), (18, 10)] {
        assert_close(&cropped, x, y, corners(32, 16, x, y), 3);
    }
    let turned = seen(&Heif::avif(Av1::Full).with_clean_aperture(20, 12, -12, -4).turned(Some(1), None).encode());
    assert_eq!(turned.dimensions(), (12, 20));
    let elsewhere = seen(&Heif::avif(Av1::Full).with_clean_aperture(20, 12, 0, 0).encode());
    assert_eq!(elsewhere.dimensions(), (32, 16));
}

#[test]
fn the_last_layer_of_an_avif_is_shown_or_the_one_it_selects() {
    let inverted = |x, y| corners(32, 16, x, y).map(|value| 255 - value);
    let last = [
        Heif::avif(Av1::Layered),
        Heif::avif(Av1::Layered).with_property(*b"lsel", &[0xFF, 0xFF]),
        Heif::avif(Av1::Layered).with_property(*b"a1op", &[0]).with_property(*b"a1lx", &[0, 0, 35, 0, 0, 0, 0]),
    ];
    for file in last {
        assert_close(&seen(&file.encode()), 8, 4, inverted(8, 4), 3);
    }
    for (layer, expected) in [(0, corners(32, 16, 8, 4)), (1, inverted(8, 4))] {
        let file = Heif::avif(Av1::Layered).with_property(*b"lsel", &[0, layer]);
        assert_close(&seen(&file.encode()), 8, 4, expected, 3);
    }
}

#[test]
fn an_avif_may_end_with_its_meta_box() {
    assert_corners(&seen(&Heif::avif(Av1::Full).ending_with_meta().encode()), 3);
    let with_alpha = seen(&Heif::avif(Av1::Full).with_alpha(false).with_exif(b"II*\0").ending_with_meta().encode());
    assert_eq!(with_alpha.to_rgba8().get_pixel(24, 12).0[3], 0);
}

#[test]
fn an_avif_of_pictures_is_refused_by_name() {
    let derived = failure(&Heif::avif(Av1::Full).of_kind(*b"iovl").encode());
    assert_eq!(derived.code, FailureCode::UnsupportedFormat);
    assert!(derived.detail.contains("put together from other pictures"), "{}", derived.detail);
}

#[test]
fn heic_of_every_depth_and_subsampling_has_its_colours() {
    for data in [Hevc::Half, Hevc::HalfAcross, Hevc::Full, Hevc::Ten] {
        let picture = seen(&Heif::heic(data).encode());
        assert_eq!(picture.dimensions(), (64, 64), "{data:?}");
        assert_corners(&picture, 4);
    }
    let gray = seen(&Heif::heic(Hevc::Gray).encode());
    assert_eq!(gray.color(), image::ColorType::L8);
    for (x, y, luma) in [(16, 16, 76), (48, 16, 150), (16, 48, 29), (48, 48, 255)] {
        assert_close(&gray, x, y, [luma; 3], 3);
    }
    // The brand alone does not make a HEIC.
    let mut file = Heif::heic(Hevc::Half).encode();
    file[8..12].copy_from_slice(b"mif1");
    assert_corners(&seen(&file), 4);
}

#[test]
fn a_heic_keeps_its_transparency_profile_orientation_and_clean_aperture() {
    let turned = seen(&Heif::heic(Hevc::Half).turned(Some(1), None).encode());
    assert_close(&turned, 16, 48, corners(64, 64, 16, 16), 4);
    let cropped = seen(&Heif::heic(Hevc::Full).with_clean_aperture(40, 32, -24, -32).encode());
    assert_eq!(cropped.dimensions(), (40, 32));
    assert_close(&cropped, 36, 4, corners(64, 64, 36, 4), 4);
    for data in [Hevc::Half, Hevc::Ten] {
        let transparent = seen(&Heif::heic(data).with_alpha(false).encode()).to_rgba8();
        assert_eq!(transparent.get_pixel(16, 16).0[3], 255);
        assert!(transparent.get_pixel(48, 16).0[3].abs_diff(128) <= 1);
        assert_eq!(transparent.get_pixel(48, 48).0[3], 0);
    }
    let p3 = moxcms::ColorProfile::new_display_p3().encode().unwrap();
    let by_profile = seen(&Heif::heic(Hevc::Full).with_profile(&p3).encode());
    let by_code = seen(&Heif::heic(Hevc::Full).with_code_points(12, 13).encode());
    assert_eq!(by_profile.to_rgb8().get_pixel(48, 16), by_code.to_rgb8().get_pixel(48, 16));
}

#[test]
fn a_heic_of_tiles_is_put_together() {
    for (width, height) in [(192, 128), (170, 100), (130, 66)] {
        for data in [Hevc::Full, Hevc::Half, Hevc::Ten] {
            let file = Heif::heic(data).in_grid(2, 3).saying(width, height);
            let picture = seen(&file.encode());
            assert_eq!(picture.dimensions(), (width, height), "{data:?}");
            for (x, y) in [(16, 16), (80, 16), (48, 16), (16, 48), (112, 48)] {
                assert_close(&picture, x, y, corners(64, 64, x % 64, y % 64), 4);
            }
            let transparent = seen(&file.with_alpha(false).encode()).to_rgba8();
            assert_eq!(transparent.get_pixel(80, 16).0[3], 255);
            assert_eq!(transparent.get_pixel(112, 48).0[3], 0);
        }
    }
    for (width, height) in [(193, 128), (192, 129), (128, 128), (192, 64)] {
        let failure = failure(&Heif::heic(Hevc::Full).in_grid(2, 3).saying(width, height).encode());
        assert_eq!(failure.code, FailureCode::BrokenImage, "{width} {height}");
    }
}

#[test]
fn a_damaged_heic_fails_with_a_reason() {
    let file = Heif::heic(Hevc::Half).encode();
    for length in [100, 300, file.len() - 40, file.len() - 1] {
        assert_eq!(failure(&file[..length]).code, FailureCode::BrokenImage, "{length}");
    }
    let mut other_size = file.clone();
    let size = other_size.windows(4).position(|kind| kind == b"ispe").unwrap() + 11;
    other_size[size] = 72;
    assert_eq!(failure(&other_size).code, FailureCode::BrokenImage);
}

#[test]
fn an_avif_whose_stream_has_another_size_is_damaged() {
    for (width, height) in [(31, 16), (16, 16), (64, 64)] {
        let failure = failure(&Heif::avif(Av1::Full).saying(width, height).encode());
        assert_eq!((failure.code, failure.detail.as_str()), (FailureCode::BrokenImage, "The AVIF file is damaged."));
    }
    assert_eq!(failure(&Heif::avif(Av1::Full).saying(20_000, 20_000).encode()).code, FailureCode::TooLarge);
}

#[test]
fn jpeg_xl_is_read_alone_and_in_its_container() {
    for file in [pictures::jxl(false), pictures::jxl_container(*b"xml ", b"<x/>")] {
        let picture = seen(&file);
        assert_eq!(picture.dimensions(), (32, 16));
        assert_corners(&picture, 1);
    }
    let holes = seen(&pictures::jxl(true)).to_rgba8();
    assert_eq!([(8, 4), (24, 4), (24, 12)].map(|(x, y)| holes.get_pixel(x, y).0[3]), [255, 128, 0]);
}

/// Its pixels take 8 KiB in floating point.
#[test]
fn a_jpeg_xl_that_needs_more_memory_than_it_may_have_is_not_broken() {
    let with = |memory| {
        let limits = Limits { memory: Some(memory), ..Limits::default() };
        render(&pictures::jxl(true), &Recipe::Standard, &limits, &mut |_| Ok(()))
    };
    for memory in [0, 1 << 10, 2 << 10, 4 << 10, 8 << 10] {
        assert!(matches!(with(memory), Err(RenderError::OutOfMemory(_))), "{memory} bytes");
    }
    with(1 << 20).unwrap();
}

#[test]
fn bmp_is_read() {
    let picture = seen(&pictures::bmp(33, 17, |x, y| corners(33, 17, x, y)));
    assert_eq!(picture.dimensions(), (33, 17));
    assert_corners(&picture, 0);
}

/// A BMP with any header after the first 14 bytes, followed by pixels.
fn bmp_with(header: &[u8], pixels: &[u8]) -> Vec<u8> {
    let start = u32::try_from(14 + header.len()).unwrap();
    let length = start + u32::try_from(pixels.len()).unwrap();
    [b"BM", &length.to_le_bytes()[..], &[0; 4], &start.to_le_bytes(), header, pixels].concat()
}

/// The first 40 bytes of a BMP's information header of `size` bytes.
fn bmp_info(size: u32, width: i32, height: i32, bits: u16, compression: u32) -> Vec<u8> {
    let sides = [width.to_le_bytes(), height.to_le_bytes()].concat();
    let kind = [&1_u16.to_le_bytes()[..], &bits.to_le_bytes(), &compression.to_le_bytes()].concat();
    [&size.to_le_bytes()[..], &sides, &kind, &[0; 20]].concat()
}

#[test]
fn bmp_is_read_from_the_top_with_a_palette_and_with_alpha() {
    // A negative height: the first row is the top one.
    let pixels = [[0, 0, 255, 0], [255, 0, 0, 0]].concat();
    let from_top = seen(&bmp_with(&bmp_info(40, 1, -2, 24, 0), &pixels));
    assert_close(&from_top, 0, 0, [255, 0, 0], 0);
    assert_close(&from_top, 0, 1, [0, 0, 255], 0);

    let palette = [[0; 4], [30, 200, 10, 0]].concat();
    let mut info = bmp_info(40, 2, 1, 8, 0);
    info[32] = 2; // colours
    let of_palette = seen(&bmp_with(&[info, palette].concat(), &[1, 0, 0, 0]));
    assert_close(&of_palette, 0, 0, [10, 200, 30], 0);
    assert_close(&of_palette, 1, 0, [0; 3], 0);

    // BITMAPV4HEADER has a bit mask per channel.
    let masks = [0x00FF_0000_u32, 0x0000_FF00, 0x0000_00FF, 0xFF00_0000].map(u32::to_le_bytes).concat();
    let header = [bmp_info(108, 2, 1, 32, 3), masks, vec![0; 52]].concat();
    let with_alpha = seen(&bmp_with(&header, &[30, 200, 10, 128, 30, 200, 10, 255])).to_rgba8();
    assert_eq!(with_alpha.get_pixel(0, 0).0, [10, 200, 30, 128]);
    assert_eq!(with_alpha.get_pixel(1, 0).0, [10, 200, 30, 255]);
}

#[test]
fn an_interlaced_png_is_read_whole_at_every_size() {
    for (width, height) in [(33, 17), (1, 1), (3, 9), (8, 8), (4, 2)] {
        let colour = |x: u32, y: u32| [x * 7 + y, y * 11, x * y].map(|value| u8::try_from(value % 256).unwrap());
        let picture = seen(&pictures::interlaced_png(width, height, colour)).to_rgb8();
        assert_eq!(picture.dimensions(), (width, height));
        assert!(picture.enumerate_pixels().all(|(x, y, pixel)| pixel.0 == colour(x, y)), "{width}x{height}");
    }
}

#[test]
fn an_interlaced_gif_is_read() {
    let (width, height) = (6_u16, 19_u16);
    // Every eighth row first, then the rows between (GIF89a, appendix E).
    let passes = [(0, 8), (4, 8), (2, 4), (1, 2)];
    let order = passes.into_iter().flat_map(|(start, step)| (start..height).step_by(step));
    let buffer: Vec<u8> = order.flat_map(|y| vec![u8::try_from(y).unwrap(); width.into()]).collect();
    let palette: Vec<u8> = (0..32).flat_map(|i| [i * 8, 255 - i * 8, i]).collect();
    let mut file = Vec::new();
    let mut encoder = gif::Encoder::new(&mut file, width, height, &palette).unwrap();
    let frame = gif::Frame { width, height, interlaced: true, buffer: buffer.into(), ..gif::Frame::default() };
    encoder.write_frame(&frame).unwrap();
    drop(encoder);
    let picture = seen(&file).to_rgb8();
    for (_, y, pixel) in picture.enumerate_pixels() {
        let y = u8::try_from(y).unwrap();
        assert_eq!(pixel.0, [y * 8, 255 - y * 8, y]);
    }
}

fn tiff(channels: u16, bits: u16, photometric: u16) -> Tiff {
    Tiff { width: 4, height: 2, channels, bits, photometric, fields: Vec::new(), blobs: Vec::new() }
}

#[test]
fn tiff_is_read_in_gray_rgb_rgba_and_sixteen_bits() {
    let gray: Vec<u8> = (0..8).map(|i| i * 30).collect();
    assert_eq!(seen(&tiff(1, 8, 1).encode(&gray)).to_luma8().into_raw(), gray);
    assert_close(&seen(&tiff(3, 8, 2).encode(&[10, 200, 30].repeat(8))), 3, 1, [10, 200, 30], 0);
    let mut rgba = tiff(4, 8, 2);
    rgba.fields = vec![(338, 2)];
    assert_eq!(seen(&rgba.encode(&[200, 100, 50, 128].repeat(8))).to_rgba8().get_pixel(1, 1).0, [200, 100, 50, 128]);
    // 0x40FF is 64.7 of 255, not 64.
    assert_close(&seen(&tiff(1, 16, 1).encode(&[0xFF, 0x40].repeat(8))), 2, 1, [65; 3], 0);
}

#[test]
fn the_premultiplied_colours_of_a_tiff_are_divided_by_alpha() {
    let mut rgba = tiff(4, 8, 2);
    rgba.fields = vec![(338, 1)];
    let found = seen(&rgba.encode(&[100, 50, 25, 128].repeat(8))).to_rgba8().get_pixel(1, 1).0;
    assert!(found.iter().zip([199, 100, 50, 128]).all(|(a, b)| a.abs_diff(b) <= 1), "{found:?}");
}

#[test]
fn a_tiff_is_turned_by_its_orientation_and_converted_by_its_profile() {
    let mut file = tiff(3, 8, 2);
    file.fields = vec![(274, 6)];
    file.blobs = vec![(34_675, 7, moxcms::ColorProfile::new_display_p3().encode().unwrap())];
    let picture = seen(&file.encode(&[234, 51, 35].repeat(8)));
    assert_eq!(picture.dimensions(), (2, 4));
    assert_close(&picture, 0, 0, [255, 0, 0], 3);
}

#[test]
fn a_cmyk_tiff_is_converted_by_the_plain_product() {
    // No ink; cyan; black.
    let samples = [[0, 0, 0, 0], [255, 0, 0, 0], [0, 0, 0, 255], [0, 0, 0, 0]].repeat(2).concat();
    let picture = seen(&tiff(4, 8, 5).encode(&samples));
    for (x, expected) in [(0, [255; 3]), (1, [0, 255, 255]), (2, [0; 3])] {
        assert_close(&picture, x, 0, expected, 1);
    }
}

#[test]
fn a_raw_file_is_refused_by_name() {
    let mut file = tiff(1, 8, 1);
    file.fields = vec![(50_706, 1)];
    let failure = failure(&file.encode(&[0; 8]));
    assert_eq!(failure.code, FailureCode::UnsupportedFormat);
    assert!(failure.detail.contains("a camera's raw file"), "{}", failure.detail);
}

#[test]
fn truncated_or_damaged_avif_jxl_tiff_and_bmp_fail_with_a_reason() {
    let avif = Heif::avif(Av1::Full).with_alpha(false).encode();
    let bmp = pictures::bmp(33, 17, |x, y| corners(33, 17, x, y));
    let tiff = tiff(1, 8, 1).encode(&[0; 8]);
    for file in [avif.clone(), bmp, tiff, pictures::jxl(false)] {
        for parts in [1, 2] {
            let failure = failure(&file[..file.len() * parts / 3]);
            assert!(matches!(failure.code, FailureCode::BrokenImage), "{failure:?}");
        }
    }
    let mut damaged = avif;
    let data = damaged.windows(4).position(|w| w == b"mdat").unwrap() + 4;
    damaged[data + 2..].fill(0x55);
    assert_eq!(failure(&damaged).code, FailureCode::BrokenImage);
}

/// The order of precedence is cICP, iCCP, sRGB, then gAMA with cHRM (W3C PNG, third edition, section 4.3).
#[test]
fn png_colour_chunks_have_the_precedence_of_the_standard() {
    let p3 = pictures::compressed_chunk(&moxcms::ColorProfile::new_display_p3().encode().unwrap());
    let (iccp, srgb) = ((*b"iCCP", p3), (*b"sRGB", vec![0]));
    let gamma = (*b"gAMA", 100_000_u32.to_be_bytes().to_vec());
    let cicp = (*b"cICP", vec![1, 13, 0, 1]);
    let pixel = |chunks: &[([u8; 4], Vec<u8>)]| {
        let file = pictures::png_with(2, 1, ColorType::Rgb, BitDepth::Eight, &[234, 51, 35].repeat(2), chunks);
        seen(&file).to_rgb8().get_pixel(0, 0).0
    };
    let plain = [234, 51, 35];
    let (by_profile, by_gamma) = (pixel(std::slice::from_ref(&iccp)), pixel(std::slice::from_ref(&gamma)));
    assert!(by_profile != plain && by_gamma != plain && by_profile != by_gamma);
    assert_eq!(pixel(&[cicp.clone(), iccp.clone()]), plain);
    assert_eq!(pixel(&[cicp, gamma.clone()]), plain);
    assert_eq!(pixel(&[gamma.clone(), iccp]), by_profile);
    assert_eq!(pixel(&[gamma, srgb]), plain);
}

#[test]
fn png_of_every_colour_type_and_depth_is_read() {
    use BitDepth::{Eight, Four, One, Sixteen, Two};
    use ColorType::{Grayscale, GrayscaleAlpha, Rgb, Rgba};
    for (colour, depth, sample) in [
        (Grayscale, One, vec![0xFF]),
        (Grayscale, Two, vec![0xAA]),
        (Grayscale, Four, vec![0xAA]),
        (Grayscale, Eight, vec![170]),
        (Grayscale, Sixteen, vec![170, 170]),
        (GrayscaleAlpha, Eight, vec![170, 255]),
        (GrayscaleAlpha, Sixteen, vec![170, 170, 255, 255]),
        (Rgb, Eight, vec![170; 3]),
        (Rgb, Sixteen, vec![170; 6]),
        (Rgba, Eight, vec![170, 170, 170, 255]),
        (Rgba, Sixteen, vec![170, 170, 170, 170, 170, 170, 255, 255]),
    ] {
        let pixels = 8 * 8;
        let length = match depth {
            One => pixels / 8,
            Two => pixels / 4,
            Four => pixels / 2,
            Eight | Sixteen => pixels * sample.len(),
        };
        let samples: Vec<u8> = sample.iter().copied().cycle().take(length).collect();
        let expected = if depth == One { 255 } else { 170 };
        assert_close(&seen(&pictures::png(8, 8, colour, depth, &samples)), 3, 3, [expected; 3], 0);
    }
}

#[test]
fn a_palette_and_a_transparent_colour_of_a_png_are_read() {
    let palette = |trns: Option<Vec<u8>>| {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, 2, 1);
        encoder.set_color(ColorType::Indexed);
        encoder.set_depth(BitDepth::Eight);
        encoder.set_palette(vec![200, 10, 20, 1, 2, 3]);
        if let Some(trns) = trns {
            encoder.set_trns(trns);
        }
        encoder.write_header().unwrap().write_image_data(&[0, 1]).unwrap();
        file
    };
    assert_close(&seen(&palette(None)), 0, 0, [200, 10, 20], 0);
    let holes = seen(&palette(Some(vec![255, 0]))).to_rgba8();
    assert_eq!((holes.get_pixel(0, 0).0, holes.get_pixel(1, 0).0[3]), ([200, 10, 20, 255], 0));
    // A transparent colour of 16 bits: all bits are compared.
    let trns = (*b"tRNS", vec![0x12, 0x34]);
    let samples = [0x12, 0x34, 0x12, 0x35];
    let gray = seen(&pictures::png_with(2, 1, ColorType::Grayscale, BitDepth::Sixteen, &samples, &[trns])).to_rgba8();
    assert_eq!([0, 1].map(|x| gray.get_pixel(x, 0).0[3]), [0, 255]);
}

#[test]
fn a_cmyk_jpeg_is_converted_by_its_profile() {
    let profile = [b"ICC_PROFILE\0\x01\x01", pictures::gray_ink_profile().as_slice()].concat();
    // No ink, and cyan; inverted.
    let plain = Jpeg::new(16, 8).cmyk();
    let values = |component, x, _| if component == 0 && x >= 8 { 0 } else { 255 };
    let by_product = seen(&plain.encode(values));
    assert_close(&by_product, 12, 4, [0, 255, 255], 2);
    let by_profile = seen(&plain.with_segment(0xE2, &profile).encode(values));
    assert_close(&by_profile, 4, 4, [255; 3], 2);
    assert_close(&by_profile, 12, 4, [119; 3], 3);
}

#[test]
fn a_ycck_jpeg_has_its_colours() {
    // YCbCr of cyan, which codes 255 minus the stored CMYK: no cyan, all magenta, all yellow.
    let file = Jpeg::new(8, 8).ycck().encode(|component, _, _| [179, 171, 0, 255][component]);
    assert_close(&seen(&file), 4, 4, [255, 0, 0], 3);
}

#[test]
fn jpeg_of_every_subsampling_and_odd_size_has_its_colours() {
    for (width, height) in [(64, 48), (61, 47), (45, 37)] {
        let picture = |jpeg: Jpeg| seen(&jpeg.encode_rgb(|x, y| corners(width.into(), height.into(), x, y)));
        let jpeg = || Jpeg::new(width, height);
        for picture in [picture(jpeg()), picture(jpeg().half_colour_across()), picture(jpeg().half_colour())] {
            assert_eq!(picture.dimensions(), (width.into(), height.into()));
            let (right, bottom) = (u32::from(width) - 1, u32::from(height) - 1);
            for (x, y) in [(0, 0), (right, 0), (0, bottom), (right, bottom)] {
                assert_close(&picture, x, y, corners(width.into(), height.into(), x, y), 3);
            }
        }
    }
}

#[test]
fn a_progressive_jpeg_is_read_and_too_many_scans_are_refused() {
    let source = Jpeg::new(64, 48).encode_rgb(|x, y| corners(64, 48, x, y));
    let progressive = try_as(&source, RenditionFormat::Jpeg).unwrap().bytes;
    assert!(progressive.windows(2).any(|marker| marker == [0xFF, 0xC2]), "it is not progressive");
    assert_corners(&seen(&progressive), 4);
    let scan = progressive.windows(2).rposition(|marker| marker == [0xFF, 0xDA]).unwrap();
    let (before, last) = (&progressive[..scan], &progressive[scan..progressive.len() - 2]);
    let bomb = [before, last.repeat(100).as_slice()].concat();
    let failure = failure(&bomb);
    assert_eq!(failure.code, FailureCode::TooLarge);
    assert!(failure.detail.contains("scans"), "{}", failure.detail);
}

#[test]
fn the_first_exif_segment_of_a_jpeg_gives_its_orientation() {
    let file = Jpeg::new(48, 32).with_orientation(6).with_orientation(3).encode_rgb(|x, y| corners(48, 32, x, y));
    assert_eq!(seen(&file).dimensions(), (32, 48));
}

#[test]
fn an_orientation_that_does_not_exist_is_upright() {
    for tag in [0, 9, 65_535] {
        let file = Jpeg::new(48, 32).with_orientation(tag).encode_rgb(|x, y| corners(48, 32, x, y));
        assert_corners(&seen(&file), 3);
    }
}

/// Ultra HDR: a second JPEG after the first, with a directory (CIPA DC-007) of both.
#[test]
fn a_gain_map_is_dropped_and_the_base_picture_is_right() {
    let xmp = b"http://ns.adobe.com/xap/1.0/\0<hdrgm:Version=\"1.0\" Item:Semantic=\"GainMap\"/>";
    let base = Jpeg::new(48, 32)
        .with_segment(0xE1, xmp)
        .with_segment(0xE2, b"MPF\0MM\0*\0\0\0\x08\0\0\0\0\0\0")
        .encode_rgb(|x, y| corners(48, 32, x, y));
    let map = Jpeg::new(16, 16).gray().with_segment(0xE1, xmp).encode(|_, x, _| u8::try_from(x * 9).unwrap());
    let both = [base.clone(), map].concat();
    assert_eq!(seen(&both), seen(&base));
    assert_corners(&seen(&both), 3);
    for format in RenditionFormat::ALL {
        let bytes = try_as(&both, *format).unwrap().bytes;
        for trace in [&b"MPF\0"[..], b"hdrgm", b"GainMap"] {
            assert!(!bytes.windows(trace.len()).any(|window| window == trace), "{format}");
        }
        let pictures = bytes.windows(3).filter(|window| *window == [0xFF, 0xD8, 0xFF]).count();
        assert_eq!(pictures, usize::from(*format == RenditionFormat::Jpeg));
    }
}

/// Plants personal metadata in each container and searches every rendition for it.
#[test]
fn no_personal_metadata_is_in_any_rendition() {
    let secret = "SECRET-SERIAL-4711";
    let text = secret.as_bytes();
    let exif = pictures::exif(1, secret);
    let thumbnail = Jpeg::new(16, 16).with_segment(0xFE, text).encode_rgb(|_, _| [1, 2, 3]);
    let with_thumbnail = [exif.as_slice(), &thumbnail].concat();
    let mut tiff = tiff(3, 8, 2);
    // Maker, software, XMP, IPTC, Photoshop's resources, the EXIF and GPS directories.
    tiff.blobs = [271, 305, 700, 33_723, 34_377, 34_665, 34_853].map(|tag| (tag, 7, text.to_vec())).to_vec();
    let jpeg = Jpeg::new(16, 16)
        .with_segment(0xE0, &[b"JFXX\0\x10", thumbnail.as_slice()].concat())
        .with_segment(0xE1, &[b"Exif\0\0", with_thumbnail.as_slice()].concat())
        .with_segment(0xE1, &[&b"http://ns.adobe.com/xap/1.0/\0"[..], text].concat())
        .with_segment(0xE1, &[&b"http://ns.adobe.com/xmp/extension/\0"[..], text].concat())
        .with_segment(0xE2, &[&b"MPF\0"[..], text].concat())
        .with_segment(0xEC, &[&b"Ducky\0"[..], text].concat())
        .with_segment(0xED, &[&b"Photoshop 3.0\08BIM\x04\x04\0\0"[..], text].concat())
        .with_segment(0xEF, text)
        .with_segment(0xFE, text)
        .encode_rgb(|_, _| [1, 2, 3]);
    let chunks = [
        (*b"eXIf", with_thumbnail.clone()),
        (*b"tEXt", [&b"Author\0"[..], text].concat()),
        (*b"iTXt", [&b"XML:com.adobe.xmp\0\0\0\0\0"[..], text].concat()),
        (*b"zTXt", pictures::compressed_chunk(text)),
        (*b"prVt", text.to_vec()),
    ];
    let webp_chunks = [(*b"EXIF", with_thumbnail.clone()), (*b"XMP ", text.to_vec())];
    let sources = [
        [jpeg, thumbnail.clone()].concat(),
        pictures::png_with(16, 16, ColorType::Rgba, BitDepth::Eight, &[7; 1024], &chunks),
        [pictures::webp_with(16, 16, &pictures::webp(16, 16, &[9; 1024]), &webp_chunks), text.to_vec()].concat(),
        gif_with_metadata(text),
        Heif::avif(Av1::Full).with_exif(&with_thumbnail).with_item(*b"mime", text).encode(),
        pictures::jxl_container(*b"Exif", &with_thumbnail),
        pictures::jxl_container(*b"xml ", text),
        tiff.encode(&[9; 24]),
        [pictures::bmp(8, 8, |_, _| [1, 2, 3]), text.to_vec()].concat(),
    ];
    let traces =
        ["SECRET", "Exif", "eXIf", "EXIF", "XMP ", "tEXt", "zTXt", "iTXt", "ns.adobe", "8BIM", "MPF\0", "JFXX", "prVt"];
    for (index, source) in sources.iter().enumerate() {
        assert!(source.windows(text.len()).any(|window| window == text), "source {index} has nothing to hide");
        for format in RenditionFormat::ALL {
            let bytes = try_as(source, *format).unwrap().bytes;
            for trace in traces {
                let found = bytes.windows(trace.len()).any(|window| window == trace.as_bytes());
                assert!(!found, "{trace:?} in {format} of source {index}");
            }
        }
    }
}

/// A GIF with a comment, and XMP in an application extension, before the picture.
fn gif_with_metadata(text: &[u8]) -> Vec<u8> {
    let frame = pictures::GifFrame {
        place: [0, 0, 16, 16],
        colour: Some([200, 0, 0]),
        delay: 0,
        dispose: gif::DisposalMethod::Keep,
    };
    let mut file = pictures::gif(16, 16, gif::Repeat::Finite(0), &[frame]);
    let length = u8::try_from(text.len()).unwrap();
    let comment = [&[0x21, 0xFE, length][..], text, &[0]].concat();
    let xmp = [&b"\x21\xFF\x0BXMP DataXMP"[..], &[length], text, &[0]].concat();
    let picture = 13 + if file[10] & 0x80 == 0 { 0 } else { 3 << ((file[10] & 7) + 1) };
    file.splice(picture..picture, [comment, xmp].concat());
    file
}

#[test]
fn the_analysis_has_the_dominant_colour_and_a_hash_that_copies_share() {
    let picture = |width: u16, height: u16| {
        Jpeg::new(width, height)
            .encode_rgb(|x, _| if x < u32::from(width) * 3 / 4 { [200, 40, 40] } else { [0, 0, 90] })
    };
    let analysis = |source: &[u8]| render(source, &Recipe::Standard, &Limits::default(), &mut |_| Ok(())).unwrap();
    let (large, small) = (analysis(&picture(640, 480)), analysis(&picture(160, 120)));
    for analysis in [&large, &small] {
        let close = analysis.dominant_colour.iter().zip([200, 40, 40]).all(|(a, b)| a.abs_diff(b) <= 3);
        assert!(close, "{:?}", analysis.dominant_colour);
    }
    assert!((large.perceptual_hash ^ small.perceptual_hash).count_ones() <= 4);
}

#[test]
fn every_test_named_in_the_formats_page_exists() {
    let page = include_str!("../../../../docs/formats.md");
    let tests = [
        include_str!("animations.rs"),
        include_str!("formats.rs"),
        include_str!("gamut.rs"),
        include_str!("keep.rs"),
        include_str!("rendering.rs"),
        include_str!("still.rs"),
        include_str!("crafted_pictures.rs"),
        include_str!("../../../container/src/header/tests.rs"),
        include_str!("../../../jpeg/src/decode/tests.rs"),
        include_str!("../../src/codecs/gif.rs"),
        include_str!("../../src/codecs/tiff/tests.rs"),
        include_str!("../../src/colour/tone_map.rs"),
        include_str!("../../src/plan.rs"),
    ];
    let named: Vec<&str> = page.split('`').skip(1).step_by(2).filter(|name| name.contains('_')).collect();
    assert!(named.len() > 20, "the appendix names the tests");
    for name in named {
        let head = format!("fn {name}(");
        assert!(tests.iter().any(|source| source.contains(&head)), "there is no test {name}");
    }
}

/// A number with commas between thousands.
fn grouped(number: u32) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}

#[test]
fn the_table_of_output_formats_is_what_the_codecs_declare() {
    let page = include_str!("../../../../docs/formats.md");
    let yes = |value| if value { "yes" } else { "–" };
    for format in RenditionFormat::ALL {
        let features = output_features(*format);
        let colour = match features.colour {
            ColourSignal::Icc => "ICC profile",
            ColourSignal::CodePoints => "code points",
        };
        let row = format!(
            "| {format} | {} | {} | {} | {colour} | {} | {} | {} |",
            yes(features.alpha),
            yes(features.animation),
            yes(features.lossless),
            yes(features.exif),
            features.bits,
            grouped(features.max_side)
        );
        assert!(page.contains(&row), "docs/formats.md lacks: {row}");
    }
}
