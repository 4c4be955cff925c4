//! The state of `approx_count_distinct`: HyperLogLog++ at precision 14, over the low half of a value's 128-bit hash.
//!
//! The library keeps new members in a randomly seeded set until it counts; [`Sketch::encode`] always counts first, so
//! that equal sets give equal bytes. Bytes from outside are checked field by field before the library sees them.

use std::hash::{BuildHasher, Hash, Hasher};

use hyperloglogplus::{HyperLogLog, HyperLogLogPlus};
use serde::{Deserialize, Serialize};

/// Registers are 2^14.
const PRECISION: u8 = 14;
/// The library's own numbers for that precision: registers, sparse registers, bytes of the registers.
const COUNTS: (usize, usize, usize) = (1 << 14, 1 << 24, 13_107);
/// 32-bit words the registers fill, five to a word.
const REGISTER_WORDS: usize = (1 << 14) / 5 + 1;

/// Members are hashes already.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Hashed;

/// Hands a hash through.
struct Through(u64);

impl BuildHasher for Hashed {
    type Hasher = Through;
    fn build_hasher(&self) -> Through {
        Through(0)
    }
}

impl Hasher for Through {
    fn write(&mut self, bytes: &[u8]) {
        // Never taken: members are u64. Kept total all the same.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

/// A HyperLogLog++ sketch.
#[derive(Clone, Debug)]
pub struct Sketch(HyperLogLogPlus<Member, Hashed>);

/// A value by the low half of its hash.
#[derive(Clone, Debug)]
struct Member(u64);

impl Hash for Member {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0);
    }
}

impl Default for Sketch {
    fn default() -> Sketch {
        Sketch(HyperLogLogPlus::new(PRECISION, Hashed).expect("the precision is within the library's limits"))
    }
}

impl Sketch {
    /// Takes a value in, by its 128-bit hash.
    pub fn insert(&mut self, hash: u128) {
        self.0.insert(&Member(hash as u64));
    }

    /// Takes everything `other` has seen in.
    pub fn merge(&mut self, other: &Sketch) {
        self.0.merge(&other.0).expect("every sketch has the same precision");
    }

    /// The estimated count, rounded.
    pub fn count(&self) -> u64 {
        self.clone().0.count().round() as u64
    }

    /// The same bytes for the same set of members.
    pub fn encode(&self) -> Vec<u8> {
        let mut settled = self.clone();
        settled.0.count();
        postcard::to_allocvec(&settled.0).expect("a sketch is plain values")
    }

    /// Reads what [`Sketch::encode`] wrote; `None` when these bytes are none.
    pub fn decode(bytes: &[u8]) -> Option<Sketch> {
        let shape: Shape = postcard::from_bytes(bytes).ok()?;
        if !shape.is_sound() {
            return None;
        }
        let sketch = Sketch(postcard::from_bytes(bytes).ok()?);
        // Sound, but spelled as it never is written: refused too, so that equal states stay equal bytes.
        (sketch.encode() == bytes).then_some(sketch)
    }
}

/// Values that come in while a sketch is made.
///
/// The library merges its sparse form anew for every hundred values, which is most of the cost of a large set. So
/// values are collected first; once there are certainly too many for the sparse form, registers take them, which cost
/// nothing but themselves. What comes out is the sketch the library would have made of the same values.
#[derive(Clone, Debug)]
pub enum Building {
    /// Their hashes; sorted and made unique when there are as many as the number says.
    Loose(Vec<u64>, usize),
    /// In a sketch.
    Settled(Sketch),
}

/// Hashes collected before they are looked at for the first time.
const LOOSE_HASHES: usize = 4_096;

impl Building {
    /// Without values. `loose`: hashes may be collected, up to 256 KiB of them; for the first few cells of many.
    pub fn new(loose: bool) -> Building {
        if loose { Building::Loose(Vec::new(), LOOSE_HASHES) } else { Building::Settled(Sketch::default()) }
    }

