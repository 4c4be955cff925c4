//! Chunks: the running totals of one day whose places begin alike, in one item. Pure.
//!
//! In: cells. Out: where they belong, and how a chunk that grew too large is split. A write costs by the kilobyte, so
//! totals that change together lie together: a day begins with one chunk; one that grows beyond [`CHUNK_BYTES_MAX`]
//! leaves a mark in its place and becomes four. What a chunk includes of the feed holds for every cell that would lie in
//! it, there or not.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidemill_schemas::window::Through;
use xxhash_rust::xxh3::xxh3_128;

use crate::additive::{AdditiveCell, CellKey};

/// The version of a chunk's stored body, its first byte.
pub const CHUNK_FORMAT: u8 = 2;
/// Bytes of a stored chunk beyond which it is split: two units of writing, less its key.
pub const CHUNK_BYTES_MAX: usize = 1_900;
/// Splits on the way to a cell; chunks there grow as they must.
const SPLITS_MAX: usize = 16;

/// Totals in one item.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// What is included, per feed shard.
    pub through: Through,
    /// Whether its cells lie in four others now. Then it has none.
    pub is_split: bool,
    /// The cells.
    pub cells: BTreeMap<CellKey, AdditiveCell>,
}

/// The way to a cell: which of four, again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place([u8; SPLITS_MAX]);

impl Place {
    /// The place of a cell. The same for ever.
    ///
    /// # Errors
    /// In words: the cell's key cannot be encoded.
    pub fn of(cell: &CellKey) -> Result<Place, String> {
        let encoded = postcard::to_stdvec(cell).map_err(|why| format!("group: {why}"))?;
        let hash = xxh3_128(&encoded);
        let mut way = [0; SPLITS_MAX];
        for (step, digit) in way.iter_mut().enumerate() {
            *digit = (hash >> (2 * step)) as u8 & 3;
        }
        Ok(Place(way))
    }

    /// The name of the chunk behind so many splits.
    pub fn name(&self, splits: usize) -> &[u8] {
        &self.0[..splits.min(SPLITS_MAX)]
    }
}

/// What becomes of a chunk that is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// It stays one; its body.
    Whole(Vec<u8>),
    /// A mark in its place, and the others by their last digit: all of them, or none.
    Split(Vec<u8>, Vec<(u8, Vec<u8>)>),
}

impl Chunk {
    /// The bodies that hold this chunk, which lies behind so many splits.
    ///
    /// # Errors
    /// In words: it cannot be encoded.
    pub fn written(&self, splits: usize) -> Result<Written, String> {
        let body = self.encode()?;
        if body.len() <= CHUNK_BYTES_MAX || self.cells.len() < 2 || splits >= SPLITS_MAX {
            return Ok(Written::Whole(body));
        }
        let mut parts: BTreeMap<u8, Chunk> = BTreeMap::new();
        for (key, cell) in &self.cells {
            let digit = Place::of(key)?.0[splits];
            let part =
                parts.entry(digit).or_insert_with(|| Chunk { through: self.through.clone(), ..Chunk::default() });
            part.cells.insert(key.clone(), cell.clone());
        }
        let mark = Chunk { through: Through::default(), is_split: true, cells: BTreeMap::new() };
        let parts = parts.into_iter().map(|(digit, part)| Ok((digit, part.encode()?)));
        Ok(Written::Split(mark.encode()?, parts.collect::<Result<_, String>>()?))
    }

    fn encode(&self) -> Result<Vec<u8>, String> {
        postcard::to_extend(self, vec![CHUNK_FORMAT]).map_err(|why| format!("totals: {why}"))
    }

    /// Reads a stored body.
    ///
    /// # Errors
    /// In words: it is none, or of an unknown version.
    pub fn decode(body: &[u8]) -> Result<Chunk, String> {
        match body.split_first() {
            Some((&CHUNK_FORMAT, body)) => {
                postcard::from_bytes(body).map_err(|why| format!("stored totals unreadable: {why}"))
            }
            _ => Err("stored totals of unknown version".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::additive::Additive;
    use tidemill_schemas::value::Value;
    use tidemill_schemas::window::Position;

    fn cell(events: i64) -> AdditiveCell {
        AdditiveCell { events, late: 0, skipped: vec![0], values: vec![Additive::Count(events)] }
    }

    fn chunk(groups: usize) -> Chunk {
        let mut chunk = Chunk::default();
        chunk.through.advance("shard-0001", Position(7));
        for group in 0..groups {
            let key = CellKey::Group(vec![Value::Text(format!("a group of some length {group}"))]);
            chunk.cells.insert(key, cell(group as i64));
        }
        chunk
    }

    #[test]
    fn a_small_chunk_stays_whole_and_loads() {
        let small = chunk(20);
        let Ok(Written::Whole(body)) = small.written(0) else { panic!("it is small") };
        assert_eq!(Chunk::decode(&body), Ok(small));
        assert!(Chunk::decode(&[1, 2]).is_err() && Chunk::decode(&[]).is_err());
    }

    #[test]
    fn a_large_one_is_split_by_the_places_of_its_cells_and_loses_nothing() {
        let large = chunk(200);
        for splits in [0, 3] {
            let Ok(Written::Split(mark, parts)) = large.written(splits) else { panic!("it is large") };
            assert!(Chunk::decode(&mark).expect("a mark").is_split);
            let mut cells = BTreeMap::new();
            for (digit, body) in parts {
                let part = Chunk::decode(&body).expect("a part");
                assert_eq!((part.is_split, &part.through), (false, &large.through));
                for (key, cell) in part.cells {
                    assert_eq!(Place::of(&key).expect("a place").name(splits + 1)[splits], digit);
                    cells.insert(key, cell);
                }
            }
            assert_eq!(cells, large.cells);
        }
        assert!(matches!(large.written(SPLITS_MAX), Ok(Written::Whole(_))));
    }
}
