//! What is kept of actors' events: when each did something that an insight tells apart, or in which buckets.
//!
//! Entries of [`super::sorted::Sorted`] collections. An actor is the 128-bit hash of the column's value; what an event
//! is, is a mask: a bit for each selection of the insight it belongs to. Events with equal actor, time and mask cannot be
//! told apart by any of our questions, so they are one entry and a count, and no id is kept.

use std::cmp::Ordering;

use super::sorted::Entry;

/// Events of one actor at one instant, of one mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Whose: the halves of the hash.
    pub actor: (u64, u64),
    /// Event time, in microseconds.
    pub time: i64,
    /// The selections they belong to.
    pub mask: u32,
    /// How many.
    pub count: u32,
}

impl Entry for Moment {
    const BYTES: usize = 32;

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.actor.0.to_be_bytes());
        out.extend_from_slice(&self.actor.1.to_be_bytes());
        out.extend_from_slice(&self.time.to_be_bytes());
        out.extend_from_slice(&self.mask.to_be_bytes());
        out.extend_from_slice(&self.count.to_be_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Moment> {
        let (actor, rest) = read_actor(bytes)?;
        let (time, rest) = rest.split_first_chunk::<8>()?;
        let (mask, rest) = rest.split_first_chunk::<4>()?;
        let moment = Moment {
            actor,
            time: i64::from_be_bytes(*time),
            mask: u32::from_be_bytes(*mask),
            count: u32::from_be_bytes(rest.try_into().ok()?),
        };
        (moment.count > 0).then_some(moment)
    }

    #[inline]
    fn order(&self, other: &Moment) -> Ordering {
        let key = |moment: &Moment| (moment.actor, moment.time, moment.mask);
        key(self).cmp(&key(other))
    }

    fn combine(&mut self, other: &Moment) {
        self.count = self.count.saturating_add(other.count);
    }

    fn hash(&self) -> u64 {
        self.actor.1 ^ (self.time as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(self.mask)
    }

    fn lead(&self) -> Option<u64> {
        Some(self.actor.0)
    }
}

/// That an actor did something in a bucket, and when it first did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presence {
    /// Whose: the halves of the hash.
    pub actor: (u64, u64),
    /// Which bucket; see [`crate::actors::bucket`].
    pub bucket: i32,
    /// The selections its events belong to.
    pub mask: u8,
    /// The earliest of them, in microseconds.
    pub first: i64,
}

impl Entry for Presence {
    const BYTES: usize = 29;

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.actor.0.to_be_bytes());
        out.extend_from_slice(&self.actor.1.to_be_bytes());
        out.extend_from_slice(&self.bucket.to_be_bytes());
        out.push(self.mask);
        out.extend_from_slice(&self.first.to_be_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Presence> {
        let (actor, rest) = read_actor(bytes)?;
        let (bucket, rest) = rest.split_first_chunk::<4>()?;
        let (mask, first) = rest.split_first()?;
        let first = i64::from_be_bytes(first.try_into().ok()?);
        Some(Presence { actor, bucket: i32::from_be_bytes(*bucket), mask: *mask, first })
    }

    #[inline]
    fn order(&self, other: &Presence) -> Ordering {
        let key = |presence: &Presence| (presence.actor, presence.bucket, presence.mask);
        key(self).cmp(&key(other))
    }

    fn combine(&mut self, other: &Presence) {
        self.first = self.first.min(other.first);
    }

    fn hash(&self) -> u64 {
        self.actor.1 ^ u64::from(self.bucket as u32) ^ u64::from(self.mask).rotate_left(40)
    }

    fn lead(&self) -> Option<u64> {
        Some(self.actor.0)
    }
}

fn read_actor(bytes: &[u8]) -> Option<((u64, u64), &[u8])> {
    let (high, rest) = bytes.split_first_chunk::<8>()?;
    let (low, rest) = rest.split_first_chunk::<8>()?;
    Some(((u64::from_be_bytes(*high), u64::from_be_bytes(*low)), rest))
}

/// An actor by the hash of its value.
pub fn actor(hash: u128) -> (u64, u64) {
    ((hash >> 64) as u64, hash as u64)
}

/// How long something took, and how often it took that long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lasting {
    /// Microseconds.
    pub micros: i64,
    /// Times.
    pub count: u64,
}

impl Entry for Lasting {
    const BYTES: usize = 16;

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.micros.to_be_bytes());
        out.extend_from_slice(&self.count.to_be_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Lasting> {
        let (micros, count) = bytes.split_first_chunk::<8>()?;
        Some(Lasting { micros: i64::from_be_bytes(*micros), count: u64::from_be_bytes(count.try_into().ok()?) })
    }

    fn order(&self, other: &Lasting) -> Ordering {
        self.micros.cmp(&other.micros)
    }

    fn combine(&mut self, other: &Lasting) {
        self.count += other.count;
    }

    fn hash(&self) -> u64 {
        self.micros as u64
    }
}
