//! The text of a key: `dk_`, or `du_` of an upload token, 22 characters that are 128 random bits in base62, and their CRC-32 in base62, 6 characters.
//!
//! The prefix tells people and secret scanners what it is. The checksum shows a mistyped key without a look into the database;
//! it protects nothing. The digits of base62 are 0 to 9, A to Z, a to z.

use std::{fmt, str::FromStr};

use darkroom_shared::access::SecretHash;
use sha2::{Digest as _, Sha256};

/// How a key begins.
const KEY: &str = "dk_";
/// How an upload token begins.
const UPLOAD_TOKEN: &str = "du_";
/// The length of both.
const PREFIX: usize = 3;
/// Digits of 128 bits in base62.
const RANDOM_DIGITS: usize = 22;
/// Digits of 32 bits in base62.
const CHECKSUM_DIGITS: usize = 6;
/// How many of the random digits are shown: about 36 of the 128 bits.
const SHOWN_DIGITS: usize = 6;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// An API key. It is shown once and never stored. `Debug` prints its beginning only.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// A text that is no key: it has another form, or its checksum is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an API key: it is mistyped or incomplete")]
pub struct InvalidToken;

impl Token {
    /// A new key from the system's random numbers.
    pub fn generate() -> Self {
        Self::new(KEY, rand::random())
    }

    /// A new upload token from the system's random numbers.
    pub fn generate_for_uploads() -> Self {
        Self::new(UPLOAD_TOKEN, rand::random())
    }

    fn new(prefix: &str, random: u128) -> Self {
        let body = format!("{prefix}{}", base62(random, RANDOM_DIGITS));
        let checksum = checksum(&body);
        Self(body + &checksum)
    }

    /// The key, for the one who may use it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is stored of it.
    pub fn hash(&self) -> SecretHash {
        SecretHash { digest: Sha256::digest(&self.0).into(), prefix: self.prefix().to_owned() }
    }

    /// The beginning, by which people recognise it.
    fn prefix(&self) -> &str {
        &self.0[..PREFIX + SHOWN_DIGITS]
    }
}

impl FromStr for Token {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        let digits = [KEY, UPLOAD_TOKEN].iter().find_map(|prefix| text.strip_prefix(prefix)).ok_or(InvalidToken)?;
        // Only ASCII may be cut at a byte.
        if digits.len() != RANDOM_DIGITS + CHECKSUM_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(InvalidToken);
        }
        let (body, given) = text.split_at(PREFIX + RANDOM_DIGITS);
        if given == checksum(body) { Ok(Self(text.to_owned())) } else { Err(InvalidToken) }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…", self.prefix())
    }
}

fn checksum(body: &str) -> String {
    base62(crc32fast::hash(body.as_bytes()).into(), CHECKSUM_DIGITS)
}

/// The lowest digits of a number, with leading zeros.
fn base62(mut number: u128, digits: usize) -> String {
    let mut text = vec![b'0'; digits];
    for digit in text.iter_mut().rev() {
        // Less than 62.
        *digit = DIGITS[(number % 62) as usize];
        number /= 62;
    }
    text.into_iter().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_random_number_has_a_key_of_its_own() {
        assert_eq!(Token::new(KEY, 0).expose(), "dk_00000000000000000000000Htx2a");
        assert_eq!(Token::new(KEY, u128::MAX).expose(), "dk_7n42DGM5Tflk9n8mt7Fhc73sMC0L");
        let token = Token::generate();
        assert_eq!((token.expose().len(), token.expose().parse()), (31, Ok(token.clone())));
        assert_ne!(Token::generate(), token);
        let upload = Token::generate_for_uploads();
        assert!(upload.expose().starts_with("du_"));
        assert_eq!(upload.expose().parse(), Ok(upload.clone()));
        assert!(upload.expose().replacen("du_", "dk_", 1).parse::<Token>().is_err(), "the checksum is over the kind");
    }

    #[test]
    fn a_key_with_any_character_changed_or_missing_is_refused() {
        let token = Token::new(KEY, 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        let text = token.expose();
        for at in 0..text.len() {
            for other in ['x', 'Y', '0', '_', ' '] {
                let mut changed = text.to_owned();
                changed.replace_range(at..=at, other.encode_utf8(&mut [0; 4]));
                assert!(changed == text || changed.parse::<Token>().is_err(), "{changed}");
            }
            assert_eq!(text[..at].parse::<Token>(), Err(InvalidToken));
        }
        for text in
            [&format!("{text}0"), "", "dk_", "dk_äääääääääääääääääääääääääääääääääääääääääääääääääääää", "Bearer"]
        {
            assert!(text.parse::<Token>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_the_beginning_of_a_key_is_printed_and_only_its_hash_stored() {
        let token = Token::new(KEY, 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        assert_eq!(format!("{token:?}"), format!("{}…", &token.expose()[..9]));
        let SecretHash { digest, prefix } = token.hash();
        assert_eq!((prefix.as_str(), prefix.len()), (&token.expose()[..9], 9));
        assert_eq!(digest.as_slice(), Sha256::digest(token.expose()).as_slice());
    }
}
