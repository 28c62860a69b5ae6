//! What the search index has of an image: hashes of the n-grams of its title, folded, and of its labels.
//!
//! The index of all images is one GIN index. The owner is in each hash, so that a search reads the entries of its owner only,
//! and nobody can lengthen those of another by titles that are made for it. A text contains another only if it has all of its
//! n-grams; a search asks for the longest, which are the rarest. Two terms may have the same hash, and the order of n-grams is
//! not indexed, so the values of what is found are compared too.
//!
//! One image of [`SAMPLE`] has a second hash of each of its terms. The number of those tells how many images a search would
//! read, before it reads them.

use std::collections::BTreeSet;

use darkroom_model::{ImageId, Owner};
use serde_json::{Map, Value};
use unicode_normalization::UnicodeNormalization as _;

use super::list::Filter;

/// The version of [`fold`] and of the hashes. Advance it with any change of them, in [`super::refold_titles`] too, and with a
/// migration that replaces the index `images_unfolded`: the titles of stored images are then indexed again.
pub(super) const FOLDING: i16 = 2;

/// Of so many images one is in the sample.
pub(super) const SAMPLE: u32 = 1024;

/// The longest n-grams, in characters.
const LONGEST: usize = 3;

/// The most n-grams that a search asks for. Longer searches ask for some of theirs.
const MAX_ASKED: usize = 16;

/// Separates the name of a member of the metadata from its value; no character has this number.
const SEPARATOR: u32 = u32::MAX;

/// What images are filtered by beside their title.
#[derive(Clone, Copy, Debug, Default)]
pub struct Labels<'a> {
    /// The format of the file, as its column has it.
    pub format: &'a str,
    /// The tags.
    pub tags: &'a [&'a str],
    /// The metadata; `None`: it has no members.
    pub metadata: Option<&'a Map<String, Value>>,
}

/// An image as the catalog stores it for search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchIndex {
    /// The title, folded.
    pub folded: String,
    /// The hashes of the n-grams of its title and of its labels, ascending, each once.
    pub terms: Vec<i64>,
}

impl SearchIndex {
    /// The index of the image with this title and these labels.
    #[must_use]
    pub fn new(owner: Owner, id: ImageId, title: &str, labels: &Labels<'_>) -> Self {
        let folded = fold(title);
        let chars: Vec<char> = folded.chars().collect();
        let sets: &[Set] = if is_sampled(id) { &[Set::All, Set::Sample] } else { &[Set::All] };
        let mut terms = BTreeSet::new();
        for &set in sets {
            for length in 1..=LONGEST {
                let indexed = chars.windows(length).filter(|gram| is_indexed(gram));
                terms.extend(indexed.map(|gram| hash(set, owner, Kind::Gram, code_points(gram))));
            }
            terms.insert(hash(set, owner, Kind::Format, text(labels.format)));
            terms.extend(labels.tags.iter().map(|tag| hash(set, owner, Kind::Tag, text(tag))));
            for (name, value) in labels.metadata.into_iter().flatten() {
                terms.insert(hash(set, owner, Kind::Member, text(name)));
                terms.insert(hash_member(set, owner, name, &value_text(value)));
            }
        }
        Self { terms: terms.into_iter().collect(), folded }
    }
}

/// A value of the metadata as Postgres' operator `->>` has it: a text without quotes, all else as compact JSON.
fn value_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What a search asks the index for.
pub(super) struct Search {
    /// The part of the title, folded.
    pub(super) folded: Option<String>,
    /// The hashes of its longest n-grams and of the labels. Empty if there are none.
    pub(super) terms: Vec<i64>,
    /// The same hashes in the sample.
    pub(super) sample: Vec<i64>,
}

impl Search {
    pub(super) fn new(owner: Owner, filter: &Filter) -> Self {
        let folded = filter.title.as_deref().map(fold).filter(|folded| !folded.is_empty());
        let chars: Vec<char> = folded.as_deref().unwrap_or_default().chars().collect();
        let longest = chars.windows(chars.len().clamp(1, LONGEST));
        let grams: BTreeSet<&[char]> = longest.filter(|gram| is_indexed(gram)).collect();
        let step = grams.len().div_ceil(MAX_ASKED).max(1);
        let hashes = |set| -> Vec<i64> {
            let grams = grams.iter().step_by(step).map(|gram| hash(set, owner, Kind::Gram, code_points(gram)));
            let format = filter.format.map(|format| hash(set, owner, Kind::Format, text(format.as_str())));
            let tag = filter.tag.as_deref().map(|tag| hash(set, owner, Kind::Tag, text(tag)));
            let member = filter.member.as_ref().map(|member| match &member.value {
                None => hash(set, owner, Kind::Member, text(&member.name)),
                Some(value) => hash_member(set, owner, &member.name, value),
            });
            grams.chain(format).chain(tag).chain(member).collect()
        };
        Self { terms: hashes(Set::All), sample: hashes(Set::Sample), folded }
    }
}

/// Whether the index has this n-gram. One or two characters are words in Chinese and Japanese; of ASCII they are in so many
/// titles that a search for them asks no index.
fn is_indexed(gram: &[char]) -> bool {
    gram.len() == LONGEST || !gram.iter().all(char::is_ascii)
}

