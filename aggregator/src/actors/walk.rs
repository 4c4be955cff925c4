//! The walk: states of many days, actor by actor.
//!
//! In: contents, each the states of a day or of days merged. Out: for every actor, in the order of hashes, all that is
//! kept of it, sorted. Memory holds one actor, the small sets, and a buffer per long one.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::io;

use super::Question;
use crate::content::Content;
use crate::fold::FoldError;
use crate::metric::sorted::{Cursor, Entry, Sorted, buffer_bytes};
use crate::metric::trail::{Moment, Presence};
use crate::metric::{GroupKey, State};
use crate::range::READ_GROUPS_MAX;
use crate::states::open;

/// Events of one actor that one answer looks at: the first ones.
pub const ACTOR_EVENTS_MAX: usize = 100_000;

/// An entry that belongs to an actor.
pub(super) trait Followed: Entry {
    /// Whose it is.
    fn actor(&self) -> (u64, u64);
    /// The order of what one actor did.
    fn key(&self) -> (i64, u32);
    /// The collection of a state.
    fn of(state: State) -> Option<Sorted<Self>>;
}

impl Followed for Moment {
    #[inline]
    fn actor(&self) -> (u64, u64) {
        self.actor
    }

    #[inline]
    fn key(&self) -> (i64, u32) {
        (self.time, self.mask)
    }

    fn of(state: State) -> Option<Sorted<Moment>> {
        match state {
            State::Trail(moments) => Some(moments),
            _ => None,
        }
    }
}

impl Followed for Presence {
    #[inline]
    fn actor(&self) -> (u64, u64) {
        self.actor
    }

    #[inline]
    fn key(&self) -> (i64, u32) {
        (i64::from(self.bucket), u32::from(self.mask))
    }

    fn of(state: State) -> Option<Sorted<Presence>> {
        match state {
            State::Presence(buckets) => Some(buckets),
            _ => None,
        }
    }
}

/// An entry and the number of its group.
pub(super) type Tagged<E> = (E, u32);

/// What is kept of actors, by group.
pub(super) struct Trails<E> {
    /// The groups' keys, ascending; a group's number is its place.
    pub groups: Vec<GroupKey>,
    sets: Vec<(u32, Sorted<E>)>,
}

impl<E: Followed> Trails<E> {
    /// The trails of states. `grouped`: whether the states have groups; `key` makes of a group's key the one that is
    /// wanted.
    ///
    /// # Errors
    /// [`FoldError::TooMuch`]; [`FoldError::Spill`] when the states are of another definition or damaged, and the
    /// spill's own.
    pub fn load(
        question: &Question<'_>,
        inputs: &[Content],
        grouped: bool,
        key: impl Fn(GroupKey) -> GroupKey,
    ) -> Result<Trails<E>, FoldError> {
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "states of another definition");
        let mut numbers: BTreeMap<GroupKey, u32> = BTreeMap::new();
        let mut sets = Vec::new();
        for input in inputs {
            let (total, mut groups) = open(input)?;
            if !grouped {
                let state = total.states.into_iter().next().ok_or_else(damaged)?;
                numbers.entry(GroupKey::new()).or_insert(0);
                sets.push((0, E::of(state).ok_or_else(damaged)?));
                continue;
            }
            while let Some((found, cell)) = groups.next_group()? {
                let next = numbers.len() as u32;
                let number = *numbers.entry(key(found)).or_insert(next);
                if numbers.len() > READ_GROUPS_MAX {
                    return Err(question.too_much("groups", READ_GROUPS_MAX));
                }
                let state = cell.states.into_iter().next().ok_or_else(damaged)?;
                sets.push((number, E::of(state).ok_or_else(damaged)?));
            }
        }
        let mut places = vec![0; numbers.len()];
        for (place, number) in numbers.values().enumerate() {
            places[*number as usize] = place as u32;
        }
        sets.iter_mut().for_each(|(group, _)| *group = places[*group as usize]);
        Ok(Trails { groups: numbers.into_keys().collect(), sets })
    }

    /// Calls `visit` with everything kept of each actor, in order. Returns how many actors had more than
    /// [`ACTOR_EVENTS_MAX`] entries.
    pub fn walk(&self, mut visit: impl FnMut(&[Tagged<E>]) -> io::Result<()>) -> io::Result<u64> {
        let mut cursors: Vec<(u32, Cursor<'_, E>)> = Vec::new();
        let buffer = buffer_bytes(self.sets.len());
        for (group, set) in &self.sets {
            cursors.extend(set.cursors(buffer)?.into_iter().map(|cursor| (*group, cursor)));
        }
        let head = |cursor: &Cursor<'_, E>, at: usize| cursor.head().map(|head| Reverse((head.actor(), at)));
        let mut heads: BinaryHeap<_> =
            cursors.iter().enumerate().filter_map(|(at, (_, cursor))| head(cursor, at)).collect();
        let mut held: Vec<Tagged<E>> = Vec::new();
        let mut capped = 0;
        while let Some(Reverse((actor, _))) = heads.peek().copied() {
            held.clear();
            let (mut is_capped, mut cursors_read) = (false, 0);
            while let Some(mut top) = heads.peek_mut()
                && top.0.0 == actor
            {
                let at = top.0.1;
                is_capped |= take(&mut cursors[at], actor, &mut held)?;
                cursors_read += 1;
                // The cursor's next actor takes the place of this one, which is sifted once.
                match head(&cursors[at].1, at) {
                    Some(next) => *top = next,
                    None => {
                        PeekMut::pop(top);
                    }
                }
            }
            let is_sorted = cursors_read <= 1;
            if !is_sorted {
                sort(&mut held);
            }
            if held.len() > ACTOR_EVENTS_MAX {
                is_capped = true;
                held.truncate(ACTOR_EVENTS_MAX);
            }
            capped += u64::from(is_capped);
            visit(&held)?;
        }
        Ok(capped)
    }
}

fn sort<E: Followed>(held: &mut [Tagged<E>]) {
    let key = |(entry, group): &Tagged<E>| (entry.key(), *group);
    if !held.is_sorted_by_key(key) {
        held.sort_unstable_by_key(key);
    }
}

/// Takes an actor's entries from a cursor; whether some were left aside. Only the first ones can be among the first of
/// all.
fn take<E: Followed>(
    (group, cursor): &mut (u32, Cursor<'_, E>),
    actor: (u64, u64),
    held: &mut Vec<Tagged<E>>,
) -> io::Result<bool> {
    let mut is_capped = false;
    let from = held.len();
    while let Some(entry) = cursor.head()
        && entry.actor() == actor
    {
        if held.len() - from < ACTOR_EVENTS_MAX {
            held.push((entry, *group));
        } else {
            is_capped = true;
        }
        cursor.advance()?;
    }
    if held.len() > 2 * ACTOR_EVENTS_MAX {
        sort(held);
        held.truncate(ACTOR_EVENTS_MAX);
        is_capped = true;
    }
    Ok(is_capped)
}
