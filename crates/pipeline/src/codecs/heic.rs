//! HEIC (HEVC in HEIF, ISO/IEC 23008-12): the container by `darkroom_container::header::heif`, HEVC by heic-decoder, the
//! conversion to RGB by [`super::avif`].

use darkroom_container::header::Header;

use super::{
    avif::decode,
    codec::{Codec, DecodeRequest, Decoded, Metadata},
};
use crate::RenderError;

pub(super) struct HeicCodec;

impl Codec for HeicCodec {
    /// The properties are those of an AVIF.
    fn metadata(&self, file: &[u8], _: &Header) -> Result<Metadata, RenderError> {
        decode::metadata(file)
    }

    fn exif(&self, file: &[u8], _: &Header) -> Option<Vec<u8>> {
        decode::exif_block(file)
    }

    /// The decoder keeps all tiles beside the whole picture in 32 bits, and the planes are copied in 16 bits.
    fn decoder_bytes(&self, header: &Header) -> u64 {
        40 * header.frame_pixels()
    }

    #[cfg(feature = "heic")]
    fn decode(&self, file: &[u8], header: &Header, _: &DecodeRequest<'_>) -> Result<Decoded, RenderError> {
        hevc::decode(file, header).map(Decoded::from)
    }

    #[cfg(not(feature = "heic"))]
    fn decode(&self, _: &[u8], _: &Header, _: &DecodeRequest<'_>) -> Result<Decoded, RenderError> {
        Err(RenderError::unsupported("This is a HEIC, which this installation does not read.", "built without HEVC"))
    }
}

#[cfg(feature = "heic")]
mod hevc {
    #![expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "values are clamped to 8 or 16 bits before; samples have at most 16 bits"
    )]

    use darkroom_container::header::{
        Header,
        heif::{Crop, Layout},
    };
    use darkroom_raster::{Raster, Samples};
    use heic_decoder::{DecodeOptions, DecodedImage, HeifError};
    use re_rav1d::dav1d::PixelLayout;

    use super::decode;
    use crate::{
        RenderError,
        codecs::{
            avif::{
                planes::Planes,
                ycbcr::{Coding, raster},
            },
            codec::check_size,
        },
        cores::on_this_thread,
    };

    pub(super) fn decode(file: &[u8], header: &Header) -> Result<Samples, RenderError> {
        let layout = decode::layout(file)?;
        check_size(header, layout.size(), "HEIC")?;
        // The size in the stream's header: it decides what the decoder allocates.
        let found = heic_decoder::probe(file).map_err(decode_error)?;
        check_coded_size(&layout, (found.coded_width, found.coded_height))?;
        // `irot` and `imir` are steps of the pipeline, and `clap` is applied below.
        let options = DecodeOptions { apply_transforms: false };
        let picture = on_this_thread(|| heic_decoder::decode_with(file, &options)).map_err(decode_error)?;
        check_coded_size(&layout, (picture.width, picture.height))?;
        let planes = planes(&picture)?;
        let alpha = picture.alpha.as_ref().map(|alpha| Planes {
            size: layout.coded_size,
            layout: PixelLayout::I400,
            bits: alpha.bit_depth as usize,
            full_range: true,
            matrix: 2,
            samples: [to_u16(&alpha.samples), Vec::new(), Vec::new()],
        });
        drop(picture);
        let coding = Coding::new(&layout, &planes)?;
        let (alpha, premultiplied) = (alpha.as_ref(), layout.premultiplied);
        Ok(if planes.bits > 8 {
            let raster = raster(&planes, alpha, &coding, premultiplied, 65_535.0, |v| v as u16);
            Samples::Sixteen(crop(raster, layout.crop))
        } else {
            let raster = raster(&planes, alpha, &coding, premultiplied, 255.0, |v| v as u8);
            Samples::Eight(crop(raster, layout.crop))
        })
    }

    fn check_coded_size(layout: &Layout, (width, height): (usize, usize)) -> Result<(), RenderError> {
        if (layout.coded_size.0 as usize, layout.coded_size.1 as usize) == (width, height) {
            Ok(())
        } else {
            Err(RenderError::damaged("HEIC", "its header and its stream disagree about the size"))
        }
    }

    fn decode_error(error: HeifError) -> RenderError {
        match error {
            HeifError::Truncated { .. } => RenderError::truncated("HEIC", error),
            HeifError::Unsupported(_) => {
                RenderError::unsupported("This is a HEIC of an unusual kind, which is not read.", error)
            }
            error => RenderError::damaged("HEIC", error),
        }
    }

    fn planes(picture: &DecodedImage) -> Result<Planes, RenderError> {
        let layout = match picture.chroma_format_idc {
            0 => PixelLayout::I400,
            1 => PixelLayout::I420,
            2 => PixelLayout::I422,
            _ => PixelLayout::I444,
        };
        let bits = picture.bit_depth_luma;
        if !(8..=16).contains(&bits) || (layout != PixelLayout::I400 && picture.bit_depth_chroma != bits) {
            let detail = "This is a HEIC of an unusual depth, which is not read.";
            return Err(RenderError::unsupported(detail, format!("{bits} and {} bits", picture.bit_depth_chroma)));
        }
        // Without video usability information, the range is limited and the matrix unspecified (ITU-T H.265, section E.3.1).
        let (full_range, matrix) =
            picture.color_info.map_or((false, 2), |colour| (colour.full_range, colour.matrix_coefficients));
        let planes = Planes {
            size: (picture.width as u32, picture.height as u32),
            layout,
            bits: bits as usize,
            full_range,
            matrix,
            samples: [to_u16(&picture.y), to_u16(&picture.cb), to_u16(&picture.cr)],
        };
        let is_whole = |index: usize| {
            let (width, height) = planes.plane_size(index);
            planes.samples[index].len() == width * height
        };
        if (0..if layout == PixelLayout::I400 { 1 } else { 3 }).all(is_whole) {
            Ok(planes)
        } else {
            Err(RenderError::damaged("HEIC", "a plane has another size"))
        }
    }

    fn to_u16(samples: &[i32]) -> Vec<u16> {
        samples.iter().map(|sample| *sample as u16).collect()
    }

    fn crop<T: Copy>(raster: Raster<T>, crop: Option<Crop>) -> Raster<T> {
        let Some(Crop { left, top, width, height }) = crop else { return raster };
        let channels = raster.channels.count();
        let (start, length) = (left as usize * channels, width as usize * channels);
        let rows =
            raster.samples.chunks_exact(raster.width as usize * channels).skip(top as usize).take(height as usize);
        let samples = rows.flat_map(|row| &row[start..start + length]).copied().collect();
        Raster { width, height, channels: raster.channels, samples }
    }
}
