//! The identity index: which events imports have brought, as sorted runs of fixed-width records with a filter each.
//!
//! In: (hash of the id, UTC day, revision), ascending by hash. Out: the bytes of a run, and of the filter that answers
//! "certainly not" from memory and "perhaps, look at these bytes" otherwise. One index per source; records are never
//! changed, since an identity enters once and what becomes of it later is the event store's to know.

use xxhash_rust::xxh3::xxh3_128;

/// The version of a run's filter object, its first byte.
pub const FILTER_FORMAT: u8 = 1;
/// Bytes of a record: hash, day, revision, all big-endian.
pub const IDENTITY_BYTES: usize = 16 + 4 + 8;
/// Records between two fences.
pub const FENCE_RECORDS: usize = 1_024;
/// Bits of the filter per record: one in a hundred strangers passes.
const FILTER_BITS: u64 = 10;
/// Bytes of a filter's header.
const HEADER_BYTES: usize = 24;
/// Words of a filter's block.
const BLOCK_WORDS: usize = 8;
/// Parquet's salts, one per word of a block.
const SALTS: [u32; BLOCK_WORDS] =
    [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];

/// One imported event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// [`hash_of`] its id.
    pub hash: u128,
    /// The UTC day of its page, in days since 1970.
    pub day: i32,
    /// Its revision.
    pub rev: u64,
}

/// The hash an id is known by within its source.
pub fn hash_of(id: &str) -> u128 {
    xxh3_128(id.as_bytes())
}

impl Identity {
    /// The stored record.
    pub fn encode(&self) -> [u8; IDENTITY_BYTES] {
        let mut out = [0; IDENTITY_BYTES];
        out[..16].copy_from_slice(&self.hash.to_be_bytes());
        out[16..20].copy_from_slice(&self.day.to_be_bytes());
        out[20..].copy_from_slice(&self.rev.to_be_bytes());
        out
    }

    /// The records of a run's bytes; a last one that is cut off is left out.
    pub fn decode_all(bytes: &[u8]) -> impl Iterator<Item = Identity> + '_ {
        let (records, _) = bytes.as_chunks::<IDENTITY_BYTES>();
        records.iter().map(|record| Identity {
            hash: u128::from_be_bytes(std::array::from_fn(|at| record[at])),
            day: i32::from_be_bytes(std::array::from_fn(|at| record[16 + at])),
            rev: u64::from_be_bytes(std::array::from_fn(|at| record[20 + at])),
        })
    }

    /// The record with a hash, among the bytes of some.
    pub fn find(bytes: &[u8], hash: u128) -> Option<Identity> {
        let records: Vec<Identity> = Identity::decode_all(bytes).collect();
        records.binary_search_by_key(&hash, |record| record.hash).ok().map(|at| records[at])
    }
}

/// Tells which ids a run cannot hold, and where it would hold the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    records: u64,
    blocks: Vec<[u32; BLOCK_WORDS]>,
    /// The hash of every [`FENCE_RECORDS`]th record.
    fences: Vec<u128>,
}

impl Filter {
    /// An empty filter for about so many records.
    pub fn for_records(count: u64) -> Filter {
        let blocks = (count * FILTER_BITS).div_ceil(32 * BLOCK_WORDS as u64).max(1);
        Filter { records: 0, blocks: vec![[0; BLOCK_WORDS]; blocks as usize], fences: Vec::new() }
    }

    /// Adds the next record's hash; they come in ascending order.
    pub fn add(&mut self, hash: u128) {
        if self.records.is_multiple_of(FENCE_RECORDS as u64) {
            self.fences.push(hash);
        }
        self.records += 1;
        let block = self.block(hash);
        for (word, bit) in self.blocks[block].iter_mut().zip(bits(hash)) {
            *word |= bit;
        }
    }

    /// Where the record of a hash would be: the first byte and behind the last one; `None`: it is certainly not there.
    pub fn look(&self, hash: u128) -> Option<(u64, u64)> {
        if self.records == 0 || !self.blocks[self.block(hash)].iter().zip(bits(hash)).all(|(word, bit)| word & bit != 0)
        {
            return None;
        }
        let fence = self.fences.partition_point(|fence| *fence <= hash).checked_sub(1)?;
        let first = (fence * FENCE_RECORDS) as u64;
        let last = (first + FENCE_RECORDS as u64).min(self.records);
        Some((first * IDENTITY_BYTES as u64, last * IDENTITY_BYTES as u64))
    }

    /// Bytes it holds in memory.
    pub fn bytes(&self) -> usize {
        self.blocks.len() * 4 * BLOCK_WORDS + self.fences.len() * 16
    }

    fn block(&self, hash: u128) -> usize {
        ((u128::from((hash >> 64) as u64) * self.blocks.len() as u128) >> 64) as usize
    }

    /// The stored object.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES + self.bytes());
        out.extend_from_slice(&[FILTER_FORMAT, 0, 0, 0, 0, 0, 0, 0]);
        out.extend_from_slice(&self.records.to_be_bytes());
        out.extend_from_slice(&(self.blocks.len() as u64).to_be_bytes());
        self.blocks.iter().flatten().for_each(|word| out.extend_from_slice(&word.to_be_bytes()));
        self.fences.iter().for_each(|fence| out.extend_from_slice(&fence.to_be_bytes()));
        out
    }

    /// The filter of a stored object.
    ///
    /// # Errors
    /// In words, when the bytes are not one.
    pub fn decode(bytes: &[u8]) -> Result<Filter, String> {
        let (header, rest) = bytes.split_at_checked(HEADER_BYTES).ok_or("cut off")?;
        if header[0] != FILTER_FORMAT {
            return Err(format!("of unknown version {}", header[0]));
        }
        let number = |at: usize| u64::from_be_bytes(std::array::from_fn(|byte| header[at + byte]));
        let (records, blocks) = (number(8), number(16));
        let blocks_bytes = usize::try_from(blocks).ok().and_then(|blocks| blocks.checked_mul(4 * BLOCK_WORDS));
        let (words, fences) = blocks_bytes.and_then(|bytes| rest.split_at_checked(bytes)).ok_or("cut off")?;
        let fences: Vec<u128> = fences.as_chunks::<16>().0.iter().map(|fence| u128::from_be_bytes(*fence)).collect();
        if blocks == 0 || fences.len() as u64 != records.div_ceil(FENCE_RECORDS as u64) {
            return Err("its counts do not fit".to_owned());
        }
        let words: Vec<u32> = words.as_chunks::<4>().0.iter().map(|word| u32::from_be_bytes(*word)).collect();
        Ok(Filter { records, blocks: words.as_chunks::<BLOCK_WORDS>().0.to_vec(), fences })
    }
}

fn bits(hash: u128) -> impl Iterator<Item = u32> {
    let low = hash as u32;
    SALTS.iter().map(move |salt| 1 << (low.wrapping_mul(*salt) >> 27))
}

#[cfg(test)]
mod tests;
