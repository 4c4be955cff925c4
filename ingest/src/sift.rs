//! Sifting: which rows of an import are new, which correct something, and which are there already.
//!
//! In: one record per row, per identity of the index and per item of the ledger, all of one slice of the hashes. Out:
//! the rows to keep, the rows that correct, and the identities that are new, ascending by hash. Of several rows of one
//! identity the highest revision stands, then the first in order.

use crate::identity::Identity;

/// Bytes of a stored record.
pub const RECORD_BYTES: usize = 16 + 8 + 8 + 4 + 2 + 1;
/// Slices the hashes are divided into.
pub const SLICES: usize = 256;

/// Where a record comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// An earlier import.
    Index,
    /// The event store's ledger.
    Ledger,
    /// A row of this import.
    Row,
}

/// A claim to an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The place of its source in the import's list.
    pub source: u16,
    /// The identity; of the ledger's, the day is not known.
    pub identity: Identity,
    /// Where it comes from.
    pub origin: Origin,
    /// The row's place among all rows of the import.
    pub row: u64,
    /// Of a row: it withdraws the event, and so goes the way of corrections.
    pub withdraws: bool,
}

impl Claim {
    /// The slice it belongs to; slices ascend as hashes do.
    pub fn slice(&self) -> usize {
        (self.identity.hash >> 120) as usize
    }

    /// The stored record.
    pub fn encode(&self) -> [u8; RECORD_BYTES] {
        let mut out = [0; RECORD_BYTES];
        out[..16].copy_from_slice(&self.identity.hash.to_le_bytes());
        out[16..24].copy_from_slice(&self.identity.rev.to_le_bytes());
        out[24..32].copy_from_slice(&self.row.to_le_bytes());
        out[32..36].copy_from_slice(&self.identity.day.to_le_bytes());
        out[36..38].copy_from_slice(&self.source.to_le_bytes());
        out[38] = self.origin as u8 + u8::from(self.withdraws);
        out
    }

    /// The claims of stored records.
    pub fn decode_all(bytes: &[u8]) -> impl Iterator<Item = Claim> + '_ {
        bytes.as_chunks::<RECORD_BYTES>().0.iter().map(|record| Claim {
            source: u16::from_le_bytes([record[36], record[37]]),
            identity: Identity {
                hash: u128::from_le_bytes(std::array::from_fn(|at| record[at])),
                day: i32::from_le_bytes(std::array::from_fn(|at| record[32 + at])),
                rev: u64::from_le_bytes(std::array::from_fn(|at| record[16 + at])),
            },
            origin: match record[38] {
                0 => Origin::Index,
                1 => Origin::Ledger,
                _ => Origin::Row,
            },
            row: u64::from_le_bytes(std::array::from_fn(|at| record[24 + at])),
            withdraws: record[38] == Origin::Row as u8 + 1,
        })
    }
}

/// What became of a slice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sifted {
    /// Rows that are new.
    pub keep: Vec<u64>,
    /// Rows of a higher revision than what is there, and withdrawals.
    pub correct: Vec<u64>,
    /// Rows that are there already, or stand behind another row.
    pub duplicates: u64,
    /// New identities with the place of their source, by source, then hash.
    pub fresh: Vec<(u16, Identity)>,
    /// The same of earlier imports.
    pub indexed: Vec<(u16, Identity)>,
}

/// Where a claim stands in a slice: its source, then the bits of its hash behind those all of a slice share. What few
/// have in common is looked at more closely.
fn place(claim: &Claim) -> u64 {
    u64::from(claim.source) << 56 | (claim.identity.hash >> 64) as u64 & (u64::MAX >> 8)
}

/// Sifts the claims of one slice.
pub fn sift(claims: &[Claim]) -> Sifted {
    // Sorting small keys is what sifting costs: a claim is four times as large.
    let mut order: Vec<(u64, u32)> = claims.iter().zip(0..).map(|(claim, at)| (place(claim), at)).collect();
    order.sort_unstable();
    let mut sifted = Sifted::default();
    let mut near: Vec<Claim> = Vec::new();
    for alike in order.chunk_by(|a, b| a.0 == b.0) {
        if let [(_, only)] = alike {
            sift_identity(&claims[*only as usize..=*only as usize], &mut sifted);
            continue;
        }
        near.clear();
        near.extend(alike.iter().map(|(_, at)| claims[*at as usize]));
        near.sort_unstable_by_key(|claim| {
            (claim.source, claim.identity.hash, claim.origin, std::cmp::Reverse(claim.identity.rev), claim.row)
        });
        for same in near.chunk_by(|a, b| (a.source, a.identity.hash) == (b.source, b.identity.hash)) {
            sift_identity(same, &mut sifted);
        }
    }
    sifted
}

/// Sifts the claims to one identity: what is there, then rows, the highest revision first.
fn sift_identity(same: &[Claim], sifted: &mut Sifted) {
    let rows = same.partition_point(|claim| claim.origin != Origin::Row);
    let (held, rows) = same.split_at(rows);
    let indexed = held.iter().filter(|claim| claim.origin == Origin::Index);
    sifted.indexed.extend(indexed.take(1).map(|claim| (claim.source, claim.identity)));
    let Some((best, others)) = rows.split_first() else { return };
    sifted.duplicates += others.len() as u64;
    match held.iter().map(|claim| claim.identity.rev).max() {
        None if best.withdraws => sifted.correct.push(best.row),
        None => {
            sifted.keep.push(best.row);
            sifted.fresh.push((best.source, best.identity));
        }
        Some(held) if best.identity.rev > held => sifted.correct.push(best.row),
        Some(_) => sifted.duplicates += 1,
    }
}

#[cfg(test)]
mod tests;
