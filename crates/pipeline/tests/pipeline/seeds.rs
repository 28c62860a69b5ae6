//! The seeds of fuzzing: small valid pictures.

use darkroom_model::{
    RenditionFormat,
    recipe::{Recipe, Resize},
};
use darkroom_pipeline::{Limits, render};
use darkroom_test_pictures::{self as pictures, Av1, GifFrame, Heif, Hevc, Jpeg, Tiff};
use gif::{DisposalMethod, Repeat};
use png::{BitDepth, ColorType};

/// One picture of every kind that has a code path of its own.
pub(crate) fn pictures() -> Vec<Vec<u8>> {
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
        baseline(&samples),
        made(&samples, RenditionFormat::Jpeg),
        made(&samples, RenditionFormat::Png),
        made(&samples, RenditionFormat::Webp),
        pictures::png_with(24, 16, ColorType::Rgba, BitDepth::Eight, &samples, &chunks),
        pictures::png_with(24, 8, ColorType::Rgb, BitDepth::Sixteen, &samples[..24 * 8 * 6], &gamma),
        apng(&samples),
        pictures::webp(24, 16, &samples),
        rendered(&gif, &Recipe::Standard).pop().unwrap(),
        gif,
        Heif::avif(Av1::Half).with_alpha(false).turned(Some(1), Some(0)).encode(),
        Heif::avif(Av1::Ten).with_profile(&profile).encode(),
        Heif::heic(Hevc::Half).encode(),
        pictures::jxl(true),
        pictures::jxl_container(*b"xml ", b"<x/>"),
        pictures::bmp(24, 16, colour),
        Tiff { width: 8, height: 4, channels: 3, bits: 8, photometric: 2, fields: vec![(274, 6)], blobs: Vec::new() }
            .encode(&samples[..96]),
    ]
}

/// A baseline JPEG with all AC coefficients, restart markers and 4:2:0 chroma subsampling.
fn baseline(samples: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut file, 90);
    encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::F_2_2);
    encoder.set_restart_interval(1);
    encoder.encode(samples, 24, 16, jpeg_encoder::ColorType::Rgba).unwrap();
    file
}

/// A file made by the pipeline.
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
