//! Parameters of `Content-Type` (RFC 9110, section 8.3) and `Content-Disposition` (RFC 7578, section 4.2).

use super::parser::MAX_BOUNDARY;

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
    pub(super) fn parse(lines: &[u8]) -> Self {
        let mut head = Self::default();
        let text = String::from_utf8_lossy(lines);
        let disposition = text.split("\r\n").find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
        });
        for (name, value) in disposition.map(parameters).into_iter().flatten() {
            // `filename*` must not be used in forms (RFC 7578, section 4.2).
            if name.eq_ignore_ascii_case("name") {
                head.name = value;
            } else if name.eq_ignore_ascii_case("filename") {
                head.file_name = Some(value);
            }
        }
        head
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

/// The `name=value` pairs after the first semicolon; values are tokens or quoted strings.
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
            ("content-type: x\r\ncontent-disposition:form-data;NAME=file ; filename=a.png", "file", Some("a.png")),
            ("Content-Disposition: form-data; filename=\"a;b=\\\"c\\\".png\"; name=\"f\"", "f", Some("a;b=\"c\".png")),
            ("Content-Disposition: form-data; name=\"f\"; filename=\"C:\\dir\\a.png\"", "f", Some("C:\\dir\\a.png")),
            ("Content-Disposition: form-data; name=\"f\"; filename*=UTF-8''x.png", "f", None),
            ("Content-Disposition: form-data; name=\"東京\"", "東京", None),
            ("Content-Disposition: form-data; name=\"open", "open", None),
            ("Content-Disposition: form-data; name; ; =x", "", None),
            ("Content-Disposition", "", None),
            ("", "", None),
        ] {
            assert_eq!(head(lines), (name.to_owned(), file_name.map(str::to_owned)), "{lines}");
        }
    }

    #[test]
    fn a_boundary_has_1_to_70_allowed_characters() {
        let long = "x".repeat(70);
        for (content_type, boundary) in [
            ("multipart/form-data; boundary=x", Some("x")),
            ("Multipart/Form-Data;charset=utf-8; Boundary=\"a b\"", Some("a b")),
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
