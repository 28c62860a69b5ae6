//! Who made a picture and who has the rights, as XMP or IPTC say it: programs that sort photographs write it there, and
//! not all of them into EXIF too.

use std::str;

use memchr::memmem;
use quick_xml::{
    NsReader, escape,
    events::Event,
    name::{Namespace, ResolveResult},
};

use crate::jpeg_segments;

/// The namespace of Dublin Core (ISO 15836), whose properties XMP has for this (ISO 16684-1, section 8.3).
const DUBLIN_CORE: &[u8] = b"http://purl.org/dc/elements/1.1/";
/// The marks of a packet.
const START: &[u8] = b"<x:xmpmeta";
const END: &[u8] = b"</x:xmpmeta>";
/// The longest packet that is read, in bytes: what a JPEG's segment has room for.
const MAX_PACKET: usize = 64 << 10;

/// What is not said is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    pub creator: String,
    pub notice: String,
}

impl Rights {
    /// What a file says, in XMP rather than in IPTC.
    pub fn of(source: &[u8]) -> Self {
        let xmp = packet(source).map(of_xmp).unwrap_or_default();
        let iptc = jpeg_segments::iptc(source).map(of_iptc).unwrap_or_default();
        let first = |a: String, b: String| if a.is_empty() { b } else { a };
        Self { creator: first(xmp.creator, iptc.creator), notice: first(xmp.notice, iptc.notice) }
    }
}

/// The first XMP packet. It is found by its own marks in any file that has it as it is, whatever the format, for which it is
/// made (ISO 16684-1, section 7.3).
fn packet(file: &[u8]) -> Option<&str> {
    let start = memmem::find(file, START)?;
    let packet = &file[start..file.len().min(start + MAX_PACKET)];
    let end = memmem::find(packet, END)? + END.len();
    str::from_utf8(&packet[..end]).ok()
}

/// `dc:creator` is a list, `dc:rights` one text in several languages, of which the default is meant. What comes before an
/// error is taken.
fn of_xmp(packet: &str) -> Rights {
    let mut reader = NsReader::from_str(packet);
    let mut rights = Rights::default();
    let mut items: Vec<String> = Vec::new();
    let mut within = false;
    while let Ok((namespace, event)) = reader.read_resolved_event() {
        let of_dublin_core = namespace == ResolveResult::Bound(Namespace(DUBLIN_CORE));
        match event {
            Event::Start(_) if of_dublin_core => {
                within = true;
                items = vec![String::new()];
            }
            // An item, for lists have nothing else in them.
            Event::Start(_) if within => items.push(String::new()),
            Event::Text(text) => append(&mut items, text.xml10_content().ok().as_deref()),
            Event::GeneralRef(name) => {
                let character = name.resolve_char_ref().ok().flatten().map(String::from);
                let entity = name.decode().ok().and_then(|name| escape::resolve_xml_entity(&name));
                append(&mut items, character.as_deref().or(entity));
            }
            Event::End(tag) if of_dublin_core => {
                let texts = || items.iter().map(|item| item.trim()).filter(|item| !item.is_empty());
                match tag.local_name().into_inner() {
                    b"creator" => rights.creator = texts().collect::<Vec<_>>().join("; "),
                    // The default language comes first (ISO 16684-1, section 8.2.2.4).
                    b"rights" => rights.notice = texts().next().map(str::to_owned).unwrap_or_default(),
                    _ => {}
                }
                within = false;
            }
            Event::Eof => break,
            _ => {}
        }
    }
    rights
}

fn append(items: &mut [String], text: Option<&str>) {
    if let (Some(item), Some(text)) = (items.last_mut(), text) {
        item.push_str(text);
    }
}

/// By-line and copyright notice of the application record (IPTC-NAA IIM 4.2, datasets 2:80 and 2:116).
fn of_iptc(data: &[u8]) -> Rights {
    let (mut creators, mut notice) = (Vec::new(), String::new());
    for (record, number, value) in datasets(data) {
        // Seldom said in which code it is; who does not write UTF-8 mostly writes Latin-1.
        let text = str::from_utf8(value).map_or_else(|_| value.iter().map(|b| char::from(*b)).collect(), str::to_owned);
        match (record, number) {
            (2, 80) => creators.push(text),
            (2, 116) => notice = text,
            _ => {}
        }
    }
    Rights { creator: creators.join("; "), notice }
}

/// Record, number and value of each dataset. Those longer than 32,767 bytes end it.
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

    fn said(creator: &str, notice: &str) -> Rights {
        Rights { creator: creator.to_owned(), notice: notice.to_owned() }
    }

    #[test]
    fn xmp_names_several_creators_and_a_notice_in_several_languages() {
        let packet = xmp("<d:title><rdf:Alt><rdf:li>No</rdf:li></rdf:Alt></d:title>\
             <d:creator><rdf:Seq><rdf:li>Ada</rdf:li> <rdf:li> Zoë </rdf:li></rdf:Seq></d:creator>\
             <d:rights><rdf:Alt><rdf:li xml:lang='x-default'>&#169; A &amp; Z</rdf:li>\
             <rdf:li xml:lang='de'>anders</rdf:li></rdf:Alt></d:rights>\
             <other:rights>no</other:rights>");
        assert_eq!(of_xmp(&packet), said("Ada; Zoë", "© A & Z"));
        assert_eq!(of_xmp(&xmp("<d:rights>plain</d:rights>")), said("", "plain"));
    }

    #[test]
    fn of_a_damaged_packet_what_comes_before_is_read() {
        let whole = xmp("<d:rights>mine</d:rights><d:creator><rdf:Seq><rdf:li>Ada</rdf:li></rdf:Seq></d:creator>");
        assert_eq!(of_xmp(&whole.replace("</rdf:Seq>", "</rdf:Bag>")), said("", "mine"));
        for length in (0..whole.len()).filter(|length| whole.is_char_boundary(*length)) {
            of_xmp(&whole[..length]);
        }
        let entities = "<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]>";
        assert_eq!(of_xmp(&format!("{entities}{}", xmp("<d:rights>&b;!</d:rights>"))), said("", "!"));
    }

    #[test]
    fn a_packet_is_found_wherever_it_stands() {
        let packet = xmp("");
        assert_eq!(super::packet(format!("bytes \u{e9} {packet} more").as_bytes()), Some(packet.as_str()));
        assert_eq!(super::packet(&packet.as_bytes()[..packet.len() - 1]), None);
        let long = xmp(&" ".repeat(MAX_PACKET));
        assert_eq!(super::packet(long.as_bytes()), None);
    }

    #[test]
    fn iptc_is_read_to_its_end() {
        let set = |number, value: &[u8]| [&[0x1C, 2, number, 0, u8::try_from(value.len()).unwrap()], value].concat();
        let data = [set(80, b"Ada"), set(5, b"title"), set(80, b"Zo\xEB"), set(116, "© us".as_bytes())].concat();
        assert_eq!(of_iptc(&data), said("Ada; Zoë", "© us"));
        assert_eq!(of_iptc(&data[..data.len() - 1]), said("Ada; Zoë", ""));
        assert_eq!(of_iptc(b"\x1C\x02\x74\x80\x04\0\0\0\0"), said("", ""));
    }
}
