//! The syntax of the upload form, which the api reads from everyone. The first byte is the length of the chunks.
#![no_main]

use darkroom_api::multipart::{Event, MAX_HEAD, MAX_PARTS, MultipartError, Parser, parse_boundary};

/// What a body contains, whatever its chunks.
type Parts = Vec<(String, Option<String>, Vec<u8>)>;

fn parse(body: &[u8], chunk: usize) -> Result<Parts, MultipartError> {
    let mut parser = Parser::new("x");
    let mut chunks = body.chunks(chunk);
    let mut parts = Parts::new();
    let parsed = loop {
        match parser.next_event() {
            Ok(Event::Part(head)) => parts.push((head.name, head.file_name, Vec::new())),
            Ok(Event::Content(content)) => {
                assert!(!content.is_empty());
                parts.last_mut().expect("content belongs to a part").2.extend_from_slice(&content);
            }
            Ok(Event::PartEnd) => {}
            Ok(Event::End) => break Ok(parts),
            Ok(Event::NeedsInput) => match chunks.next() {
                Some(chunk) => parser.push(chunk),
                None => parser.finish(),
            },
            Err(error) => break Err(error),
        }
    };
    let ends = body.len() / chunk + 1 + MAX_PARTS;
    assert!(parser.examined() as usize <= 2 * (body.len() + ends * 10 + MAX_HEAD), "quadratic work");
    parsed
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((length, body)) = bytes.split_first() else { return };
    let whole = parse(body, body.len().max(1));
    assert_eq!(parse(body, usize::from(*length).max(1)), whole);
    if let Ok(parts) = whole {
        assert!(parts.len() <= MAX_PARTS);
        assert!(parts.iter().map(|(_, _, content)| content.len()).sum::<usize>() <= body.len());
    }
    parse_boundary(&String::from_utf8_lossy(body));
});
