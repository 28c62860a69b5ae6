//! Animations that violate their format, or use what few writers use: they come out as browsers show them.

use std::io::Cursor;

use darkroom_model::{RenditionFormat, recipe::Recipe};
use darkroom_test_pictures::{self as pictures, Av1, RawGif, Rgb, avif_sequence};
use image::AnimationDecoder as _;
use png::{BitDepth, ColorType};

use crate::rendered::{self, lossless, seen};

const RED: Rgb = [255, 0, 0];
const GREEN: Rgb = [0, 255, 0];
const BLUE: Rgb = [0, 0, 255];
const RED_PIXEL: [u8; 4] = [255, 0, 0, 255];
const GREEN_PIXEL: [u8; 4] = [0, 255, 0, 255];
const BLACK_PIXEL: [u8; 4] = [0, 0, 0, 255];

/// How many times an animation is shown, and its frames, as libwebp's file has them.
fn animation(source: &[u8]) -> (u16, Vec<image::RgbaImage>) {
    let file = lossless(source, RenditionFormat::Webp).unwrap().bytes;
    let loops = file
        .windows(4)
        .position(|kind| kind == b"ANIM")
        .map_or(1, |at| u16::from_le_bytes([file[at + 12], file[at + 13]]));
    let decoder = image::codecs::webp::WebPDecoder::new(Cursor::new(&file)).unwrap();
    let frames = decoder.into_frames().collect_frames().unwrap();
    (loops, frames.into_iter().map(image::Frame::into_buffer).collect())
}

/// The pixel of each frame at (x, y). Lossy frames are near their colours.
#[track_caller]
fn assert_frames(source: &[u8], x: u32, y: u32, expected: &[[u8; 4]]) {
    let (_, frames) = animation(source);
    let found: Vec<_> = frames.iter().map(|frame| frame.get_pixel(x, y).0).collect();
    let close =
        |(a, b): (&[u8; 4], &[u8; 4])| (a[3] == 0 && b[3] == 0) || a.iter().zip(b).all(|(a, b)| a.abs_diff(*b) < 8);
    assert!(found.len() == expected.len() && found.iter().zip(expected).all(close), "{found:?} is not {expected:?}");
}

/// How long each frame is shown, in milliseconds.
fn delays(source: &[u8]) -> Vec<u32> {
    let file = lossless(source, RenditionFormat::Webp).unwrap().bytes;
    let frames = image::codecs::webp::WebPDecoder::new(Cursor::new(&file)).unwrap().into_frames();
    frames.map(|frame| frame.unwrap().delay().numer_denom_ms().0).collect()
}

/// Two frames on a screen of 6 × 4.
fn two_frames() -> RawGif {
    RawGif::new(6, 4, &[RED, GREEN]).control(0, None).image([0, 0, 6, 4], &[], 0).control(0, None).image(
        [0, 0, 6, 4],
        &[],
        1,
    )
}

#[test]
fn the_screen_of_a_gif_grows_to_hold_its_first_frame() {
    let still = RawGif::new(1, 1, &[RED, GREEN]).image([0, 0, 60, 40], &[], 0).finish();
    assert_eq!(seen(&still).to_rgba8().dimensions(), (60, 40));
    let beside =
        RawGif::new(10, 50, &[RED, GREEN]).image([20, 10, 60, 30], &[], 0).image([0, 0, 200, 200], &[], 1).finish();
    let (_, frames) = animation(&beside);
    assert_eq!(frames.iter().map(image::RgbaImage::dimensions).collect::<Vec<_>>(), [(80, 50); 2]);
    assert_eq!(frames[0].get_pixel(0, 0).0[3], 0);
    let absent = RawGif::new(0, 0, &[RED, GREEN]).image([0, 0, 7, 9], &[], 0).finish();
    assert_eq!(seen(&absent).to_rgba8().dimensions(), (7, 9));
}

#[test]
fn bytes_after_the_last_frame_of_a_gif_are_ignored() {
    let whole = two_frames().bytes;
    for end in [&b""[..], b";", b"\0\0\0\0\0\0\0\0", b"\0;", b"!", b"!\xFE\x20cut", b"garbage", b";\x2C\0\0"] {
        assert_frames(&[&whole, end].concat(), 3, 2, &[RED_PIXEL, GREEN_PIXEL]);
    }
    // The end of the file ends the data of the last frame as its terminator does, if all pixels are there.
    assert_frames(&whole[..whole.len() - 1], 3, 2, &[RED_PIXEL, GREEN_PIXEL]);
    // Half of a frame is refused.
    for missing in [3, 12, 20] {
        assert!(lossless(&whole[..whole.len() - missing], RenditionFormat::Webp).is_err(), "{missing}");
    }
}

