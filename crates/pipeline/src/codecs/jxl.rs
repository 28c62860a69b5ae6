//! JPEG XL through jxl-oxide, which is written in Rust without unsafe parts of its own format code.

use darkroom_container::header::Header;
use darkroom_model::{Failure, FailureCode};
use jxl_oxide::{
    AllocTracker, AuxBoxData, JxlImage, JxlThreadPool, PixelFormat,
    color::{ColourEncoding, ColourSpace, EnumColourEncoding, TransferFunction},
    image::ExtraChannelInfo,
};

use darkroom_raster::{Channels, Raster, Samples};

use crate::{
    RenderError,
    codecs::{Metadata, check_size},
    colour::{MAX_PROFILE, Space},
};

/// What the decoder may allocate: floats for each channel, some of them twice, and tables.
const BYTES_PER_PIXEL: u64 = 80;
const BESIDE: u64 = 256 << 20;

fn open(bytes: &[u8], header: &Header) -> Result<JxlImage, RenderError> {
    let limit = usize::try_from(header.pixels() * BYTES_PER_PIXEL + BESIDE).unwrap_or(usize::MAX);
    let builder = JxlImage::builder().pool(JxlThreadPool::none()).alloc_tracker(AllocTracker::with_limit(limit));
    let image = builder.read(bytes).map_err(|error| RenderError::broken("JPEG XL", error))?;
    check_size(header, (image.width(), image.height()), "JPEG XL")?;
    Ok(image)
}

fn unsupported(space: &str) -> RenderError {
    let detail = format!("This is a JPEG XL in {space}, which is not read.");
    let failure = Failure { code: FailureCode::UnsupportedFormat, detail };
    RenderError::Faulty { failure, cause: space.to_owned() }
}

/// The orientation is applied by the decoder.
pub(super) fn metadata(bytes: &[u8], header: &Header) -> Result<Metadata, RenderError> {
    let image = open(bytes, header)?;
    if let ColourEncoding::Enum(encoding) = &image.image_header().metadata.colour_encoding {
        let EnumColourEncoding { colour_space, tf, .. } = encoding;
        // As the space of the picture, not of its coding: nothing writes it. The decoder panics where it would need a profile
        // for it, and for these curves.
        if *colour_space == ColourSpace::Xyb {
            return Err(unsupported("XYB"));
        }
        if matches!(tf, TransferFunction::Unknown | TransferFunction::Gamma { g: 0, .. }) {
            return Err(unsupported("colours without a transfer function"));
        }
    }
    let space = match image.rendered_cicp() {
        Some([primaries, transfer, ..]) => Space::from_code_points(primaries.into(), transfer.into()),
        None => Some(image.rendered_icc()).filter(|p| p.len() <= MAX_PROFILE).map_or(Space::Srgb, Space::Icc),
    };
    Ok(Metadata { space, ..Metadata::default() })
}

pub(super) fn exif_of(bytes: &[u8], header: &Header) -> Option<Vec<u8>> {
    let image = open(bytes, header).ok()?;
    let AuxBoxData::Data(exif) = image.aux_boxes().first_exif().ok()? else { return None };
    exif.payload().get(exif.tiff_header_offset() as usize..).map(<[u8]>::to_vec)
}

pub(super) fn decode(bytes: &[u8], header: &Header) -> Result<Samples, RenderError> {
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
    let render = image.render_frame(0).map_err(|error| RenderError::broken("JPEG XL", error))?;
    let mut stream = render.stream();
    if (stream.width(), stream.height()) != (header.width, header.height)
        || stream.channels() as usize != channels.count()
    {
        return Err(RenderError::broken("JPEG XL", "it has two sizes"));
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
    Ok(if premultiplied == Some(true) { samples.unpremultiplied() } else { samples })
}
