//! JPEG XL.

use crate::heif;

/// A lossless JPEG XL of [`corners`](crate::corners) at 32 × 16; with `holes`, with the alpha of
/// [`Av1::Alpha`](crate::Av1::Alpha). Made by `cjxl`
/// 0.7.0: `cjxl corners.png corners.jxl -d 0`.
#[must_use]
pub fn jxl(holes: bool) -> Vec<u8> {
    heif::bytes(if holes {
        "ff0ac3c182e24208081000bc004b386998ca83f72b4808809a999731c6e4058400383d0f000873f0174924eff70723ed0721b1bf5f470418\
         d930f002"
    } else {
        "ff0ac341407121080201009c004b386998ca83f72b4808809a9917837881200036713d009cccfc451009fbfdfb01a6e1c00dbc20"
    })
}

/// An animation of 32 × 16 that is shown forever: [`corners`](crate::corners) for 0.1 s, (200, 100, 50) for 0.2 s, and the
/// corners' complement for 0.3 s. Made by `cjxl` 0.7.0 of an APNG.
#[must_use]
pub fn animated_jxl() -> Vec<u8> {
    heif::bytes(
        "ff0ac3050308282e090802920900009c004b386998ca83f72b4808809a9917837881200036713d009cccfc451009fbfdfb01a6e1c00dbc200802\
        220b000068004b188b1500d419638c1963e6052200282460000820803cc250150802b304000004009c004b2824c647414100d48c7731c6187981\
        2000048c9b07fc0d89fcfb05d7fdfd1d02fad10b024e21",
    )
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
