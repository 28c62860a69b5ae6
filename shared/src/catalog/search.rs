//! How titles are searched: by case folding and an index of character n-ngrams.

use unicode_normalization::UnicodeNormalization as _;

/// The version of [`fold`] and of [`ngrams`]. Advance it with any change of what they return, in [`super::refold_titles`]
/// too, and with a migration that replaces the index `images_unfolded`: the titles of stored images are then folded again.
pub(super) const FOLDING: i16 = 1;

/// Text in compatibility composition (NFKC, UAX #15) with full case folding (Unicode, section 3.13), so that `Ä`, `ä` and
/// `a` + `¨` are alike, and `ß` and `SS`, and `ς` and `Σ`. Rust folds, because SQL would fold by the database's locale.
///
/// Unlike Unicode's folding, the Turkish `ı` and `İ` become `i`: who searches knows a title, not the language of its writer.
pub(super) fn fold(text: &str) -> String {
    let folded: String = text.nfkc().flat_map(fold_char).nfkc().collect();
    // The dot of `İ`, which is `i` with a dot above in lower case.
    folded.replace("i\u{307}", "i")
}

/// The lower case of the upper case of the lower case: what differs in case alone, in one or several letters, becomes alike.
/// This equals Unicode's full case folding (`CaseFolding.txt`, C and F) but for `ı`, and for Cherokee, which has lower
/// case here and upper case there.
fn fold_char(char: char) -> impl Iterator<Item = char> {
    char.to_lowercase().flat_map(char::to_uppercase).flat_map(char::to_lowercase)
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
    fn case_is_folded_in_full() {
        for alike in [
            &["STRASSE", "Straße", "STRAẞE", "straſſe"][..],
            &["σίσυφος", "ΣΊΣΥΦΟΣ", "Σίσυφοσ"],
            &["ISPARTA", "ısparta", "isparta", "İsparta", "I\u{307}SPARTA", "i\u{307}sparta"],
            &["ﬃ", "FFI"],
            &["ᾳ", "ΑΙ"],
            &["ᏣᎳᎩ", "ꮳꮃꭹ"],
            &["µ", "Μ"],
            &["ŉ", "ʼN"],
        ] {
            for text in alike {
                assert_eq!(fold(text), fold(alike[0]), "{text}");
                assert_eq!(fold(&fold(text)), fold(text), "{text}");
            }
        }
        assert_ne!(fold("ö"), fold("o"));
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
