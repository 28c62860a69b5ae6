//! The tags of an image.

use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization as _;

/// The tags that a client gave an image: a set of at most 32, each of 1 to 64 characters (Unicode scalar values) in NFC.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags(BTreeSet<String>);

/// Why texts are not [`Tags`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TagsError {
    /// There are more than [`Tags::MAX`].
    #[error("there are more than {} tags", Tags::MAX)]
    TooMany,
    /// A tag is empty or only white space.
    #[error("a tag is empty")]
    Empty,
    /// A tag has more than [`Tags::MAX_CHARS`] characters.
    #[error("a tag has more than {} characters", Tags::MAX_CHARS)]
    TooLong,
    /// A tag has a comma, which separates tags in forms, or a control character.
    #[error("a tag has a comma or a control character")]
    Character,
}

impl Tags {
    /// Maximum number of tags.
    pub const MAX: usize = 32;
    /// Maximum length of a tag in Unicode scalar values.
    pub const MAX_CHARS: usize = 64;

    /// Parses a client's tags. Tags that are alike count once.
    ///
    /// # Errors
    /// The first rule that is violated.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, TagsError> {
        let tags = texts.into_iter().map(Self::parse_one).collect::<Result<BTreeSet<_>, _>>()?;
        if tags.len() > Self::MAX { Err(TagsError::TooMany) } else { Ok(Self(tags)) }
    }

    /// Parses one tag: removes surrounding white space and normalises to NFC.
    ///
    /// # Errors
    /// The first rule that is violated.
    pub fn parse_one(text: &str) -> Result<String, TagsError> {
        let tag: String = text.trim().nfc().collect();
        match tag.chars().count() {
            0 => Err(TagsError::Empty),
            n if n > Self::MAX_CHARS => Err(TagsError::TooLong),
            _ if tag.chars().any(|char| char == ',' || char.is_control()) => Err(TagsError::Character),
            _ => Ok(tag),
        }
    }

    /// Each tag once, sorted by code point.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_a_sorted_set() {
        let tags = Tags::parse(["sea", " u\u{308}ber ", "boat", "sea"]).unwrap();
        assert_eq!(tags.iter().collect::<Vec<_>>(), ["boat", "sea", "über"]);
    }

    #[test]
    fn tags_have_bounds() {
        let numbers = |n: usize| (0..n).map(|n| n.to_string()).collect::<Vec<_>>();
        let parse = |texts: &[String]| Tags::parse(texts.iter().map(String::as_str)).map(|_| ());
        assert_eq!((parse(&numbers(32)), parse(&numbers(33))), (Ok(()), Err(TagsError::TooMany)));
        assert_eq!(Tags::parse([" "]), Err(TagsError::Empty));
        assert_eq!(Tags::parse([&*"漢".repeat(65)]), Err(TagsError::TooLong));
        assert_eq!(Tags::parse(["a,b"]), Err(TagsError::Character));
        assert_eq!(Tags::parse(["a\0"]), Err(TagsError::Character));
    }
}
