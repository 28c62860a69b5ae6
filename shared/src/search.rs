//! How titles are searched.

use unicode_normalization::UnicodeNormalization as _;

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