#[test]
fn a_gif_pixel_without_a_colour_is_opaque_black() {
    let no_palette = RawGif::new(6, 4, &[]).image([0, 0, 6, 4], &[], 1).finish();
    let beyond = RawGif::new(6, 4, &[RED, GREEN]).image([0, 0, 6, 4], &[], 9).finish();
    let beyond_local = RawGif::new(6, 4, &[RED, GREEN, BLUE, RED]).image([0, 0, 6, 4], &[BLUE, BLUE], 3).finish();
    for file in [no_palette, beyond, beyond_local] {
        assert_eq!(seen(&file).to_rgba8().get_pixel(3, 2).0, BLACK_PIXEL);
    }
    // The transparent index is transparent there too.
    let transparent = RawGif::new(6, 4, &[RED, GREEN]).control(0, Some(9)).image([0, 0, 6, 4], &[], 9).finish();
    assert_eq!(seen(&transparent).to_rgba8().get_pixel(3, 2).0[3], 0);
}

#[test]
fn a_gif_frame_without_pixels_shows_what_was_there() {
    let file = two_frames().control(0, None).image([0, 0, 0, 0], &[], 0).control(0, None).image([0, 0, 0, 4], &[], 0);
    let file = file.control(0, None).image([0, 0, 6, 4], &[], 0).finish();
    // The encoder joins equal frames.
    assert_frames(&file, 3, 2, &[RED_PIXEL, GREEN_PIXEL, RED_PIXEL]);
    assert_eq!(delays(&file), [100, 300, 100]);
}

#[test]
fn the_last_loop_count_of_a_gif_counts_wherever_it_stands() {
    let plays = |before: &[(&[u8; 11], u16)], after: &[(&[u8; 11], u16)]| {
        let mut file = RawGif::new(6, 4, &[RED, GREEN]);
        for (name, count) in before {
            file = file.repetitions(name, *count);
        }
        file = file.control(0, None).image([0, 0, 6, 4], &[], 0).control(0, None).image([0, 0, 6, 4], &[], 1);
        for (name, count) in after {
            file = file.repetitions(name, *count);
        }
        animation(&file.finish()).0
    };
    let (netscape, animexts) = (b"NETSCAPE2.0", b"ANIMEXTS1.0");
    assert_eq!(plays(&[], &[]), 1);
    assert_eq!(plays(&[(animexts, 0)], &[]), 0);
    assert_eq!(plays(&[(animexts, 2)], &[]), 3);
    assert_eq!(plays(&[], &[(netscape, 0)]), 0);
    assert_eq!(plays(&[(netscape, 0), (netscape, 4)], &[]), 5);
    assert_eq!(plays(&[(b"NETSCAPE1.0", 0)], &[]), 1);
    // 65,536 showings exceed WebP's loop count: forever.
    assert_eq!(plays(&[(netscape, 65_534)], &[]), 65_535);
    assert_eq!(plays(&[(netscape, 65_535)], &[]), 0);
}

#[test]
fn a_gif_extension_of_an_unknown_label_is_skipped() {
    let mut file = RawGif::new(6, 4, &[RED, GREEN]);
    file.bytes.extend(b"!\x42\x05hello\x02,;\0!\xCE\0");
    // A graphic control extension of another length says nothing.
    file.bytes.extend(b"!\xF9\x03\x09\0\0\0");
    assert_eq!(seen(&file.image([0, 0, 6, 4], &[], 1).finish()).to_rgba8().get_pixel(3, 2).0, GREEN_PIXEL);
}

/// A frame of an APNG of 6 × 4: control and data, in the default image or beside it.
fn frame(sequence: &mut u32, rect: [u32; 4], colour: [u8; 4], in_default_image: bool) -> Vec<([u8; 4], Vec<u8>)> {
    let [left, top, width, height] = rect;
    let mut next = || {
        *sequence += 1;
        *sequence - 1
    };
    let mut control = [next(), width, height, left, top].map(u32::to_be_bytes).concat();
    control.extend([0, 1, 0, 10, 0, 0]);
    let row: Vec<u8> = std::iter::once(0).chain(colour.repeat(width as usize)).collect();
    let data = pictures::zlib(&row.repeat(height as usize));
    let data =
        if in_default_image { (*b"IDAT", data) } else { (*b"fdAT", [&next().to_be_bytes()[..], &data].concat()) };
    vec![(*b"fcTL", control), data]
}

