//! Reads numbers and skips bytes. The end of the file is [`HeaderError::Truncated`].

use std::io::{self, BufRead, ErrorKind, Seek, SeekFrom};

use super::HeaderError;

/// A file that is read from front to back.
pub(super) struct ByteReader<'a, R> {
    reader: &'a mut R,
    /// The name of the format, for errors.
    format: &'static str,
}

impl<'a, R: BufRead + Seek> ByteReader<'a, R> {
    pub(super) fn new(reader: &'a mut R, format: &'static str) -> Self {
        Self { reader, format }
    }

    /// Copies the next bytes to `start` without consuming them. Returns their number, at most `start.len()`.
    pub(super) fn peek(&mut self, start: &mut [u8]) -> Result<usize, HeaderError> {
        let mut length = 0;
        while length < start.len() {
            match self.reader.read(&mut start[length..]) {
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
        self.reader.read_exact(&mut array).map_err(|error| self.convert_error(error))?;
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

    /// The next `count` bytes. The caller limits the number.
    pub(super) fn bytes(&mut self, count: usize) -> Result<Vec<u8>, HeaderError> {
        let mut bytes = vec![0; count];
        self.reader.read_exact(&mut bytes).map_err(|error| self.convert_error(error))?;
        Ok(bytes)
    }

    /// The position in the reader, in bytes from its start.
    pub(super) fn position(&mut self) -> Result<u64, HeaderError> {
        self.reader.stream_position().map_err(HeaderError::Io)
    }

    /// Seeks to a position in bytes from the start of the reader. Past the end, the next read fails.
    pub(super) fn seek_to(&mut self, position: u64) -> Result<(), HeaderError> {
        match self.reader.seek(SeekFrom::Start(position)) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.seek_error(position, error)),
        }
    }

    /// Seeks to the end and returns its position.
    pub(super) fn seek_to_end(&mut self) -> Result<u64, HeaderError> {
        self.reader.seek(SeekFrom::End(0)).map_err(HeaderError::Io)
    }

    /// Skips `count` bytes. Past the end, the next read fails.
    pub(super) fn skip(&mut self, count: u64) -> Result<(), HeaderError> {
        let buffered = self.fill()?.len();
        match usize::try_from(count) {
            Ok(count) if count <= buffered => {
                self.reader.consume(count);
                Ok(())
            }
            _ => {
                let position = self.position()?.checked_add(count);
                let position = position.ok_or(HeaderError::Truncated { format: self.format })?;
                self.seek_to(position)
            }
        }
    }

    /// Skips `count` bytes, or fails if the file has fewer.
    pub(super) fn skip_exact(&mut self, count: u64) -> Result<(), HeaderError> {
        match count.checked_sub(1) {
            None => Ok(()),
            Some(all_but_one) => {
                self.skip(all_but_one)?;
                self.u8().map(drop)
            }
        }
    }

    /// Skips up to and including the next byte of this value; `false` if the file ends first.
    pub(super) fn skip_past(&mut self, byte: u8) -> Result<bool, HeaderError> {
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
    pub(super) fn next_u8(&mut self) -> Result<Option<u8>, HeaderError> {
        let byte = self.fill()?.first().copied();
        if byte.is_some() {
            self.reader.consume(1);
        }
        Ok(byte)
    }

    /// Whether no byte is left.
    pub(super) fn at_end(&mut self) -> Result<bool, HeaderError> {
        Ok(self.fill()?.is_empty())
    }

    fn fill(&mut self) -> Result<&[u8], HeaderError> {
        loop {
            match self.reader.fill_buf() {
                // Called again below: the borrow checker does not accept a returned borrow inside the loop.
                Ok(_) => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(HeaderError::Io(error)),
            }
        }
        self.reader.fill_buf().map_err(HeaderError::Io)
    }

    /// The error of a failed seek to `position`: `Truncated` if the file is shorter. Kernels refuse to seek past the maximum
    /// file size of a filesystem (EINVAL or EOVERFLOW), and a file chooses its offsets.
    fn seek_error(&mut self, position: u64, error: io::Error) -> HeaderError {
        match self.reader.seek(SeekFrom::End(0)) {
            Ok(length) if position > length => HeaderError::Truncated { format: self.format },
            _ => HeaderError::Io(error),
        }
    }

    fn convert_error(&self, error: io::Error) -> HeaderError {
        match error.kind() {
            ErrorKind::UnexpectedEof => HeaderError::Truncated { format: self.format },
            _ => HeaderError::Io(error),
        }
    }
}
