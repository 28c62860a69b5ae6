//! Creator and copyright notice from XMP and IPTC metadata. Programs for photographers write them there, and many do not write
//! them to EXIF too.

use std::str;

use memchr::memmem;
use quick_xml::{
    NsReader, escape,
    events::Event,
    name::{Namespace, ResolveResult},
};

use crate::jpeg_segments;

/// The namespace of Dublin Core. XMP uses its properties `creator` and `rights` (ISO 16684-1, section 8.3).
const DUBLIN_CORE: &[u8] = b"http://purl.org/dc/elements/1.1/";
/// The start and end tags of the XMP data in a packet.
const START: &[u8] = b"<x:xmpmeta";
const END: &[u8] = b"</x:xmpmeta>";
/// The longest packet to read, in bytes: the length of a JPEG segment.
const MAX_PACKET_LENGTH: usize = 64 << 10;

/// The creator of a picture and its copyright notice. Empty where the metadata has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attribution {
    /// The names of the creators, joined by `; `.
    pub creator: String,
    /// The copyright notice.
    pub copyright_notice: String,
}

impl Attribution {
    /// Reads the metadata of an image file. XMP, in any format, takes precedence over IPTC, which is read from JPEG only.
    #[must_use]
    pub fn read(file: &[u8]) -> Self {
        let xmp = packet(file).map(parse_xmp).unwrap_or_default();
        let iptc = jpeg_segments::iptc(file).map(parse_iptc).unwrap_or_default();
        let first = |a: String, b: String| if a.is_empty() { b } else { a };
        Self {
            creator: first(xmp.creator, iptc.creator),
            copyright_notice: first(xmp.copyright_notice, iptc.copyright_notice),
        }
    }
}

/// The first XMP packet. Packets are designed to be found by a scan of the file, whatever its format (ISO 16684-1, section 7.3);
/// compressed ones are not found.
fn packet(file: &[u8]) -> Option<&str> {
    let start = memmem::find(file, START)?;
    let packet = &file[start..file.len().min(start + MAX_PACKET_LENGTH)];
    let end = memmem::find(packet, END)? + END.len();
    str::from_utf8(&packet[..end]).ok()
}

/// Reads `dc:creator`, an array, and `dc:rights`, a language alternative of which the default is used. After an XML error, the
/// properties before it are returned.
fn parse_xmp(packet: &str) -> Attribution {
    let mut reader = NsReader::from_str(packet);
    let mut attribution = Attribution::default();
    let mut items: Vec<String> = Vec::new();
    let mut in_property = false;
    while let Ok((namespace, event)) = reader.read_resolved_event() {
        let is_dublin_core = namespace == ResolveResult::Bound(Namespace(DUBLIN_CORE));
        match event {
            Event::Start(_) if is_dublin_core => {
                in_property = true;
                items = vec![String::new()];
            }
            // `rdf:Seq`, `rdf:Alt` or `rdf:li`; only the latter has text.
            Event::Start(_) if in_property => items.push(String::new()),
            Event::Text(text) => append(&mut items, text.xml10_content().ok().as_deref()),
            Event::GeneralRef(name) => {
                let character = name.resolve_char_ref().ok().flatten().map(String::from);
                let entity = name.decode().ok().and_then(|name| escape::resolve_xml_entity(&name));
                append(&mut items, character.as_deref().or(entity));
            }
            Event::End(tag) if is_dublin_core => {
                let texts = || items.iter().map(|item| item.trim()).filter(|item| !item.is_empty());
                match tag.local_name().into_inner() {
                    b"creator" => attribution.creator = texts().collect::<Vec<_>>().join("; "),
                    // The default language comes first (ISO 16684-1, section 8.2.2.4).
                    b"rights" => attribution.copyright_notice = texts().next().map(str::to_owned).unwrap_or_default(),
                    _ => {}
                }
                in_property = false;
            }
            Event::Eof => break,
            _ => {}
        }
    }
    attribution
}

fn append(items: &mut [String], text: Option<&str>) {
    if let (Some(item), Some(text)) = (items.last_mut(), text) {
        item.push_str(text);
    }
}

