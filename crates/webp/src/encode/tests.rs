//! What is written decodes to exactly what the encoder reconstructed.
#![expect(unsafe_code, reason = "calls libwebp")]
#![expect(
    clippy::cast_sign_loss,
    clippy::cast_possible_truncation,
    reason = "lengths of small pictures, and random bytes"
)]

use std::{io::Cursor, ptr, slice};

use darkroom_raster::{Channels, simd::SimdKernel};

use super::*;

/// Planes of a decoded file, without padding: luma, Cb, Cr.
type Decoded = [Vec<u8>; 3];

fn libwebp(file: &[u8]) -> Decoded {
    let (mut width, mut height, mut stride, mut chroma_stride) = (0, 0, 0, 0);
    let (mut cb, mut cr) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: pointer and length are of one slice; the results are valid until the free below.
    unsafe {
        let luma = libwebp_sys::WebPDecodeYUV(
            file.as_ptr(),
            file.len(),
            &raw mut width,
            &raw mut height,
            &raw mut cb,
            &raw mut cr,
            &raw mut stride,
            &raw mut chroma_stride,
        );
        assert!(!luma.is_null(), "libwebp refuses the file");
        let plane = |samples: *const u8, stride: i32, width: i32, height: i32| {
            (0..height)
                .flat_map(|y| slice::from_raw_parts(samples.offset((y * stride) as isize), width as usize).to_vec())
                .collect()
        };
        let half = |length: i32| (length + 1) / 2;
        let planes = [
            plane(luma, stride, width, height),
            plane(cb, chroma_stride, half(width), half(height)),
            plane(cr, chroma_stride, half(width), half(height)),
        ];
        libwebp_sys::WebPFree(luma.cast());
        planes
    }
}

fn image_webp(file: &[u8]) -> Decoded {
    // Without the RIFF header and the chunk's.
    let frame = image_webp::vp8::Vp8Decoder::decode_frame(Cursor::new(&file[20..])).unwrap();
    [frame.ybuf, frame.ubuf, frame.vbuf]
}

fn cut(plane: &[u8], stride: usize, width: usize, height: usize) -> Vec<u8> {
    plane.chunks_exact(stride).take(height).flat_map(|row| row[..width].to_vec()).collect()
}

/// Encodes with these settings, and checks what both decoders make of the file.
fn check(picture: &Raster<u8>, step: i32, tuning: &Tuning) -> Vec<u8> {
    let size = checked_size(picture).unwrap();
    let planes = Planes::from_raster(picture);
    let (width, height) = (usize::from(size.0), usize::from(size.1));
    let mut reconstruction = Planes::empty(width, height);
    let mut encode = |filter, vectors| {
        let tuning = Tuning { filter, ..tuning.clone() };
        let encoder =
            FrameEncoder { planes: &planes, size, step, tuning: &tuning, reconstruction: Some(&mut reconstruction) };
        if vectors { dispatch(encoder) } else { encoder.run() }.unwrap()
    };
    let unfiltered = encode(0, true);
    assert!(unfiltered == encode(0, false), "{width} × {height}: vectors change the file");
    let filtered = encode(tuning.filter, true);
    let stride = reconstruction.macroblock_columns * 16;
    let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
    let expected = [
        cut(&reconstruction.luma, stride, width, height),
        cut(&reconstruction.cb, stride / 2, half_width, half_height),
        cut(&reconstruction.cr, stride / 2, half_width, half_height),
    ];
    let setting = format!("{width} × {height}, step {step}, {tuning:?}");
    assert!(libwebp(&unfiltered) == expected, "libwebp: {setting}");
    let other = image_webp(&unfiltered);
    assert!(cut(&other[0], stride, width, height) == expected[0], "image-webp, luma: {setting}");
    let other = image_webp(&filtered);
    assert!(libwebp(&filtered)[0] == cut(&other[0], stride, width, height), "filtered: {setting}");
    filtered
}

struct Random(u32);

impl Random {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) % limit
    }
}

/// A picture with gradients, edges and noise.
fn picture(width: u32, height: u32, random: &mut Random) -> Raster<u8> {
    let channels = if random.below(8) == 0 { Channels::Gray } else { Channels::Rgb };
    let kind = random.below(6);
    let period = 1 + random.below(20);
    let mut raster = Raster::new(width, height, channels);
    let count = channels.count() as u32;
    for (sample, i) in raster.samples.iter_mut().zip(0_u32..) {
        let (x, y) = (i / count % width, i / count / width);
        let value = match kind {
            0 => random.below(256),
            1 => {
                if (x / period + y / period).is_multiple_of(2) {
                    255
                } else {
                    0
                }
            }
            2 => (x * period + y * 3 + i % count * 40) % 256,
            3 => random.below(2) * 255,
            4 => 128 + random.below(1 + period),
            _ => (x * y / period) % 256,
        };
        *sample = value as u8;
    }
    raster
}

fn tunings() -> Vec<Tuning> {
    [Effort::Speed, Effort::Balanced, Effort::Best].map(Tuning::new).into()
}

#[test]
fn every_small_size_decodes_to_its_reconstruction() {
    let mut random = Random(1);
    let tunings = tunings();
    for width in 1..=70 {
        for height in 1..=70 {
            let tuning = &tunings[(width + height) as usize % tunings.len()];
            let step = 256 * (4 + random.below(281)).cast_signed();
            check(&picture(width, height, &mut random), step, tuning);
        }
    }
}

#[test]
fn larger_pictures_decode_to_their_reconstruction() {
    let mut random = Random(2);
    for tuning in tunings() {
        for step in [4, 5, 12, 28, 60, 157, 284] {
            let (width, height) = (100 + random.below(300), 100 + random.below(200));
            check(&picture(width, height, &mut random), step * 256, &tuning);
        }
    }
}

#[test]
fn what_cannot_be_coded_is_refused() {
    let encode =
        |width, height, channels| super::encode(&Raster::new(width, height, channels), Quality::DEFAULT, Effort::Speed);
    assert_eq!(encode(1, 1, Channels::Rgba), Err(EncodeError::Alpha));
    assert_eq!(encode(16_384, 1, Channels::Gray), Err(EncodeError::TooLarge));
    assert_eq!(encode(0, 1, Channels::Gray), Err(EncodeError::Empty));
    assert!(encode(16_383, 1, Channels::Gray).is_ok());
}

#[test]
fn a_higher_quality_makes_a_larger_file() {
    let picture = picture(150, 110, &mut Random(9));
    for effort in [Effort::Speed, Effort::Balanced, Effort::Best] {
        let lengths: Vec<usize> = [1, 20, 40, 60, 80, 90, 100]
            .map(|quality| encode(&picture, Quality::new(quality).unwrap(), effort).unwrap().len())
            .into();
        assert!(lengths.is_sorted(), "{effort:?}: {lengths:?}");
    }
}
