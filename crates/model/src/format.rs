//! File formats: of uploads and of renditions.

use crate::string_enum;

string_enum! {
    /// What kind of file an upload is, told from its first bytes.
    SourceFormat, "source format" {
        /// JPEG (ITU-T T.81).
        Jpeg = "jpeg",
        /// PNG and APNG (W3C PNG, third edition).
        Png = "png",
        /// WebP (RFC 9649).
        Webp = "webp",
        /// GIF 87a and 89a.
        Gif = "gif",
        /// AVIF (AV1 Image File Format), a single still picture.
        Avif = "avif",
        /// JPEG XL (ISO/IEC 18181), its first frame.
        Jxl = "jxl",
        /// TIFF (revision 6.0), its first picture.
        Tiff = "tiff",
        /// BMP (Windows bitmap).
        Bmp = "bmp",
    }
}

string_enum! {
    /// What a rendition is encoded as.
    RenditionFormat, "rendition format" {
        /// Progressive or optimised JPEG, without transparency.
        Jpeg = "jpeg",
        /// PNG, with a palette where it looks the same.
        Png = "png",
        /// Lossy WebP, with transparency where the source has it.
        Webp = "webp",
        /// Lossy AVIF, with transparency where the source has it; a still picture.
        Avif = "avif",
    }
}

impl RenditionFormat {
    /// The media type objects of this format are stored and served with.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
            Self::Avif => "image/avif",
        }
    }
}
