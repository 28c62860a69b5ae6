//! The title of an image.

use unicode_normalization::UnicodeNormalization as _;

/// The title that a person gave an image: 1 to 200 characters (Unicode scalar values) in NFC, without control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Title(String);

/// Why a text is not a [`Title`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TitleError {
    /// The text is empty or only white space.
    #[error("the title is empty")]
    Empty,
    /// The text has more than [`Title::MAX_CHARS`] characters.
    #[error("the title has more than {} characters", Title::MAX_CHARS)]
    TooLong,
    /// The text has a control character, for example a line break or NUL.
    #[error("the title has a control character")]
    ControlCharacter,
}

impl Title {
    /// Maximum length in Unicode scalar values.
    pub const MAX_CHARS: usize = 200;

    /// Parses a client's title: removes surrounding white space and normalises to NFC.
    pub fn parse(text: &str) -> Result<Self, TitleError> {
        let title: String = text.trim().nfc().collect();
        match title.chars().count() {
            0 => Err(TitleError::Empty),
            n if n > Self::MAX_CHARS => Err(TitleError::TooLong),
            _ if title.chars().any(char::is_control) => Err(TitleError::ControlCharacter),
            _ => Ok(Self(title)),
        }
    }

    /// The title of an upload without one, from its file name. Never fails: directories, control characters and characters
    /// beyond the maximum length are removed; `untitled` if nothing remains.
    pub fn from_file_name(name: Option<&str>) -> Self {
        let name = name.unwrap_or_default();
        let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
        let title: String = name.nfc().filter(|c| !c.is_control()).take(Self::MAX_CHARS).collect();
        Self::parse(&title).unwrap_or_else(|_| Self("untitled".to_owned()))
    }

    /// The title as text.
    pub fn as_str(&self) -> &str {
        &self.0
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
}
