//! Places: which rows of an import a page holds, in the page's order, in a few bytes a run.
//!
//! In: rows by their places among all rows of the import, mostly one after the other. Out: bytes that lie beside the
//! page on scratch disk, and the places again.

use crate::varint::put_varint;

/// A run of rows: the first one's place, and how many follow each other.
pub type Run = (u64, u64);

/// Runs of rows that are being written down.
#[derive(Clone, Debug, Default)]
pub struct Places {
    bytes: Vec<u8>,
    open: Option<Run>,
    /// Behind the last run written down.
    end: u64,
}

impl Places {
    /// Adds a run.
    pub fn add(&mut self, (first, count): Run) {
        if let Some((start, held)) = &mut self.open
            && *start + *held == first
        {
            *held += count;
            return;
        }
        self.close();
        self.open = Some((first, count));
    }

    fn close(&mut self) {
        let Some((first, count)) = self.open.take() else { return };
        // Mostly the next one lies a little ahead; what goes back costs ten bytes.
        put_varint(&mut self.bytes, zigzag(first.wrapping_sub(self.end) as i64));
        put_varint(&mut self.bytes, count);
        self.end = first + count;
    }

    /// Bytes it holds.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// All of it.
    pub fn encode(mut self) -> Vec<u8> {
        self.close();
        self.bytes
    }
}

/// The runs of [`Places::encode`]; ends early where the bytes are not such.
pub fn runs(bytes: &[u8]) -> impl Iterator<Item = Run> + '_ {
    let (mut at, mut end) = (0, 0u64);
    std::iter::from_fn(move || {
        let gap = read(bytes, &mut at)?;
        let count = read(bytes, &mut at)?;
        let first = end.wrapping_add((gap >> 1) as i64 as u64 ^ (gap & 1).wrapping_neg());
        end = first.wrapping_add(count);
        Some((first, count))
    })
}

/// The places of rows as runs.
pub fn runs_of(places: impl Iterator<Item = u64>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for place in places {
        match runs.last_mut() {
            Some((first, count)) if *first + *count == place => *count += 1,
            _ => runs.push((place, 1)),
        }
    }
    runs
}

fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

fn read(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_come_back_in_their_order() {
        let rows = [5, 6, 7, 8, 100, 101, 40, 41, 42, 0, u64::from(u32::MAX) << 20];
        let given = runs_of(rows.into_iter());
        assert_eq!(given.len(), 5);
        let mut places = Places::default();
        // Cut anywhere: runs that touch become one.
        rows.iter().for_each(|row| places.add((*row, 1)));
        let bytes = places.encode();
        assert_eq!(runs(&bytes).collect::<Vec<_>>(), given);
        assert_eq!(runs(&bytes[..bytes.len() - 1]).count(), given.len() - 1);
        assert!(runs_of(std::iter::empty()).is_empty());
    }
}
