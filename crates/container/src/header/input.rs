//! Bytes in order, with skipping. The end of the file is an error of its own.

use std::io::{self, BufRead, ErrorKind, Seek, SeekFrom};

use super::HeaderError;

/// A file being read from front to back.
pub(super) struct Input<'a, R> {
    reader: &'a mut R,
    format: &'static str,
}

impl<'a, R: BufRead + Seek> Input<'a, R> {
    pub(super) fn new(reader: &'a mut R) -> Self {
        Self { reader, format: "image" }
    }

    /// The same, once the format is known: for messages.
    pub(super) fn of(self, format: &'static str) -> Self {
        Self { format, ..self }
    }

    /// The first bytes, without moving on. Returns how many there are, at most `magic.len()`.
    pub(super) fn peek_magic(&mut self, magic: &mut [u8]) -> Result<usize, HeaderError> {
        let mut length = 0;
        while length < magic.len() {
            match self.reader.read(&mut magic[length..]) {
                Ok(0) => break,
                Ok(n) => length += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(HeaderError::Io(error)),
            }
        }
        let back = i64::try_from(length).unwrap_or(0);
        self.reader.seek(SeekFrom::Current(-back)).map_err(HeaderError::Io)?;
        Ok(length)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], HeaderError> {
        let mut array = [0; N];
        self.reader.read_exact(&mut array).map_err(|error| self.fault(error))?;
        Ok(array)
    }

    pub(super) fn u8(&mut self) -> Result<u8, HeaderError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn be16(&mut self) -> Result<u16, HeaderError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn be32(&mut self) -> Result<u32, HeaderError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn be64(&mut self) -> Result<u64, HeaderError> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn le16(&mut self) -> Result<u16, HeaderError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn le24(&mut self) -> Result<u32, HeaderError> {
        self.array().map(|[a, b, c]| u32::from_le_bytes([a, b, c, 0]))
    }

    pub(super) fn le32(&mut self) -> Result<u32, HeaderError> {
        self.array().map(u32::from_le_bytes)
    }

    /// The next `count` bytes: a number that the caller has bounded.
    pub(super) fn bytes(&mut self, count: usize) -> Result<Vec<u8>, HeaderError> {
        let mut bytes = vec![0; count];
        self.reader.read_exact(&mut bytes).map_err(|error| self.fault(error))?;
        Ok(bytes)
    }

    /// How far the reader is.
    pub(super) fn position(&mut self) -> Result<u64, HeaderError> {
        self.reader.stream_position().map_err(HeaderError::Io)
    }

    /// Moves to a place counted from the reader's start. Past the end that succeeds, and the next read fails.
    pub(super) fn move_to(&mut self, position: u64) -> Result<(), HeaderError> {
        self.reader.seek(SeekFrom::Start(position)).map(drop).map_err(HeaderError::Io)
    }

    /// Moves to the end, and tells where that is.
    pub(super) fn end(&mut self) -> Result<u64, HeaderError> {
        self.reader.seek(SeekFrom::End(0)).map_err(HeaderError::Io)
    }

    /// Moves on by `count` bytes. Past the end that succeeds, and the next read fails.
    pub(super) fn skip(&mut self, count: u64) -> Result<(), HeaderError> {
        let buffered = self.fill()?.len();
        match usize::try_from(count) {
            Ok(count) if count <= buffered => {
                self.reader.consume(count);
                Ok(())
            }
            _ => {
                let count = i64::try_from(count).map_err(|_| HeaderError::Truncated { format: self.format })?;
                self.reader.seek(SeekFrom::Current(count)).map(drop).map_err(HeaderError::Io)
            }
        }
    }

    /// Moves on by `count` bytes, which must be there.
    pub(super) fn skip_whole(&mut self, count: u64) -> Result<(), HeaderError> {
        match count.checked_sub(1) {
            None => Ok(()),
            Some(all_but_one) => {
                self.skip(all_but_one)?;
                self.u8().map(drop)
            }
        }
    }

    /// Moves to just behind the next byte of this value; `false` if the file ends first.
    pub(super) fn seek_byte(&mut self, byte: u8) -> Result<bool, HeaderError> {
        loop {
            let buffer = self.fill()?;
            if buffer.is_empty() {
                return Ok(false);
            }
            let found = memchr::memchr(byte, buffer);
            let length = found.map_or(buffer.len(), |at| at + 1);
            self.reader.consume(length);
            if found.is_some() {
                return Ok(true);
            }
        }
    }

    /// The next byte, or `None` at the end of the file.
    pub(super) fn maybe_u8(&mut self) -> Result<Option<u8>, HeaderError> {
        let byte = self.fill()?.first().copied();
        if byte.is_some() {
            self.reader.consume(1);
        }
        Ok(byte)
    }

    /// Whether the file ends here.
    pub(super) fn at_end(&mut self) -> Result<bool, HeaderError> {
        Ok(self.fill()?.is_empty())
    }

    fn fill(&mut self) -> Result<&[u8], HeaderError> {
        loop {
            match self.reader.fill_buf() {
                // Asked again below, because a borrow that is returned cannot end inside the loop.
                Ok(_) => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(HeaderError::Io(error)),
            }
        }
        self.reader.fill_buf().map_err(HeaderError::Io)
    }

    fn fault(&self, error: io::Error) -> HeaderError {
        match error.kind() {
            ErrorKind::UnexpectedEof => HeaderError::Truncated { format: self.format },
            _ => HeaderError::Io(error),
        }
    }
}
