//! Splits a multipart body into parts (RFC 2046, section 5.1.1).

use bytes::{Buf as _, Bytes, BytesMut};
use memchr::{memchr, memmem};

use super::PartHead;

/// Maximum length of a boundary, in bytes (RFC 2046, section 5.1.1).
pub const MAX_BOUNDARY: usize = 70;
/// Maximum number of bytes before the first part, and of one part's delimiter line and headers.
pub const MAX_HEAD: usize = 16 << 10;
/// Maximum number of parts.
pub const MAX_PARTS: usize = 100;

const LINE_END: &[u8] = b"\r\n";
const HEADERS_END: &[u8] = b"\r\n\r\n";

/// Why a body is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MultipartError {
    /// The body violates the syntax.
    #[error("the body violates the syntax of multipart/form-data")]
    Syntax,
    /// The body ends before its last delimiter.
    #[error("the body ends before its last delimiter")]
    Truncated,
    /// The bytes before the first part or the headers of a part exceed [`MAX_HEAD`].
    #[error("more than {MAX_HEAD} bytes before the content of a part")]
    HeadTooLarge,
    /// There are more than [`MAX_PARTS`] parts.
    #[error("more than {MAX_PARTS} parts")]
    TooManyParts,
}

/// What the parser has found next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A part begins.
    Part(PartHead),
    /// The next bytes of the part's content; never empty.
    Content(Bytes),
    /// The part's content is complete.
    PartEnd,
    /// The last delimiter has been read. What follows is not read.
    End,
    /// More input is needed: [`Parser::push`] or [`Parser::finish`].
    NeedsInput,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first delimiter.
    Preamble,
    /// Directly after a delimiter.
    Delimiter,
    /// After a delimiter and spaces or tabs: only a line end may follow.
    Padding,
    /// In the headers of a part; the buffer begins with the line end of the delimiter.
    Headers,
    Content,
    End,
}

/// An incremental parser of one body. Holds at most [`MAX_HEAD`] bytes and the last chunk.
#[derive(Debug)]
pub struct Parser {
    /// Line end, two hyphens and the boundary.
    delimiter: Vec<u8>,
    finder: memmem::Finder<'static>,
    buffer: BytesMut,
    state: State,
    /// Number of bytes at the start of the buffer that need not be searched again.
    searched: usize,
    /// Bytes of the preamble, or of the current part's delimiter line and headers.
    head: usize,
    parts: usize,
    finished: bool,
    examined: u64,
}

impl Parser {
    /// A parser of a body with this boundary, which has at most [`MAX_BOUNDARY`] bytes.
    pub fn new(boundary: &str) -> Self {
        let delimiter = [b"\r\n--", boundary.as_bytes()].concat();
        let finder = memmem::Finder::new(&delimiter).into_owned();
        // The line end of the first delimiter is optional.
        let buffer = BytesMut::from(LINE_END);
        Self {
            delimiter,
            finder,
            buffer,
            state: State::Preamble,
            searched: 0,
            head: 0,
            parts: 0,
            finished: false,
            examined: 0,
        }
    }

    /// Adds the next bytes of the body.
    pub fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// The body has ended.
    pub fn finish(&mut self) {
        self.finished = true;
    }

    /// Number of bytes examined so far, some more than once: at most about twice the bytes of the body, plus the length of the
    /// delimiter per chunk.
    pub fn examined(&self) -> u64 {
        self.examined
    }

    /// The next event.
    ///
    /// # Errors
    /// [`MultipartError`]; the parser must not be used afterwards.
    pub fn next_event(&mut self) -> Result<Event, MultipartError> {
        loop {
            let event = match self.state {
                State::Preamble => self.preamble()?,
                State::Delimiter | State::Padding => self.after_delimiter()?,
                State::Headers => self.headers()?,
                State::Content => Some(self.content()),
                State::End => Some(Event::End),
            };
            match event {
                Some(Event::NeedsInput) if self.finished => return Err(MultipartError::Truncated),
                Some(event) => return Ok(event),
                None => {}
            }
        }
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.searched = 0;
    }

    /// Removes bytes outside of content from the front of the buffer.
    fn discard(&mut self, count: usize) -> Result<(), MultipartError> {
        self.head += count;
        self.buffer.advance(count);
        self.check_head(0)
    }

