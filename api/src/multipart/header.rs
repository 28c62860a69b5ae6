//! Parameters of `Content-Type` (RFC 9110, section 8.3) and `Content-Disposition` (RFC 7578, section 4.2).

use super::{encoded_text, parser::MAX_BOUNDARY};

/// What the headers of a part say about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartHead {
    /// The name of the field; empty if the part has none.
    pub name: String,
    /// The name of the file on the client's machine.
    pub file_name: Option<String>,
}

impl PartHead {
    /// Reads the header lines of a part. Lines other than `Content-Disposition` have no effect (RFC 7578, section 4.8).
    ///
    /// Names are read in every encoding that senders use: `name*` and `filename*` (RFC 8187), which count before the plain
    /// ones, encoded words (RFC 2047), and the escapes of browsers (WHATWG HTML, section 4.10.21.8).
    pub(super) fn parse(lines: &[u8]) -> Self {
        let text = String::from_utf8_lossy(lines);
        // A line that begins with white space continues the one before (RFC 5322, section 2.2.3).
        let text = text.replace("\r\n ", " ").replace("\r\n\t", " ");
        let disposition = text.split("\r\n").find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
        });
        let (mut name, mut file_name) = ([None, None], [None, None]);
        for (parameter, value) in disposition.map(parameters).into_iter().flatten() {
            let (parameter, is_extended) = parameter.strip_suffix('*').map_or((parameter, false), |name| (name, true));
            let found = match parameter {
                _ if parameter.eq_ignore_ascii_case("name") => &mut name,
                _ if parameter.eq_ignore_ascii_case("filename") => &mut file_name,
                _ => continue,
            };
            if is_extended {
                found[0] = found[0].take().or_else(|| encoded_text::extended_value(&value));
            } else {
                found[1] = found[1].take().or_else(|| Some(encoded_text::plain_value(&value)));
            }
        }
        let first = |[extended, plain]: [Option<String>; 2]| extended.or(plain);
        Self { name: first(name).unwrap_or_default(), file_name: first(file_name) }
    }
}

/// The boundary of a `Content-Type`; `None` if it is not `multipart/form-data` or has no boundary of 1 to 70 characters that
/// RFC 2046 allows.
pub fn parse_boundary(content_type: &str) -> Option<String> {
    let (media_type, _) = content_type.split_once(';')?;
    if !media_type.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let (_, boundary) = parameters(content_type).find(|(name, _)| name.eq_ignore_ascii_case("boundary"))?;
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
    let is_valid =
        (1..=MAX_BOUNDARY).contains(&boundary.len()) && boundary.bytes().all(is_allowed) && !boundary.ends_with(' ');
    is_valid.then_some(boundary)
}

/// The `name=value` pairs after the first semicolon; values are quoted strings or what stands before the next semicolon.
fn parameters(value: &str) -> impl Iterator<Item = (&str, String)> {
    let mut rest = value.split_once(';').map_or("", |(_, rest)| rest);
    std::iter::from_fn(move || {
        loop {
            rest = rest.trim_start_matches([' ', '\t', ';']);
            let end = rest.find(['=', ';'])?;
            let name = rest[..end].trim_end();
            if rest.as_bytes()[end] == b';' {
                // A parameter without a value.
                rest = &rest[end..];
                continue;
            }
            let value = rest[end + 1..].trim_start_matches([' ', '\t']);
            let (value, after) = if let Some(quoted) = value.strip_prefix('"') {
                unquote(quoted)
            } else {
                let end = value.find(';').unwrap_or(value.len());
                (value[..end].trim_end().to_owned(), &value[end..])
            };
            rest = after;
            return Some((name, value));
        }
    })
}