/// Reads the datasets By-line, 2:80, and Copyright Notice, 2:116 (IPTC-NAA IIM 4.2).
fn parse_iptc(data: &[u8]) -> Attribution {
    let (mut creators, mut notice) = (Vec::new(), String::new());
    for (record, number, value) in datasets(data) {
        // The character set is rarely declared. Text that is not UTF-8 is usually Latin-1.
        let text = str::from_utf8(value).map_or_else(|_| value.iter().map(|b| char::from(*b)).collect(), str::to_owned);
        match (record, number) {
            (2, 80) => creators.push(text),
            (2, 116) => notice = text,
            _ => {}
        }
    }
    Attribution { creator: creators.join("; "), copyright_notice: notice }
}

/// Record number, dataset number and value of each dataset. Ends at an extended dataset, which is longer than 32,767 bytes.
fn datasets(data: &[u8]) -> impl Iterator<Item = (u8, u8, &[u8])> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let [0x1C, record, number, high @ 0..=0x7F, low, after @ ..] = rest else { return None };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let value = after.get(..length)?;
        rest = &after[length..];
        Some((*record, *number, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn xmp(inside: &str) -> String {
        format!(
            "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>\
             <rdf:Description xmlns:d='http://purl.org/dc/elements/1.1/' xmlns:other='urn:other'>{inside}\
             </rdf:Description></rdf:RDF></x:xmpmeta>"
        )
    }

    fn attribution(creator: &str, notice: &str) -> Attribution {
        Attribution { creator: creator.to_owned(), copyright_notice: notice.to_owned() }
    }

    #[test]
    fn creators_are_joined_and_the_default_language_of_the_notice_is_read() {
        let packet = xmp("<d:title><rdf:Alt><rdf:li>No</rdf:li></rdf:Alt></d:title>\
             <d:creator><rdf:Seq><rdf:li>Ada</rdf:li> <rdf:li> Zoë </rdf:li></rdf:Seq></d:creator>\
             <d:rights><rdf:Alt><rdf:li xml:lang='x-default'>&#169; A &amp; Z</rdf:li>\
             <rdf:li xml:lang='de'>anders</rdf:li></rdf:Alt></d:rights>\
             <other:rights>no</other:rights>");
        assert_eq!(parse_xmp(&packet), attribution("Ada; Zoë", "© A & Z"));
        assert_eq!(parse_xmp(&xmp("<d:rights>plain</d:rights>")), attribution("", "plain"));
    }

    #[test]
    fn properties_before_an_xml_error_are_read() {
        let whole = xmp("<d:rights>mine</d:rights><d:creator><rdf:Seq><rdf:li>Ada</rdf:li></rdf:Seq></d:creator>");
        assert_eq!(parse_xmp(&whole.replace("</rdf:Seq>", "</rdf:Bag>")), attribution("", "mine"));
        for length in (0..whole.len()).filter(|length| whole.is_char_boundary(*length)) {
            parse_xmp(&whole[..length]);
        }
        let entities = "<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]>";
        assert_eq!(parse_xmp(&format!("{entities}{}", xmp("<d:rights>&b;!</d:rights>"))), attribution("", "!"));
    }

    #[test]
    fn a_packet_is_found_anywhere_in_a_file() {
        let packet = xmp("");
        assert_eq!(super::packet(format!("bytes \u{e9} {packet} more").as_bytes()), Some(packet.as_str()));
        assert_eq!(super::packet(&packet.as_bytes()[..packet.len() - 1]), None);
        let long = xmp(&" ".repeat(MAX_PACKET_LENGTH));
        assert_eq!(super::packet(long.as_bytes()), None);
    }

    #[test]
    fn iptc_datasets_are_read_up_to_a_damaged_one() {
        let set = |number, value: &[u8]| [&[0x1C, 2, number, 0, u8::try_from(value.len()).unwrap()], value].concat();
        let data = [set(80, b"Ada"), set(5, b"title"), set(80, b"Zo\xEB"), set(116, "© us".as_bytes())].concat();
        assert_eq!(parse_iptc(&data), attribution("Ada; Zoë", "© us"));
        assert_eq!(parse_iptc(&data[..data.len() - 1]), attribution("Ada; Zoë", ""));
        assert_eq!(parse_iptc(b"\x1C\x02\x74\x80\x04\0\0\0\0"), attribution("", ""));
    }
}
