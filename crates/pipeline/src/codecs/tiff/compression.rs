//! The compressions of TIFF 6.0 and its supplements, but JPEG.

use darkroom_container::header::tiff::Compression;
use flate2::{Decompress, FlushDecompress};
use weezl::{BitOrder, LzwStatus, decode};

use super::{damaged, fax};
use crate::RenderError;

/// Decompresses a chunk of `size` pixels to `length` bytes.
pub(super) fn decompress(
    compression: Compression,
    data: &[u8],
    size: (u32, u32),
    length: usize,
) -> Result<Vec<u8>, RenderError> {
    let samples = match compression {
        Compression::None => data.get(..length).map(<[u8]>::to_vec),
        Compression::PackBits => pack_bits(data, length),
        Compression::Lzw => return lzw(data, length),
        Compression::Deflate => return deflate(data, length),
        Compression::Rle => fax::decode(fax::Coding::Rows, data, size),
        Compression::Group3 { two_dimensional } => fax::decode(fax::Coding::Group3 { two_dimensional }, data, size),
        Compression::Group4 => fax::decode(fax::Coding::Group4, data, size),
        Compression::Jpeg => None,
    };
    samples.ok_or_else(too_short)
}

fn too_short() -> RenderError {
    RenderError::truncated("TIFF", "a strip or tile ends too early")
}

/// Section 9. `None` where the data ends too early.
fn pack_bits(mut data: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut samples = Vec::with_capacity(length);
    while samples.len() < length {
        let (header, rest) = data.split_first()?;
        let count = usize::from(*header);
        data = match count {
            0..128 => {
                let (literal, rest) = rest.split_at_checked(count + 1)?;
                samples.extend_from_slice(literal);
                rest
            }
            // No operation.
            128 => rest,
            _ => {
                let (byte, rest) = rest.split_first()?;
                samples.resize(samples.len() + 257 - count, *byte);
                rest
            }
        };
    }
    samples.truncate(length);
    Some(samples)
}

/// Section 13. Writers before TIFF 6.0 had codes from the least significant bit on, and widened them one code later: there the code
/// `ClearCode` (256), which is always first, begins with a byte of 0.
fn lzw(data: &[u8], length: usize) -> Result<Vec<u8>, RenderError> {
    let is_old = matches!(data, [0, second, ..] if second & 1 == 1);
    let configuration = if is_old {
        decode::Configuration::new(BitOrder::Lsb, 8)
    } else {
        decode::Configuration::with_tiff_size_switch(BitOrder::Msb, 8)
    };
    let mut decoder = configuration.with_yield_on_full_buffer(true).build();
    let mut samples = vec![0; length];
    let (mut read, mut written) = (0, 0);
    while written < length {
        let result = decoder.decode_bytes(&data[read..], &mut samples[written..]);
        read += result.consumed_in;
        written += result.consumed_out;
        match result.status {
            Ok(LzwStatus::NoProgress | LzwStatus::Done) if written < length => return Err(too_short()),
            Ok(_) => {}
            Err(_) => return Err(damaged("its LZW data is corrupt")),
        }
    }
    Ok(samples)
}

/// zlib (RFC 1950).
fn deflate(data: &[u8], length: usize) -> Result<Vec<u8>, RenderError> {
    let mut decoder = Decompress::new(true);
    let mut samples = vec![0; length];
    loop {
        let (read, written) = (position(decoder.total_in()), position(decoder.total_out()));
        if written == length {
            return Ok(samples);
        }
        let rest = data.get(read..).unwrap_or_default();
        let result = decoder.decompress(rest, &mut samples[written..], FlushDecompress::None);
        result.map_err(|_| damaged("its deflate data is corrupt"))?;
        if (read, written) == (position(decoder.total_in()), position(decoder.total_out())) {
            return Err(too_short());
        }
    }
}

fn position(total: u64) -> usize {
    usize::try_from(total).unwrap_or(usize::MAX)
}
