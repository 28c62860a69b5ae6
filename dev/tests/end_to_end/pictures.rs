//! Test pictures, computed.

use std::io::Cursor;

use image::{
    Delay, DynamicImage, Frame, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage,
    codecs::{gif::GifEncoder, jpeg::JpegEncoder},
};

/// Smooth with fine detail, as a photograph; different for every `seed`.
pub(crate) fn photo(width: u32, height: u32, seed: u32) -> RgbImage {
    let seed = f64::from(seed);
    RgbImage::from_fn(width, height, |x, y| {
        let (x, y) = (f64::from(x), f64::from(y));
        let wave = |a: f64, b: f64, c: f64| {
            let value = (x / a + seed).sin() + (y / b - seed).cos() + ((x * y) / c).sin() / 4.0;
            byte((value / 2.25 + 1.0) * 127.0)
        };
        Rgb([wave(91.0, 57.0, 911.0), wave(37.0, 101.0, 1511.0), wave(151.0, 23.0, 2311.0)])
    })
}

pub(crate) fn jpeg(picture: &RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    picture.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, 95)).unwrap();
    bytes
}

/// A JPEG with an EXIF orientation (1 to 8) and a GPS tag.
pub(crate) fn jpeg_with_exif(picture: &RgbImage, orientation: u8) -> Vec<u8> {
    let jpeg = jpeg(picture);
    let mut tiff = Vec::from(*b"MM\0*\0\0\0\x08");
    tiff.extend([0, 2]); // two entries
    tiff.extend([0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0]); // Orientation, SHORT
    tiff.extend([0x88, 0x25, 0, 4, 0, 0, 0, 1, 0, 0, 0, 38]); // GPS IFD, at offset 38
    tiff.extend([0, 0, 0, 0]);
    tiff.extend([0, 1, 0, 1, 0, 2, 0, 0, 0, 2, b'N', 0, 0, 0, 0, 0, 0, 0]); // GPSLatitudeRef
    let mut app1 = Vec::from(*b"Exif\0\0");
    app1.extend(tiff);
    let length = u16::try_from(app1.len() + 2).unwrap().to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &app1, &jpeg[2..]].concat()
}

/// Half of it transparent.
pub(crate) fn transparent_png(width: u32, height: u32) -> Vec<u8> {
    let picture = RgbaImage::from_fn(width, height, |x, y| {
        Rgba([x.to_le_bytes()[0], y.to_le_bytes()[0], 90, if x < width / 2 { 0 } else { 255 }])
    });
    encoded(&picture.into(), ImageFormat::Png)
}

pub(crate) fn webp(picture: RgbImage) -> Vec<u8> {
    encoded(&picture.into(), ImageFormat::WebP)
}

pub(crate) fn gif(picture: &RgbImage, frames: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new(&mut bytes);
    for n in 0..frames {
        let mut frame = DynamicImage::from(picture.clone()).into_rgba8();
        frame.put_pixel(n, n, Rgba([255, 0, 0, 255]));
        encoder.encode_frame(Frame::from_parts(frame, 0, 0, Delay::from_numer_denom_ms(50, 1))).unwrap();
    }
    drop(encoder);
    bytes
}

/// Red, green, blue and white quarters: upright when red is at the upper left and green at the upper right.
pub(crate) fn quarters(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| match (x < width / 2, y < height / 2) {
        (true, true) => Rgb([220, 20, 20]),
        (false, true) => Rgb([20, 200, 20]),
        (true, false) => Rgb([20, 20, 220]),
        (false, false) => Rgb([240, 240, 240]),
    })
}

/// An upright picture as a camera stores it with this EXIF orientation (TIFF 6.0, tag 274): the inverse of the viewer's
/// transformation.
pub(crate) fn stored(upright: &RgbImage, orientation: u8) -> RgbImage {
    use image::imageops::{flip_horizontal, flip_vertical, rotate90, rotate180, rotate270};
    match orientation {
        2 => flip_horizontal(upright),
        3 => rotate180(upright),
        4 => flip_vertical(upright),
        5 => flip_horizontal(&rotate90(upright)),
        6 => rotate270(upright),
        7 => flip_horizontal(&rotate270(upright)),
        8 => rotate90(upright),
        _ => upright.clone(),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 255")]
fn byte(value: f64) -> u8 {
    value as u8
}

pub(crate) fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}