/// An APNG that declares this number of frames and plays.
fn apng(declared: u32, plays: u32, chunks: &[([u8; 4], Vec<u8>)]) -> Vec<u8> {
    let control = (*b"acTL", [declared, plays].map(u32::to_be_bytes).concat());
    pictures::png_of_chunks(6, 4, 6, &[&[control], chunks].concat())
}

/// A default image in blue, which is not part of the animation.
fn default_image() -> Vec<([u8; 4], Vec<u8>)> {
    let row: Vec<u8> = std::iter::once(0).chain([0, 0, 255, 255].repeat(6)).collect();
    vec![(*b"IDAT", pictures::zlib(&row.repeat(4)))]
}

const WHOLE: [u32; 4] = [0, 0, 6, 4];

#[test]
fn the_only_frame_of_an_apng_is_shown_and_not_its_default_image() {
    let mut sequence = 0;
    let file = apng(1, 0, &[default_image(), frame(&mut sequence, WHOLE, GREEN_PIXEL, false)].concat());
    assert_eq!(seen(&file).to_rgba8().get_pixel(3, 2).0, GREEN_PIXEL);
    // A frame that covers a part of the canvas.
    let part = apng(1, 0, &[default_image(), frame(&mut 0, [2, 1, 3, 2], GREEN_PIXEL, false)].concat());
    let picture = seen(&part).to_rgba8();
    assert_eq!((picture.dimensions(), picture.get_pixel(3, 2).0), ((6, 4), GREEN_PIXEL));
    assert_eq!(picture.get_pixel(0, 0).0[3], 0);
    // Without a frame the default image is all there is.
    for file in [
        apng(1, 0, &default_image()),
        apng(0, 0, &[default_image(), frame(&mut 0, WHOLE, GREEN_PIXEL, false)].concat()),
    ] {
        assert_eq!(seen(&file).to_rgba8().get_pixel(3, 2).0, [0, 0, 255, 255]);
    }
}

#[test]
fn an_apng_shows_the_frames_that_it_declares_and_has() {
    let mut sequence = 0;
    let mut chunks = frame(&mut sequence, WHOLE, RED_PIXEL, true);
    chunks.extend(frame(&mut sequence, WHOLE, GREEN_PIXEL, false));
    chunks.extend(frame(&mut sequence, WHOLE, BLACK_PIXEL, false));
    for (declared, expected) in [
        (5, &[RED_PIXEL, GREEN_PIXEL, BLACK_PIXEL][..]),
        (3, &[RED_PIXEL, GREEN_PIXEL, BLACK_PIXEL]),
        (2, &[RED_PIXEL, GREEN_PIXEL]),
    ] {
        assert_frames(&apng(declared, 0, &chunks), 3, 2, expected);
    }
    for declared in [1, 0, u32::MAX] {
        assert_eq!(seen(&apng(declared, 0, &chunks)).to_rgba8().get_pixel(3, 2).0, RED_PIXEL, "{declared}");
    }
    // A control chunk without data is no frame.
    chunks.push(frame(&mut sequence, WHOLE, RED_PIXEL, false).remove(0));
    assert_frames(&apng(4, 0, &chunks), 3, 2, &[RED_PIXEL, GREEN_PIXEL, BLACK_PIXEL]);
    // More plays than WebP can count: forever.
    for (plays, expected) in [(7, 7), (65_535, 65_535), (65_536, 0), (i32::MAX.unsigned_abs(), 0)] {
        assert_eq!(animation(&apng(2, plays, &chunks)).0, expected);
    }
}

/// An animated WebP of 6 × 4 whose frames are lossless pictures: left, top, width, height and colour of each.
fn animated_webp(flags: u8, frames: &[([u32; 4], [u8; 4])]) -> Vec<u8> {
    let mut chunks = vec![(*b"ANIM", vec![0; 6])];
    for ([left, top, width, height], colour) in frames {
        let picture = pictures::webp(*width, *height, &colour.repeat((width * height) as usize));
        let mut body: Vec<u8> = [left / 2, top / 2, width - 1, height - 1, 100]
            .iter()
            .flat_map(|value| value.to_le_bytes()[..3].to_vec())
            .collect();
        body.push(0);
        body.extend(&picture[12..]);
        chunks.push((*b"ANMF", body));
    }
    pictures::webp_of_chunks(6, 4, flags, &chunks)
}

