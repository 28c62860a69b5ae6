//! File formats of uploads and of renditions.

use crate::string_enum;

string_enum! {
    /// The format of an upload, detected from its first bytes.
    SourceFormat, "source format" {
        /// JPEG (ITU-T T.81).
        Jpeg = "jpeg",
        /// PNG and APNG (W3C PNG, third edition).
        Png = "png",
        /// WebP (RFC 9649).
        Webp = "webp",
        /// GIF 87a and 89a.
        Gif = "gif",
        /// AVIF (AV1 Image File Format), still and animated.
        Avif = "avif",
        /// HEIC (HEVC in HEIF, ISO/IEC 23008-12, annex B), still pictures.
        Heic = "heic",
        /// JPEG XL (ISO/IEC 18181), still and animated.
        Jxl = "jxl",
        /// TIFF (revision 6.0), its first image.
        Tiff = "tiff",
        /// BMP (Windows bitmap).
        Bmp = "bmp",
    }
}

impl SourceFormat {
    /// The name of the format for people, for example `JPEG XL`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::Webp => "WebP",
            Self::Gif => "GIF",
            Self::Avif => "AVIF",
            Self::Heic => "HEIC",
            Self::Jxl => "JPEG XL",
            Self::Tiff => "TIFF",
            Self::Bmp => "BMP",
        }
    }
}

string_enum! {
    /// The format of a rendition.
    RenditionFormat, "rendition format" {
        /// JPEG, progressive or with optimised Huffman tables, without transparency.
        Jpeg = "jpeg",
        /// PNG, with a palette where the difference is invisible.
        Png = "png",
        /// Lossy WebP, with transparency where the source has it.
        Webp = "webp",
        /// Lossy AVIF, with transparency where the source has it; a still image.
        Avif = "avif",
    }
}

impl RenditionFormat {
    /// The media type of the format, as objects in the bucket have it.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
            Self::Avif => "image/avif",
        }
    }

    /// The longest side of a picture in pixels. Longer pictures are made smaller.
    pub const fn max_side(self) -> u32 {
        match self {
            // T.81 allows 65,535, but libjpeg, which most programs use, reads no more than this.
            Self::Jpeg => 65_500,
            // W3C PNG, third edition, section 11.2.1.
            Self::Png => i32::MAX.unsigned_abs(),
            // RFC 9649, section 2.7.
            Self::Webp => 16_383,
            // AV1 Bitstream & Decoding Process Specification, section 5.5.1.
            Self::Avif => 65_536,
        }
    }
}
