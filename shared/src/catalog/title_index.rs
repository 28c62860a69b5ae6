//! How a title is indexed and searched: case folding, and hashes of its n-grams.
//!
//! The index of all titles is one GIN index. The owner is in each hash, so that a search reads the entries of its owner only,
//! and nobody can lengthen those of another by titles that are made for it. A text contains another only if it has all of its
//! n-grams; a search asks for the longest, which are the rarest. Two n-grams may have the same hash, and the order of n-grams is
//! not indexed, so the folded titles of what is found are compared too.
//!
//! One title of [`SAMPLE`] has a second hash of each of its n-grams. The number of those tells how many titles a search would
//! read, before it reads them.

use std::collections::BTreeSet;

use darkroom_model::{ImageId, Owner};
use unicode_normalization::UnicodeNormalization as _;

/// The version of [`fold`] and of the hashes. Advance it with any change of them, in [`super::refold_titles`] too, and with a
/// migration that replaces the index `images_unfolded`: the titles of stored images are then indexed again.
pub(super) const FOLDING: i16 = 1;

/// Of so many titles one is in the sample.
pub(super) const SAMPLE: u32 = 1024;

/// The longest n-grams, in characters.
const LONGEST: usize = 3;

/// The most n-grams that a search asks for. Longer searches ask for some of theirs.
const MAX_ASKED: usize = 16;

/// A title as the catalog stores it for search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TitleIndex {
    /// The title, folded.
    pub folded: String,
    /// The hashes of its n-grams, ascending, each once.
    pub grams: Vec<i64>,
}

impl TitleIndex {
    /// The index of the title of this image.
    #[must_use]
    pub fn new(owner: Owner, id: ImageId, title: &str) -> Self {
        let folded = fold(title);
        let chars: Vec<char> = folded.chars().collect();
        let sets: &[Set] = if is_sampled(id) { &[Set::All, Set::Sample] } else { &[Set::All] };
        let mut grams = BTreeSet::new();
        for set in sets {
            for length in 1..=LONGEST {
                let indexed = chars.windows(length).filter(|gram| is_indexed(gram));
                grams.extend(indexed.map(|gram| hash(*set, owner, gram)));
            }
        }
        Self { grams: grams.into_iter().collect(), folded }
    }
}

/// What a search asks the index for.
pub(super) struct Search {
    /// The text, folded.
    pub(super) folded: String,
    /// The hashes of its longest n-grams. Empty if none of them is indexed.
    pub(super) grams: Vec<i64>,
    /// The hashes of the same n-grams in the sample.
    pub(super) sample: Vec<i64>,
}

impl Search {
    pub(super) fn new(owner: Owner, text: &str) -> Self {
        let folded = fold(text);
        let chars: Vec<char> = folded.chars().collect();
        let longest = chars.windows(chars.len().clamp(1, LONGEST));
        let grams: BTreeSet<&[char]> = longest.filter(|gram| is_indexed(gram)).collect();
        let step = grams.len().div_ceil(MAX_ASKED).max(1);
        let hashes = |set| -> Vec<i64> { grams.iter().step_by(step).map(|gram| hash(set, owner, gram)).collect() };
        Self { grams: hashes(Set::All), sample: hashes(Set::Sample), folded }
    }
}

/// Whether the index has this n-gram. One or two characters are words in Chinese and Japanese; of ASCII they are in so many
/// titles that a search for them asks no index.
fn is_indexed(gram: &[char]) -> bool {
    gram.len() == LONGEST || !gram.iter().all(char::is_ascii)
}

/// Which titles a hash is for.
#[derive(Clone, Copy)]
enum Set {
    All = 0,
    Sample = 1,
}

/// Whether an image is in the sample: by the last bits of its id, which are random.
fn is_sampled(id: ImageId) -> bool {
    id.as_uuid().as_u128().is_multiple_of(SAMPLE.into())
}

/// The owner in the high half, so that no other owner's titles have it, and in the low half the FNV-1a hash of the set and the
/// characters, of 64 bits folded to 32.
fn hash(set: Set, owner: Owner, gram: &[char]) -> i64 {
    let words = [set as u32].into_iter().chain(gram.iter().map(|char| u32::from(*char)));
    let hash = words
        .flat_map(u32::to_le_bytes)
        .fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3));
    let folded = (hash ^ (hash >> 32)) & u64::from(u32::MAX);
    i64::from(owner.id()) << 32 | folded.cast_signed()
}

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

    fn grams(owner: i32, title: &str) -> Vec<i64> {
        // An id that is not in the sample.
        TitleIndex::new(Owner::from_id(owner), ImageId::from_uuid(uuid::Uuid::max()), title).grams
    }

    #[test]
    fn a_title_has_all_grams_of_its_parts() {
        let title = grams(1, "東京タワー 100% of it");
        for part in ["東", "京タ", "0%", " 1", "タワー 10", "100% OF IT"] {
            let search = Search::new(Owner::DEFAULT, part);
            assert!(search.grams.iter().all(|gram| title.contains(gram)), "{part}");
        }
    }

    #[test]
    fn a_search_asks_for_the_longest_grams_and_not_for_too_many() {
        let asked = |text: &str| Search::new(Owner::DEFAULT, text).grams.len();
        assert_eq!(
            [asked(""), asked("ab"), asked("京"), asked("京a"), asked("abc"), asked("jpg.jpg")],
            [0, 0, 1, 1, 1, 4]
        );
        let long: String = (0..200).filter_map(|n| char::from_u32(0x4E00 + n)).collect();
        assert!((8..=MAX_ASKED).contains(&asked(&long)));
    }

    #[test]
    fn owners_share_no_grams() {
        let (one, other) = (grams(1, "holiday"), grams(2, "holiday"));
        assert!(one.iter().all(|gram| !other.contains(gram)));
    }

    #[test]
    fn the_hashes_are_those_that_are_stored() {
        // A change needs a new version of the folding.
        assert_eq!(grams(1, "京ab"), [5_915_524_431, 6_870_664_505, 8_222_927_382]);
    }

    #[test]
    fn a_title_of_the_sample_has_the_grams_of_the_sample_too() {
        let sampled = ImageId::from_uuid(uuid::Uuid::from_u128(5 * u128::from(SAMPLE)));
        let title = TitleIndex::new(Owner::DEFAULT, sampled, "holiday").grams;
        let search = Search::new(Owner::DEFAULT, "OLID");
        assert!(search.grams.iter().chain(&search.sample).all(|gram| title.contains(gram)));
        assert!(search.sample.iter().all(|gram| !grams(1, "holiday").contains(gram)));
    }
}
