//! What a file format does for the pipeline.

use darkroom_container::{
    embed::{EmbedError, EmbeddedMetadata},
    header::Header,
};
use darkroom_model::{
    RenditionFormat,
    recipe::{Effort, Quality},
};
use darkroom_raster::{Orientation, Raster, Samples};

use crate::{RenderError, colour::ColourSpace};

/// One file format: reads it, and writes it where [`super::FORMATS`] lists it as an output. The file's header has passed
/// its limits (`darkroom_container::header::read`) before any method is called.
///
/// The errors of reading are [`RenderError`]s with a failure for the uploader, except where memory or a library fails; those
/// of writing are internal.
pub(crate) trait Codec: Sync {
    /// Reads what the pixels need to be shown right.
    fn metadata(&self, file: &[u8], header: &Header) -> Result<Metadata, RenderError>;

    /// The number of frames. Overridden where the header does not tell it.
    fn frames(&self, _file: &[u8], header: &Header) -> Result<u32, RenderError> {
        Ok(header.frames)
    }

    /// The orientation, where it is found without parsing the whole file; `None` elsewhere.
    fn quick_orientation(&self, _file: &[u8]) -> Option<Orientation> {
        None
    }

    /// The file's EXIF block: a TIFF structure, unparsed. `None` where there is none, or none that can be read.
    fn exif(&self, _file: &[u8], _header: &Header) -> Option<Vec<u8>> {
        None
    }

    /// Decodes a still picture, or the first frame of an animation.
    fn decode(&self, file: &[u8], header: &Header, request: &DecodeRequest<'_>) -> Result<Decoded, RenderError>;

    /// Bytes that the decoder needs beside the decoded samples, at most, by the header. For pictures of noise. The default is
    /// that of the `image` crate's decoders.
    fn decoder_bytes(&self, header: &Header) -> u64 {
        // A frame or a tile that is larger than the picture is decoded as a whole.
        let sample_bytes = u64::from(header.bits_per_pixel).div_ceil(8).max(8);
        let pixels = header.frame_pixels();
        8 * pixels + sample_bytes * header.decoded_pixels.saturating_sub(pixels)
    }

    /// Opens an animation. Frames are decoded when the iterator is advanced, and are composited. `max_memory`: see
    /// [`crate::Limits::memory`].
    fn open_animation<'a>(
        &self,
        _file: &'a [u8],
        header: &Header,
        _max_memory: Option<u64>,
    ) -> Result<Animation<'a>, RenderError> {
        Err(RenderError::internal(format!("{} has no animations", header.format)))
    }

    /// Encodes a picture of coded values with straight alpha, without metadata. A format without alpha gets none.
    fn encode(&self, _picture: &Raster<u8>, _quality: Quality, _effort: Effort) -> Result<Vec<u8>, RenderError> {
        Err(RenderError::internal("this format is not written"))
    }

    /// Bytes per pixel while a picture of noise is encoded, its 8 bytes in linear light included. 0 where the format is not
    /// written.
    fn encoder_bytes_per_pixel(&self, _quality: Quality, _opaque: bool) -> u64 {
        0
    }

    /// Embeds metadata into a file that [`Codec::encode`] or an [`AnimationEncoder`] made. Without metadata the file is returned
    /// unchanged.
    fn embed(&self, file: Vec<u8>, _metadata: &EmbeddedMetadata) -> Result<Vec<u8>, EmbedError> {
        Ok(file)
    }

    /// Encodes without loss in a mode of its own. `None` where there is no such mode, or where quality 100 is it.
    fn encode_lossless(&self, _picture: &Raster<u8>) -> Result<Option<Vec<u8>>, RenderError> {
        Ok(None)
    }

    /// Starts an animation of `size`, shown `plays` times; 0 plays mean forever.
    fn start_animation(
        &self,
        _size: (u32, u32),
        _plays: u32,
        _quality: Quality,
        _effort: Effort,
    ) -> Result<Box<dyn AnimationEncoder>, RenderError> {
        Err(RenderError::internal("this format has no animations"))
    }
}

/// What is read of a file's metadata: only what is needed to show its pixels right.
#[derive(Debug, Default)]
pub(crate) struct Metadata {
    /// How the stored picture is turned to be upright.
    pub(crate) orientation: Orientation,
    /// The colour space of the decoded samples.
    pub(crate) colour_space: ColourSpace,
    /// The ICC profile of a CMYK file, whose samples are decoded to sRGB. It may be a profile of another kind; then it is ignored.
    pub(crate) cmyk_profile: Option<Vec<u8>>,
    /// The output format that a still, lossy file is stored in. Encoding it again in that format must not make it larger.
    pub(crate) lossy_format: Option<RenditionFormat>,
    /// Lossy coding left block artefacts: areas of one colour then do not mean that the picture is a graphic.
    pub(crate) has_block_artefacts: bool,
}

/// How a picture is to be decoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DecodeRequest<'a> {
    pub(crate) metadata: &'a Metadata,
    /// Width and height in pixels, before orientation: a decoder may scale down to these, not below, where that is cheaper
    /// and costs no quality.
    pub(crate) at_least: (f64, f64),
    /// The most scans of a JPEG that are decoded.
    pub(crate) max_scans: u32,
    /// See [`crate::Limits::memory`].
    pub(crate) max_memory: Option<u64>,
}

/// A decoded picture: coded values, straight alpha.
pub(crate) struct Decoded {
    pub(crate) samples: Samples,
    /// Width and height of the picture in these samples. Less than the number of samples where the last column or row is
    /// only partly covered: a JPEG of an odd size, decoded at a smaller scale.
    pub(crate) extent: (f64, f64),
}

impl From<Samples> for Decoded {
    fn from(samples: Samples) -> Self {
        let (width, height) = samples.size();
        Self { samples, extent: (width.into(), height.into()) }
    }
}

/// One frame of an animation, composited: what is on screen while it is shown.
pub(crate) struct AnimationFrame {
    pub(crate) picture: Raster<u8>,
    pub(crate) milliseconds: u32,
}

/// An animation that is decoded frame by frame.
pub(crate) struct Animation<'a> {
    /// How many times it is shown; 0 means forever.
    pub(crate) plays: u32,
    pub(crate) frames: Box<dyn Iterator<Item = Result<AnimationFrame, RenderError>> + 'a>,
}

/// Writes an animation frame by frame.
pub(crate) trait AnimationEncoder: Send {
    /// Adds a frame of the animation's size.
    fn add(&mut self, picture: &Raster<u8>, milliseconds: u32) -> Result<(), RenderError>;

    /// The file, without metadata.
    fn finish(self: Box<Self>) -> Result<Vec<u8>, RenderError>;
}

/// An encoded file.
#[derive(Clone, Debug)]
pub(crate) struct Encoded {
    pub(crate) format: RenditionFormat,
    pub(crate) bytes: Vec<u8>,
}

/// A decoder that finds another size than the header said would exceed the limits that were checked against the header.
pub(super) fn check_size(header: &Header, found: (u32, u32), format: &'static str) -> Result<(), RenderError> {
    if found == (header.width, header.height) {
        Ok(())
    } else {
        Err(RenderError::damaged(format, "its header and its stream disagree about the size"))
    }
}

/// Bytes per pixel while noise is encoded with loss, by JPEG, and by WebP without alpha.
pub(super) fn lossy_encoder_bytes(quality: Quality) -> u64 {
    // Up to a quality of 90, quantization removes most of the noise.
    if quality.get() <= 90 { 28 } else { 42 }
}
