//! The byte encoding of states: variable-length integers, tagged values. Every value has exactly one encoding, and
//! reading refuses every other, so that equal states are equal bytes.

use std::io::{self, Write};

use tidemill_schemas::decimal::Decimal;
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::value::Value;

use super::StatesError;
use crate::metric::wide::{WIDE_BYTES, Wide};
use crate::spill::{RunId, SharedSpill, Spilled};

/// Bytes read at a time from a spill.
const SOURCE_BUFFER_BYTES: usize = 16 * 1024;

/// Writes an unsigned integer, seven bits to a byte, lowest first.
pub fn write_number(out: &mut dyn Write, mut number: u128) -> io::Result<()> {
    let mut bytes = [0u8; 19];
    let mut at = 0;
    loop {
        let low = (number & 0x7F) as u8;
        number >>= 7;
        bytes[at] = if number == 0 { low } else { low | 0x80 };
        at += 1;
        if number == 0 {
            return out.write_all(&bytes[..at]);
        }
    }
}

/// Writes a signed integer.
pub fn write_signed(out: &mut dyn Write, number: i128) -> io::Result<()> {
    write_number(out, ((number << 1) ^ (number >> 127)) as u128)
}

/// Writes bytes with their length.
pub fn write_bytes(out: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    write_number(out, bytes.len() as u128)?;
    out.write_all(bytes)
}

/// Writes an exact sum: as few big-endian bytes as keep its sign.
pub fn write_wide(out: &mut dyn Write, sum: Wide) -> io::Result<()> {
    let bytes = sum.to_bytes();
    write_bytes(out, &bytes[redundant(&bytes)..])
}

/// Leading bytes that only repeat the sign.
fn redundant(bytes: &[u8]) -> usize {
    let sign = |byte: u8| if byte & 0x80 == 0 { 0x00 } else { 0xFF };
    let repeats = |pair: &&[u8]| pair[0] == sign(pair[1]);
    bytes.windows(2).take_while(repeats).count()
}

/// Writes a value with its type.
pub fn write_value(out: &mut dyn Write, value: &Value) -> io::Result<()> {
    match value {
        Value::Null => out.write_all(&[0]),
        Value::Bool(value) => out.write_all(&[1, u8::from(*value)]),
        Value::Number(number) => {
            out.write_all(&[2, number.scale()])?;
            write_signed(out, number.unscaled())
        }
        Value::Text(text) => {
            out.write_all(&[3])?;
            write_bytes(out, text.as_bytes())
        }
        Value::Time(time) => {
            out.write_all(&[4])?;
            write_signed(out, i128::from(time.micros()))
        }
    }
}

/// Where bytes are read from.
pub trait Source {
    /// How many bytes are left.
    fn left(&self) -> u64;

    /// The next `length` bytes.
    fn take(&mut self, length: usize) -> Result<&[u8], StatesError>;

    /// Passes over the next `bytes` and says where they lie, if that is a spill; else `None`, and nothing is passed.
    fn stored(&mut self, bytes: u64) -> Option<(SharedSpill, Stretches)>;
}

/// (run, first byte, bytes), in order.
pub type Stretches = Vec<(RunId, u64, u64)>;

impl Source for &[u8] {
    fn left(&self) -> u64 {
        self.len() as u64
    }

    fn take(&mut self, length: usize) -> Result<&[u8], StatesError> {
        let (taken, rest) = self.split_at_checked(length).ok_or(StatesError::Truncated)?;
        *self = rest;
        Ok(taken)
    }

    fn stored(&mut self, _: u64) -> Option<(SharedSpill, Stretches)> {
        None
    }
}

/// Bytes in a spill, read through a buffer.
#[derive(Debug)]
pub struct SpilledSource {
    spilled: Spilled,
    /// The next byte in the whole.
    at: u64,
    buffer: Vec<u8>,
    /// The same byte in the buffer.
    from: usize,
}

impl SpilledSource {
    /// From the start.
    pub fn new(spilled: Spilled) -> SpilledSource {
        SpilledSource { spilled, at: 0, buffer: Vec::new(), from: 0 }
    }
}

impl Source for SpilledSource {
    fn left(&self) -> u64 {
        self.spilled.bytes() - self.at
    }

    fn take(&mut self, length: usize) -> Result<&[u8], StatesError> {
        if self.buffer.len() - self.from < length {
            let left = usize::try_from(self.left()).unwrap_or(usize::MAX);
            if length > left {
                return Err(StatesError::Truncated);
            }
            self.buffer.resize(length.max(SOURCE_BUFFER_BYTES).min(left), 0);
            self.spilled.read_exact(self.at, &mut self.buffer).map_err(|why| StatesError::Scratch(why.kind()))?;
            self.from = 0;
        }
        let from = self.from;
        self.from += length;
        self.at += length as u64;
        Ok(&self.buffer[from..from + length])
    }

