//! PNG and APNG to pixels.

use std::{
    borrow::Cow,
    io::{Cursor, ErrorKind},
};

use darkroom_container::{exif, header::Header, png_chunks};
use darkroom_raster::{Channels, Orientation, Raster, Samples};
use moxcms::Chromaticity;
use png::{
    BitDepth, BlendOp, ColorType, Decoder, DecodingError, DisposeOp, Info, Limits, Reader, SourceChromaticities,
    Transformations,
};

use crate::{
    RenderError,
    codecs::{
        codec::{Animation, AnimationFrame, Metadata, check_size},
        frame_canvas::{FrameCanvas, FrameRect},
    },
    colour::{ColourSpace, MAX_PROFILE},
};

/// Bytes that the decoder may allocate besides the pixels: a decompressed ICC profile and a few rows. Chunks that need more
/// are skipped.
const MAX_ALLOCATION: usize = MAX_PROFILE + (8 << 20);

/// The last chunk, which is empty.
const IEND: &[u8] = b"\0\0\0\0IEND\xAE\x42\x60\x82";

/// The value of gAMA, in units of 1/100,000, that approximates sRGB's curve (W3C PNG, third edition, section 4.3).
const SRGB_GAMMA: u32 = 45_455;

type PngReader<'a> = Reader<Cursor<&'a [u8]>>;

fn open(bytes: &[u8], transformations: Transformations) -> Result<PngReader<'_>, RenderError> {
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: MAX_ALLOCATION });
    decoder.set_ignore_text_chunk(true);
    decoder.set_transformations(transformations);
    decoder.read_info().map_err(decode_error)
}

fn decode_error(error: DecodingError) -> RenderError {
    match error {
        DecodingError::IoError(io) if io.kind() == ErrorKind::UnexpectedEof => RenderError::truncated("PNG", io),
        error => RenderError::damaged("PNG", error),
    }
}

pub(super) fn metadata(bytes: &[u8]) -> Result<Metadata, RenderError> {
    let reader = open(bytes, Transformations::IDENTITY)?;
    let info = reader.info();
    let orientation =
        info.exif_metadata.as_deref().map(exif::orientation).map(Orientation::from_tag).unwrap_or_default();
    Ok(Metadata { orientation, colour_space: colour_space(info), ..Metadata::default() })
}

/// The order of precedence is the standard's (W3C PNG, third edition, section 4.3).
fn colour_space(info: &Info<'_>) -> ColourSpace {
    // Browsers ignore a cICP chunk of narrow range.
    if let Some(cicp) = info.coding_independent_code_points.filter(|cicp| cicp.is_video_full_range_image) {
        return ColourSpace::from_code_points(cicp.color_primaries.into(), cicp.transfer_function.into());
    }
    if let Some(profile) = &info.icc_profile {
        return ColourSpace::Icc(profile.to_vec());
    }
    match (info.srgb, info.gama_chunk.map(png::ScaledFloat::into_scaled)) {
        (None, Some(gamma @ 1..)) if gamma.abs_diff(SRGB_GAMMA) > 50 || info.chrm_chunk.is_some() => {
            // A cHRM that equals sRGB's primaries makes a conversion that changes nothing, which is found later.
            let exponent = if gamma.abs_diff(SRGB_GAMMA) > 50 { 100_000.0 / f64::from(gamma) } else { 2.2 };
            #[expect(clippy::cast_possible_truncation, reason = "single precision suffices")]
            ColourSpace::Gamma(exponent as f32, info.chrm_chunk.as_ref().map(chromaticities))
        }
        _ => ColourSpace::Srgb,
    }
}

fn chromaticities(chunk: &SourceChromaticities) -> [Chromaticity; 4] {
    [chunk.white, chunk.red, chunk.green, chunk.blue].map(|(x, y)| Chromaticity::new(x.into_value(), y.into_value()))
}

fn channels(kind: ColorType) -> Result<Channels, RenderError> {
    match kind {
        ColorType::Grayscale => Ok(Channels::Gray),
        ColorType::GrayscaleAlpha => Ok(Channels::GrayAlpha),
        ColorType::Rgb => Ok(Channels::Rgb),
        ColorType::Rgba => Ok(Channels::Rgba),
        ColorType::Indexed => Err(RenderError::damaged("PNG", "the palette was not expanded")),
    }
}

