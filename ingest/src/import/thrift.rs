//! Thrift's compact protocol, as much of it as a Parquet page header takes.
//!
//! In: the bytes where a page begins. Out: the sizes and counts it claims. Unknown fields are skipped; nothing is
//! allocated.

/// Structs within structs.
const DEPTH_MAX: u32 = 8;
/// Entries of a list that is skipped.
const LIST_MAX: u64 = 1_000_000;

/// What a page says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageHeader {
    /// Whether it is a dictionary.
    pub is_dictionary: bool,
    /// Bytes, inflated.
    pub inflated: i32,
    /// Bytes as they lie there.
    pub compressed: i32,
    /// Values, nulls included.
    pub values: i32,
}

/// Why a header was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// The bytes end before it does.
    CutOff,
    /// It is none.
    Wrong,
}

/// Reads a page's header; and how many bytes it has.
///
/// # Errors
/// See [`Unreadable`].
pub fn page_header(bytes: &[u8]) -> Result<(PageHeader, usize), Unreadable> {
    let mut reader = Reader { bytes, at: 0 };
    let mut header = PageHeader::default();
    let mut kind = None;
    let mut field = 0;
    while let Some(wire) = reader.field(&mut field)? {
        match (field, wire) {
            (1, 5) => kind = Some(reader.i32()?),
            (2, 5) => header.inflated = reader.i32()?,
            (3, 5) => header.compressed = reader.i32()?,
            (5 | 7 | 8, 12) => header.values = reader.first_i32()?,
            _ => reader.skip(wire, 0)?,
        }
    }
    header.is_dictionary = kind == Some(2);
    if kind == Some(1) {
        // Index pages were never written by anyone.
        header.values = 0;
    }
    kind.map(|_| (header, reader.at)).ok_or(Unreadable::Wrong)
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl Reader<'_> {
    fn byte(&mut self) -> Result<u8, Unreadable> {
        let byte = *self.bytes.get(self.at).ok_or(Unreadable::CutOff)?;
        self.at += 1;
        Ok(byte)
    }

    fn varint(&mut self) -> Result<u64, Unreadable> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F).checked_shl(shift).ok_or(Unreadable::Wrong)?;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Unreadable::Wrong)
    }

    fn i32(&mut self) -> Result<i32, Unreadable> {
        let raw = self.varint()?;
        let value = (raw >> 1) as i64 ^ -((raw & 1) as i64);
        i32::try_from(value).map_err(|_| Unreadable::Wrong)
    }

    /// The next field's number and type; `None` at the struct's end.
    fn field(&mut self, number: &mut i16) -> Result<Option<u8>, Unreadable> {
        let byte = self.byte()?;
        if byte == 0 {
            return Ok(None);
        }
        *number = match byte >> 4 {
            0 => i16::try_from(self.i32()?).map_err(|_| Unreadable::Wrong)?,
            delta => number.checked_add(i16::from(delta)).ok_or(Unreadable::Wrong)?,
        };
        Ok(Some(byte & 0x0F))
    }

    /// The struct's field 1.
    fn first_i32(&mut self) -> Result<i32, Unreadable> {
        let mut first = 0;
        let mut number = 0;
        while let Some(wire) = self.field(&mut number)? {
            match (number, wire) {
                (1, 5) => first = self.i32()?,
                _ => self.skip(wire, 1)?,
            }
        }
        Ok(first)
    }

    fn skip(&mut self, wire: u8, depth: u32) -> Result<(), Unreadable> {
        if depth > DEPTH_MAX {
            return Err(Unreadable::Wrong);
        }
        match wire {
            1 | 2 => {}
            3 => self.at += 1,
            4..=6 => drop(self.varint()?),
            7 => self.at += 8,
            8 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Unreadable::Wrong)?;
                self.at = self.at.checked_add(length).ok_or(Unreadable::Wrong)?;
            }
            9 | 10 => {
                let byte = self.byte()?;
                let count = if byte >> 4 == 15 { self.varint()? } else { u64::from(byte >> 4) };
                if count > LIST_MAX {
                    return Err(Unreadable::Wrong);
                }
                for _ in 0..count {
                    match byte & 0x0F {
                        1 | 2 => self.at += 1,
                        inner => self.skip(inner, depth + 1)?,
                    }
                }
            }
            12 => {
                let mut number = 0;
                while let Some(wire) = self.field(&mut number)? {
                    self.skip(wire, depth + 1)?;
                }
            }
            _ => return Err(Unreadable::Wrong),
        }
        if self.at > self.bytes.len() { Err(Unreadable::CutOff) } else { Ok(()) }
    }
}