    /// Takes a value in, by its 128-bit hash.
    #[inline]
    pub fn insert(&mut self, hash: u128) {
        match self {
            Building::Loose(hashes, at_most) => {
                hashes.push(hash as u64);
                if hashes.len() >= *at_most {
                    self.look();
                }
            }
            Building::Settled(sketch) => sketch.insert(hash),
        }
    }

    #[cold]
    fn look(&mut self) {
        let Building::Loose(hashes, at_most) = self else { return };
        hashes.sort_unstable();
        hashes.dedup();
        // The sparse form tells hashes apart by their first 25 bits and takes a byte or more for each.
        let codes = hashes.chunk_by(|a, b| a >> 39 == b >> 39).count();
        if codes > COUNTS.2 {
            let mut sketch = Sketch::dense();
            hashes.iter().for_each(|hash| sketch.0.insert(&Member(*hash)));
            *self = Building::Settled(sketch);
        } else {
            *at_most = LOOSE_HASHES.max(2 * hashes.len());
        }
    }

    /// The sketch of all values.
    pub fn sketch(mut self) -> Sketch {
        self.look();
        match self {
            Building::Settled(sketch) => sketch,
            Building::Loose(hashes, _) => {
                let mut sketch = Sketch::default();
                hashes.iter().for_each(|hash| sketch.0.insert(&Member(*hash)));
                sketch
            }
        }
    }
}

impl Sketch {
    /// An empty sketch that has its registers already.
    fn dense() -> Sketch {
        let registers = Registers { words: vec![0; REGISTER_WORDS], count: COUNTS.0, zeros: COUNTS.0 };
        let sparse = Sparse { count: 0, last: 0, steps: Vec::new() };
        let (precision, counts, pending) = (PRECISION, COUNTS, Vec::new());
        let shape =
            Shape { builder: Hashed, precision, counts, pending, sparse, registers: Some(registers), phantom: () };
        let bytes = postcard::to_allocvec(&shape).expect("a sketch is plain values");
        Sketch(postcard::from_bytes(&bytes).expect("the shape is the library's own"))
    }
}

/// The library's fields, in its order, to be looked at.
#[derive(Serialize, Deserialize)]
struct Shape {
    #[allow(dead_code)]
    builder: Hashed,
    precision: u8,
    counts: (usize, usize, usize),
    pending: Vec<u32>,
    sparse: Sparse,
    registers: Option<Registers>,
    #[allow(dead_code)]
    phantom: (),
}

#[derive(Serialize, Deserialize)]
struct Sparse {
    count: usize,
    last: u32,
    steps: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Registers {
    words: Vec<u32>,
    count: usize,
    zeros: usize,
}

impl Shape {
    fn is_sound(&self) -> bool {
        self.precision == PRECISION
            && self.counts == COUNTS
            && self.pending.is_empty()
            && self.sparse.is_sound()
            && self.registers.as_ref().is_none_or(|registers| registers.is_sound() && self.sparse.count == 0)
    }
}

impl Sparse {
    /// Whole variable-length steps that never leave 32 bits and end where they say.
    fn is_sound(&self) -> bool {
        let (mut at, mut count, mut last) = (0usize, 0usize, 0u32);
        while at < self.steps.len() {
            let (mut step, mut shift) = (0u64, 0u32);
            loop {
                let Some(byte) = self.steps.get(at) else { return false };
                at += 1;
                step |= u64::from(byte & 0x7F) << shift;
                shift += 7;
                if byte & 0x80 == 0 {
                    break;
                }
                if shift > 28 {
                    return false;
                }
            }
            let Some(next) = u32::try_from(step).ok().and_then(|step| last.checked_add(step)) else { return false };
            last = next;
            count += 1;
        }
        count == self.count && last == self.last && count < COUNTS.1
    }
}

impl Registers {
    fn is_sound(&self) -> bool {
        let zeros = |word: &u32| (0..5).filter(|at| word >> (at * 6) & 0x3F == 0).count();
        // The last word has room for one register more than there are.
        self.count == COUNTS.0
            && self.words.len() == REGISTER_WORDS
            && self.words.iter().map(zeros).sum::<usize>() == self.zeros + 1
            && self.words.last().is_some_and(|word| word >> 24 == 0)
    }
}

#[cfg(test)]
mod tests;
