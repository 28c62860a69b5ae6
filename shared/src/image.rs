//! The image lifecycle as types, and the recipe that says what to render. No I/O.
//!
//! ```text
//! queued ──▶ processing ──▶ ready
//!    │           ├────────▶ failed
//!    │           └────────▶ queued      (a transient fault; the queue tries again)
//!    ├────────▶ failed                  (its job is given up before it began)
//!    └──────── any ───────▶ deleting ──▶ gone
//! ```
//!
//! The database repeats this law with CHECK constraints and guarded updates (`migrations/`, [`crate::catalog`]).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;
use uuid::Uuid;

/// Names an image. A `UUIDv7` (RFC 9562), so ids sort by the time of their making.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageId(pub Uuid);

impl ImageId {
    /// A new id for an image accepted now.
    #[must_use]
    pub fn now() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A string that is none of the words of its type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} {got:?}")]
pub struct UnknownWord {
    what: &'static str,
    got: String,
}

/// An enum whose variants have one lower-case word each, the same in JSON, SQL and the object keys.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $word)] $variant),+ }

        impl $name {
            /// Every variant, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word that stands for this variant in JSON, SQL and URLs.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    other => Err(UnknownWord { what: $what, got: other.to_owned() }),
                }
            }
        }
    };
}

mod recipe;

pub use recipe::{
    Blur, Colour, Crop, Effort, Fit, Gamut, Keep, MAX_DIMENSION, Margin, Opacity, Overlay, Position, Quality, Recipe,
    Resize, Rotation, Scale, Sharpen, Ssim,
};

words! {
    /// Where an image stands in its life.
    Status, "status" {
        /// Accepted and safe; waits for a worker.
        Queued = "queued",
        /// A worker renders it.
        Processing = "processing",
        /// Every rendition is in the bucket.
        Ready = "ready",
        /// It will not be rendered; `error` says why.
        Failed = "failed",
        /// Its objects and its row are being removed.
        Deleting = "deleting",
    }
}

words! {
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

words! {
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

words! {
    /// Why an image failed, as a word a program can test.
    FailureCode, "failure code" {
        /// Not a picture in a format that can be read.
        UnsupportedFormat = "unsupported_format",
        /// The file is damaged or cut short.
        BrokenImage = "broken_image",
        /// More pixels, frames or bytes than the limits allow.
        TooLarge = "too_large",
        /// What was asked for cannot be made of this picture.
        Unsatisfiable = "unsatisfiable",
        /// Rendering it took longer than the limit allows.
        TimedOut = "timed_out",
        /// Rendering it crashed again and again.
        Crashed = "crashed",
        /// The upload is no longer in staging.
        SourceMissing = "source_missing",
        /// The bucket or the database could not be reached in any attempt.
        Unavailable = "unavailable",
        /// An operator cancelled the job.
        Cancelled = "cancelled",
    }
}

/// Why an image failed, in words a person understands. Holds nothing internal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// For programs.
    pub code: FailureCode,
    /// For people: one sentence.
    pub detail: String,
}

/// What a person calls an image: 1 to 200 characters in Unicode NFC, without control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Title(String);

/// Why a text is not a [`Title`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TitleError {
    /// Nothing but white space.
    #[error("the title is empty")]
    Empty,
    /// More than [`Title::MAX_CHARS`].
    #[error("the title has more than {} characters", Title::MAX_CHARS)]
    TooLong,
    /// A line break, a NUL or the like.
    #[error("the title has a control character")]
    ControlCharacter,
}

impl Title {
    /// The longest title, in Unicode scalar values.
    pub const MAX_CHARS: usize = 200;

    /// Takes a title from a client: white space around it is dropped, its form becomes NFC.
    pub fn parse(text: &str) -> Result<Self, TitleError> {
        let title: String = text.trim().nfc().collect();
        match title.chars().count() {
            0 => Err(TitleError::Empty),
            n if n > Self::MAX_CHARS => Err(TitleError::TooLong),
            _ if title.chars().any(char::is_control) => Err(TitleError::ControlCharacter),
            _ => Ok(Self(title)),
        }
    }

    /// The title of an upload that came without one. A file name is never refused: what cannot stand in a title is
    /// left out, and a name of which nothing remains becomes `untitled`.
    #[must_use]
    pub fn from_file_name(name: Option<&str>) -> Self {
        let name = name.unwrap_or_default();
        let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
        let title: String = name.nfc().filter(|c| !c.is_control()).take(Self::MAX_CHARS).collect();
        Self::parse(&title).unwrap_or_else(|_| Self("untitled".to_owned()))
    }

