//! WebP.

/// A still WebP in the extended format (RFC 9649, section 2.7) with the flags for alpha, EXIF and XMP: the picture of
/// the file `simple`, followed by these chunks.
#[must_use]
pub fn webp_with(width: u32, height: u32, simple: &[u8], chunks: &[([u8; 4], Vec<u8>)]) -> Vec<u8> {
    extended(width, height, 0x1C, &simple[12..], chunks)
}

/// A WebP in the extended format with these flags and chunks.
#[must_use]
pub fn webp_of_chunks(width: u32, height: u32, flags: u8, chunks: &[([u8; 4], Vec<u8>)]) -> Vec<u8> {
    extended(width, height, flags, &[], chunks)
}

fn extended(width: u32, height: u32, flags: u8, picture: &[u8], chunks: &[([u8; 4], Vec<u8>)]) -> Vec<u8> {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(0).to_le_bytes();
    let mut body = b"WEBPVP8X\x0A\0\0\0".to_vec();
    body.extend([flags, 0, 0, 0]);
    body.extend(&(width - 1).to_le_bytes()[..3]);
    body.extend(&(height - 1).to_le_bytes()[..3]);
    body.extend(picture);
    for (kind, data) in chunks {
        body.extend(kind);
        body.extend(length(data));
        body.extend(data);
        body.extend(&[0][..data.len() % 2]);
    }
    [b"RIFF", &length(&body)[..], &body].concat()
}

/// A lossless WebP of these straight RGBA samples.
pub fn webp(width: u32, height: u32, rgba: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    image_webp::WebPEncoder::new(&mut file)
        .encode(rgba, width, height, image_webp::ColorType::Rgba8)
        .expect("as many samples as the size asks for");
    file
}
