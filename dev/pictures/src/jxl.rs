//! JPEG XL.

use crate::avif;

/// A lossless JPEG XL of [`corners`](crate::corners) at 32 × 16; with `holes`, with the alpha of
/// [`Av1::Alpha`](crate::Av1::Alpha). Made by `cjxl`
/// 0.7.0: `cjxl corners.png corners.jxl -d 0`.
#[must_use]
pub fn jxl(holes: bool) -> Vec<u8> {
    avif::bytes(if holes {
        "ff0ac3c182e24208081000bc004b386998ca83f72b4808809a999731c6e4058400383d0f000873f0174924eff70723ed0721b1bf5f470418\
         d930f002"
    } else {
        "ff0ac341407121080201009c004b386998ca83f72b4808809a9917837881200036713d009cccfc451009fbfdfb01a6e1c00dbc20"
    })
}

/// [`jxl`] in the container, with one more box before the codestream.
#[must_use]
pub fn jxl_container(kind: [u8; 4], body: &[u8]) -> Vec<u8> {
    let boxed = |kind: [u8; 4], body: &[u8]| {
        [&u32::try_from(body.len() + 8).unwrap_or(0).to_be_bytes()[..], &kind, body].concat()
    };
    [
        boxed(*b"JXL ", b"\r\n\x87\n"),
        boxed(*b"ftyp", b"jxl \0\0\0\0jxl "),
        boxed(kind, body),
        boxed(*b"jxlc", &jxl(false)),
    ]
    .concat()
}
