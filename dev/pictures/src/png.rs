//! PNG.

use std::io::Write as _;

use flate2::{Compression, write::ZlibEncoder};

use crate::Rgb;

/// A PNG of these samples; 16-bit samples are big-endian.
pub fn png(width: u32, height: u32, colour: png::ColorType, depth: png::BitDepth, samples: &[u8]) -> Vec<u8> {
    png_with(width, height, colour, depth, samples, &[])
}

/// [`png()`] with more chunks before the pixels.
pub fn png_with(
    width: u32,
    height: u32,
    colour: png::ColorType,
    depth: png::BitDepth,
    samples: &[u8],
    chunks: &[([u8; 4], Vec<u8>)],
) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(colour);
    encoder.set_depth(depth);
    let mut writer = encoder.write_header().expect("a header into memory");
    for (kind, body) in chunks {
        writer.write_chunk(png::chunk::ChunkType(*kind), body).expect("a chunk into memory");
    }
    writer.write_image_data(samples).expect("as many samples as the size asks for");
    writer.finish().expect("an end into memory");
    file
}

/// An 8-bit RGB PNG with Adam7 interlacing (W3C PNG, third edition, section 8.1).
pub fn interlaced_png(width: u32, height: u32, colour: impl Fn(u32, u32) -> Rgb) -> Vec<u8> {
    /// First column, first row, column step and row step of each pass.
    const PASSES: [[u32; 4]; 7] =
        [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]];
    let mut pixels = ZlibEncoder::new(Vec::new(), Compression::best());
    for [left, top, across, down] in PASSES {
        // A pass without columns has no rows either.
        for y in (top..height).step_by(down as usize).filter(|_| left < width) {
            let row = (left..width).step_by(across as usize).flat_map(|x| colour(x, y));
            let row: Vec<u8> = std::iter::once(0).chain(row).collect();
            pixels.write_all(&row).expect("into memory");
        }
    }
    let mut info = png::Info::with_size(width, height);
    (info.color_type, info.bit_depth, info.interlaced) = (png::ColorType::Rgb, png::BitDepth::Eight, true);
    let mut file = Vec::new();
    let encoder = png::Encoder::with_info(&mut file, info).expect("no animation");
    let mut writer = encoder.write_header().expect("a header into memory");
    writer.write_chunk(png::chunk::IDAT, &pixels.finish().expect("into memory")).expect("a chunk into memory");
    writer.finish().expect("an end into memory");
    file
}

/// A PNG of 8 bits per sample whose chunks between IHDR and IEND are these.
#[must_use]
pub fn png_of_chunks(width: u32, height: u32, colour_type: u8, chunks: &[([u8; 4], Vec<u8>)]) -> Vec<u8> {
    let size = [width, height].map(u32::to_be_bytes).concat();
    let mut file = b"\x89PNG\r\n\x1A\n".to_vec();
    let ends = ([(*b"IHDR", [&size[..], &[8, colour_type, 0, 0, 0]].concat())], [(*b"IEND", Vec::new())]);
    for (kind, body) in ends.0.iter().chain(chunks).chain(&ends.1) {
        let mut crc = flate2::Crc::new();
        crc.update(kind);
        crc.update(body);
        file.extend(u32::try_from(body.len()).unwrap_or(0).to_be_bytes());
        file.extend(kind);
        file.extend(body);
        file.extend(crc.sum().to_be_bytes());
    }
    file
}

/// Deflates.
#[must_use]
pub fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data).expect("into memory");
    encoder.finish().expect("into memory")
}

/// The body of a PNG chunk with a name and deflated data, as iCCP and zTXt have it.
#[must_use]
pub fn compressed_chunk(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(b"name\0\0".to_vec(), Compression::best());
    encoder.write_all(data).expect("into memory");
    encoder.finish().expect("into memory")
}
