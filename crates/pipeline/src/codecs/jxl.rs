//! JPEG XL (ISO/IEC 18181), its first frame, through jxl-oxide.

use darkroom_container::header::Header;
use jxl_oxide::{
    AllocTracker, AuxBoxData, JxlImage, JxlThreadPool, PixelFormat,
    color::{ColourEncoding, ColourSpace as JxlColourSpace, EnumColourEncoding, TransferFunction},
    image::ExtraChannelInfo,
};

use darkroom_raster::{Channels, Raster, Samples};

use super::codec::{Codec, DecodeRequest, Decoded, Metadata, check_size};
use crate::{
    RenderError,
    colour::{ColourSpace, MAX_PROFILE},
    memory::area,
};

pub(super) struct JxlCodec;

/// Bytes per pixel that the decoder may allocate: a float per channel, some of them twice.
const BYTES_PER_PIXEL: u64 = 80;

/// Bytes that it may allocate besides, for tables.
const BASE_ALLOCATION: u64 = 256 << 20;

fn open(bytes: &[u8], header: &Header) -> Result<JxlImage, RenderError> {
    let limit = usize::try_from(header.pixels() * BYTES_PER_PIXEL + BASE_ALLOCATION).unwrap_or(usize::MAX);
    let builder = JxlImage::builder().pool(JxlThreadPool::none()).alloc_tracker(AllocTracker::with_limit(limit));
    let image = builder.read(bytes).map_err(|error| RenderError::damaged("JPEG XL", error))?;
    check_size(header, (image.width(), image.height()), "JPEG XL")?;
    Ok(image)
}

fn unsupported(space: &str) -> RenderError {
    RenderError::unsupported(format!("This is a JPEG XL in {space}, which is not read."), space)
}

impl Codec for JxlCodec {
    /// The orientation is applied by the decoder.
    fn metadata(&self, bytes: &[u8], header: &Header) -> Result<Metadata, RenderError> {
        let image = open(bytes, header)?;
        if let ColourEncoding::Enum(encoding) = &image.image_header().metadata.colour_encoding {
            let EnumColourEncoding { colour_space, tf, .. } = encoding;
            // The decoder panics where it would have to make an ICC profile for the colour space XYB or for these curves. No
            // known encoder writes them as a picture's colour space.
            if *colour_space == JxlColourSpace::Xyb {
                return Err(unsupported("XYB"));
            }
            if matches!(tf, TransferFunction::Unknown | TransferFunction::Gamma { g: 0, .. }) {
                return Err(unsupported("colours without a transfer function"));
            }
        }
        let colour_space = match image.rendered_cicp() {
            Some([primaries, transfer, ..]) => ColourSpace::from_code_points(primaries.into(), transfer.into()),
            None => Some(image.rendered_icc())
                .filter(|p| p.len() <= MAX_PROFILE)
                .map_or(ColourSpace::Srgb, ColourSpace::Icc),
        };
        Ok(Metadata { colour_space, ..Metadata::default() })
    }

    fn exif(&self, bytes: &[u8], header: &Header) -> Option<Vec<u8>> {
        let image = open(bytes, header).ok()?;
        let AuxBoxData::Data(exif) = image.aux_boxes().first_exif().ok()? else { return None };
        exif.payload().get(exif.tiff_header_offset() as usize..).map(<[u8]>::to_vec)
    }

    /// The decoder keeps planes in floating point beside the picture.
    fn decoder_bytes(&self, header: &Header) -> u64 {
        32 * area(header)
    }

    fn decode(&self, bytes: &[u8], header: &Header, _: &DecodeRequest<'_>) -> Result<Decoded, RenderError> {
        let image = open(bytes, header)?;
        let channels = match image.pixel_format() {
            PixelFormat::Gray => Channels::Gray,
            PixelFormat::Graya => Channels::GrayAlpha,
            PixelFormat::Rgb => Channels::Rgb,
            PixelFormat::Rgba => Channels::Rgba,
            PixelFormat::Cmyk | PixelFormat::Cmyka => return Err(unsupported("CMYK")),
        };
        if image.num_loaded_keyframes() == 0 {
            return Err(RenderError::truncated("JPEG XL", "no frame"));
        }
        let render = image.render_frame(0).map_err(|error| RenderError::damaged("JPEG XL", error))?;
        let mut stream = render.stream();
        if (stream.width(), stream.height()) != (header.width, header.height)
            || stream.channels() as usize != channels.count()
        {
            return Err(RenderError::damaged("JPEG XL", "its header and its stream disagree about the size"));
        }
        let metadata = &image.image_header().metadata;
        let samples = if metadata.bit_depth.bits_per_sample() > 8 {
            let mut raster = Raster::<u16>::new(header.width, header.height, channels);
            stream.write_to_buffer(&mut raster.samples);
            Samples::Sixteen(raster)
        } else {
            let mut raster = Raster::<u8>::new(header.width, header.height, channels);
            stream.write_to_buffer(&mut raster.samples);
            Samples::Eight(raster)
        };
        let premultiplied =
            metadata.ec_info.iter().find(|channel| channel.is_alpha()).and_then(ExtraChannelInfo::alpha_associated);
        Ok(if premultiplied == Some(true) { samples.unpremultiplied() } else { samples }.into())
    }
}
