//! Whatever the bytes, a picture is rendered or refused: an error that another attempt might cure would be retried, and
//! a panic would take the worker with it.
#![allow(clippy::unwrap_used)] // helpers of tests

use std::sync::LazyLock;

use darkroom_dev::pictures::{self, GifFrame, Jpeg};
use darkroom_shared::{
    header::HeaderLimits,
    image::{Recipe, RenditionFormat, Resize},
};
use darkroom_worker::pipeline::{Limits, render};
use gif::{DisposalMethod, Repeat};
use png::{BitDepth, ColorType};
use proptest::{prelude::*, sample::Index};

/// A small valid picture of every kind that is read apart.
static PICTURES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let samples: Vec<u8> = (0..24 * 16 * 4_u32).map(|i| u8::try_from(i * i % 251).unwrap()).collect();
    let profile = moxcms::ColorProfile::new_display_p3().encode().unwrap();
    let chunks = [(*b"iCCP", pictures::compressed_chunk(&profile)), (*b"eXIf", pictures::exif(6, ""))];
    let gamma = [
        (*b"gAMA", 30_000_u32.to_be_bytes().to_vec()),
        (*b"cHRM", [31_270_u32, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000].map(u32::to_be_bytes).concat()),
    ];
    let frame = |place, colour, dispose| GifFrame { place, colour, delay: 7, dispose };
    let gif = pictures::gif(
        24,
        16,
        Repeat::Infinite,
        &[
            frame([0, 0, 24, 16], Some([200, 0, 0]), DisposalMethod::Keep),
            frame([4, 4, 8, 8], Some([0, 200, 0]), DisposalMethod::Previous),
            frame([20, 12, 8, 8], None, DisposalMethod::Background),
        ],
    );
    let colour = |x, y| pictures::corners(24, 16, x, y);
    let profile_segment = [b"ICC_PROFILE\0\x01\x01", profile.as_slice()].concat();
    vec![
        Jpeg::new(24, 16).with_segment(0xE2, &profile_segment).encode_rgb(colour),
        Jpeg::new(24, 16).half_colour().not_interleaved().with_orientation(5).encode_rgb(colour),
        Jpeg::new(24, 16).gray().encode(|_, x, _| u8::try_from(x).unwrap()),
        Jpeg::new(24, 16).cmyk().encode(|_, x, _| u8::try_from(x).unwrap()),
        made(&samples, RenditionFormat::Jpeg),
        made(&samples, RenditionFormat::Png),
        made(&samples, RenditionFormat::Webp),
        pictures::png_with(24, 16, ColorType::Rgba, BitDepth::Eight, &samples, &chunks),
        pictures::png_with(24, 8, ColorType::Rgb, BitDepth::Sixteen, &samples[..24 * 8 * 6], &gamma),
        apng(&samples),
        pictures::webp(24, 16, &samples),
        rendered(&gif, &Recipe::Standard).pop().unwrap(),
        gif,
    ]
});

/// One of the pipeline's own files.
fn made(samples: &[u8], format: RenditionFormat) -> Vec<u8> {
    let source = pictures::png(24, 16, ColorType::Rgba, BitDepth::Eight, samples);
    let resize = Resize { format: Some(format), ..Resize::default() };
    rendered(&source, &Recipe::Resize(resize)).remove(0)
}

fn rendered(source: &[u8], recipe: &Recipe) -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    render(source, recipe, &Limits::default(), &mut |rendition| {
        files.push(rendition.bytes);
        Ok(())
    })
    .unwrap();
    files
}

fn apng(samples: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 24, 16);
    encoder.set_color(ColorType::GrayscaleAlpha);
    encoder.set_animated(2, 0).unwrap();
    encoder.set_frame_delay(1, 10).unwrap();
    let mut writer = encoder.write_header().unwrap();
    for frame in samples.chunks(24 * 16 * 2) {
        writer.write_image_data(frame).unwrap();
    }
    writer.finish().unwrap();
    file
}

/// Makes the checksums of a PNG right again, without which nothing behind them is read.
fn mend_checksums(file: &mut [u8]) {
    let mut at = 8;
    while let Some(length) = file.get(at..at + 4) {
        let end = at + 8 + u32::from_be_bytes(length.try_into().unwrap()) as usize;
        let Some(chunk) = file.get(at + 4..end) else { return };
        let checksum = crc32(chunk).to_be_bytes();
        let Some(place) = file.get_mut(end..end + 4) else { return };
        place.copy_from_slice(&checksum);
        at = end + 4;
    }
}

/// CRC-32 (W3C PNG, third edition, section 5.5).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 })
    })
}

/// Small, so that a picture that says it is large is refused and not decoded.
fn limits() -> Limits {
    Limits { header: HeaderLimits { width: 400, height: 400, pixels: 20_000, frames: 20, scans: 20 } }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_crafted_picture_is_rendered_or_refused(
        picture in any::<Index>(),
        changes in prop::collection::vec((any::<Index>(), any::<u8>()), 0..6),
        early in any::<bool>(),
        cut in prop::option::weighted(0.1, any::<Index>()),
    ) {
        let mut file = picture.get(&PICTURES).clone();
        // Headers and tables come first, and have the more interesting bytes.
        let reach = if early { file.len().min(100) } else { file.len() };
        for (at, byte) in changes {
            file[at.index(reach)] = byte;
        }
        if file.starts_with(b"\x89PNG") {
            mend_checksums(&mut file);
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()));
        }
        if let Err(error) = render(&file, &Recipe::Standard, &limits(), &mut |_| Ok(())) {
            prop_assert!(error.failure().is_some(), "{error}");
        }
    }
}