    fn check_head(&self, more: usize) -> Result<(), MultipartError> {
        if self.head + more > MAX_HEAD { Err(MultipartError::HeadTooLarge) } else { Ok(()) }
    }

    /// The position of the delimiter in the buffer.
    fn find_delimiter(&mut self) -> Option<usize> {
        let unsearched = &self.buffer[self.searched..];
        let found = self.finder.find(unsearched);
        self.examined += found.unwrap_or(unsearched.len()) as u64;
        found.map(|index| self.searched + index)
    }

    /// The length of the longest end of the buffer with which a delimiter may begin.
    fn partial_delimiter(&mut self) -> usize {
        let mut start = self.buffer.len().saturating_sub(self.delimiter.len() - 1);
        self.examined += (self.buffer.len() - start) as u64;
        while let Some(index) = memchr(b'\r', &self.buffer[start..]) {
            start += index;
            if self.delimiter.starts_with(&self.buffer[start..]) {
                return self.buffer.len() - start;
            }
            start += 1;
        }
        0
    }

    fn preamble(&mut self) -> Result<Option<Event>, MultipartError> {
        if let Some(index) = self.find_delimiter() {
            self.discard(index + self.delimiter.len())?;
            self.enter(State::Delimiter);
            return Ok(None);
        }
        let kept = self.partial_delimiter();
        self.discard(self.buffer.len() - kept)?;
        Ok(Some(Event::NeedsInput))
    }

    fn after_delimiter(&mut self) -> Result<Option<Event>, MultipartError> {
        if self.state == State::Delimiter && self.buffer.starts_with(b"--") {
            self.buffer.clear();
            self.enter(State::End);
            return Ok(None);
        }
        // A delimiter line may end with spaces and tabs.
        let padding = self.buffer.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        self.examined += padding as u64 + 2;
        self.discard(padding)?;
        if padding > 0 {
            self.enter(State::Padding);
        }
        if self.buffer.starts_with(LINE_END) {
            self.parts += 1;
            if self.parts > MAX_PARTS {
                return Err(MultipartError::TooManyParts);
            }
            self.enter(State::Headers);
            return Ok(None);
        }
        let may_end = self.state == State::Delimiter && b"--".starts_with(&self.buffer);
        if self.buffer.len() < 2 && (may_end || LINE_END.starts_with(&self.buffer)) {
            return Ok(Some(Event::NeedsInput));
        }
        Err(MultipartError::Syntax)
    }

    fn headers(&mut self) -> Result<Option<Event>, MultipartError> {
        let unsearched = &self.buffer[self.searched..];
        let found = memmem::find(unsearched, HEADERS_END);
        self.examined += found.unwrap_or(unsearched.len()) as u64;
        let Some(index) = found else {
            self.check_head(self.buffer.len())?;
            self.searched = self.buffer.len().saturating_sub(HEADERS_END.len() - 1);
            return Ok(Some(Event::NeedsInput));
        };
        let end = self.searched + index + HEADERS_END.len();
        self.check_head(end)?;
        self.examined += end as u64;
        let head = PartHead::parse(&self.buffer[..end]);
        self.buffer.advance(end);
        self.head = 0;
        self.enter(State::Content);
        Ok(Some(Event::Part(head)))
    }