/// The content of a quoted string and what follows its closing quote. Only `\"` and `\\` are escapes: browsers escape neither, and
/// file names of Windows have backslashes.
fn unquote(quoted: &str) -> (String, &str) {
    let mut text = String::new();
    let mut characters = quoted.char_indices().peekable();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return (text, &quoted[index + 1..]),
            '\\' => match characters.next_if(|(_, next)| matches!(next, '"' | '\\')) {
                Some((_, escaped)) => text.push(escaped),
                None => text.push('\\'),
            },
            character => text.push(character),
        }
    }
    (text, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(lines: &str) -> (String, Option<String>) {
        let PartHead { name, file_name } = PartHead::parse(lines.as_bytes());
        (name, file_name)
    }

    #[test]
    fn name_and_file_name_are_read_from_the_disposition() {
        for (lines, name, file_name) in [
            ("Content-Disposition: form-data; name=\"file\"; filename=\"a.png\"", "file", Some("a.png")),
            ("content-type: x\r\ncontent-disposition:form-data;NAME=file ; FileName=a.png", "file", Some("a.png")),
            ("Content-Disposition: form-data; filename=\"a;b=\\\"c\\\".png\"; name=\"f\"", "f", Some("a;b=\"c\".png")),
            ("Content-Disposition: form-data; name=\"f\"; filename=\"C:\\dir\\a.png\"", "f", Some("C:\\dir\\a.png")),
            ("Content-Disposition: form-data; name=\"東京\"", "東京", None),
            ("Content-Disposition: form-data;\r\n name=\"f\";\r\n\tfilename=a", "f", Some("a")),
            ("Content-Disposition: form-data; name=\"open", "open", None),
            ("Content-Disposition: form-data; name; ; =x", "", None),
            ("Content-Disposition", "", None),
            ("", "", None),
        ] {
            assert_eq!(head(lines), (name.to_owned(), file_name.map(str::to_owned)), "{lines}");
        }
    }

    #[test]
    fn file_names_are_read_in_every_encoding_of_senders() {
        for (parameters, file_name) in [
            ("filename*=UTF-8''x.png", "x.png"),
            // .NET writes both.
            ("filename=\"=?utf-8?B?Y2Fmw6kuanBn?=\"; filename*=utf-8''caf%C3%A9.jpg", "café.jpg"),
            ("filename*=iso-8859-1'de'stra%DFe.jpg; filename=strasse.jpg", "straße.jpg"),
            ("FILENAME*=\"UTF-8''%e6%9d%b1.png\"", "東.png"),
            // One that cannot be read leaves the plain name.
            ("filename*=UTF-8''%FF.png; filename=b.png", "b.png"),
            ("filename*=x.png; filename=b.png", "b.png"),
            ("filename=\"=?UTF-8?Q?caf=C3=A9_1.jpg?=\"", "café 1.jpg"),
            ("filename==?utf-8?B?Y2Fmw6kuanBn?=", "café.jpg"),
            // Browsers.
            ("filename=\"a%22b%0D%0a.jpg\"", "a\"b\r\n.jpg"),
            ("filename=\"100%25 %41.jpg\"", "100%25 %41.jpg"),
        ] {
            let lines = format!("Content-Disposition: form-data; name=f; {parameters}");
            assert_eq!(head(&lines), ("f".to_owned(), Some(file_name.to_owned())), "{parameters}");
        }
        assert_eq!(head("Content-Disposition: form-data; name*=utf-8''%66").0, "f");
    }

    #[test]
    fn a_boundary_has_1_to_70_allowed_characters() {
        let long = "x".repeat(70);
        for (content_type, boundary) in [
            ("multipart/form-data; boundary=x", Some("x")),
            ("Multipart/Form-Data;charset=utf-8; Boundary=\"a b\"", Some("a b")),
            // Java's mail library: neither quoted nor a token.
            ("multipart/form-data; boundary=----=_Part_0_1330.1", Some("----=_Part_0_1330.1")),
            (&format!("multipart/form-data; boundary={long}"), Some(long.as_str())),
            (&format!("multipart/form-data; boundary={long}x"), None),
            ("multipart/form-data; boundary=", None),
            ("multipart/form-data; boundary=\"x \"", None),
            ("multipart/form-data; boundary=\"a\u{e9}\"", None),
            ("multipart/form-data", None),
            ("multipart/mixed; boundary=x", None),
            ("", None),
        ] {
            assert_eq!(parse_boundary(content_type).as_deref(), boundary, "{content_type}");
        }
    }
}