/// Which images a hash is for.
#[derive(Clone, Copy)]
enum Set {
    All = 0,
    Sample = 1,
}

/// What a hash is of. The numbers leave the last bit to [`Set`].
#[derive(Clone, Copy)]
enum Kind {
    Gram = 0,
    Format = 2,
    Tag = 4,
    /// The name of a member of the metadata.
    Member = 6,
    /// A member of the metadata with its value.
    MemberValue = 8,
}

/// Whether an image is in the sample: by the last bits of its id, which are random.
fn is_sampled(id: ImageId) -> bool {
    id.as_uuid().as_u128().is_multiple_of(SAMPLE.into())
}

fn code_points(chars: &[char]) -> impl Iterator<Item = u32> {
    chars.iter().map(|char| u32::from(*char))
}

fn text(text: &str) -> impl Iterator<Item = u32> {
    text.chars().map(u32::from)
}

fn hash_member(set: Set, owner: Owner, name: &str, value: &str) -> i64 {
    hash(set, owner, Kind::MemberValue, text(name).chain([SEPARATOR]).chain(text(value)))
}

/// The owner in the high half, so that no other owner's images have it, and in the low half the FNV-1a hash of the set, the kind
/// and the words, of 64 bits folded to 32.
fn hash(set: Set, owner: Owner, kind: Kind, words: impl Iterator<Item = u32>) -> i64 {
    let hash = std::iter::once(set as u32 | kind as u32)
        .chain(words)
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
    use super::{super::list::MemberFilter, *};

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

    fn terms_of(owner: i32, title: &str, labels: &Labels<'_>) -> Vec<i64> {
        // An id that is not in the sample.
        SearchIndex::new(Owner::from_id(owner), ImageId::from_uuid(uuid::Uuid::max()), title, labels).terms
    }

    fn terms(owner: i32, title: &str) -> Vec<i64> {
        terms_of(owner, title, &Labels::default())
    }

    fn titled(part: &str) -> Search {
        Search::new(Owner::DEFAULT, &Filter { title: Some(part.to_owned()), ..Filter::default() })
    }

    #[test]
    fn a_title_has_all_grams_of_its_parts() {
        let title = terms(1, "東京タワー 100% of it");
        for part in ["東", "京タ", "0%", " 1", "タワー 10", "100% OF IT"] {
            let search = titled(part);
            assert!(search.terms.iter().all(|term| title.contains(term)), "{part}");
        }
    }

    #[test]
    fn an_image_has_the_terms_of_its_labels() {
        let metadata = serde_json::json!({ "order": 17, "note": "a b" });
        let labels = Labels { format: "png", tags: &["sea"], metadata: metadata.as_object() };
        let image = terms_of(1, "x", &labels);
        let finds = |filter: Filter| Search::new(Owner::DEFAULT, &filter).terms.iter().all(|term| image.contains(term));
        let tag = |tag: &str| Filter { tag: Some(tag.to_owned()), ..Filter::default() };
        let member = |name: &str, value: Option<&str>| {
            let member = MemberFilter { name: name.to_owned(), value: value.map(str::to_owned) };
            Filter { member: Some(member), ..Filter::default() }
        };
        assert!(finds(tag("sea")) && finds(member("order", None)));
        assert!(finds(member("order", Some("17"))) && finds(member("note", Some("a b"))));
        assert!(!finds(tag("x")) && !finds(tag("order")));
        assert!(!finds(member("sea", None)) && !finds(member("order", Some("18"))));
    }

    #[test]
    fn a_search_asks_for_the_longest_grams_and_not_for_too_many() {
        let asked = |text: &str| titled(text).terms.len();
        assert_eq!(
            [asked(""), asked("ab"), asked("京"), asked("京a"), asked("abc"), asked("jpg.jpg")],
            [0, 0, 1, 1, 1, 4]
        );
        let long: String = (0..200).filter_map(|n| char::from_u32(0x4E00 + n)).collect();
        assert!((8..=MAX_ASKED).contains(&asked(&long)));
    }

    #[test]
    fn owners_share_no_terms() {
        let (one, other) = (terms(1, "holiday"), terms(2, "holiday"));
        assert!(one.iter().all(|term| !other.contains(term)));
    }

    #[test]
    fn the_hashes_are_those_that_are_stored() {
        // A change needs a new version of the folding.
        let terms = terms(1, "京ab");
        assert_eq!(terms.len(), 4, "three of the title and one of the format");
        assert!([5_915_524_431, 6_870_664_505, 8_222_927_382].iter().all(|term| terms.contains(term)));
    }

    #[test]
    fn an_image_of_the_sample_has_the_terms_of_the_sample_too() {
        let sampled = ImageId::from_uuid(uuid::Uuid::from_u128(5 * u128::from(SAMPLE)));
        let title = SearchIndex::new(Owner::DEFAULT, sampled, "holiday", &Labels::default()).terms;
        let search = titled("OLID");
        assert!(search.terms.iter().chain(&search.sample).all(|term| title.contains(term)));
        assert!(search.sample.iter().all(|term| !terms(1, "holiday").contains(term)));
    }
}