const ANIMATION: u8 = 0b10;

#[test]
fn an_animated_webp_of_one_frame_is_read() {
    let picture = seen(&animated_webp(ANIMATION, &[(WHOLE, RED_PIXEL)])).to_rgba8();
    assert_eq!((picture.dimensions(), picture.get_pixel(3, 2).0), ((6, 4), RED_PIXEL));
    let part = seen(&animated_webp(ANIMATION, &[([2, 2, 4, 2], RED_PIXEL)])).to_rgba8();
    assert_eq!([part.get_pixel(3, 2).0, part.get_pixel(0, 0).0], [RED_PIXEL, [0; 4]]);
}

#[test]
fn a_canvas_that_shows_through_opaque_frames_is_transparent() {
    let webp = animated_webp(ANIMATION, &[([2, 2, 4, 2], RED_PIXEL), ([2, 2, 2, 2], GREEN_PIXEL)]);
    let gif = RawGif::new(6, 4, &[RED, GREEN]).image([2, 2, 4, 2], &[], 0).image([2, 2, 2, 2], &[], 1).finish();
    for source in [webp, gif] {
        let (_, renditions) = rendered::all(&source, &Recipe::Standard).unwrap();
        let file = &renditions.iter().find(|rendition| rendition.format == RenditionFormat::Webp).unwrap().bytes;
        assert_eq!((&file[12..16], file[20] & 0x10), (&b"VP8X"[..], 0x10), "the alpha flag");
        assert_frames(&source, 0, 0, &[[0; 4], [0; 4]]);
        assert_frames(&source, 3, 3, &[RED_PIXEL, GREEN_PIXEL]);
    }
    let opaque =
        lossless(&animated_webp(ANIMATION | 0x10, &[(WHOLE, RED_PIXEL), (WHOLE, GREEN_PIXEL)]), RenditionFormat::Webp);
    assert_eq!(opaque.unwrap().bytes[20] & 0x10, 0);
}

#[test]
fn an_avif_sequence_keeps_its_frames_timing_and_loops() {
    let frames = [(Av1::Full, 10), (Av1::Inverted, 20), (Av1::Full, 30)];
    let cyan = [0, 255, 255, 255];
    for (repeats, plays) in [(None, 0), (Some(0), 0), (Some(1), 1), (Some(3), 3)] {
        let source = avif_sequence(&frames, repeats, false);
        assert_eq!(animation(&source).0, plays, "{repeats:?}");
        assert_frames(&source, 8, 4, &[RED_PIXEL, cyan, RED_PIXEL]);
        assert_eq!(delays(&source), [100, 200, 300]);
    }
    let transparent = avif_sequence(&frames, None, true);
    assert_frames(&transparent, 24, 12, &[[0; 4]; 3]);
    assert_frames(&transparent, 8, 4, &[RED_PIXEL, cyan, RED_PIXEL]);
    // A sequence of one frame is a picture.
    let single = seen(&avif_sequence(&frames[..1], None, true)).to_rgba8();
    assert_eq!((single.dimensions(), single.get_pixel(24, 12).0[3]), ((32, 16), 0));
}

#[test]
fn an_animated_jpeg_xl_keeps_its_frames_timing_and_loops() {
    let source = pictures::animated_jxl();
    assert_eq!(animation(&source).0, 0);
    assert_frames(&source, 8, 4, &[RED_PIXEL, [200, 100, 50, 255], [0, 255, 255, 255]]);
    assert_eq!(delays(&source), [100, 200, 300]);
    assert!(lossless(&source[..source.len() - 40], RenditionFormat::Webp).is_err(), "a frame is missing");
}

#[test]
fn a_still_png_with_frame_control_alone_is_its_picture() {
    let file = pictures::png_of_chunks(6, 4, 6, &frame(&mut 0, WHOLE, GREEN_PIXEL, true));
    assert_eq!(seen(&file).to_rgba8().get_pixel(3, 2).0, GREEN_PIXEL);
    assert_eq!(
        seen(&pictures::png(1, 1, ColorType::Rgb, BitDepth::Eight, &[1, 2, 3])).to_rgb8().get_pixel(0, 0).0,
        [1, 2, 3]
    );
}
