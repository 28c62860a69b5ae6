//! Encodings of text in header parameters: extended values (RFC 8187), encoded words (RFC 2047), and the escapes of browsers.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// Base64 with or without padding, as senders write it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// An extended value: character set, language and percent-encoded text, between apostrophes (RFC 8187, section 3.2). `None`
/// where it is malformed or in another character set than UTF-8, ISO 8859-1 or ASCII.
pub(super) fn extended_value(value: &str) -> Option<String> {
    let (charset, rest) = value.split_once('\'')?;
    let (_, text) = rest.split_once('\'')?;
    decode(charset, &unescape(text.as_bytes(), b'%', |_| true))
}

/// A plain value. Decodes the words in it that are encoded, and what browsers escape in it: `%22`, `%0D` and `%0A` (WHATWG HTML,
/// multipart form data).
pub(super) fn plain_value(value: &str) -> String {
    let unescaped = unescape(value.as_bytes(), b'%', |byte| matches!(byte, b'"' | b'\r' | b'\n'));
    encoded_words(&String::from_utf8_lossy(&unescaped))
}

/// Replaces all encoded words in a text (RFC 2047, section 2). White space between two of them is removed,
/// and a character may begin in one and end in the next.
fn encoded_words(text: &str) -> String {
    let (mut decoded, mut rest) = (String::new(), text);
    // Character set and bytes of the words so far, as long as they follow each other.
    let mut pending: Option<(String, Vec<u8>)> = None;
    while let Some(start) = rest.find("=?") {
        let (before, word) = rest.split_at(start);
        let Some((charset, bytes, after)) = encoded_word(word) else {
            flush(&mut decoded, pending.take());
            decoded.push_str(before);
            decoded.push_str("=?");
            rest = &word[2..];
            continue;
        };
        match &mut pending {
            Some((same, joined)) if same.eq_ignore_ascii_case(charset) && before.trim().is_empty() => {
                joined.extend(bytes);
            }
            _ => {
                let follows_a_word = pending.is_some() && before.trim().is_empty();
                flush(&mut decoded, pending.take());
                decoded.push_str(if follows_a_word { "" } else { before });
                pending = Some((charset.to_owned(), bytes));
            }
        }
        rest = after;
    }
    flush(&mut decoded, pending);
    decoded.push_str(rest);
    decoded
}

fn flush(decoded: &mut String, words: Option<(String, Vec<u8>)>) {
    if let Some((charset, bytes)) = words {
        decoded.push_str(&decode(&charset, &bytes).unwrap_or_else(|| String::from_utf8_lossy(&bytes).into_owned()));
    }
}

/// The character set and bytes of the encoded word at the start of a text, and what follows it.
fn encoded_word(text: &str) -> Option<(&str, Vec<u8>, &str)> {
    let (charset, rest) = text.strip_prefix("=?")?.split_once('?')?;
    let (encoding, rest) = rest.split_once('?')?;
    // The content has no question mark, so that the search takes linear time.
    let (content, after) = rest.split_once('?')?;
    let after = after.strip_prefix('=')?;
    let bytes = match encoding {
        "B" | "b" => BASE64.decode(content).ok()?,
        "Q" | "q" => unescape(content.replace('_', " ").as_bytes(), b'=', |_| true),
        _ => return None,
    };
    // The language of RFC 2231, section 5.
    let charset = charset.split_once('*').map_or(charset, |(charset, _)| charset);
    is_known(charset).then_some((charset, bytes, after))
}

fn is_known(charset: &str) -> bool {
    ["utf-8", "us-ascii", "iso-8859-1"].iter().any(|known| known.eq_ignore_ascii_case(charset))
}

/// Text in UTF-8, ISO 8859-1 or ASCII.
fn decode(charset: &str, bytes: &[u8]) -> Option<String> {
    if !is_known(charset) {
        return None;
    }
    if charset.eq_ignore_ascii_case("iso-8859-1") {
        return Some(bytes.iter().copied().map(char::from).collect());
    }
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

/// Replaces an escape character and two hexadecimal digits by their byte, where `is_escaped` accepts it.
fn unescape(text: &[u8], escape: u8, is_escaped: impl Fn(u8) -> bool) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let escaped = |rest: &[u8]| match rest {
        [first, high, low, ..] if *first == escape => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((first, after)) = rest.split_first() {
        if let Some(byte) = escaped(rest).filter(|byte| is_escaped(*byte)) {
            bytes.push(byte);
            rest = &rest[3..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_words_are_decoded_wherever_they_stand() {
        for (text, expected) in [
            ("a =?utf-8?q?=C3=A9?= b", "a é b"),
            ("=?utf-8?B?w6k?==?utf-8?B?w6k=?=", "éé"),
            // A character that begins in one word and ends in the next.
            ("=?UTF-8?B?ww==?= =?utf-8?B?qQ==?=.jpg", "é.jpg"),
            ("=?iso-8859-1?Q?=E9?=  =?utf-8?Q?=C3=A9?=", "éé"),
            ("=?utf-8*fr?Q?=C3=A9?=", "é"),
            // Neither words nor readable ones stay as they are.
            ("=?=?utf-8?q?x?=", "=?x"),
            ("=?utf-8?x?y?=", "=?utf-8?x?y?="),
            ("=?utf-8?B?*?=", "=?utf-8?B?*?="),
            ("=?koi8-r?B?w6k=?=", "=?koi8-r?B?w6k=?="),
            ("a=?b", "a=?b"),
            ("=?utf-8?Q?=FF?=", "\u{FFFD}"),
            ("", ""),
        ] {
            assert_eq!(plain_value(text), expected, "{text}");
        }
    }

    #[test]
    fn only_what_browsers_escape_is_unescaped() {
        assert_eq!(plain_value("%22%0d%0A%41%2"), "\"\r\n%41%2");
        assert_eq!(extended_value("UTF-8''%41%zz%4").as_deref(), Some("A%zz%4"));
        assert_eq!(extended_value("utf-16''a"), None);
    }
}