/// A file that ends after its pixels, as a whole file: the decoder insists on the last chunk.
fn with_end(bytes: &[u8]) -> Cow<'_, [u8]> {
    let mut end = 8;
    for (kind, data) in png_chunks::chunks(bytes) {
        if kind == b"IEND" && bytes.len() >= end + IEND.len() {
            return bytes.into();
        }
        // Type, length and checksum.
        let next = end + 12 + data.len();
        if next > bytes.len() || kind == b"IEND" {
            break;
        }
        end = next;
    }
    [&bytes[..end.min(bytes.len())], IEND].concat().into()
}

pub(super) fn decode(bytes: &[u8], header: &Header) -> Result<Samples, RenderError> {
    if is_beside_default_image(bytes)? {
        let frame = animation(bytes, header)?.frames.next();
        return frame
            .unwrap_or_else(|| Err(RenderError::damaged("PNG", "no frame")))
            .map(|frame| Samples::Eight(frame.picture));
    }
    let bytes = with_end(bytes);
    let mut reader = open(&bytes, Transformations::EXPAND)?;
    check_size(header, reader.info().size(), "PNG")?;
    let (kind, depth) = reader.output_color_type();
    let channels = channels(kind)?;
    let size = reader.output_buffer_size().ok_or_else(|| RenderError::damaged("PNG", "the picture has no size"))?;
    let mut samples = vec![0; size];
    reader.next_frame(&mut samples).map_err(decode_error)?;
    let (width, height) = (header.width, header.height);
    Ok(if depth == BitDepth::Sixteen {
        let samples = samples.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
        Samples::Sixteen(Raster { width, height, channels, samples })
    } else {
        Samples::Eight(Raster { width, height, channels, samples })
    })
}

/// Whether the file is an animation whose first frame is not its default image, which only viewers without animation show.
fn is_beside_default_image(bytes: &[u8]) -> Result<bool, RenderError> {
    let mut reader = open(bytes, Transformations::IDENTITY)?;
    let info = reader.info();
    Ok(info.animation_control.is_some() && info.frame_control.is_none() && reader.next_frame_info().is_ok())
}

pub(super) fn animation<'a>(bytes: &'a [u8], header: &Header) -> Result<Animation<'a>, RenderError> {
    let wanted = Transformations::EXPAND | Transformations::STRIP_16 | Transformations::ALPHA;
    let mut reader = open(bytes, wanted)?;
    check_size(header, reader.info().size(), "PNG")?;
    let control = reader.info().animation_control.ok_or_else(|| RenderError::damaged("PNG", "no animation"))?;
    let size = reader.output_buffer_size().ok_or_else(|| RenderError::damaged("PNG", "the picture has no size"))?;
    let mut buffer = vec![0; size];
    if reader.info().frame_control.is_none() {
        // The default image is not part of the animation.
        reader.next_frame(&mut buffer).map_err(decode_error)?;
    }
    let mut canvas = FrameCanvas::new(header.width, header.height);
    let frames = (0..header.frames).map(move |_| next_frame(&mut reader, &mut buffer, &mut canvas));
    Ok(Animation { plays: control.num_plays, frames: Box::new(frames) })
}

fn next_frame(
    reader: &mut PngReader<'_>,
    buffer: &mut [u8],
    canvas: &mut FrameCanvas,
) -> Result<AnimationFrame, RenderError> {
    let frame = reader.next_frame(buffer).map_err(decode_error)?;
    let control = *reader.info().frame_control().ok_or_else(|| RenderError::damaged("PNG", "no frame control"))?;
    let used = buffer.get(..frame.line_size * frame.height as usize).unwrap_or(buffer);
    let rgba = match frame.color_type {
        ColorType::GrayscaleAlpha => used.chunks_exact(2).flat_map(|p| [p[0], p[0], p[0], p[1]]).collect(),
        _ => used.to_vec(),
    };
    let rect = FrameRect {
        left: i64::from(control.x_offset),
        top: i64::from(control.y_offset),
        width: frame.width,
        height: frame.height,
    };
    if control.dispose_op == DisposeOp::Previous {
        canvas.save();
    }
    match control.blend_op {
        BlendOp::Source => canvas.replace(rect, &rgba),
        BlendOp::Over => canvas.blend(rect, &rgba),
    }
    let picture = canvas.picture();
    match control.dispose_op {
        DisposeOp::None => {}
        DisposeOp::Background => canvas.clear(rect),
        DisposeOp::Previous => canvas.restore(),
    }
    // A denominator of 0 means 100 (section 11.3.6.2 of the specification: fcTL).
    let parts = if control.delay_den == 0 { 100 } else { u32::from(control.delay_den) };
    Ok(AnimationFrame { picture, milliseconds: (u32::from(control.delay_num) * 1000 + parts / 2) / parts })
}