    /// The title as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Text as titles are searched: compatibility-composed and lower-cased, so that `Ä`, `ä` and `a` + `¨` are alike.
/// Folding here and not in SQL makes the answer independent of the database's locale.
#[must_use]
pub fn fold(text: &str) -> String {
    text.nfkc().flat_map(char::to_lowercase).nfc().collect()
}

/// The single characters and the pairs of neighbours of a folded text: what the title index holds. A text contains
/// another only if it has all of its grams. Pairs, not the usual trigrams, because two characters are a word in
/// Chinese and Japanese.
#[must_use]
pub fn grams(folded: &str) -> Vec<String> {
    let chars: Vec<char> = folded.chars().collect();
    let mut grams: Vec<String> = chars.iter().map(ToString::to_string).collect();
    grams.extend(chars.windows(2).map(|pair| pair.iter().collect::<String>()));
    grams.sort_unstable();
    grams.dedup();
    grams
}

/// What an upload's header and its bytes say of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// By magic bytes.
    pub format: SourceFormat,
    /// Pixels, as stored (before orientation is applied).
    pub width: u32,
    /// Pixels, as stored (before orientation is applied).
    pub height: u32,
    /// 1 for a still picture.
    pub frames: u32,
    /// Length of the file.
    pub bytes: u64,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
}

/// What rendering an image has taught of it: of its first frame, upright, cropped as its largest rendition is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// A `ThumbHash`.
    pub placeholder: Vec<u8>,
    /// The colour that most of it has, in sRGB: red, green, blue.
    pub dominant_colour: [u8; 3],
    /// A difference hash (dHash): the number of bits in which two differ says how unlike their pictures are, from 0 to
    /// 64; up to about 10 they look alike.
    pub perceptual_hash: u64,
}

/// A rendition that lies in the bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendition {
    /// Unique within its image, for example `w800.webp`.
    pub name: String,
    /// What it is encoded as.
    pub format: RenditionFormat,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Length of the object.
    pub bytes: u64,
    /// SHA-256 of the object.
    pub sha256: [u8; 32],
}

/// An image that a worker has taken up: the only way to [`Ready`].
#[derive(Debug)]
pub struct Processing {
    pub(crate) id: ImageId,
    pub(crate) recipe: Recipe,
}

impl Processing {
    /// Which image.
    pub fn id(&self) -> ImageId {
        self.id
    }

    /// What to render.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// All renditions are in the bucket.
    #[must_use]
    pub fn ready(self, renditions: Vec<Rendition>, facts: Facts) -> Ready {
        Ready { id: self.id, renditions, facts }
    }

    /// It cannot be rendered, and another attempt would not help.
    #[must_use]
    pub fn failed(self, failure: Failure) -> Failed {
        Failed { id: self.id, failure }
    }
}

/// A rendered image, to be saved by [`crate::catalog::save_ready`].
#[derive(Debug)]
pub struct Ready {
    pub(crate) id: ImageId,
    pub(crate) renditions: Vec<Rendition>,
    pub(crate) facts: Facts,
}

impl Ready {
    /// Which image.
    pub fn id(&self) -> ImageId {
        self.id
    }
}

/// An image given up, to be saved by [`crate::catalog::save_failed`].
#[derive(Debug)]
pub struct Failed {
    pub(crate) id: ImageId,
    pub(crate) failure: Failure,
}

impl Failed {
    /// An image whose job is given up, whether or not a worker has taken it up.
    #[must_use]
    pub fn given_up(id: ImageId, failure: Failure) -> Self {
        Self { id, failure }
    }

    /// Which image.
    pub fn id(&self) -> ImageId {
        self.id
    }

    /// Why.
    pub fn failure(&self) -> &Failure {
        &self.failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_trimmed_and_composed() {
        assert_eq!(Title::parse("  u\u{308}ber ").unwrap().as_str(), "über");
    }

    #[test]
    fn a_title_has_1_to_200_characters_and_no_control_characters() {
        assert_eq!(Title::parse(" \t "), Err(TitleError::Empty));
        assert_eq!(Title::parse(&"漢".repeat(200)).unwrap().as_str().chars().count(), 200);
        assert_eq!(Title::parse(&"漢".repeat(201)), Err(TitleError::TooLong));
        assert_eq!(Title::parse("a\0b"), Err(TitleError::ControlCharacter));
    }

    #[test]
    fn a_file_name_always_becomes_a_title() {
        for (name, title) in [
            (Some("C:\\Users\\me\\cat.jpg"), "cat.jpg"),
            (Some("../../etc/passwd"), "passwd"),
            (Some("a\0\nb.png"), "ab.png"),
            (Some("  "), "untitled"),
            (None, "untitled"),
        ] {
            assert_eq!(Title::from_file_name(name).as_str(), title);
        }
        assert_eq!(Title::from_file_name(Some(&"x".repeat(999))).as_str().len(), 200);
    }

    #[test]
    fn folding_makes_case_and_composition_alike() {
        assert_eq!(fold("ÄRGER"), fold("a\u{308}rger"));
        assert_eq!(fold("ＴＯＫＹＯ"), "tokyo");
    }

    #[test]
    fn a_text_has_all_grams_of_its_parts() {
        let whole = grams(&fold("東京タワー 100%"));
        for part in ["東", "京タ", "0%", " 1"] {
            assert!(grams(&fold(part)).iter().all(|gram| whole.contains(gram)), "{part}");
        }
    }

    #[test]
    fn words_round_trip() {
        for status in Status::ALL {
            assert_eq!(status.as_str().parse(), Ok(*status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        assert!("paused".parse::<Status>().is_err());
    }
}
