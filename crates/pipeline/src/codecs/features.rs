//! What files of an output format can hold.

/// What files of an output format can hold, as Darkroom writes them. Declared once, by the format's codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent of each other, and always read by name")]
pub struct OutputFeatures {
    /// Transparency. Pictures are composited on white for formats without it.
    pub alpha: bool,
    /// More than one frame. Other formats show the first frame.
    pub animation: bool,
    /// Pixels can be stored unchanged: at quality 100, or where an SSIMULACRA2 score is asked for that no lossy quality meets.
    pub lossless: bool,
    /// How a file says that its colours are not sRGB's.
    pub colour: ColourSignal,
    /// EXIF can be embedded.
    pub exif: bool,
    /// Bits per channel.
    pub bits: u8,
    /// The longest side in pixels, as [`RenditionFormat::max_side`](darkroom_model::RenditionFormat::max_side).
    pub max_side: u32,
}

/// How a file says what its colours mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColourSignal {
    /// An embedded ICC profile.
    Icc,
    /// Code points of ITU-T H.273.
    CodePoints,
}
