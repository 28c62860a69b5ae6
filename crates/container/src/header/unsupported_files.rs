//! Common file types that are not supported, detected so that the answer can name them.

/// The signature of a file type, compared with the first bytes of a file, and the name of the type with its article.
type Signature = (fn(&[u8]) -> bool, &'static str);

/// The signatures in the order in which they are compared.
const SIGNATURES: [Signature; 11] = [
    (|start| start.is_empty(), "an empty file"),
    (|start| start.starts_with(b"%PDF"), "a PDF"),
    (|start| start.starts_with(b"PK\x03\x04"), "a ZIP archive or an office document"),
    (|start| start.starts_with(b"II+\0") || start.starts_with(b"MM\0+"), "a BigTIFF"),
    (|start| start.starts_with(b"8BPS"), "a Photoshop file"),
    (|start| start.starts_with(b"\0\0\x01\0"), "an icon file"),
    (|start| start.starts_with(b"\0\0\0\x0CjP  ") || start.starts_with(b"\xFF\x4F\xFF\x51"), "a JPEG 2000"),
    // EBML: Matroska or WebM.
    (|start| start.starts_with(b"\x1A\x45\xDF\xA3"), "a video"),
    (|start| text(start).starts_with(b"<svg"), "an SVG"),
    (|start| text(start).starts_with(b"<?xml"), "an SVG or another XML file"),
    (|start| is_html(text(start)), "a web page"),
];

/// The type of a file by its first bytes.
pub(super) fn detect(start: &[u8]) -> Option<&'static str> {
    SIGNATURES.iter().find(|(has_signature, _)| has_signature(start)).map(|(_, name)| *name)
}

/// The first bytes without leading white space and byte order mark.
fn text(start: &[u8]) -> &[u8] {
    let text = start.trim_ascii_start();
    text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text)
}

fn is_html(text: &[u8]) -> bool {
    text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"<html") || start.eq_ignore_ascii_case(b"<!doc"))
}
