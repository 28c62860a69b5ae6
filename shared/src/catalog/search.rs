//! How titles are searched: by case folding and an index of character n-ngrams.

use unicode_normalization::UnicodeNormalization as _;

/// Text in compatibility composition (NFKC, UAX #15) and lower case, so that `Ä`, `ä` and `a` + `¨` are alike.
/// Rust folds, because SQL would fold by the database's locale.
pub(super) fn fold(text: &str) -> String {
    text.nfkc().flat_map(char::to_lowercase).nfc().collect()
}

/// The unigrams and bigrams of a folded text, sorted, as the title index holds them. A text contains
/// another only if it has all of its n-ngrams. Not trigrams, because two characters are a word in
/// Chinese and Japanese.
pub(super) fn ngrams(folded: &str) -> Vec<String> {
    let chars: Vec<char> = folded.chars().collect();
    let mut ngrams: Vec<String> = chars.iter().map(ToString::to_string).collect();
    ngrams.extend(chars.windows(2).map(|pair| pair.iter().collect::<String>()));
    ngrams.sort_unstable();
    ngrams.dedup();
    ngrams
}

/// The n-grams that a search asks the index for: the bigrams, which have the unigrams in them. The index reads the list of
/// rows of each n-gram that is asked for, and those of unigrams are the longest.
pub(super) fn search_ngrams(folded: &str) -> Vec<String> {
    let mut ngrams = ngrams(folded);
    if folded.chars().nth(1).is_some() {
        ngrams.retain(|ngram| ngram.chars().nth(1).is_some());
    }
    ngrams
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
    fn a_search_asks_for_the_longest_ngrams() {
        assert_eq!(search_ngrams("a"), ["a"]);
        assert_eq!(search_ngrams("jpg.jpg"), [".j", "g.", "jp", "pg"]);
    }

    #[test]
    fn a_text_has_all_grams_of_its_parts() {
        let whole = ngrams(&fold("東京タワー 100%"));
        for part in ["東", "京タ", "0%", " 1"] {
            assert!(ngrams(&fold(part)).iter().all(|gram| whole.contains(gram)), "{part}");
        }
    }
}
