//! Inflating: gzip, told by its magic bytes whatever the headers say.
//!
//! In: a body as it arrived. Out: plain bytes, at most [`REQUEST_BYTES_MAX`]. Never inflates a byte more than that,
//! however well the body was compressed.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::MultiGzDecoder;
use tidemill_schemas::event::REQUEST_BYTES_MAX;

use super::BodyError;

const GZIP_MAGIC: [u8; 2] = [0x1F, 0x8B];

/// The plain bytes of a body. No JSON starts with gzip's magic bytes, so the headers need not be asked. Several gzip
/// members in a row are one stream.
///
/// # Errors
/// [`BodyError::TooLarge`] or [`BodyError::Gzip`].
pub fn inflate(body: &[u8]) -> Result<Cow<'_, [u8]>, BodyError> {
    if !body.starts_with(&GZIP_MAGIC) {
        return if body.len() > REQUEST_BYTES_MAX { Err(BodyError::TooLarge) } else { Ok(Cow::Borrowed(body)) };
    }
    let mut plain = Vec::with_capacity(body.len().saturating_mul(4).min(REQUEST_BYTES_MAX));
    let limit = REQUEST_BYTES_MAX as u64 + 1;
    MultiGzDecoder::new(body)
        .take(limit)
        .read_to_end(&mut plain)
        .map_err(|error| BodyError::Gzip(error.to_string()))?;
    if plain.len() > REQUEST_BYTES_MAX {
        return Err(BodyError::TooLarge);
    }
    Ok(Cow::Owned(plain))
}

#[cfg(test)]
mod tests;