    fn stored(&mut self, bytes: u64) -> Option<(SharedSpill, Stretches)> {
        if bytes > self.left() {
            return None;
        }
        let stretches = self.spilled.stretches(self.at, bytes);
        self.at += bytes;
        self.buffer.clear();
        self.from = 0;
        Some((self.spilled.spill().clone(), stretches))
    }
}

/// Either.
#[derive(Debug)]
pub enum AnySource<'a> {
    /// In memory.
    Memory(&'a [u8]),
    /// In a spill.
    Spilled(SpilledSource),
}

impl Source for AnySource<'_> {
    fn left(&self) -> u64 {
        match self {
            AnySource::Memory(bytes) => bytes.left(),
            AnySource::Spilled(source) => source.left(),
        }
    }

    fn take(&mut self, length: usize) -> Result<&[u8], StatesError> {
        match self {
            AnySource::Memory(bytes) => bytes.take(length),
            AnySource::Spilled(source) => source.take(length),
        }
    }

    fn stored(&mut self, bytes: u64) -> Option<(SharedSpill, Stretches)> {
        match self {
            AnySource::Memory(held) => held.stored(bytes),
            AnySource::Spilled(source) => source.stored(bytes),
        }
    }
}

/// Reads what the functions above wrote.
#[derive(Debug)]
pub struct Reader<S>(pub S);

impl<S: Source> Reader<S> {
    /// The next `length` bytes.
    pub fn take(&mut self, length: usize) -> Result<&[u8], StatesError> {
        self.0.take(length)
    }

    /// One byte.
    pub fn byte(&mut self) -> Result<u8, StatesError> {
        Ok(self.take(1)?[0])
    }

    /// An unsigned integer.
    pub fn number(&mut self) -> Result<u128, StatesError> {
        let (mut number, mut shift) = (0u128, 0u32);
        loop {
            let byte = self.byte()?;
            let low = u128::from(byte & 0x7F);
            let moved = low.checked_shl(shift).filter(|moved| moved >> shift == low);
            number |= moved.ok_or(StatesError::Malformed("a number is too long"))?;
            if byte & 0x80 == 0 {
                let padded = byte == 0 && shift > 0;
                return if padded { Err(StatesError::Malformed("a number is padded")) } else { Ok(number) };
            }
            shift += 7;
        }
    }

    /// An unsigned 64-bit integer.
    pub fn count(&mut self) -> Result<u64, StatesError> {
        u64::try_from(self.number()?).map_err(|_| StatesError::Malformed("a count is too large"))
    }

    /// How many elements of at least `bytes` each follow; never more than there is room for.
    pub fn length(&mut self, bytes: usize) -> Result<usize, StatesError> {
        let length = usize::try_from(self.number()?).map_err(|_| StatesError::Truncated)?;
        if length.checked_mul(bytes).is_none_or(|needed| needed as u64 > self.0.left()) {
            return Err(StatesError::Truncated);
        }
        Ok(length)
    }

    /// A signed integer.
    pub fn signed(&mut self) -> Result<i128, StatesError> {
        let number = self.number()?;
        Ok(((number >> 1) as i128) ^ -((number & 1) as i128))
    }

    /// Bytes with their length.
    pub fn bytes(&mut self) -> Result<&[u8], StatesError> {
        let length = self.length(1)?;
        self.take(length)
    }

    /// An exact sum.
    pub fn wide(&mut self) -> Result<Wide, StatesError> {
        let bytes = self.bytes()?;
        let short = bytes.len().min(WIDE_BYTES);
        if bytes.is_empty() || short < bytes.len() || redundant(bytes) > 0 {
            return Err(StatesError::Malformed("a sum is not in its shortest form"));
        }
        let fill = if bytes[0] & 0x80 == 0 { 0x00 } else { 0xFF };
        let mut whole = [fill; WIDE_BYTES];
        whole[WIDE_BYTES - short..].copy_from_slice(bytes);
        Ok(Wide::from_bytes(whole))
    }

    /// A value with its type.
    pub fn value(&mut self) -> Result<Value, StatesError> {
        Ok(match self.byte()? {
            0 => Value::Null,
            1 => match self.byte()? {
                0 => Value::Bool(false),
                1 => Value::Bool(true),
                _ => return Err(StatesError::Malformed("a boolean is neither true nor false")),
            },
            2 => {
                let scale = self.byte()?;
                let number = Decimal::new(self.signed()?, u32::from(scale)).ok().filter(|n| n.scale() == scale);
                Value::Number(number.ok_or(StatesError::Malformed("a number is not canonical"))?)
            }
            3 => {
                let text = std::str::from_utf8(self.bytes()?);
                Value::Text(text.map_err(|_| StatesError::Malformed("a text is not UTF-8"))?.to_owned())
            }
            4 => {
                let micros = i64::try_from(self.signed()?);
                Value::Time(Timestamp::from_micros(micros.map_err(|_| StatesError::Malformed("a time is too far"))?))
            }
            _ => return Err(StatesError::Malformed("a value has an unknown type")),
        })
    }
}
