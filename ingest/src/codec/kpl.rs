//! Aggregated records of the Kinesis Producer Library: one record that holds many.
//!
//! In: a record's bytes. Out: the user records in it, borrowed; a record that is not aggregated is its own only one.
//! The frame is four magic bytes, a protobuf message (`1` partition keys, `2` explicit hash keys, `3` records, each of
//! `1` partition key's number, `2` hash key's number, `3` bytes, `4` tags) and the message's MD5. Nothing is taken from
//! a frame whose checksum is wrong, and no length is believed before it was compared with what is there.

use md5::{Digest, Md5};

use crate::varint::put_varint;

/// Bytes of the checksum.
const MD5_BYTES: usize = 16;

/// What an aggregated record begins with.
pub const KPL_MAGIC: [u8; 4] = [0xF3, 0x89, 0x9A, 0xC2];
/// User records in one aggregated record: a hundred times what the library packs by itself.
pub const USER_RECORDS_MAX: usize = 500_000;
/// Bytes of the longest varint.
const VARINT_BYTES_MAX: usize = 10;

/// Why an aggregated record cannot be unpacked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KplError {
    /// Too short to hold a frame.
    #[error("an aggregated record is cut off: it has {0} bytes; put it again as the producer library made it")]
    CutOff(usize),
    /// The bytes are not the ones that were packed.
    #[error("the checksum of an aggregated record is wrong, so it was damaged on its way; put it again")]
    Checksum,
    /// A length that reaches beyond what is there.
    #[error(
        "an aggregated record claims {claimed} bytes at byte {at} where {left} are left; put it again as the producer \
         library made it"
    )]
    Length {
        /// Where.
        at: usize,
        /// The length it claims.
        claimed: u64,
        /// Bytes that are there.
        left: usize,
    },
    /// The message is no protobuf.
    #[error("an aggregated record is no message at byte {at}: {why}; put it again as the producer library made it")]
    Message {
        /// Where.
        at: usize,
        /// What is wrong there.
        why: &'static str,
    },
    /// An aggregated record within another.
    #[error(
        "user record {0} of an aggregated record is an aggregated record itself; unpack records before packing them"
    )]
    Nested(usize),
    /// More than [`USER_RECORDS_MAX`].
    #[error("an aggregated record holds more than {USER_RECORDS_MAX} user records; pack fewer")]
    TooMany,
}

impl KplError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        "TM0124"
    }
}

/// The user records of a record, in their order.
///
/// # Errors
/// [`KplError`], only of a record that begins like an aggregated one.
pub fn unpack(record: &[u8]) -> Result<Vec<&[u8]>, KplError> {
    let Some(framed) = record.strip_prefix(&KPL_MAGIC) else { return Ok(vec![record]) };
    let Some((message, digest)) = framed.split_last_chunk::<MD5_BYTES>() else {
        return Err(KplError::CutOff(record.len()));
    };
    if Md5::digest(message).as_slice() != digest {
        return Err(KplError::Checksum);
    }
    let mut reader = Reader { bytes: message, at: KPL_MAGIC.len() };
    let (mut records, mut keys, mut key_most) = (Vec::new(), 0u64, None);
    while let Some(field) = reader.field()? {
        match field {
            Field { number: 1, value: Contents::Bytes(_), .. } => keys += 1,
            // Hash keys said where a record went; it is here now.
            Field { number: 2, value: Contents::Bytes(_), .. } => {}
            Field { number: 3, value: Contents::Bytes(bytes), at } => {
                if records.len() == USER_RECORDS_MAX {
                    return Err(KplError::TooMany);
                }
                let (key, data) = user_record(Reader { bytes, at }, records.len())?;
                key_most = key_most.max(Some(key));
                records.push(data);
            }
            Field { number: 1..=3, at, .. } => return Err(KplError::Message { at, why: "a field of another type" }),
            _ => {}
        }
    }
    if key_most.is_some_and(|key| key >= keys) {
        let why = "a user record names a partition key that is not there";
        return Err(KplError::Message { at: KPL_MAGIC.len(), why });
    }
    Ok(records)
}

/// The number of a user record's partition key, and its bytes.
fn user_record(mut reader: Reader<'_>, nth: usize) -> Result<(u64, &[u8]), KplError> {
    let from = reader.at;
    let (mut key, mut data) = (None, None);
    while let Some(field) = reader.field()? {
        match field {
            Field { number: 1, value: Contents::Number(number), .. } => key = Some(number),
            Field { number: 3, value: Contents::Bytes(bytes), .. } => data = Some(bytes),
            Field { number: 1 | 3, at, .. } => return Err(KplError::Message { at, why: "a field of another type" }),
            _ => {}
        }
    }
    match (key, data) {
        (Some(_), Some(data)) if data.starts_with(&KPL_MAGIC) => Err(KplError::Nested(nth)),
        (Some(key), Some(data)) => Ok((key, data)),
        (None, _) => Err(KplError::Message { at: from, why: "a user record without its partition key's number" }),
        (_, None) => Err(KplError::Message { at: from, why: "a user record without bytes" }),
    }
}

/// One field of a message.
struct Field<'a> {
    number: u64,
    /// Where its contents begin.
    at: usize,
    value: Contents<'a>,
}

/// What a field holds.
enum Contents<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Of no field we read.
    Fixed,
}

/// Reads a message field by field.
struct Reader<'a> {
    bytes: &'a [u8],
    /// Where `bytes` begins in the record.
    at: usize,
}

impl<'a> Reader<'a> {
    /// The next field; `None` at the end.
    fn field(&mut self) -> Result<Option<Field<'a>>, KplError> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let mut at = self.at;
        let value = match tag & 7 {
            0 => Contents::Number(self.varint()?),
            1 => self.take(8).map(|_| Contents::Fixed)?,
            2 => {
                let length = self.varint()?;
                at = self.at;
                Contents::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Contents::Fixed)?,
            _ => return Err(KplError::Message { at, why: "a field of a type there is not" }),
        };
        Ok(Some(Field { number: tag >> 3, at, value }))
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], KplError> {
        let short = KplError::Length { at: self.at, claimed: length, left: self.bytes.len() };
        let length = usize::try_from(length).ok().filter(|length| *length <= self.bytes.len()).ok_or(short)?;
        let (taken, rest) = self.bytes.split_at(length);
        self.bytes = rest;
        self.at += length;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, KplError> {
        let mut number = 0u64;
        for (nth, byte) in self.bytes.iter().take(VARINT_BYTES_MAX).enumerate() {
            let bits = u64::from(byte & 0x7F);
            if nth + 1 == VARINT_BYTES_MAX && bits > 1 {
                break;
            }
            number |= bits << (7 * nth);
            if byte & 0x80 == 0 {
                self.bytes = &self.bytes[nth + 1..];
                self.at += nth + 1;
                return Ok(number);
            }
        }
        let why =
            if self.bytes.len() < VARINT_BYTES_MAX { "it ends within a number" } else { "a number beyond 64 bits" };
        Err(KplError::Message { at: self.at, why })
    }
}

/// One aggregated record of user records that share a partition key: what [`unpack`] takes apart.
pub fn pack(partition_key: &str, records: &[&[u8]]) -> Vec<u8> {
    let mut message = Vec::new();
    put_bytes(&mut message, 1, partition_key.as_bytes());
    for data in records {
        let mut record = vec![1 << 3, 0];
        put_bytes(&mut record, 3, data);
        put_bytes(&mut message, 3, &record);
    }
    let digest = Md5::digest(&message);
    [KPL_MAGIC.as_slice(), &message, &digest].concat()
}

fn put_bytes(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests;