    fn content(&mut self) -> Event {
        if let Some(index) = self.find_delimiter() {
            if index > 0 {
                let content = self.buffer.split_to(index).freeze();
                // Finds the delimiter at once in the next call.
                self.searched = 0;
                return Event::Content(content);
            }
            self.buffer.advance(self.delimiter.len());
            self.enter(State::Delimiter);
            return Event::PartEnd;
        }
        let kept = self.partial_delimiter();
        let content = self.buffer.split_to(self.buffer.len() - kept).freeze();
        if content.is_empty() { Event::NeedsInput } else { Event::Content(content) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parts as name and content.
    type Parts = Vec<(String, Vec<u8>)>;

    /// The parts of a body in chunks of this size, and the bytes examined.
    fn parse(body: &[u8], chunk: usize) -> (Result<Parts, MultipartError>, u64) {
        let mut parser = Parser::new("x");
        let mut chunks = body.chunks(chunk);
        let mut parts = Parts::new();
        let mut run = || loop {
            match parser.next_event()? {
                Event::Part(head) => parts.push((head.name, Vec::new())),
                Event::Content(content) => parts.last_mut().unwrap().1.extend_from_slice(&content),
                Event::PartEnd => {}
                Event::End => return Ok(()),
                Event::NeedsInput => match chunks.next() {
                    Some(chunk) => parser.push(chunk),
                    None => parser.finish(),
                },
            }
        };
        let done = run();
        (done.map(|()| parts), parser.examined())
    }

    fn part(name: &str, content: &str) -> String {
        format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{content}\r\n")
    }

    #[test]
    fn a_padded_delimiter_is_not_the_last_in_chunks_of_any_size() {
        for body in ["--x --", "--x\t-", "--x \t--\r\n"] {
            for chunk in 1..=body.len() {
                assert_eq!(
                    parse(body.as_bytes(), chunk).0,
                    Err(MultipartError::Syntax),
                    "{body:?} in chunks of {chunk}"
                );
            }
        }
    }

    #[test]
    fn parts_are_the_same_in_chunks_of_every_size() {
        let body = [
            "preamble\r\n",
            &part("a", "1"),
            &part("b", ""),
            &part("c", "\r\n--\r\n--\r\r\n-\r\n--y--x\r"),
            &part("d", "e").replace("--x\r", "--x \t\r"),
            "--x--\r\nepilogue",
        ]
        .concat();
        let expected: Vec<_> = [("a", "1"), ("b", ""), ("c", "\r\n--\r\n--\r\r\n-\r\n--y--x\r"), ("d", "e")]
            .map(|(name, content)| (name.to_owned(), content.as_bytes().to_vec()))
            .into();
        for chunk in 1..=body.len() {
            assert_eq!(parse(body.as_bytes(), chunk).0, Ok(expected.clone()), "chunks of {chunk}");
        }
    }

    #[test]
    fn a_part_without_headers_has_no_name() {
        assert_eq!(parse(b"--x\r\n\r\n1\r\n--x--", 3).0, Ok(vec![(String::new(), b"1".to_vec())]));
    }

    #[test]
    fn malformed_bodies_are_refused() {
        for (body, error) in [
            ("", MultipartError::Truncated),
            ("nothing", MultipartError::Truncated),
            ("--x", MultipartError::Truncated),
            ("--x-", MultipartError::Truncated),
            ("--x\r\n", MultipartError::Truncated),
            ("--xy", MultipartError::Syntax),
            ("--x\n\n", MultipartError::Syntax),
            (&part("a", "1"), MultipartError::Truncated),
            (&format!("{}--x", part("a", "1")), MultipartError::Truncated),
            (&"a".repeat(MAX_HEAD + 9), MultipartError::HeadTooLarge),
            (&format!("--x{}", " ".repeat(MAX_HEAD)), MultipartError::HeadTooLarge),
            (&format!("--x\r\n{}\r\n\r\n", "a".repeat(MAX_HEAD)), MultipartError::HeadTooLarge),
            (&part("a", "1").repeat(MAX_PARTS + 1), MultipartError::TooManyParts),
        ] {
            for chunk in [1, 7, body.len().max(1)] {
                assert_eq!(parse(body.as_bytes(), chunk).0, Err(error), "{body:.50}");
            }
        }
    }

    #[test]
    fn the_work_is_linear_in_the_body_for_every_content_and_chunk_size() {
        let long = 200_000;
        let patterns = ["\r\n\r", "\r\n", "\r", "\r\n--", "\r\n--x\r", "a", " ", "\r\n--x\r\n\r\n"];
        let starts = [String::new(), "--x".to_owned(), "--x\r\n".to_owned(), "--x\r\nA: b\r\n\r\n".to_owned()];
        for pattern in patterns {
            for start in &starts {
                let body = start.clone() + &pattern.repeat(long / pattern.len());
                for chunk in [1, 2, 3, 5, 64, 1000, long] {
                    let (_, examined) = parse(body.as_bytes(), chunk);
                    // Twice each byte, and the ends of chunks, where a delimiter may begin.
                    let limit =
                        2 * (body.len() + (body.len() / chunk + MAX_PARTS) * 2 * "\r\n--x".len()) + 2 * MAX_HEAD;
                    assert!(examined <= limit as u64, "{pattern:?} in chunks of {chunk}: {examined} of {limit}");
                }
            }
        }
    }
}
